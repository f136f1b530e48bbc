/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter of the stubs: the boundary.  Built from the table, once.
 *
 * What is NATIVE passes; what is GUARDED passes with the arguments named here,
 * which are looked at in registers only; what is REFUSED has its errno; a few
 * go to the tracer, since they need other registers (exec.c, births.c);
 * everything else is a notification.  Another architecture than x86-64, and
 * x32, end the process.
 *
 * A binary search over ranges of numbers with the same answer.  For the
 * NATIVE ones the host's own bitmap of constant answers makes it free.
 */
#include "sentry/platform/platform_int.h"
#include "sentry/platform/site.h"
#include "sentry/sys/profile.h"

#include "base/err.h"
#include "sentry/call.h"

#include <asm/prctl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define X32_BIT	   0x40000000U
#define BELOW_ZERO 0x80000000U /* as an int, which a call's number is */

#define TO_HANDLER SECCOMP_RET_USER_NOTIF

static void put_insn(struct filter_program *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	if (p->n < FILTER_PROGRAM_MAX) /* more is found out at the end */
		p->insns[p->n] = (struct sock_filter){.code = code, .jt = jt, .jf = jf, .k = k};
	p->n++;
}

static void put_load(struct filter_program *p, size_t offset)
{
	put_insn(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void put_return(struct filter_program *p, uint32_t action)
{
	put_insn(p, BPF_RET | BPF_K, action, 0, 0);
}

static void load_arg(struct filter_program *p, int i, bool high)
{
	put_load(p, offsetof(struct seccomp_data, args) + (size_t)i * 8 + (high ? 4 : 0));
}

/* ---- guards ---- */

/* Passes if argument i, of which the kernel reads 32 bits, has no bit but these; a = what to do otherwise. */
static void guard_mask(struct filter_program *p, int i, uint32_t mask, uint32_t otherwise)
{
	load_arg(p, i, false);
	put_insn(p, BPF_JMP | BPF_JSET | BPF_K, ~mask, 0, 1);
	put_return(p, otherwise);
}

static void guard_has(struct filter_program *p, int i, uint32_t bits)
{
	load_arg(p, i, false);
	put_insn(p, BPF_JMP | BPF_JSET | BPF_K, bits, 1, 0);
	put_return(p, TO_HANDLER);
}

static void guard_half_zero(struct filter_program *p, int i, bool high, uint32_t otherwise)
{
	load_arg(p, i, high);
	put_insn(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0);
	put_return(p, otherwise);
}

/* Passes if argument i (32 bits of it, and-ed with mask) is one of these. */
static void guard_values(struct filter_program *p, int i, uint32_t mask, const uint32_t *values, size_t n)
{
	load_arg(p, i, false);
	if (mask != UINT32_MAX)
		put_insn(p, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
	for (size_t k = 0; k < n; k++)
		put_insn(p, BPF_JMP | BPF_JEQ | BPF_K, values[k], (uint8_t)(n - k), 0);
	put_return(p, TO_HANDLER);
}

#define GUARD_VALUES(p, i, mask, ...)                                                                        \
	do {                                                                                                 \
		static const uint32_t values_[] = {__VA_ARGS__};                                             \
		guard_values(p, i, mask, values_, ARRAY_LEN(values_));                                       \
	} while (0)

enum {
	MMAP_FLAGS = MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_32BIT | MAP_GROWSDOWN |
		     MAP_DENYWRITE | MAP_EXECUTABLE | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE |
		     MAP_NONBLOCK | MAP_STACK | MAP_FIXED_NOREPLACE,
};

/* No namespaces, no escape from the tracer, no pidfd (the guest's are the sentry's). */
static const uint32_t clone_flags = CSIGNAL | CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
				    CLONE_VFORK | CLONE_PARENT | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |
				    CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_DETACHED |
				    CLONE_CHILD_SETTID | CLONE_IO;

enum {
	/* Nothing that is the sentry's to judge, and nothing that waits for more than the host's socket
	   would. */
	RECEIVE_FLAGS = MSG_DONTWAIT | MSG_PEEK | MSG_NOSIGNAL,
	SEND_FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL,
};

/* Passes if argument i, of which the kernel reads 32 bits, is first .. end - 1. */
static void guard_range(struct filter_program *p, int i, uint32_t first, uint32_t end, uint32_t otherwise)
{
	load_arg(p, i, false);
	put_insn(p, BPF_JMP | BPF_JGE | BPF_K, end, 1, 0);
	put_insn(p, BPF_JMP | BPF_JGE | BPF_K, first, 1, 0);
	put_return(p, otherwise);
}

/*
 * Shadows (shadow.c), which are the guest's own open files: numbers of the call's kinds, and of the calls of
 * sockets those without an address.  What a slot cannot do so, it makes as the call that the program has
 * made.
 */
static void guard_shadow(struct filter_program *p, int nr)
{
	const uint32_t refused = SECCOMP_RET_ERRNO | EBADF;
	unsigned kinds = site_kinds(nr);
	uint32_t first = SHADOW_BASE + (uint32_t)__builtin_ctz(kinds) * SHADOW_MAX;
	uint32_t end = SHADOW_BASE + (uint32_t)(32 - __builtin_clz(kinds)) * SHADOW_MAX; /* adjacent ones */
	load_arg(p, 0, true);
	put_insn(p, BPF_JMP | BPF_JEQ | BPF_K, SHADOW_MARK + (uint32_t)nr, 1, 0);
	put_return(p, TO_HANDLER);
	if (nr == SYS_recvfrom || nr == SYS_sendto) {
		guard_mask(p, 3, nr == SYS_sendto ? SEND_FLAGS : RECEIVE_FLAGS, refused);
		guard_half_zero(p, 4, false, refused);
		guard_half_zero(p, 4, true, refused);
	}
	if (nr == SYS_epoll_ctl)
		guard_range(p, 2, SHADOW_BASE + SHADOW_SOCKET * SHADOW_MAX,
			    SHADOW_BASE + (SHADOW_SOCKET + 1) * SHADOW_MAX, refused);
	guard_range(p, 0, first, end, refused);
}

static void emit_guarded(struct filter_program *p, int nr)
{
	if (site_kinds(nr)) {
		guard_shadow(p, nr);
		put_return(p, SECCOMP_RET_ALLOW);
		return;
	}
	switch (nr) {
	case SYS_mmap: /* anonymous memory only: with MAP_ANONYMOUS the host does not look at the descriptor
			*/
		guard_has(p, 3, MAP_ANONYMOUS);
		guard_mask(p, 3, MMAP_FLAGS, TO_HANDLER);
		guard_half_zero(p, 3, true, TO_HANDLER);
		break;
	case SYS_madvise: /* no poisoning, no merging (it tells of other sandboxes' pages) */
		GUARD_VALUES(p, 2, UINT32_MAX, MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED,
			     MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK, MADV_HUGEPAGE,
			     MADV_NOHUGEPAGE, MADV_DONTDUMP, MADV_DODUMP, MADV_WIPEONFORK, MADV_KEEPONFORK,
			     MADV_COLD, MADV_PAGEOUT, MADV_POPULATE_READ, MADV_POPULATE_WRITE,
			     24 /* MADV_DONTNEED_LOCKED */, 25 /* MADV_COLLAPSE */,
			     102 /* MADV_GUARD_INSTALL */, 103 /* MADV_GUARD_REMOVE */);
		break;
	case SYS_futex: /* all but requeueing to PI futexes, which no C library has used for years */
		GUARD_VALUES(p, 1, (uint32_t) ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME), FUTEX_WAIT,
			     FUTEX_WAKE, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP, FUTEX_WAIT_BITSET,
			     FUTEX_WAKE_BITSET, FUTEX_LOCK_PI, FUTEX_UNLOCK_PI, FUTEX_TRYLOCK_PI,
			     13 /* FUTEX_LOCK_PI2 */);
		break;
	case SYS_clone:
		guard_mask(p, 0, clone_flags, SECCOMP_RET_TRACE);
		break;
	case SYS_arch_prctl: /* bases of segments; vector state that the processor has */
		GUARD_VALUES(p, 0, UINT32_MAX, ARCH_SET_GS, ARCH_SET_FS, ARCH_GET_FS, ARCH_GET_GS,
			     ARCH_GET_CPUID, ARCH_SET_CPUID, 0x1021 /* ARCH_GET_XCOMP_SUPP */,
			     0x1022 /* ..._GET_XCOMP_PERM */, 0x1023 /* ..._REQ_XCOMP_PERM */);
		break;
	case SYS_waitid: /* pidfds are the sentry's */
		GUARD_VALUES(p, 0, UINT32_MAX, P_ALL, P_PID, P_PGID);
		break;
	default: /* guarded, but by nothing that is known here: the handler sees to it */
		put_return(p, TO_HANDLER);
		return;
	}
	put_return(p, SECCOMP_RET_ALLOW);
}

/* ---- the search ---- */

/* What is answered for a number; for GUARDED ones UINT32_MAX, which is no action. */
static uint32_t action(const struct filter_program *p, int nr)
{
	const struct call_row *row = call_row(nr);
	if (nr == SYS_execve || nr == SYS_execveat || nr == SYS_clone3)
		return SECCOMP_RET_TRACE;
	if (!row)
		return TO_HANDLER;
	if (profile_restricts(nr))
		return nr == SYS_clone ? SECCOMP_RET_TRACE : TO_HANDLER;
	switch (row->route) {
	case ROUTE_NATIVE:
		return p->trap_all ? TO_HANDLER : SECCOMP_RET_ALLOW;
	case ROUTE_GUARDED:
		return UINT32_MAX;
	case ROUTE_REFUSED:
		return p->trap_all ? TO_HANDLER : SECCOMP_RET_ERRNO | (uint32_t)row->error;
	case ROUTE_TRAP:
		return p->native_files && site_kinds(nr) ? UINT32_MAX : TO_HANDLER;
	}
	return TO_HANDLER;
}

/*
 * Written from its end: jumps lead forward only, so that what one leads to is there, and each answer's return
 * can be shared.  Of a new filter the host has the time of each instruction's translation, several times.
 */
struct search {
	const uint32_t *actions;
	struct {
		uint32_t action;
		size_t at;
	} returns[16]; /* the nearest of each; of further answers none is shared */
	size_t n;
	struct filter_program guards, code; /* a guard as it is written, and what is there, last one first */
};

enum { JUMP_MAX = UINT8_MAX };

static size_t put_before(struct search *s, struct sock_filter insn)
{
	struct filter_program *code = &s->code;
	if (code->n < FILTER_PROGRAM_MAX) /* more is found out at the end */
		code->insns[code->n] = insn;
	return code->n++;
}

static struct sock_filter insn_at(const struct search *s, size_t at)
{
	return at < FILTER_PROGRAM_MAX ? s->code.insns[at] : (struct sock_filter){0};
}

/* Where that answer is returned, near enough for what comes next or anew. */
static size_t returned(struct search *s, uint32_t action)
{
	size_t i = 0;
	while (i < s->n && s->returns[i].action != action)
		i++;
	if (i < s->n && s->code.n - s->returns[i].at < JUMP_MAX - 1)
		return s->returns[i].at;
	size_t at = put_before(s, (struct sock_filter){.code = BPF_RET | BPF_K, .k = action});
	if (i < ARRAY_LEN(s->returns)) {
		s->returns[i].action = action;
		s->returns[i].at = at;
		s->n = MAX_OF(s->n, i + 1);
	}
	return at;
}

static size_t guarded(struct search *s, int nr)
{
	s->guards.n = 0;
	emit_guarded(&s->guards, nr);
	for (size_t i = s->guards.n; i > 0; i--)
		put_before(s, s->guards.insns[i - 1]);
	return s->code.n - 1;
}

/* The same, no further than a conditional jump reaches that has one instruction more before it. */
static size_t within_reach(struct search *s, size_t at)
{
	if (s->code.n + 1 - at - 1 <= JUMP_MAX)
		return at;
	if (insn_at(s, at).code == (BPF_RET | BPF_K))
		return returned(s, insn_at(s, at).k);
	return put_before(
		s, (struct sock_filter){.code = BPF_JMP | BPF_JA, .k = (uint32_t)(s->code.n - at - 1)});
}

/* Does another answer begin at that number? */
static bool is_border(const uint32_t *actions, int nr)
{
	return actions[nr] != actions[nr - 1] || actions[nr] == UINT32_MAX;
}

/* first .. last, the accumulator has the number.  Where the answer to these begins. */
static size_t search(struct search *s, int first, int last)
{
	int middle = first + (last - first + 1) / 2, below = middle;
	while (middle <= last && middle > first && !is_border(s->actions, middle))
		middle++;
	if (middle > last)
		for (middle = below; middle > first && !is_border(s->actions, middle);)
			middle--;
	if (middle == first)
		return s->actions[first] == UINT32_MAX ? guarded(s, first) : returned(s, s->actions[first]);
	size_t high = search(s, middle, last), low = search(s, first, middle - 1);
	high = within_reach(s, high);
	low = within_reach(s, low);
	uint8_t to_high = (uint8_t)(s->code.n - high - 1), to_low = (uint8_t)(s->code.n - low - 1);
	return put_before(s, (struct sock_filter){.code = BPF_JMP | BPF_JGE | BPF_K,
						  .jt = to_high,
						  .jf = to_low,
						  .k = (uint32_t)middle});
}

int filter_search(struct filter_program *p, const uint32_t *actions, int n)
{
	autofree struct search *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->actions = actions;
	size_t begin = search(s, 0, n - 1);
	put_insn(p, BPF_JMP | BPF_JA, (uint32_t)(s->code.n - begin - 1), 0, 0);
	for (size_t at = s->code.n; at > 0; at--)
		put_insn(p, insn_at(s, at - 1).code, insn_at(s, at - 1).k, insn_at(s, at - 1).jt,
			 insn_at(s, at - 1).jf);
	return 0;
}

static int search_table(struct filter_program *p)
{
	int n = call_count();
	autofree uint32_t *actions = calloc((size_t)n, sizeof(*actions));
	if (!actions)
		return -ENOMEM;
	for (int nr = 0; nr < n; nr++)
		actions[nr] = action(p, nr);
	return filter_search(p, actions, n);
}

int filter_build(bool trap_all, bool native_files, struct sock_fprog *ret, struct err *err)
{
	autofree struct filter_program *p = calloc(1, sizeof(*p));
	if (!p)
		return err_oom(err);
	p->trap_all = trap_all;
	p->native_files = native_files;
	put_load(p, offsetof(struct seccomp_data, arch));
	put_insn(p, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	put_return(p, SECCOMP_RET_KILL_PROCESS);
	put_load(p, offsetof(struct seccomp_data, nr));
	put_insn(p, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 3);
	/* One below zero is no x32 call, but a number like any other that does not exist. */
	put_insn(p, BPF_JMP | BPF_JGE | BPF_K, BELOW_ZERO, 0, 1);
	put_return(p, TO_HANDLER);
	put_return(p, SECCOMP_RET_KILL_PROCESS);
	put_insn(p, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)call_count(), 0, 1);
	put_return(p, TO_HANDLER);
	if (search_table(p) < 0)
		return err_oom(err);
	if (p->n > FILTER_PROGRAM_MAX)
		return err_set(
			err, E2BIG,
			"the filter of the guest's system calls has %zu instructions, at most 4096 fit",
			p->n);
	struct sock_filter *exact = malloc(p->n * sizeof(*exact));
	if (!exact)
		return err_oom(err);
	memcpy(exact, p->insns, p->n * sizeof(*exact));
	*ret = (struct sock_fprog){.len = (unsigned short)p->n, .filter = exact};
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seccomp profile of the configuration, applied to the guest.
 *
 * Theory of operation
 *
 * On the stub the host must not have it: what the platform does natively there
 * (execveat of the stub, mapping of programs, closing) is not the guest's to
 * be forbidden.  So the runtime compiles the profile as for level `ns`, and the
 * sentry runs the program itself, on each call that stops here.
 *
 * What the host may answer natively is looked at once, before the guest's
 * filter is built: the program is run with the number known and the arguments
 * unknown (of clone: without the bits that the filter never lets pass).  A
 * call that comes out as allowed whatever its arguments stays native and costs
 * nothing.  The others are made to stop (profile_restricts), are judged here,
 * and go on to the host where the filter without the profile would have let
 * them pass; that filter is kept and run in the same way.
 */
#include "sentry/sys/profile.h"

#include "base/err.h"
#include "base/fd.h"
#include "sentry/platform/platform_int.h"
#include "sentry/sys/proc_text.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

enum { CALLS_MAX = 1024 };

static struct {
	bool on;
	struct sock_fprog profile;
	struct sock_fprog plain;  /* the guest's filter without the profile */
	bool always[CALLS_MAX];	  /* allowed whatever the arguments */
	bool natively[CALLS_MAX]; /* ... as far as the filter lets them pass */
} state;

/* Namespaces and the like, which the guest's filter keeps from the host in any case. */
static const uint32_t clone_stopped = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
				      CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_PTRACE |
				      CLONE_UNTRACED | CLONE_PIDFD;

/* A word of which some bits are known. */
struct word {
	uint32_t value, known;
};

static const struct word unknown_word = {0, 0};

/* One word of the call, as the program loads it; where c is NULL, of any call of this number. */
static struct word load_word(const struct call *c, int nr, uint32_t at)
{
	struct seccomp_data data = {.nr = nr, .arch = AUDIT_ARCH_X86_64};
	uint32_t value;

	if (c) {
		data.instruction_pointer = c->ip;
		memcpy(data.args, c->args, sizeof(data.args));
	} else if (nr == SYS_clone && at == offsetof(struct seccomp_data, args[0])) {
		return (struct word){0, clone_stopped};
	} else if (at >= offsetof(struct seccomp_data, instruction_pointer)) {
		return unknown_word;
	}
	memcpy(&value, (const char *)&data + at, sizeof(value)); /* profile_check: within, aligned */
	return (struct word){value, UINT32_MAX};
}

/* Which way a jump goes: 1, 0, or -1 where the known bits do not tell. */
static int jump_taken(uint16_t test, struct word a, uint32_t k)
{
	if (test == BPF_JSET) {
		if (a.value & a.known & k)
			return 1;
		return (a.known & k) == k ? 0 : -1;
	}
	if (test == BPF_JEQ && (a.value ^ k) & a.known)
		return 0;
	if (a.known != UINT32_MAX)
		return -1;
	return test == BPF_JEQ ? a.value == k : test == BPF_JGT ? a.value > k : a.value >= k;
}

static void calculate(struct word *a, uint16_t op, uint32_t k)
{
	if (op == BPF_AND) {
		a->value &= k;
		a->known |= ~k;
	} else {
		a->value |= k;
		a->known |= k;
	}
}

/* What the program says, a SECCOMP_RET_*; false where it cannot be told for all calls of this number. */
static bool evaluate(const struct sock_filter *prog, size_t n, const struct call *c, int nr, uint32_t *ret)
{
	struct word a = unknown_word;

	for (size_t pc = 0; pc < n; pc++) {
		const struct sock_filter *i = &prog[pc];
		int taken;

		switch (BPF_CLASS(i->code)) {
		case BPF_LD:
			a = BPF_MODE(i->code) == BPF_IMM ? (struct word){i->k, UINT32_MAX}
							 : load_word(c, nr, i->k);
			break;
		case BPF_ALU:
			calculate(&a, BPF_OP(i->code), i->k);
			break;
		case BPF_JMP:
			if (BPF_OP(i->code) == BPF_JA) {
				pc += i->k;
				break;
			}
			taken = jump_taken(BPF_OP(i->code), a, i->k);
			if (taken < 0)
				return false;
			pc += taken ? i->jt : i->jf;
			break;
		default: /* BPF_RET */
			*ret = i->k;
			return true;
		}
	}
	*ret = SECCOMP_RET_KILL_PROCESS; /* the host's verifier would not have taken it */
	return true;
}

/* The compilers' programs are made of these; any other is not run, but refused. */
static bool is_understood(const struct sock_filter *i)
{
	switch (i->code) {
	case BPF_LD | BPF_W | BPF_ABS:
		return i->k % 4 == 0 && i->k < sizeof(struct seccomp_data);
	case BPF_LD | BPF_IMM:
	case BPF_ALU | BPF_AND | BPF_K:
	case BPF_ALU | BPF_OR | BPF_K:
	case BPF_JMP | BPF_JA:
	case BPF_JMP | BPF_JEQ | BPF_K:
	case BPF_JMP | BPF_JGT | BPF_K:
	case BPF_JMP | BPF_JGE | BPF_K:
	case BPF_JMP | BPF_JSET | BPF_K:
	case BPF_RET | BPF_K:
		return true;
	default:
		return false;
	}
}

static int profile_check(const struct sock_filter *prog, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (!is_understood(&prog[i]))
			return err_set(err, ENOTSUP,
				       "isolation level \"kernel\" cannot apply this seccomp profile: "
				       "instruction %zu has code %#x",
				       i, prog[i].code);
	return 0;
}

int profile_load(int fd, struct err *err)
{
	autoclose int file = fd;
	char *text;
	size_t len;
	int r;

	if (fd < 0)
		return 0;
	r = fd_read_all(fd, BPF_MAXINSNS * sizeof(struct sock_filter), &text, &len);
	if (r < 0)
		return err_num(err, r, "cannot read the seccomp profile");
	state.profile = (struct sock_fprog){.len = (unsigned short)(len / sizeof(struct sock_filter)),
					    .filter = (struct sock_filter *)(void *)text};
	r = profile_check(state.profile.filter, state.profile.len, err);
	if (r == 0)
		r = filter_build(false, false, &state.plain, err);
	if (r == 0)
		r = profile_check(state.plain.filter, state.plain.len, err);
	for (int nr = 0; r == 0 && nr < CALLS_MAX; nr++) {
		uint32_t verdict;

		state.natively[nr] = evaluate(state.profile.filter, state.profile.len, NULL, nr, &verdict) &&
				     verdict == SECCOMP_RET_ALLOW;
		state.always[nr] = state.natively[nr] && nr != SYS_clone;
	}
	state.on = r == 0;
	return r;
}

bool profile_is_on(void)
{
	return state.on;
}

bool profile_restricts(int nr)
{
	return state.on && (nr < 0 || nr >= CALLS_MAX || !state.natively[nr]);
}

/* A program cannot catch it, as from the host's seccomp; where it seems to want to, it dies all the same. */
static void kill_process(struct task *t)
{
	char text[4096];
	uint64_t bit = UINT64_C(1) << (SIGSYS - 1), kept = bit;

	if (task_host_proc(t, "status", text, sizeof(text)) >= 0)
		kept &= status_bits(text, "SigBlk") | status_bits(text, "SigIgn") |
			status_bits(text, "SigCgt");
	/* The first process of a pid namespace heeds no signal from without but SIGKILL. */
	t->process->forbidden = true;
	platform_kill(t->process, kept || t->process->pid == 1 ? SIGKILL : SIGSYS);
}

static bool host_would_answer(const struct call *c)
{
	uint32_t verdict;

	return evaluate(state.plain.filter, state.plain.len, c, c->nr, &verdict) &&
	       verdict == SECCOMP_RET_ALLOW;
}

long profile_judge(struct task *t, struct call *c)
{
	uint32_t verdict = SECCOMP_RET_KILL_PROCESS;

	if (!state.on || (c->nr >= 0 && c->nr < CALLS_MAX && state.always[c->nr]))
		return 0;
	(void)evaluate(state.profile.filter, state.profile.len, c, c->nr,
		       &verdict); /* all is known: it can be told */
	switch (verdict & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_LOG:
		kernel_log("%s[%d] calls system call %d, which the seccomp profile logs", t->comm, t->tid,
			   c->nr);
		break;
	case SECCOMP_RET_ALLOW:
		break;
	case SECCOMP_RET_ERRNO:
		return -(long)MIN_OF(verdict & SECCOMP_RET_DATA, 4095U);
	case SECCOMP_RET_TRACE: /* there is no tracer */
		return -ENOSYS;
	case SECCOMP_RET_TRAP:
		(void)task_signal(t, SIGSYS); /* a task that is gone needs none */
		return -ENOSYS;
	default:
		kernel_log("%s[%d] calls system call %d, for which the seccomp profile kills it", t->comm,
			   t->tid, c->nr);
		kill_process(t);
		return -ENOSYS;
	}
	return profile_restricts(c->nr) && host_would_answer(c) ? CALL_HOST : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Call sites of x86-64.
 *
 * Replaced is one whole instruction of at least five bytes, by a jump; the
 * `syscall` stays where it is.  So a thread between the two is safe, and a
 * call that cannot be answered here is made by the original instruction.
 *
 *	mov $nr,%eax; syscall			most wrappers
 *	mov 8(%rsp),%r9; syscall		syscall(2)
 *	cmpb $0,flag(%rip); je elsewhere; xor %eax,%eax; syscall	read(2) of glibc
 *	mov 16(%rsp),%rsi; ...; xor %eax,%eax; syscall	... with threads
 *
 * A slot has no stack and uses %rcx and %r11 only, which every call destroys.
 * It counts on flags being nobody's at a call: functions and compilers' inline
 * assembly have them so.
 */
#include "sentry/call.h"
#include "sentry/platform/site.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

bool site_is_answered(int nr)
{
	return nr == SYS_getpid || nr == SYS_getuid || nr == SYS_geteuid || nr == SYS_getgid ||
	       nr == SYS_getegid;
}

unsigned site_kinds(int nr)
{
	switch (nr) {
	case SYS_read:
		return 1 << SHADOW_FILE | 1 << SHADOW_SOCKET;
	case SYS_pread64:
	case SYS_lseek:
		return 1 << SHADOW_FILE;
	case SYS_pwrite64:
		return 1 << SHADOW_WRITTEN;
	case SYS_write:
	case SYS_writev:
		return 1 << SHADOW_SOCKET | 1 << SHADOW_WRITTEN;
	case SYS_readv:
	case SYS_recvfrom:
	case SYS_sendto:
		return 1 << SHADOW_SOCKET;
	case SYS_epoll_wait:
	case SYS_epoll_ctl:
		return 1 << SHADOW_EPOLL;
	default:
		return 0;
	}
}

/* A template of known_x86_64.S. */
struct known_code {
	const unsigned char *from, *end;
	const uint16_t *fix;
};

static struct known_code known_code_of(int nr)
{
	switch (nr) {
	case SYS_stat:
		return (struct known_code){known_stat, known_stat_end, known_stat_fix};
	case SYS_lstat:
		return (struct known_code){known_lstat, known_lstat_end, known_lstat_fix};
	case SYS_newfstatat:
		return (struct known_code){known_newfstatat, known_newfstatat_end, known_newfstatat_fix};
	case SYS_access:
		return (struct known_code){known_access, known_access_end, known_access_fix};
	default:
		return (struct known_code){0};
	}
}

bool site_may_know(int nr)
{
	return known_code_of(nr).from;
}

int site_path(int nr)
{
	switch (nr) {
	case SYS_stat:
	case SYS_lstat:
	case SYS_access:
	case SYS_readlink:
	case SYS_open:
	case SYS_mkdir:
	case SYS_rmdir:
	case SYS_unlink:
	case SYS_rename:
		return 1;
	case SYS_newfstatat:
	case SYS_statx:
	case SYS_faccessat:
	case SYS_faccessat2:
	case SYS_readlinkat:
	case SYS_openat:
	case SYS_mkdirat:
	case SYS_unlinkat:
	case SYS_utimensat:
	case SYS_fchmodat:
	case SYS_fchownat:
		return 2;
	default:
		return 0;
	}
}

static uint64_t relative(const unsigned char *at, uint64_t next)
{
	int32_t x;
	memcpy(&x, at, sizeof(x));
	return next + (uint64_t)(int64_t)x;
}

static const unsigned char xor_eax[] = {0x31, 0xc0}, load_r9[] = {0x4c, 0x8b, 0x4c, 0x24, 0x08};
/* mov 16(%rsp),%rsi; mov %eax,%r8d; mov 8(%rsp),%edi; xor %eax,%eax */
static const unsigned char reload[] = {0x48, 0x8b, 0x74, 0x24, 0x10, 0x41, 0x89,
				       0xc0, 0x8b, 0x7c, 0x24, 0x08, 0x31, 0xc0};

bool site_find(const unsigned char *bytes, uint64_t end, int nr, struct site *ret)
{
	const unsigned char *call = bytes + (SITE_BEFORE - 2), *mov = call - 5, *cmp = call - 11;
	int32_t number;
	*ret = (struct site){.at = end - 7, .call = end - 2, .end = end, .nr = nr};
	if (call[0] != 0x0f || call[1] != 0x05)
		return false;
	memcpy(&number, mov + 1, sizeof(number));
	if (mov[0] == 0xb8 && number == nr)
		return true;
	if (memcmp(mov, load_r9, sizeof(load_r9)) == 0) {
		ret->nr = -1;
		return true;
	}
	if (nr == 0 && memcmp(call - sizeof(reload), reload, sizeof(reload)) == 0) {
		ret->at = ret->call - sizeof(reload);
		ret->copied = sizeof(reload);
		return true;
	}
	if (nr == 0 && cmp[0] == 0x80 && cmp[1] == 0x3d && cmp[6] == 0 && cmp[7] == 0x74 &&
	    memcmp(cmp + 9, xor_eax, sizeof(xor_eax)) == 0) {
		ret->at = end - 13;
		ret->other_way = end - 4 + (uint64_t)(int64_t)(int8_t)cmp[8];
		return true;
	}
	return false;
}

bool site_is_patched(const struct site *s, const unsigned char *bytes)
{
	const unsigned char *at = bytes + (SITE_BEFORE - (s->end - s->at));
	return at[0] == 0xe9 && relative(at + 1, s->at + SITE_JUMP) == s->slot;
}

/* ---- the code ---- */

struct code {
	unsigned char *bytes;
	unsigned n;
	uint64_t at; /* of bytes[0] */
	bool far;
};

static void put_code(struct code *c, const void *bytes, unsigned n)
{
	if (c->n + n > SITE_SLOT) {
		c->far = true; /* cannot be */
		return;
	}
	memcpy(c->bytes + c->n, bytes, n);
	c->n += n;
}

#define PUT(c, ...)                                                                                          \
	put_code(c, (const unsigned char[]){__VA_ARGS__}, sizeof((const unsigned char[]){__VA_ARGS__}))

static void put_32(struct code *c, uint32_t x)
{
	put_code(c, &x, sizeof(x));
}

/* The distance to `to` from behind these four bytes and `more` that follow. */
static void put_relative(struct code *c, uint64_t to, unsigned more)
{
	int64_t x = (int64_t)(to - (c->at + c->n + 4 + more));
	if (x != (int32_t)x)
		c->far = true;
	put_32(c, (uint32_t)x);
}

static void put_jump(struct code *c, uint64_t to)
{
	PUT(c, 0xe9);
	put_relative(c, to, 0);
}

/* A conditional jump within the slot: the place of its distance, for land(). */
static unsigned put_far_branch(struct code *c, unsigned char condition)
{
	PUT(c, 0x0f, condition, 0, 0, 0, 0);
	return c->n - 4;
}

static void land(const struct code *c, unsigned from)
{
	uint32_t x = c->n - from - 4;
	memcpy(c->bytes + from, &x, sizeof(x));
}

enum { JB = 0x82, JAE = 0x83, JE = 0x84, JNE = 0x85, JA = 0x87, JS = 0x88, MOST_BRANCHES = 5 };

/* What was replaced, and what follows up to the call. */
static void put_displaced(struct code *c, const struct site *s, const unsigned char *flag)
{
	if (s->nr < 0) {
		put_code(c, load_r9, sizeof(load_r9));
	} else if (s->copied) {
		put_code(c, reload, sizeof(reload));
	} else if (s->other_way) {
		PUT(c, 0x80, 0x3d); /* cmpb $0,flag(%rip) */
		put_relative(c, relative(flag, s->at + 7), 1);
		PUT(c, 0x00, 0x0f, JE); /* je */
		put_relative(c, s->other_way, 0);
		put_code(c, xor_eax, sizeof(xor_eax));
	} else {
		PUT(c, 0xb8); /* mov $nr,%eax */
		put_32(c, (uint32_t)s->nr);
	}
}

static void put_answer(struct code *c, struct site *s, uint64_t answers)
{
	if (s->nr < 0) {
		PUT(c, 0x89, 0xc1, 0x4c, 0x8d, 0x1d); /* mov %eax,%ecx; lea answers(%rip),%r11 */
		put_relative(c, answers, 0);
		PUT(c, 0x41, 0x8b, 0x0c, 0x8b); /* mov (%r11,%rcx,4),%ecx */
	} else {
		PUT(c, 0x8b, 0x0d); /* mov answers+4*nr(%rip),%ecx */
		put_relative(c, answers + 4 * (uint64_t)s->nr, 0);
	}
	PUT(c, 0x67, 0xe3, 8);	  /* jecxz over the rest */
	PUT(c, 0x8d, 0x41, 0xff); /* lea -1(%rcx),%eax */
	s->answered = c->n;
	put_jump(c, s->end);
}

/* What is said, rather than EBADF, where there is no shadow any more. */
static int says_no_shadow(const struct site *s)
{
	switch (s->nr) {
	case SYS_recvfrom:
	case SYS_sendto:
		return -ENOTSOCK;
	case SYS_epoll_wait:
		return -EINVAL;
	default:
		return -EBADF;
	}
}

/* Whether the program's own call is to be made after the native one.  epoll_ctl: also to tell of an error. */
static bool is_refused(const struct site *s, long result)
{
	return result == -EBADF || result == says_no_shadow(s) || (s->nr == SYS_epoll_ctl && result < 0);
}

enum { SOCKETS = SHADOW_SOCKET * SHADOW_MAX };

/* Of epoll_ctl: the other descriptor, which is a socket's. */
static void put_other(struct code *c, uint64_t pollable, unsigned ret[2])
{
	PUT(c, 0x48, 0x81, 0xfa); /* cmp $SHADOW_MAX,%rdx */
	put_32(c, SHADOW_MAX);
	ret[0] = put_far_branch(c, JAE);
	PUT(c, 0x0f, 0xa3, 0x15); /* bt %edx,pollable(%rip) */
	put_relative(c, pollable, 0);
	ret[1] = put_far_branch(c, JAE);
}

static void put_add_rdx(struct code *c, uint32_t x)
{
	PUT(c, 0x48, 0x81, 0xc2); /* add $x,%rdx */
	put_32(c, x);
}

/* Whether %ecx, a shadow's number less SHADOW_BASE, may be there: the place of a branch. */
static unsigned put_look(struct code *c, uint64_t native, unsigned char condition)
{
	PUT(c, 0x0f, 0xa3, 0x0d); /* bt %ecx,native(%rip) */
	put_relative(c, native, 0);
	return put_far_branch(c, condition);
}

static void put_add_ecx(struct code *c, int x)
{
	if (x == 0)
		return;
	PUT(c, 0x81, 0xc1); /* add $x,%ecx */
	put_32(c, (uint32_t)x);
}

/* The branches to where the call itself is made go to ret. */
static unsigned put_native(struct code *c, struct site *s, uint64_t data, unsigned ret[MOST_BRANCHES])
{
	const uint64_t native = data + offsetof(struct site_data, native);
	unsigned n = 0, kinds = s->nr < 0 ? site_kinds(SYS_read) : site_kinds(s->nr), found = 0;
	if (s->nr < 0) {
		PUT(c, 0x85, 0xc0, 0x74, 14);		/* test %eax,%eax; je behind all this */
		PUT(c, 0x83, 0xf8, SYS_lseek, 0x74, 9); /* cmp $nr,%eax; je behind all this */
		PUT(c, 0x83, 0xf8, SYS_pread64);	/* cmp $nr,%eax; jne */
		ret[n++] = put_far_branch(c, JNE);
	}
	PUT(c, 0x48, 0x81, 0xff, SHADOW_MAX & 0xff, SHADOW_MAX >> 8, 0, 0); /* cmp $SHADOW_MAX,%rdi */
	ret[n++] = put_far_branch(c, JAE);
	if (s->nr == SYS_epoll_ctl) {
		put_other(c, data + offsetof(struct site_data, pollable), ret + n);
		n += 2;
	}
	PUT(c, 0x89, 0xf9); /* mov %edi,%ecx */
	/* Files first: of them slots are told also when they go. */
	unsigned others = kinds & ~(1U << SHADOW_SOCKET);
	int at = others ? __builtin_ctz(others) : SHADOW_SOCKET;
	put_add_ecx(c, at * SHADOW_MAX);
	if (others != kinds && others) {
		found = put_look(c, native, JB);
		put_add_ecx(c, (SHADOW_SOCKET - at) * SHADOW_MAX);
	}
	ret[n++] = put_look(c, native, JAE);
	if (found)
		land(c, found);
	PUT(c, 0x41, 0x89, 0xc3, 0x49, 0xc1, 0xe3, 32); /* mov %eax,%r11d; shl $32,%r11 */
	PUT(c, 0x4c, 0x01, 0xd9, 0x49, 0xbb);		/* add %r11,%rcx; mov $...,%r11 */
	put_32(c, SHADOW_BASE);
	put_32(c, SHADOW_MARK);
	/* add %r11,%rcx; mov %rcx,%rdi; syscall: the program's own is there up to the last moment */
	PUT(c, 0x4c, 0x01, 0xd9);
	if (s->nr == SYS_epoll_ctl)
		put_add_rdx(c, SHADOW_BASE + SOCKETS);
	s->added = c->n;
	PUT(c, 0x48, 0x89, 0xcf, 0x0f, 0x05);
	s->asked = c->n;
	unsigned refused, no_shadow = 0;
	if (s->nr == SYS_epoll_ctl) {
		put_add_rdx(c, -(uint32_t)(SHADOW_BASE + SOCKETS));
		PUT(c, 0x48, 0x85, 0xc0); /* test %rax,%rax */
		refused = put_far_branch(c, JS);
	} else {
		PUT(c, 0x48, 0x83, 0xf8, (unsigned char)-EBADF); /* cmp $-EBADF,%rax */
		refused = put_far_branch(c, JE);
	}
	if (says_no_shadow(s) != -EBADF) {
		PUT(c, 0x48, 0x83, 0xf8, (unsigned char)says_no_shadow(s)); /* cmp $...,%rax */
		no_shadow = put_far_branch(c, JE);
	}
	PUT(c, 0x81, 0xe7); /* and $SHADOW_MAX-1,%edi */
	put_32(c, SHADOW_MAX - 1);
	put_jump(c, s->end);
	land(c, refused);
	if (no_shadow)
		land(c, no_shadow);
	s->refused = c->n;
	PUT(c, 0x48, 0x89, 0xf8, 0x48, 0xc1, 0xe8, 32, 0x0f, 0xb6, 0xc0); /* mov %rdi,%rax; shr $32,%rax;
									    movzbl %al,%eax */
	PUT(c, 0x81, 0xe7);						  /* and $SHADOW_MAX-1,%edi */
	put_32(c, SHADOW_MAX - 1);
	return n;
}

static void put_known(struct code *c, struct site *s, uint64_t data)
{
	struct known_code k = known_code_of(s->nr);
	unsigned n = (unsigned)(k.end - k.from);
	s->known = c->n;
	put_code(c, k.from, n);
	s->known_end = c->n;
	for (const uint16_t *fix = k.fix; *fix && !c->far; fix++) {
		unsigned behind = s->known + *fix;
		uint32_t x;
		memcpy(&x, c->bytes + behind - sizeof(x), sizeof(x));
		int64_t distance = (int64_t)((fix[1] ? data + x : s->end) - (c->at + behind));
		if (distance != (int32_t)distance)
			c->far = true;
		x = (uint32_t)distance;
		memcpy(c->bytes + behind - sizeof(x), &x, sizeof(x));
	}
}

static void put_handoff(struct code *c, struct site *s)
{
	enum { MODE = 1, JUMP = 5 };
	PUT(c, 0x4c, 0x8d, 0x1d); /* lea tail(%rip),%r11 */
	put_relative(c, c->at + c->n + 4 + JUMP + MODE, 0);
	put_jump(c, s->handoff);
	PUT(c, (unsigned char)(s->nr < 0 ? 0 : site_path(s->nr)));
	s->tail = c->n;
}

bool site_code(struct site *s, uint64_t data, const unsigned char *bytes, unsigned char code[SITE_SLOT],
	       unsigned char jump[SITE_JUMP])
{
	struct code c = {.bytes = code, .at = s->slot}, j = {.bytes = jump, .at = s->at};
	unsigned branches[MOST_BRANCHES + 1], n = 0;
	put_displaced(&c, s, bytes + (SITE_BEFORE + 2 - (s->end - s->at)));
	if (s->nr < 0) {
		PUT(&c, 0x83, 0xf8, SITE_NUMBERS - 1); /* cmp $SITE_NUMBERS-1,%eax */
		branches[n++] = put_far_branch(&c, JA);
	}
	if (s->nr < 0 || site_is_answered(s->nr))
		put_answer(&c, s, data + offsetof(struct site_data, answers));
	if (s->nr < 0 || site_kinds(s->nr))
		n += put_native(&c, s, data, branches + n);
	for (unsigned i = 0; i < n; i++)
		land(&c, branches[i]);
	if (s->knows)
		put_known(&c, s, data);
	if (s->handed_off)
		put_handoff(&c, s);
	put_jump(&c, s->call);
	if (s->handed_off)
		put_jump(&c, s->end);
	s->size = c.n;
	put_jump(&j, s->slot);
	return !c.far && !j.far;
}

/* ---- a thread in a slot ---- */

bool site_leave(const struct site *s, struct arch_regs *regs, bool anew)
{
	struct user_regs_struct *u = &regs->user;
	unsigned at = (unsigned)(u->rip - s->slot);
	if (at < s->copied) {
		u->rip = s->at + at;
		return false;
	}
	bool marked = (u->rdi >> 40) == SHADOW_MARK >> 8;
	int nr = (int)(u->rdi >> 32 & 0xff);
	if (marked)
		u->rdi &= SHADOW_MAX - 1;
	if (s->nr == SYS_epoll_ctl && s->asked && at >= s->added && at <= s->asked)
		u->rdx -= SHADOW_BASE + SOCKETS;
	if (s->handed_off && at >= s->tail + STUB_TAIL_END) {
		u->rip = s->end;
		return false;
	}
	if (s->answered && at == s->answered) {
		u->rip = s->end;
	} else if (!s->asked || at < s->asked) {
		u->rip = s->copied ? s->call : s->at;
	} else if (at < s->refused && !is_refused(s, (long)u->rax) &&
		   !(anew && at == s->asked && (long)u->rax == -EINTR)) {
		u->rip = s->end; /* also where the host is to restart it: then the call itself does */
		return at == s->asked && (long)u->rax <= RESTART_SYS && (long)u->rax >= RESTART_NOHAND;
	} else {
		if (marked)
			u->rax = (uint64_t)nr;
		u->rip = s->call;
	}
	return false;
}

bool site_is_behind_call(const struct site *s, const struct arch_regs *regs)
{
	return s->asked && regs->user.rip == s->slot + s->asked;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program: the architecture, x32's bit, then the number against each call
 * of the list, and of an ioctl the request against each of its own.  Whatever
 * is found jumps to the one ALLOW behind its list.  The kernel keeps what the
 * program says of a number whatever its arguments, so that the order of the
 * list costs nothing but for ioctl.
 */
#include "host/allowlist.h"

#include "base/err.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#endif

enum { X32_CALLS = 0x40000000, FRAME = 12 /* what is no entry of a list */ };

struct program {
	struct sock_filter v[ALLOWLIST_MAX + FRAME];
	unsigned short n;
};

static void list_insn(struct program *p, uint16_t code, uint32_t k, size_t yes, size_t no)
{
	p->v[p->n++] = (struct sock_filter){code, (uint8_t)yes, (uint8_t)no, k};
}

static void list_load(struct program *p, size_t at)
{
	list_insn(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)at, 0, 0);
}

static void list_answer(struct program *p, uint32_t action)
{
	list_insn(p, BPF_RET | BPF_K, action, 0, 0);
}

static void list_equal(struct program *p, uint32_t value, size_t yes, size_t no)
{
	list_insn(p, BPF_JMP | BPF_JEQ | BPF_K, value, yes, no);
}

static void list_program(struct program *p, const struct allowlist *a)
{
	list_load(p, offsetof(struct seccomp_data, arch));
	list_equal(p, OUR_ARCH, 1, 0);
	list_answer(p, SECCOMP_RET_KILL_PROCESS);
	list_load(p, offsetof(struct seccomp_data, nr));
	list_insn(p, BPF_JMP | BPF_JGE | BPF_K, X32_CALLS, 0, 1);
	list_answer(p, SECCOMP_RET_KILL_PROCESS);
	if (a->nioctls > 0) {
		list_equal(p, SYS_ioctl, 0, a->nioctls + 3);
		list_load(p, offsetof(struct seccomp_data, args[1]));
		for (size_t i = 0; i < a->nioctls; i++)
			list_equal(p, a->ioctls[i], a->nioctls - i, 0);
		list_answer(p, a->other_ioctl);
		list_answer(p, SECCOMP_RET_ALLOW);
	}
	for (size_t i = 0; i < a->ncalls; i++)
		list_equal(p, a->calls[i], a->ncalls - i, 0);
	list_answer(p, a->otherwise);
	list_answer(p, SECCOMP_RET_ALLOW);
}

int allowlist_install(const struct allowlist *a, struct err *err)
{
	struct program p = {.n = 0};

	if (a->ncalls + a->nioctls > ALLOWLIST_MAX)
		return err_set(err, E2BIG, "a filter of %zu system calls is too long",
			       a->ncalls + a->nioctls);
	list_program(&p, a);
	const struct sock_fprog program = {.len = p.n, .filter = p.v};
	/* With TSYNC the number of a thread that could not is no errno. */
	long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, a->all_threads ? SECCOMP_FILTER_FLAG_TSYNC : 0,
			 &program);
	if (r > 0)
		return err_set(err, ESRCH, "thread %ld has another filter of system calls", r);
	return r < 0 ? err_sys(err, "cannot install the filter of system calls") : 0;
}

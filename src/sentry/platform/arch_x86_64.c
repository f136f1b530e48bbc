/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x86-64.  `rax` is the call's number before and its result behind it;
 * `orig_rax` is the number while the host may still execute or restart it, -1
 * where there is nothing of the kind.
 */
#include "sentry/platform/arch.h"

#include <errno.h>
#include <stddef.h>
#include <sys/ptrace.h>

enum { SYSCALL_SIZE = 2 };
/* In struct rt_sigframe: the return address, then ucontext's flags, link, stack and registers. */
enum { FRAME_MASK = 8 + 8 + 8 + 24 + 256 };

int arch_get(pid_t tid, struct arch_regs *ret)
{
	return ptrace(PTRACE_GETREGS, tid, NULL, &ret->user) < 0 ? -errno : 0;
}

int arch_set(pid_t tid, const struct arch_regs *regs)
{
	return ptrace(PTRACE_SETREGS, tid, NULL, &regs->user) < 0 ? -errno : 0;
}

uint64_t arch_pc(const struct arch_regs *regs)
{
	return regs->user.rip;
}

uint64_t arch_sp(const struct arch_regs *regs)
{
	return regs->user.rsp;
}

void arch_set_pc(struct arch_regs *regs, uint64_t pc)
{
	regs->user.rip = pc;
}

int arch_call_nr(const struct arch_regs *regs)
{
	return (int)regs->user.orig_rax;
}

void arch_call_args(const struct arch_regs *regs, uint64_t ret[6])
{
	const struct user_regs_struct *u = &regs->user;
	const uint64_t args[6] = {u->rdi, u->rsi, u->rdx, u->r10, u->r8, u->r9};
	for (int i = 0; i < 6; i++)
		ret[i] = args[i];
}

long arch_result(const struct arch_regs *regs)
{
	return (long)regs->user.rax;
}

void arch_change_nr(struct arch_regs *regs, int nr)
{
	regs->user.orig_rax = (uint64_t)nr;
}

void arch_change_args(struct arch_regs *regs, const uint64_t *args, int n)
{
	struct user_regs_struct *u = &regs->user;
	unsigned long long *const to[6] = {&u->rdi, &u->rsi, &u->rdx, &u->r10, &u->r8, &u->r9};
	for (int i = 0; i < n; i++)
		*to[i] = args[i];
}

void arch_end_call(struct arch_regs *regs, long result)
{
	regs->user.rax = (uint64_t)result;
	regs->user.orig_rax = (uint64_t)-1;
}

void arch_change_result(struct arch_regs *regs, long result)
{
	regs->user.rax = (uint64_t)result;
}

void arch_make_call(struct arch_regs *regs, uint64_t pc, int nr, const uint64_t args[6])
{
	regs->user.rip = pc;
	regs->user.orig_rax = (uint64_t)-1;
	regs->user.rax = (uint64_t)nr;
	arch_change_args(regs, args, 6);
}

uint64_t arch_call_site(const struct arch_regs *regs)
{
	return regs->user.rip - SYSCALL_SIZE;
}

uint64_t arch_frame_mask(const struct arch_regs *regs)
{
	return regs->user.rsp + FRAME_MASK;
}

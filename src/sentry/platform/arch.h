/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processor: what the platform does with a stopped thread's registers, in
 * the words of system calls.  Another processor is another arch_*.c beside its
 * stub (stub_*.h, stub_*.S) and its call sites (site_*.c).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

struct arch_regs {
	struct user_regs_struct user;
};

/* Below this many bytes under the stack pointer nothing of the thread's is kept. */
enum { ARCH_RED_ZONE = 128 };

/* Of a thread in a ptrace stop: 0, or -errno; -ESRCH: killed. */
int arch_get(pid_t tid, struct arch_regs *ret);
int arch_set(pid_t tid, const struct arch_regs *regs);

uint64_t arch_pc(const struct arch_regs *regs);
uint64_t arch_sp(const struct arch_regs *regs);
void arch_set_pc(struct arch_regs *regs, uint64_t pc);

/* The call that the thread is in, or was in when it was interrupted; -1 = none. */
int arch_call_nr(const struct arch_regs *regs);
void arch_call_args(const struct arch_regs *regs, uint64_t ret[6]);
long arch_result(const struct arch_regs *regs);

/* In the stop before a call: another one, other arguments (the first n) are the host's to execute. */
void arch_change_nr(struct arch_regs *regs, int nr);
void arch_change_args(struct arch_regs *regs, const uint64_t *args, int n);
/* The call has come to its end, or is not made: this is its result, and there is nothing to restart. */
void arch_end_call(struct arch_regs *regs, long result);
/* Another result of a call that the host may restart. */
void arch_change_result(struct arch_regs *regs, long result);

/* The thread goes on by making this call with the system-call instruction at `pc`. */
void arch_make_call(struct arch_regs *regs, uint64_t pc, int nr, const uint64_t args[6]);
/* The address of the instruction by which the call was made that it stands behind. */
uint64_t arch_call_site(const struct arch_regs *regs);

/* At a signal handler's first instruction: where its frame keeps the thread's signal mask. */
uint64_t arch_frame_mask(const struct arch_regs *regs);

/* SPDX-License-Identifier: Apache-2.0 */
/* Hand-off on x86-64 (handoff.h): the thread's area is its GS base, which no ABI uses. */
#include "sentry/platform/handoff.h"

#include <cpuid.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <x86intrin.h>

enum { CPUID_FEATURES = 7, CPUID_RDPID = 1 << 22, HWCAP2_GS_BASE = 1 << 1, CPU_BITS = 12 };

bool handoff_possible(void)
{
	unsigned a, b, c = 0, d;
	return __get_cpuid_count(CPUID_FEATURES, 0, &a, &b, &c, &d) && c & CPUID_RDPID &&
	       getauxval(AT_HWCAP2) & HWCAP2_GS_BASE;
}

unsigned handoff_cpu(void)
{
	unsigned long x;
	__asm__ volatile("rdpid %0" : "=r"(x));
	return (unsigned)x; /* with the node in front, as the slots see it */
}

uint64_t handoff_clock(void)
{
	return __rdtsc();
}

uint64_t arch_gs(const struct arch_regs *regs)
{
	return regs->user.gs_base;
}

void arch_set_gs(struct arch_regs *regs, uint64_t base)
{
	regs->user.gs_base = base;
}

void arch_clear_gs(pid_t tid)
{
	(void)ptrace(PTRACE_POKEUSER, tid, offsetof(struct user, regs.gs_base), 0); /* killed: no matter */
}

static bool within(uint64_t pc, uint64_t page, const unsigned char *from, const unsigned char *to)
{
	return pc >= page + (uint64_t)(from - stub_image) && pc < page + (uint64_t)(to - stub_image);
}

enum handoff_at handoff_where(const struct arch_regs *regs, uint64_t page)
{
	uint64_t pc = arch_pc(regs);
	if (!within(pc, page, stub_handoff, stub_handoff_end))
		return HANDOFF_OUTSIDE;
	if (within(pc, page, stub_handoff_path, stub_handoff_ask))
		return HANDOFF_COPYING;
	if (within(pc, page, stub_handoff_ask, stub_handoff_copy))
		return HANDOFF_WAITING;
	if (within(pc, page, stub_handoff_copy, stub_handoff_done))
		return HANDOFF_TAKING;
	return within(pc, page, stub_handoff_done, stub_handoff_call) ? HANDOFF_DONE : HANDOFF_BEFORE;
}

uint64_t handoff_tail(const struct arch_regs *regs, uint64_t page, const struct handoff_area *a)
{
	uint64_t pc = arch_pc(regs);
	bool kept = within(pc, page, stub_handoff_kept, stub_handoff_jump);
	return kept ? a->tail : regs->user.r11;
}

bool handoff_has_seen(const struct arch_regs *regs, enum handoff_at at)
{
	return at == HANDOFF_TAKING || (at == HANDOFF_WAITING && (uint32_t)regs->user.r11 == AREA_ANSWERED);
}

void handoff_restore(struct arch_regs *regs, enum handoff_at at, const struct handoff_area *a)
{
	if (at == HANDOFF_COPYING || at == HANDOFF_TAKING)
		regs->user.rdi = a->args[0];
	if (at == HANDOFF_TAKING)
		regs->user.rsi = a->args[1];
}

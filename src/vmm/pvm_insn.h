/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding and doing the few instructions that KVM's emulator lacks (kvm_pvm.c). */
#pragma once

#include "vmm/memory.h"

#include <linux/kvm.h>

enum { INSN_MAX = 15 };

/* Registers as they are, and what is to become of them. */
struct insn_cpu {
	struct kvm_regs regs;
	uint32_t mxcsr;
	uint64_t fs, gs; /* bases */
	uint64_t xcr0;
	uint64_t *gpr[16];		/* into regs, in the order of encoding; insn_bind() */
	bool mxcsr_changed, breakpoint; /* out: it was written to; it is INT3, an exception to be raised */
	void *data;
	/* Linear address to as many bytes of memory that do not cross a page; NULL: none. */
	void *(*at)(void *data, uint64_t linear, size_t len);
};

void insn_bind(struct insn_cpu *c);
/* Does it, and moves RIP behind it.  -ENOSYS: it is none that is known here; -EFAULT: its memory is none. */
must_use int insn_do(struct insn_cpu *c, const uint8_t *code, size_t len);
/* What a handler of Linux begins with, and what has no effect but on flags: skipped. As insn_do(). */
must_use int insn_skip_prologue(struct kvm_regs *r, const uint8_t *code, size_t len);

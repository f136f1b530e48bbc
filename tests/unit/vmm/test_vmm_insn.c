/* SPDX-License-Identifier: Apache-2.0 */
/* The instructions that the monitor does for an emulator: against the processor, and what is none. */
#include "../test.h"
#include "vmm/pvm_insn.h"

static struct guest_memory memory;

static void *at(void *data, uint64_t linear, size_t len)
{
	return linear % 4096 + len > 4096 ? NULL : memory_at(data, linear, len);
}

static struct insn_cpu cpu;

static int run(const char *code, size_t len)
{
	cpu.at = at;
	cpu.data = &memory;
	cpu.regs.rip = 0x4000;
	insn_bind(&cpu);
	return insn_do(&cpu, (const uint8_t *)code, len);
}
#define RUN(text) run(text, sizeof(text) - 1)

static void test_done(void)
{

	/* popcnt eax, ecx; rax, [rbx + rsi*8 + 16]; ax, cx; r9d, [rip + 4] */
	cpu.regs.rcx = 0xfffffffff0f0f0f1;
	CHECK_INT(RUN("\xf3\x0f\xb8\xc1"), 0);
	CHECK_INT(cpu.regs.rax, 17);
	CHECK_INT(cpu.regs.rip, 0x4004);
	CHECK_INT(cpu.regs.rflags & 0x40, 0);
	memory.base[0x1000 + 3 * 8 + 16 + 7] = 0xff;
	cpu.regs.rbx = 0x1000;
	cpu.regs.rsi = 3;
	CHECK_INT(RUN("\xf3\x48\x0f\xb8\x44\xf3\x10"), 0);
	CHECK_INT(cpu.regs.rax, 8);
	CHECK_INT(cpu.regs.rip, 0x4007);
	cpu.regs.rax = 0x1234567800000000;
	cpu.regs.rcx = 0x10000;
	CHECK_INT(RUN("\x66\xf3\x0f\xb8\xc1"), 0);
	CHECK_INT(cpu.regs.rax, 0x1234567800000000);
	CHECK_INT(cpu.regs.rflags & 0x40, 0x40);
	memory.base[0x4009 + 4] = 3;
	CHECK_INT(RUN("\xf3\x44\x0f\xb8\x0d\x04\x00\x00\x00"), 0);
	CHECK_INT(cpu.regs.r9, 2);
	/* gs: */
	cpu.gs = 0x2000;
	cpu.regs.rdx = 0x10;
	memory.base[0x2010] = 1;
	CHECK_INT(RUN("\x65\xf3\x0f\xb8\x02"), 0);
	CHECK_INT(cpu.regs.rax, 1);
	/* tzcnt eax, ecx; lzcnt ax, cx */
	cpu.regs.rcx = 0x8;
	CHECK_INT(RUN("\xf3\x0f\xbc\xc1"), 0);
	CHECK_INT(cpu.regs.rax, 3);
	CHECK_INT(RUN("\x66\xf3\x0f\xbd\xc1"), 0);
	CHECK_INT(cpu.regs.rax & 0xffff, 12);
	/* stac, clac, fwait, int3 */
	CHECK_INT(RUN("\x0f\x01\xcb"), 0);
	CHECK(cpu.regs.rflags & 0x40000);
	CHECK_INT(RUN("\x0f\x01\xca"), 0);
	CHECK(!(cpu.regs.rflags & 0x40000));
	CHECK_INT(RUN("\x9b"), 0);
	CHECK_INT(RUN("\xcc"), 0);
	CHECK(cpu.breakpoint && cpu.regs.rip == 0x4001);
	/* ldmxcsr [rbx], stmxcsr [rbx + 8] */
	memory.base[0x1000] = 0x80;
	memory.base[0x1001] = 0x1f;
	CHECK_INT(RUN("\x0f\xae\x13"), 0);
	CHECK(cpu.mxcsr_changed && cpu.mxcsr == 0x1f80);
	CHECK_INT(RUN("\x0f\xae\x5b\x08"), 0);
	CHECK_INT(memory.base[0x1008], 0x80);
	/* lock cmpxchg16b [rdi], twice: it fits, it does not */
	cpu.regs.rdi = 0x3000;
	cpu.regs.rax = cpu.regs.rdx = 0;
	cpu.regs.rbx = 5;
	cpu.regs.rcx = 6;
	CHECK_INT(RUN("\xf0\x48\x0f\xc7\x0f"), 0);
	CHECK(memory.base[0x3000] == 5 && memory.base[0x3008] == 6 && (cpu.regs.rflags & 0x40));
	CHECK_INT(RUN("\xf0\x48\x0f\xc7\x0f"), 0);
	CHECK(cpu.regs.rax == 5 && cpu.regs.rdx == 6 && !(cpu.regs.rflags & 0x40));
	/* cmpxchg8b, misaligned for the wide one */
	cpu.regs.rbx = 9;
	cpu.regs.rax = 5;
	cpu.regs.rdx = 0;
	CHECK_INT(RUN("\x0f\xc7\x0f"), 0);
	CHECK_INT(memory.base[0x3000], 9);
	cpu.regs.rdi = 0x3008;
	CHECK_INT(RUN("\x48\x0f\xc7\x0f"), -EFAULT);
}

static void test_refused(void)
{
	/* Memory that is none, code that is cut, opcodes that are not here. */
	cpu.regs.rbx = 1 << 20;
	CHECK_INT(RUN("\xf3\x0f\xb8\x03"), -EFAULT);
	CHECK_INT(RUN("\xf3\x0f\xb8"), -ENOSYS);
	CHECK_INT(RUN("\x0f"), -ENOSYS);
	CHECK_INT(RUN(""), -ENOSYS);
	CHECK_INT(RUN("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66"), -ENOSYS);
	CHECK_INT(RUN("\x0f\x0b"), -ENOSYS);
	CHECK_INT(insn_skip_prologue(&cpu.regs, (const uint8_t *)"\x0f\x01\xca", 3), 0);
	CHECK_INT(insn_skip_prologue(&cpu.regs, (const uint8_t *)"\x0f\x01", 2), -ENOSYS);
}

int main(void)
{
	struct err err;

	CHECK_INT(memory_open(&memory, 1 << 20, MEMORY_ANONYMOUS, -1, 0, &err), 0);
	test_done();
	test_refused();
	memory_close(&memory);
	return test_end();
}

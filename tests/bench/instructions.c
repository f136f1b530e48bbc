/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin for QEMU's TCG: how many instructions a guest's kernel executes
 * until its first process does.  tools/vm-instructions builds and runs it.
 *
 * QEMU tells of each block of instructions that it translates; what a block
 * then counts is added inline.  The kernel is what stands above 16 MiB: what
 * is below is the firmware's.  Once the upper half was seen, the first block in
 * the lower one, but where the kernel lies unmapped, is a program's: the counts
 * go to the file that the argument `out=` names, and QEMU ends.
 *
 * A string instruction with a repeat prefix counts once, as a processor
 * counts it.  QEMU ends a block behind one and comes back for each repetition
 * to a block of it alone, which is therefore worth nothing.
 *
 * The declarations are those of QEMU's interface for plugins, version 1.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef uint64_t plugin_id;
enum { NO_REGISTERS = 0, ADD_U64 = 0 };
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*cb)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, int op, void *p, uint64_t n);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, void (*cb)(unsigned, void *), int regs,
					  void *data);
extern int qemu_plugin_version;
int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum { BLOCKS_MAX = 1 << 20 };
#define PROGRAM_LOW UINT64_C(0x100000)
#define KERNEL_LOW  UINT64_C(0x1000000)
#define FIRMWARE    UINT64_C(0xf0000000) /* and the rest of the first 4 GiB */
#define KERNEL_HIGH UINT64_C(0xffff800000000000)

static struct block {
	uint64_t address, count;
} blocks[BLOCKS_MAX];
static size_t nblocks;
static bool high_seen;
static int out = -1;

static void on_program(unsigned vcpu, void *data)
{
	FILE *f = fdopen(out, "w");

	(void)vcpu;
	(void)data;
	if (!f)
		_exit(1);
	for (size_t i = 0; i < nblocks; i++)
		if (blocks[i].count)
			(void)fprintf(f, "%llx %llu\n", (unsigned long long)blocks[i].address,
				      (unsigned long long)blocks[i].count);
	_exit(fclose(f) != 0);
}

static bool is_repeated(const struct qemu_plugin_insn *insn)
{
	const uint8_t *p = qemu_plugin_insn_data(insn);
	size_t n = qemu_plugin_insn_size(insn);
	bool repeat = false;

	for (; n > 1 && (*p == 0xf3 || *p == 0xf2 || *p == 0x66 || *p == 0x67 || (*p & 0xf0) == 0x40);
	     p++, n--)
		repeat |= *p == 0xf3 || *p == 0xf2;
	return repeat && n == 1 && memchr("\xa4\xa5\xa6\xa7\xaa\xab\xac\xad\xae\xaf\x6c\x6d\x6e\x6f", *p, 14);
}

static void on_translation(plugin_id id, struct qemu_plugin_tb *tb)
{
	uint64_t at = qemu_plugin_tb_vaddr(tb);
	size_t n = qemu_plugin_tb_n_insns(tb);

	(void)id;
	if (high_seen && at >= PROGRAM_LOW && at < KERNEL_HIGH && (at < KERNEL_LOW || at >> 32))
		qemu_plugin_register_vcpu_tb_exec_cb(tb, on_program, NO_REGISTERS, NULL);
	high_seen |= at >= KERNEL_HIGH;
	if (at < KERNEL_LOW || (at >= FIRMWARE && at >> 32 == 0) || nblocks == BLOCKS_MAX ||
	    (n == 1 && is_repeated(qemu_plugin_tb_get_insn(tb, 0))))
		return;
	blocks[nblocks].address = at;
	qemu_plugin_register_vcpu_tb_exec_inline(tb, ADD_U64, &blocks[nblocks++].count, n);
}

__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info, int argc,
							       char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++)
		if (strncmp(argv[i], "out=", 4) == 0)
			out = open(argv[i] + 4, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (out < 0)
		return 1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
	return 0;
}

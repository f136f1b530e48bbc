/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What the guest kernel's build reads before two files of Linux
 * (guest-kernel's build()), so that no line of Linux itself is changed.
 *
 * COFFER_ALTERNATIVE, arch/x86/kernel/alternative.c.  A kernel patches its
 * returns, indirect calls and alternatives at each boot, as this processor's
 * flaws want it: some 40,000 instructions, each of which it decodes with a
 * decoder of all that x86 has, at 500 instructions and more.  A few forms are
 * nearly all of them.  Here these are known at sight.  What is patched, and
 * how, stays Linux's own choice.
 *
 * COFFER_MMIO, drivers/virtio/virtio_mmio.c.  QEMU's virtio-mmio gives each
 * queue 1,024 places, and the console's driver fills a place with a page: 12
 * MiB for our three queues.  QEMU's console itself has 128.
 *
 * COFFER_SLUB, mm/slub.c.  /sys/kernel/slab is some thousand files for who
 * mends an allocator; they are made at boot, and again for each cache.
 */
#ifdef COFFER_ALTERNATIVE
#include <linux/static_call.h>

#include <asm/alternative.h>
#include <asm/insn.h>
#include <asm/nospec-branch.h>

static inline void coffer_known(struct insn *insn, const unsigned char *at, unsigned int opcode_len,
				unsigned int len)
{
	insn->prefixes.value = 0;
	insn->prefixes.nbytes = insn->rex_prefix.nbytes = insn->vex_prefix.nbytes = 0;
	insn->modrm.nbytes = insn->sib.nbytes = insn->displacement.nbytes = 0;
	insn->opcode.value = opcode_len == 1 ? at[0] : at[0] | at[1] << 8;
	insn->opcode.nbytes = opcode_len;
	insn->x86_64 = 0; /* nothing of it is relative to the program counter but, perhaps, its immediate */
	insn->length = len;
}

static int coffer_decode(struct insn *insn, const unsigned char *at)
{
	switch (at[0]) {
	case 0xe8: /* call, jmp */
	case 0xe9:
		coffer_known(insn, at, 1, 5);
		insn->immediate.value = *(const int *)(at + 1);
		insn->immediate.nbytes = 4;
		return 0;
	case 0x90: /* nop, int3, ret */
	case 0xcc:
	case 0xc3:
		coffer_known(insn, at, 1, 1);
		return 0;
	case 0x0f:
		if ((at[1] == 0x01 && (at[2] == 0xca || at[2] == 0xcb)) || /* clac, stac */
		    (at[1] == 0xae && at[2] == 0xe8)) {			   /* lfence */
			coffer_known(insn, at, 2, 3);
			return 0;
		}
		break;
	case 0xc6: /* movb $0, (%rdi): a lock given back */
		if (at[1] == 0x07) {
			coffer_known(insn, at, 1, 3);
			return 0;
		}
		break;
	case 0xff: /* call, jmp by a register */
		if ((at[1] & 0xf8) == 0xd0 || (at[1] & 0xf8) == 0xe0) {
			coffer_known(insn, at, 1, 2);
			return 0;
		}
		break;
	}
	return insn_decode(insn, at, MAX_INSN_SIZE, INSN_MODE_KERN);
}

/*
 * A return that needs no thunk on this processor, which is what Linux asks
 * for each: its first byte alone makes it a plain one, whoever runs there.
 */
static bool coffer_return(unsigned char *at, unsigned char op, const void *to)
{
	if (op != 0xe9 || to != (const void *)&__x86_return_thunk || cpu_wants_rethunk_at(at))
		return false;
	WRITE_ONCE(at[0], 0xc3);
	*(unsigned int *)(at + 1) = 0xcccccccc;
	return true;
}

#define __static_call_fixup(at, op, to) (coffer_return(at, op, to) || __static_call_fixup(at, op, to))

#undef insn_decode_kernel
#define insn_decode_kernel(insn, at) coffer_decode(insn, (const unsigned char *)(at))
#endif

#ifdef COFFER_MMIO
#include <linux/minmax.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>

#define vring_create_virtqueue(index, num, align, vdev, ...)                                                 \
	vring_create_virtqueue(index, (vdev)->id.device == VIRTIO_ID_CONSOLE ? min((num), 128U) : (num),     \
			       align, vdev, __VA_ARGS__)
#endif

#ifdef COFFER_SLUB
#include <linux/init.h>

#undef late_initcall
#define late_initcall(function) static const initcall_t coffer_unused __maybe_unused = function
#endif

#undef pr_fmt /* the file's own comes */

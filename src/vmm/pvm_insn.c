/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An instruction is prefixes, an opcode of one or two bytes, and for most a
 * ModRM byte with what belongs to it.  The bytes are the guest's, copied; the
 * cursor ends at the copy's end.  A table says what is known.
 *
 * The guest may write its code meanwhile: it changes what is done to itself.
 */
#include "vmm/pvm_insn.h"

#define FLAG_CF UINT64_C(0x1)
#define FLAG_PF UINT64_C(0x4)
#define FLAG_AF UINT64_C(0x10)
#define FLAG_ZF UINT64_C(0x40)
#define FLAG_SF UINT64_C(0x80)
#define FLAG_DF UINT64_C(0x400)
#define FLAG_OF UINT64_C(0x800)
#define FLAG_AC UINT64_C(0x40000)

enum { REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8, REP_NONE = 0, REP_F3 = 0xf3, REP_F2 = 0xf2, ANY = -1 };

struct insn {
	struct insn_cpu *cpu;
	const uint8_t *code;
	size_t len, at;
	uint8_t rex, rep;
	bool operand16, bad;
	uint64_t segment; /* base of an override */
	uint8_t mod, reg, rm;
	uint64_t linear; /* of the memory operand */
	unsigned size;	 /* of the operand */
};

void insn_bind(struct insn_cpu *c)
{
	struct kvm_regs *r = &c->regs;
	uint64_t *const order[16] = {
		(uint64_t *)&r->rax, (uint64_t *)&r->rcx, (uint64_t *)&r->rdx, (uint64_t *)&r->rbx,
		(uint64_t *)&r->rsp, (uint64_t *)&r->rbp, (uint64_t *)&r->rsi, (uint64_t *)&r->rdi,
		(uint64_t *)&r->r8,  (uint64_t *)&r->r9,  (uint64_t *)&r->r10, (uint64_t *)&r->r11,
		(uint64_t *)&r->r12, (uint64_t *)&r->r13, (uint64_t *)&r->r14, (uint64_t *)&r->r15};

	memcpy(c->gpr, order, sizeof(order));
}

static uint8_t next_byte(struct insn *i)
{
	if (i->at < i->len)
		return i->code[i->at++];
	i->bad = true;
	return 0;
}

static int64_t next_signed(struct insn *i, unsigned bytes)
{
	uint32_t v = 0;

	for (unsigned n = 0; n < bytes; n++)
		v |= (uint32_t)next_byte(i) << 8 * n;
	return bytes == 1 ? (int8_t)v : (int32_t)v;
}

static uint64_t gpr(const struct insn *i, unsigned n)
{
	return *i->cpu->gpr[n & 15];
}

static uint64_t sib_address(struct insn *i)
{
	uint8_t sib = next_byte(i);
	unsigned index = (sib >> 3 & 7) | (i->rex & REX_X ? 8 : 0),
		 base = (sib & 7) | (i->rex & REX_B ? 8 : 0);
	uint64_t a = index != 4 ? gpr(i, index) << (sib >> 6) : 0;

	if (i->mod == 0 && (base & 7) == 5)
		return a + (uint64_t)next_signed(i, 4);
	return a + gpr(i, base);
}

static void parse_modrm(struct insn *i)
{
	uint8_t b = next_byte(i);
	bool relative = false;

	i->mod = b >> 6;
	i->reg = (uint8_t)((b >> 3 & 7) | (i->rex & REX_R ? 8 : 0));
	i->rm = b & 7;
	if (i->mod == 3) {
		i->rm |= i->rex & REX_B ? 8 : 0;
		return;
	}
	if (i->rm == 4) {
		i->linear = sib_address(i);
	} else if (i->mod == 0 && i->rm == 5) {
		i->linear = (uint64_t)next_signed(i, 4);
		relative = true;
	} else {
		i->linear = gpr(i, i->rm | (i->rex & REX_B ? 8U : 0U));
	}
	if (i->mod == 1)
		i->linear += (uint64_t)next_signed(i, 1);
	if (i->mod == 2)
		i->linear += (uint64_t)next_signed(i, 4);
	if (relative) /* none of the instructions here has an immediate operand */
		i->linear += i->cpu->regs.rip + i->at;
	i->linear += i->segment;
}

static void parse_prefixes(struct insn *i)
{
	for (;; i->at++) {
		uint8_t b = i->at < i->len ? i->code[i->at] : 0;
		if (b == 0x66)
			i->operand16 = true;
		else if (b == REP_F3 || b == REP_F2)
			i->rep = b;
		else if (b == 0x64)
			i->segment = i->cpu->fs;
		else if (b == 0x65)
			i->segment = i->cpu->gs;
		else if (b != 0xf0 && b != 0x2e && b != 0x3e && b != 0x26 && b != 0x36)
			break;
	}
	if (i->at < i->len && (i->code[i->at] & 0xf0) == 0x40)
		i->rex = i->code[i->at++];
	i->size = i->rex & REX_W ? 8 : i->operand16 ? 2 : 4;
}

static void *memory_operand(const struct insn *i, size_t len)
{
	return i->cpu->at(i->cpu->data, i->linear, len);
}

static bool read_operand(const struct insn *i, uint64_t *ret)
{
	uint64_t v = 0;

	if (i->mod == 3) {
		v = gpr(i, i->rm);
		if (i->size < 8)
			v &= (UINT64_C(1) << 8 * i->size) - 1;
	} else {
		unsigned char bytes[8];
		/* Byte by byte: an operand may lie across two pages. */
		for (unsigned n = 0; n < i->size; n++) {
			const void *p = i->cpu->at(i->cpu->data, i->linear + n, 1);
			if (!p)
				return false;
			memcpy(&bytes[n], p, 1);
		}
		memcpy(&v, bytes, i->size);
	}
	*ret = v;
	return true;
}

/* ---- what they do ---- */

static int do_nothing(unused struct insn *i)
{
	return 0;
}

static int do_int3(struct insn *i)
{
	i->cpu->breakpoint = true;
	return 0;
}

static int do_popcnt(struct insn *i)
{
	uint64_t v;

	if (!read_operand(i, &v))
		return -EFAULT;
	uint64_t n = (uint64_t)__builtin_popcountll(v), *to = i->cpu->gpr[i->reg];
	*to = i->size == 2 ? (*to & ~UINT64_C(0xffff)) | n : n;
	i->cpu->regs.rflags &= ~(FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF);
	i->cpu->regs.rflags |= v ? 0 : FLAG_ZF;
	return 0;
}

/* TZCNT and LZCNT, which differ from BSF and BSR for 0 and in their flags. */
static int do_zcnt(struct insn *i)
{
	unsigned bits = 8 * i->size;
	uint64_t v, n = bits;

	if (!read_operand(i, &v))
		return -EFAULT;
	if (v)
		n = (uint64_t)(i->code[i->at] == 0xbc ? __builtin_ctzll(v)
						      : __builtin_clzll(v) - (64 - (int)bits));
	uint64_t *to = i->cpu->gpr[i->reg];
	*to = i->size == 2 ? (*to & ~UINT64_C(0xffff)) | n : n;
	i->cpu->regs.rflags &= ~(FLAG_CF | FLAG_ZF);
	i->cpu->regs.rflags |= (v ? 0 : FLAG_CF) | (n ? 0 : FLAG_ZF);
	return 0;
}

/* 0f 01 /r with a register form: CLAC, STAC, XGETBV. */
static int do_group7(struct insn *i)
{
	struct kvm_regs *r = &i->cpu->regs;

	if (i->mod != 3)
		return -ENOSYS;
	switch ((i->reg & 7) << 3 | (i->rm & 7)) {
	case 012: /* ca */
		r->rflags &= ~FLAG_AC;
		return 0;
	case 013: /* cb */
		r->rflags |= FLAG_AC;
		return 0;
	case 020: /* d0 */
		r->rax = (uint32_t)i->cpu->xcr0;
		r->rdx = i->cpu->xcr0 >> 32;
		return 0;
	default:
		return -ENOSYS;
	}
}

/* 0f ae /r: LDMXCSR, STMXCSR; fences and flushes, which one processor at a time does not need. */
static int do_group15(struct insn *i)
{
	struct insn_cpu *c = i->cpu;
	uint64_t v;

	if (i->mod == 3)
		return (i->reg & 7) >= 5 ? 0 : -ENOSYS;
	switch (i->reg & 7) {
	case 2:
		i->size = 4;
		if (!read_operand(i, &v))
			return -EFAULT;
		c->mxcsr = (uint32_t)v & 0xffff;
		c->mxcsr_changed = true;
		return 0;
	case 3: {
		void *p = memory_operand(i, 4);
		if (!p)
			return -EFAULT;
		memcpy(p, &c->mxcsr, 4);
		return 0;
	}
	case 7:
		return 0;
	default:
		return -ENOSYS;
	}
}

/* 0f c7 /1: CMPXCHG8B, CMPXCHG16B.  Other processors look on: atomically. */
static int do_cmpxchg(struct insn *i)
{
	struct kvm_regs *r = &i->cpu->regs;
	bool wide = i->rex & REX_W, same;
	void *p = i->mod == 3 || (i->reg & 7) != 1 ? NULL : memory_operand(i, wide ? 16 : 8);

	if (!p)
		return i->mod == 3 || (i->reg & 7) != 1 ? -ENOSYS : -EFAULT;
	if ((uintptr_t)p % (wide ? 16 : 8))
		return -EFAULT;
	if (wide) {
		uint64_t lo = r->rax, hi = r->rdx;
		__asm__ volatile("lock cmpxchg16b %1"
				 : "=@ccz"(same), "+m"(*(unsigned __int128 *)p), "+a"(lo), "+d"(hi)
				 : "b"(r->rbx), "c"(r->rcx)
				 : "memory");
		r->rax = lo;
		r->rdx = hi;
	} else {
		uint64_t was = (r->rdx & UINT32_MAX) << 32 | (r->rax & UINT32_MAX);
		uint64_t to = (r->rcx & UINT32_MAX) << 32 | (r->rbx & UINT32_MAX);
		same = __atomic_compare_exchange_n((uint64_t *)p, &was, to, false, __ATOMIC_SEQ_CST,
						   __ATOMIC_SEQ_CST);
		if (!same) {
			r->rax = (uint32_t)was;
			r->rdx = was >> 32;
		}
	}
	r->rflags = same ? r->rflags | FLAG_ZF : r->rflags & ~FLAG_ZF;
	return 0;
}

static const struct known {
	bool two; /* behind 0f */
	uint8_t opcode;
	int rep; /* ANY, or the prefix that must be there */
	bool modrm;
	int (*run)(struct insn *i);
} table[] = {
	{false, 0xcc, ANY, false, do_int3},	{false, 0x9b, ANY, false, do_nothing}, /* FWAIT */
	{true, 0x01, ANY, true, do_group7},	{true, 0x0d, ANY, true, do_nothing},   /* PREFETCHW */
	{true, 0x18, ANY, true, do_nothing},					       /* PREFETCH */
	{true, 0x1e, REP_F3, true, do_nothing},					       /* ENDBR64 */
	{true, 0xae, ANY, true, do_group15},	{true, 0xb8, REP_F3, true, do_popcnt},
	{true, 0xbc, REP_F3, true, do_zcnt},	{true, 0xbd, REP_F3, true, do_zcnt},
	{true, 0xc7, ANY, true, do_cmpxchg},
};

int insn_do(struct insn_cpu *c, const uint8_t *code, size_t len)
{
	struct insn i = {.cpu = c, .code = code, .len = MIN_OF(len, (size_t)INSN_MAX)};

	parse_prefixes(&i);
	uint8_t opcode = next_byte(&i);
	bool two = opcode == 0x0f;
	size_t opcode_at = i.at;
	if (two)
		opcode = next_byte(&i);
	for (size_t k = 0; k < ARRAY_LEN(table); k++) {
		const struct known *t = &table[k];
		if (t->two != two || t->opcode != opcode || (t->rep != ANY && t->rep != i.rep))
			continue;
		if (t->modrm)
			parse_modrm(&i);
		if (i.bad)
			return -ENOSYS;
		size_t end = i.at;
		i.at = opcode_at; /* for who must know the opcode itself */
		int r = t->run(&i);
		if (r == 0)
			c->regs.rip += end;
		return r;
	}
	return -ENOSYS;
}

int insn_skip_prologue(struct kvm_regs *r, const uint8_t *code, size_t len)
{
	static const struct {
		uint8_t len, bytes[4];
		uint64_t clear;
	} known[] = {
		{4, {0xf3, 0x0f, 0x1e, 0xfa}, 0}, /* ENDBR64 */
		{3, {0x0f, 0x01, 0xca}, FLAG_AC}, /* CLAC */
		{3, {0x0f, 0x1f, 0x00}, 0},	  /* NOP */
		{3, {0x66, 0x66, 0x90}, 0},
		{1, {0xfc}, FLAG_DF}, /* CLD */
		{1, {0x90}, 0},
	};

	for (size_t k = 0; k < ARRAY_LEN(known); k++) {
		if (len < known[k].len || memcmp(code, known[k].bytes, known[k].len) != 0)
			continue;
		r->rflags &= ~known[k].clear;
		r->rip += known[k].len;
		return 0;
	}
	return -ENOSYS;
}

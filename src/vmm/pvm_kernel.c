/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where ring 0 is emulated (kvm_pvm.c), half of a Linux kernel's boot goes
 * into patching itself: each of its 32,000 returns is a jump to a thunk, is
 * decoded, found to need no mitigation, and becomes a plain return.  Here that
 * is done to the image before it starts, in a millisecond, and the kernel's
 * own turn is made one over an empty table.  So is the one over its 5,000
 * indirect calls, whose thunks do without it; and of the 7,500 alternatives
 * those go that make a direct call of an indirect one: 3,100, most of which
 * the next entry replaces at once.
 *
 * The tables are named sections of the ELF file; where the kernel takes their
 * bounds is found by the bounds.  An image that does not look as expected, in
 * any point, is left alone: it boots all the same.
 */
#include "vmm/machine.h"

#include "base/str.h"

#include <elf.h>

enum { HEADERS_MAX = 256, NAMES_MAX = 65536, JUMP = 0xe9, JUMP_LEN = 5 };

struct image {
	const struct guest_memory *memory;
	int fd;
	Elf64_Ehdr head;
	Elf64_Phdr parts[HEADERS_MAX];
	Elf64_Shdr sections[HEADERS_MAX];
	char names[NAMES_MAX];
};

static bool read_headers(struct image *i)
{
	const Elf64_Ehdr *h = &i->head;

	if (pread(i->fd, &i->head, sizeof(i->head), 0) != (ssize_t)sizeof(i->head))
		return false;
	size_t parts = h->e_phnum * sizeof(i->parts[0]), sections = h->e_shnum * sizeof(i->sections[0]);
	if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 || h->e_phnum > HEADERS_MAX ||
	    h->e_shnum > HEADERS_MAX || h->e_shstrndx >= h->e_shnum || h->e_phoff > INT64_MAX ||
	    h->e_shoff > INT64_MAX || pread(i->fd, i->parts, parts, (off_t)h->e_phoff) != (ssize_t)parts ||
	    pread(i->fd, i->sections, sections, (off_t)h->e_shoff) != (ssize_t)sections)
		return false;
	const Elf64_Shdr *names = &i->sections[h->e_shstrndx];
	return names->sh_size < NAMES_MAX && names->sh_offset <= INT64_MAX &&
	       pread(i->fd, i->names, names->sh_size, (off_t)names->sh_offset) == (ssize_t)names->sh_size;
}

static const Elf64_Shdr *find_section(const struct image *i, const char *name)
{
	for (unsigned n = 0; n < i->head.e_shnum; n++)
		if (i->sections[n].sh_name < NAMES_MAX && streq(i->names + i->sections[n].sh_name, name))
			return &i->sections[n];
	return NULL;
}

/* len bytes of the loaded image at a kernel's address. */
static unsigned char *image_at(const struct image *i, uint64_t at, uint64_t len)
{
	for (unsigned n = 0; n < i->head.e_phnum; n++) {
		const Elf64_Phdr *p = &i->parts[n];
		uint64_t into = at - p->p_vaddr;
		if (p->p_type == PT_LOAD && at >= p->p_vaddr && into < p->p_filesz &&
		    len <= p->p_filesz - into)
			return memory_at(i->memory, p->p_paddr + into, len);
	}
	return NULL;
}

/* Where the kernel calls a function of its own with the bounds of this table:
 *	mov $end, %rsi; mov $start, %rdi; call
 * `end` is there.  NULL: not in exactly one place. */
static unsigned char *find_bounds(const struct image *i, const Elf64_Shdr *table)
{
	const Elf64_Shdr *code = find_section(i, ".init.text");
	unsigned char *text = code ? image_at(i, code->sh_addr, code->sh_size) : NULL, *found = NULL;
	uint32_t start = (uint32_t)table->sh_addr, end = (uint32_t)(table->sh_addr + table->sh_size);
	unsigned char wanted[] = {0x48, 0xc7, 0xc6, 0, 0, 0, 0, 0x48, 0xc7, 0xc7, 0, 0, 0, 0, 0xe8};

	memcpy(wanted + 3, &end, sizeof(end));
	memcpy(wanted + 10, &start, sizeof(start));
	for (size_t left = text ? code->sh_size : 0; left >= sizeof(wanted); left--, text++) {
		if (memcmp(text, wanted, sizeof(wanted)) != 0)
			continue;
		if (found)
			return NULL;
		found = text + 3;
	}
	return found;
}

/* Distances in it are from the entry itself. */
struct alternative {
	int32_t code, replacement;
	uint16_t feature, flags;
	uint8_t code_len, replacement_len;
} __attribute__((packed));

static bool makes_direct_call(const struct image *i, uint64_t at, const struct alternative *a)
{
	enum { DIRECT_CALL = 2, INDIRECT_LEN = 6, DIRECT_LEN = 5 };
	const unsigned char *code = image_at(i, at + (uint64_t)(int64_t)a->code, INDIRECT_LEN);
	const unsigned char *replacement = image_at(
		i, at + offsetof(struct alternative, replacement) + (uint64_t)(int64_t)a->replacement,
		DIRECT_LEN);

	return a->flags == DIRECT_CALL && a->code_len == INDIRECT_LEN && a->replacement_len == DIRECT_LEN &&
	       code && code[0] == 0xff && code[1] == 0x15 && replacement && replacement[0] == 0xe8;
}

/* It wraps, as the kernel's own sum does. */
static int32_t farther(int32_t distance, uint64_t by)
{
	return (int32_t)((uint32_t)distance + (uint32_t)by);
}

static void drop_alternatives(const struct image *i)
{
	const Elf64_Shdr *table = find_section(i, ".altinstructions");
	unsigned char *end = table ? find_bounds(i, table) : NULL;
	unsigned char *entries = end ? image_at(i, table->sh_addr, table->sh_size) : NULL;
	uint64_t kept = 0;

	if (!entries || table->sh_size % sizeof(struct alternative))
		return;
	for (uint64_t at = 0; at < table->sh_size; at += sizeof(struct alternative)) {
		struct alternative a;
		memcpy(&a, entries + at, sizeof(a));
		if (makes_direct_call(i, table->sh_addr + at, &a))
			continue;
		a.code = farther(a.code, at - kept);
		a.replacement = farther(a.replacement, at - kept);
		memcpy(entries + kept, &a, sizeof(a));
		kept += sizeof(a);
	}
	uint32_t last = (uint32_t)(table->sh_addr + kept);
	memcpy(end, &last, sizeof(last));
}

static void empty_table(const Elf64_Shdr *table, unsigned char *end)
{
	uint32_t start = (uint32_t)table->sh_addr;

	memcpy(end, &start, sizeof(start));
}

/* Each entry is the distance from itself to a jump, and all jumps have one target: else NULL. */
static unsigned char *find_return(const struct image *i, const Elf64_Shdr *table, uint64_t n,
				  uint64_t *target)
{
	uint64_t entry = table->sh_addr + n * sizeof(int32_t);
	const unsigned char *p = image_at(i, entry, sizeof(int32_t));
	int32_t away, jump;

	if (!p)
		return NULL;
	memcpy(&away, p, sizeof(away));
	uint64_t at = entry + (uint64_t)(int64_t)away;
	unsigned char *code = image_at(i, at, JUMP_LEN);
	if (!code || code[0] != JUMP)
		return NULL;
	memcpy(&jump, code + 1, sizeof(jump));
	uint64_t to = at + JUMP_LEN + (uint64_t)(int64_t)jump;
	if (n > 0 && to != *target)
		return NULL;
	*target = to;
	return code;
}

static void patch_returns(const struct image *i)
{
	static const unsigned char plain[JUMP_LEN] = {0xc3, 0xcc, 0xcc, 0xcc, 0xcc};
	const Elf64_Shdr *table = find_section(i, ".return_sites");
	unsigned char *end = table ? find_bounds(i, table) : NULL;
	uint64_t count = end ? table->sh_size / sizeof(int32_t) : 0, target = 0;

	for (uint64_t n = 0; n < count; n++)
		if (!find_return(i, table, n, &target))
			return;
	for (uint64_t n = 0; n < count; n++) {
		unsigned char *code = find_return(i, table, n, &target);
		if (code)
			memcpy(code, plain, sizeof(plain));
	}
	if (end)
		empty_table(table, end);
}

void quirks_kernel(const struct guest_memory *m, int kernel_fd)
{
	static struct image i; /* 100 KB, in a process that does this once */

	i.memory = m;
	i.fd = kernel_fd;
	if (!read_headers(&i))
		return;
	i.names[NAMES_MAX - 1] = '\0';
	patch_returns(&i);
	drop_alternatives(&i);
	const Elf64_Shdr *calls = find_section(&i, ".retpoline_sites");
	unsigned char *end = calls ? find_bounds(&i, calls) : NULL;
	if (end)
		empty_table(calls, end);
}

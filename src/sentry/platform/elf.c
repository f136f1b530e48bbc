/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading ELF headers.  The file is hostile: every number is checked before
 * it is added to another, and nothing is mapped by it that is not wholly in
 * the guest's half of the address space.
 */
#include "sentry/platform/elf.h"

#include <sys/mman.h>

enum { PAGE = 4096, PHDRS_MAX = 65536 / sizeof(Elf64_Phdr), ALIGN_MAX = 1 << 30 };

static const uint64_t address_max = UINT64_C(0x7ffffffff000); /* TASK_SIZE of x86-64 */

static int elf_read_at(int fd, void *to, size_t n, uint64_t offset)
{
	if (offset > INT64_MAX - n)
		return -EINVAL;
	ssize_t r = pread(fd, to, n, (off_t)offset);
	if (r < 0)
		return -errno;
	return (size_t)r == n ? 0 : -EIO;
}

static int read_header(int fd, Elf64_Ehdr *h)
{
	if (elf_read_at(fd, h, sizeof(*h), 0) < 0)
		return -ENOEXEC;
	if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 || (h->e_type != ET_EXEC && h->e_type != ET_DYN) ||
	    h->e_machine != EM_X86_64 || h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phnum == 0 ||
	    h->e_phnum > PHDRS_MAX)
		return -ENOEXEC;
	return 0;
}

static int read_interp(int fd, const Elf64_Phdr *p, struct elf_object *x)
{
	if (x->interp)
		return 0; /* the first one counts */
	if (p->p_filesz < 2 || p->p_filesz > PATH_MAX)
		return -ENOEXEC;
	x->interp = malloc(p->p_filesz);
	if (!x->interp)
		return -ENOMEM;
	int r = elf_read_at(fd, x->interp, p->p_filesz, p->p_offset);
	return r ? r : x->interp[p->p_filesz - 1] ? -ENOEXEC : 0;
}

static int take_segment(const Elf64_Phdr *p, struct elf_object *x)
{
	uint64_t end, file_end;
	if (p->p_memsz == 0)
		return 0;
	if (p->p_filesz > p->p_memsz || __builtin_add_overflow(p->p_vaddr, p->p_memsz, &end) ||
	    end > address_max || __builtin_add_overflow(p->p_offset, p->p_filesz, &file_end) ||
	    file_end > INT64_MAX - PAGE)
		return -EINVAL;
	if (p->p_filesz && (p->p_vaddr ^ p->p_offset) % PAGE)
		return -EINVAL;
	struct elf_segment *s = &x->segments[x->nsegments];
	*s = (struct elf_segment){p->p_vaddr, p->p_filesz, p->p_memsz, p->p_offset, 0};
	s->prot = (p->p_flags & PF_R ? PROT_READ : 0) | (p->p_flags & PF_W ? PROT_WRITE : 0) |
		  (p->p_flags & PF_X ? PROT_EXEC : 0);
	uint64_t low = p->p_vaddr & ~(uint64_t)(PAGE - 1), high = (end + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	x->low = x->nsegments ? MIN_OF(x->low, low) : low;
	x->high = MAX_OF(x->high, high);
	x->nsegments++;
	/* A power of two, or it does not count. */
	if (p->p_align > x->align && p->p_align <= ALIGN_MAX && !(p->p_align & (p->p_align - 1)))
		x->align = p->p_align;
	if (p->p_flags & PF_X)
		x->code_end = MAX_OF(x->code_end, p->p_vaddr + p->p_filesz);
	x->data_start = MAX_OF(x->data_start, p->p_vaddr);
	x->data_end = MAX_OF(x->data_end, p->p_vaddr + p->p_filesz);
	return 0;
}

static int read_segments(int fd, const Elf64_Ehdr *h, const Elf64_Phdr *phdrs, struct elf_object *x)
{
	int r = 0;
	x->segments = calloc(h->e_phnum, sizeof(*x->segments));
	if (!x->segments)
		return -ENOMEM;
	for (unsigned i = 0; !r && i < h->e_phnum; i++) {
		const Elf64_Phdr *p = &phdrs[i];
		if (p->p_type == PT_INTERP)
			r = read_interp(fd, p, x);
		else if (p->p_type == PT_GNU_STACK)
			x->exec_stack = p->p_flags & PF_X;
		else if (p->p_type == PT_LOAD)
			r = take_segment(p, x);
		if (!r && p->p_type == PT_LOAD && p->p_offset <= h->e_phoff &&
		    h->e_phoff - p->p_offset < p->p_filesz)
			x->phdrs = p->p_vaddr + (h->e_phoff - p->p_offset);
	}
	return r ? r : x->nsegments ? 0 : -ENOEXEC;
}

int elf_read(int fd, struct elf_object *ret)
{
	Elf64_Ehdr h;
	struct elf_object x = {.align = PAGE};
	int r = read_header(fd, &h);
	if (r)
		return r;
	autofree Elf64_Phdr *phdrs = malloc(h.e_phnum * sizeof(*phdrs));
	if (!phdrs)
		return -ENOMEM;
	if (elf_read_at(fd, phdrs, h.e_phnum * sizeof(*phdrs), h.e_phoff) < 0)
		return -ENOEXEC;
	x.fixed = h.e_type == ET_EXEC;
	x.entry = h.e_entry;
	x.nphdrs = h.e_phnum;
	r = read_segments(fd, &h, phdrs, &x);
	if (r)
		elf_free(&x);
	else
		*ret = x;
	return r;
}

void elf_free(struct elf_object *x)
{
	free(x->segments);
	free(x->interp);
	*x = (struct elf_object){0};
}

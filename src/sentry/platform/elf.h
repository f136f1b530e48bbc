/* SPDX-License-Identifier: Apache-2.0 */
/* ELF files, as far as execve looks at them. */
#pragma once

#include "sentry/kernel.h"

#include <elf.h>

struct elf_segment {
	uint64_t vaddr, filesz, memsz, offset;
	int prot; /* PROT_* */
};

struct elf_object {
	bool fixed;	 /* ET_EXEC: at its addresses */
	bool exec_stack; /* PT_GNU_STACK asks for an executable stack */
	uint64_t entry;	 /* unrelocated */
	uint64_t phdrs;	 /* address of the program headers, unrelocated; 0 = not in memory */
	unsigned nphdrs;
	uint64_t low, high;			 /* page-aligned extent of all segments, unrelocated */
	uint64_t align;				 /* at least a page */
	uint64_t code_end, data_start, data_end; /* for /proc */
	struct elf_segment *segments;
	size_t nsegments;
	char *interp; /* PT_INTERP's path; NULL = static */
};

/* 0; -ENOEXEC and what else Linux says; `ret` is to be freed on success only. */
int elf_read(int fd, struct elf_object *ret);
void elf_free(struct elf_object *x);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads a kernel, by Linux' 64-bit boot protocol (Documentation/arch/x86/boot.rst):
 * an uncompressed ELF vmlinux, or a bzImage that unpacks itself.  The kernel
 * starts in 64-bit mode with the first GiB mapped one to one and RSI pointing
 * to boot_params; there is no firmware and no real mode.
 *
 * Below 1 MiB: GDT 0x500, boot_params 0x7000, page tables 0x9000, command
 * line 0x20000, MP table 0x9fc00.
 */
#include "vmm/machine.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

enum {
	GDT = 0x500,
	PARAMS = 0x7000,
	PML4 = 0x9000,
	PDPT = 0xa000,
	PD = 0xb000,
	STACK = 0x8ff0,
	CMDLINE = 0x20000,
	EBDA = 0x9fc00,
	MEMORY_1M = 0x100000,
	PAGE = 4096,
	SEGMENTS_MAX = 64,
	SETUP_BOOT_FLAG = 0xaa55,
	SETUP_MAGIC = 0x53726448, /* "HdrS" */
	ENTRY_64 = 0x200,	  /* of a bzImage's protected-mode part */
};

static int read_image(int fd, uint64_t offset, void *to, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, (char *)to + done, len - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		done += (size_t)n;
	}
	return 0;
}

static int load_part(const struct guest_memory *m, int fd, uint64_t offset, uint64_t at, uint64_t len,
		     struct err *err)
{
	void *to = memory_at(m, at, len);

	if (!to || at < MEMORY_1M)
		return err_set(err, ENOMEM, "the kernel does not fit into %llu MiB of memory",
			       (unsigned long long)(m->size >> 20));
	int r = read_image(fd, offset, to, len);
	return r < 0 ? err_num(err, r, "cannot read the kernel") : 0;
}

/* *ret_end: the first address behind it. */
static int load_elf(const struct guest_memory *m, int fd, const Elf64_Ehdr *h, uint64_t *ret_entry,
		    uint64_t *ret_end, struct err *err)
{
	Elf64_Phdr p[SEGMENTS_MAX];
	uint64_t end = 0;

	if (h->e_machine != EM_X86_64 || h->e_type != ET_EXEC || h->e_phentsize != sizeof(p[0]) ||
	    h->e_phnum == 0 || h->e_phnum > SEGMENTS_MAX ||
	    read_image(fd, h->e_phoff, p, h->e_phnum * sizeof(p[0])) < 0)
		return err_set(err, ENOEXEC, "the kernel is no ELF vmlinux of x86-64");
	for (unsigned i = 0; i < h->e_phnum; i++) {
		uint64_t last;
		if (p[i].p_type != PT_LOAD || p[i].p_memsz == 0)
			continue;
		if (p[i].p_filesz > p[i].p_memsz ||
		    __builtin_add_overflow(p[i].p_paddr, p[i].p_memsz, &last) ||
		    !memory_at(m, p[i].p_paddr, p[i].p_memsz))
			return err_set(err, ENOMEM, "the kernel does not fit into %llu MiB of memory",
				       (unsigned long long)(m->size >> 20));
		int r = p[i].p_filesz ? load_part(m, fd, p[i].p_offset, p[i].p_paddr, p[i].p_filesz, err) : 0;
		if (r < 0)
			return r;
		end = MAX_OF(end, last);
	}
	*ret_entry = h->e_entry;
	*ret_end = end;
	return 0;
}

static int load_bzimage(const struct guest_memory *m, int fd, struct setup_header *h, uint64_t *ret_entry,
			uint64_t *ret_end, struct err *err)
{
	struct stat st;
	uint64_t setup = (h->setup_sects ? h->setup_sects + 1U : 5U) * 512U;

	if (h->version < 0x20c || !(h->xloadflags & XLF_KERNEL_64))
		return err_set(err, ENOEXEC, "the kernel has no 64-bit entry point");
	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size <= setup)
		return err_set(err, ENOEXEC, "the kernel is cut short");
	uint64_t at = h->pref_address, end;
	if (__builtin_add_overflow(at, (uint64_t)MAX_OF(h->init_size, 1U), &end) ||
	    !memory_at(m, at, end - at))
		return err_set(err, ENOMEM, "the kernel does not fit into %llu MiB of memory",
			       (unsigned long long)(m->size >> 20));
	*ret_entry = at + ENTRY_64;
	*ret_end = end;
	return load_part(m, fd, setup, at, (uint64_t)st.st_size - setup, err);
}

/* As high as it goes below the gap, where no kernel that grows reaches it. */
static int load_initramfs(const struct guest_memory *m, int fd, uint64_t kernel_end, struct setup_header *h,
			  struct err *err)
{
	struct stat st;

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return err_sys(err, "cannot look at the initramfs");
	uint64_t size = (uint64_t)st.st_size, top = MIN_OF(memory_low(m), (uint64_t)INT32_MAX + 1);
	if (size == 0)
		return 0;
	if (size > top || (top - size) / PAGE * PAGE < kernel_end)
		return err_set(err, ENOMEM, "kernel and initramfs do not fit into %llu MiB of memory",
			       (unsigned long long)(m->size >> 20));
	uint64_t at = (top - size) / PAGE * PAGE;
	int r = read_image(fd, 0, memory_at(m, at, size), size);
	if (r < 0)
		return err_num(err, r, "cannot read the initramfs");
	h->ramdisk_image = (uint32_t)at;
	h->ramdisk_size = (uint32_t)size;
	return 0;
}

static void add_e820(struct boot_params *b, uint64_t from, uint64_t to)
{
	if (from < to)
		b->e820_table[b->e820_entries++] =
			(struct boot_e820_entry){.addr = from, .size = to - from, .type = 1};
}

int boot_load(const struct guest_memory *m, const struct machine_plan *p, const char *cmdline,
	      uint64_t *ret_entry, struct err *err)
{
	static struct boot_params b; /* a page, once: zeroes */
	Elf64_Ehdr elf;
	uint64_t end = 0;
	int r;

	if (read_image(p->kernel_fd, 0, &elf, sizeof(elf)) < 0)
		return err_set(err, ENOEXEC, "the kernel is cut short");
	if (memcmp(elf.e_ident, ELFMAG, SELFMAG) == 0) {
		r = load_elf(m, p->kernel_fd, &elf, ret_entry, &end, err);
	} else {
		r = read_image(p->kernel_fd, offsetof(struct boot_params, hdr), &b.hdr, sizeof(b.hdr));
		if (r < 0 || b.hdr.boot_flag != SETUP_BOOT_FLAG || b.hdr.header != SETUP_MAGIC)
			return err_set(err, ENOEXEC, "the kernel is neither an ELF vmlinux nor a bzImage");
		r = load_bzimage(m, p->kernel_fd, &b.hdr, ret_entry, &end, err);
	}
	b.hdr.boot_flag = SETUP_BOOT_FLAG;
	b.hdr.header = SETUP_MAGIC;
	b.hdr.type_of_loader = 0xff;
	b.hdr.loadflags |= LOADED_HIGH | KEEP_SEGMENTS;
	b.hdr.kernel_alignment = MAX_OF(b.hdr.kernel_alignment, 0x1000000U);
	b.hdr.cmd_line_ptr = CMDLINE;
	b.hdr.cmdline_size = (uint32_t)strlen(cmdline);
	if (r == 0)
		r = load_initramfs(m, p->initramfs_fd, end, &b.hdr, err);
	if (r < 0)
		return r;
	add_e820(&b, 0, EBDA);
	add_e820(&b, MEMORY_1M, memory_low(m));
	add_e820(&b, MEMORY_GAP_END, MEMORY_GAP_END + memory_high(m));
	if (!memory_write(m, PARAMS, &b, sizeof(b)) ||
	    !memory_write(m, CMDLINE, cmdline, strlen(cmdline) + 1))
		return err_set(err, ENOMEM, "the guest has too little memory");
	return 0;
}

int boot_vcpu(const struct machine *m, int vcpu_fd, uint64_t entry, struct err *err)
{
	/* Null, code, data, and again for the kernel's own __BOOT_CS and __BOOT_DS. */
	static const uint64_t gdt[] = {0, 0, 0x00af9a000000ffff, 0x00cf92000000ffff};
	const struct kvm_segment code = {
		.limit = UINT32_MAX, .selector = 0x10, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
	const struct kvm_segment data = {
		.limit = UINT32_MAX, .selector = 0x18, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
	const struct kvm_regs regs = {.rip = entry, .rsi = PARAMS, .rsp = STACK, .rflags = 2};
	const struct kvm_fpu fpu = {.fcw = 0x37f, .mxcsr = 0x1f80};
	const uint64_t pml4 = PDPT | 3, pdpt = PD | 3;
	uint64_t pd[512];
	struct kvm_sregs s;

	for (unsigned i = 0; i < ARRAY_LEN(pd); i++)
		pd[i] = (uint64_t)i << 21 | 0x83; /* 2 MiB, writable, present */
	if (!memory_write(&m->memory, GDT, gdt, sizeof(gdt)) || !memory_write(&m->memory, PML4, &pml4, 8) ||
	    !memory_write(&m->memory, PDPT, &pdpt, 8) || !memory_write(&m->memory, PD, pd, sizeof(pd)))
		return err_set(err, ENOMEM, "the guest has too little memory");
	if (ioctl(vcpu_fd, KVM_GET_SREGS, &s) < 0)
		return err_sys(err, "cannot read a virtual processor");
	s.cs = code;
	s.ds = s.es = s.ss = s.fs = s.gs = data;
	s.gdt = (struct kvm_dtable){.base = GDT, .limit = sizeof(gdt) - 1};
	s.idt = (struct kvm_dtable){0};
	s.cr0 = 0x80000033; /* PG NE ET MP PE */
	s.cr3 = PML4;
	s.cr4 = 0x20;	/* PAE */
	s.efer = 0x500; /* LMA LME */
	if (ioctl(vcpu_fd, KVM_SET_SREGS, &s) < 0 || ioctl(vcpu_fd, KVM_SET_REGS, &regs) < 0 ||
	    ioctl(vcpu_fd, KVM_SET_FPU, &fpu) < 0)
		return err_sys(err, "cannot set a virtual processor up");
	return 0;
}

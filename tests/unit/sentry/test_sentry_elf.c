/* SPDX-License-Identifier: Apache-2.0 */
/* ELF headers as an attacker writes them. */
#include "../test.h"

#include "sentry/platform/elf.h"

#include <sys/mman.h>

struct file_image {
	Elf64_Ehdr head;
	Elf64_Phdr phdrs[3];
	char rest[8192];
};

static struct file_image sound(void)
{
	struct file_image x = {
		.head = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			 .e_type = ET_DYN,
			 .e_machine = EM_X86_64,
			 .e_entry = 0x1234,
			 .e_phoff = sizeof(Elf64_Ehdr),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = 2},
		.phdrs = {{.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_filesz = 0x1000, .p_memsz = 0x1000},
			  {.p_type = PT_LOAD,
			   .p_flags = PF_R | PF_W,
			   .p_offset = 0x1010,
			   .p_vaddr = 0x3010,
			   .p_filesz = 0x20,
			   .p_memsz = 0x2000}},
	};
	return x;
}

static int read_image(const struct file_image *x, size_t size, struct elf_object *ret)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);
	CHECK(fd >= 0 && write(fd, x, size) == (ssize_t)size);
	int r = elf_read(fd, ret);
	(void)close(fd); /* a memfd */
	return r;
}

static int result_of(const struct file_image *x)
{
	struct elf_object o = {0};
	int r = read_image(x, sizeof(*x), &o);
	if (!r)
		elf_free(&o);
	return r;
}

static void test_sound(void)
{
	struct file_image x = sound();
	struct elf_object o;
	CHECK(read_image(&x, sizeof(x), &o) == 0);
	CHECK(o.nsegments == 2 && o.low == 0 && o.high == 0x6000 && o.entry == 0x1234 && !o.fixed &&
	      !o.interp);
	CHECK(o.phdrs == sizeof(Elf64_Ehdr) && o.nphdrs == 2 && o.data_end == 0x3030 && o.code_end == 0x1000);
	elf_free(&o);
}

static void test_heads(void)
{
	struct file_image x = sound();
	struct elf_object o;
	CHECK(read_image(&x, 0, &o) == -ENOEXEC);
	CHECK(read_image(&x, 63, &o) == -ENOEXEC);
	CHECK(read_image(&x, sizeof(x.head) + 10, &o) == -ENOEXEC);
	x.head.e_machine = EM_AARCH64;
	CHECK(result_of(&x) == -ENOEXEC);
	x = sound();
	x.head.e_phnum = 0;
	CHECK(result_of(&x) == -ENOEXEC);
	x.head.e_phnum = 0xffff;
	CHECK(result_of(&x) == -ENOEXEC);
	x = sound();
	x.head.e_phoff = UINT64_MAX - 8;
	CHECK(result_of(&x) == -ENOEXEC);
	x = sound();
	x.head.e_phentsize = 55;
	CHECK(result_of(&x) == -ENOEXEC);
	x = sound();
	x.phdrs[0].p_type = x.phdrs[1].p_type = PT_NOTE;
	CHECK(result_of(&x) == -ENOEXEC);
}

static void test_segments(void)
{
	struct file_image x = sound();
	x.phdrs[1].p_vaddr = UINT64_MAX - 0xfef; /* in step with the offset, and over the end */
	CHECK(result_of(&x) == -EINVAL);
	x = sound();
	x.phdrs[1].p_memsz = UINT64_C(1) << 47;
	CHECK(result_of(&x) == -EINVAL);
	x = sound();
	x.phdrs[1].p_filesz = x.phdrs[1].p_memsz + 1;
	CHECK(result_of(&x) == -EINVAL);
	x = sound();
	x.phdrs[1].p_offset = INT64_MAX - 0xfef;
	CHECK(result_of(&x) == -EINVAL);
	x = sound();
	x.phdrs[1].p_offset = 0x1011;
	CHECK(result_of(&x) == -EINVAL);
	x = sound();
	x.phdrs[1].p_align = UINT64_C(1) << 63;
	CHECK(result_of(&x) == 0); /* no alignment that anybody could give: not looked at, as Linux does */
}

static void test_interpreters(void)
{
	struct file_image x = sound();
	struct elf_object o;
	x.head.e_phnum = 3;
	x.phdrs[2] = (Elf64_Phdr){
		.p_type = PT_INTERP, .p_offset = offsetof(struct file_image, rest), .p_filesz = 8};
	memcpy(x.rest, "/ld.so.", 8);
	CHECK(read_image(&x, sizeof(x), &o) == 0 && streq(o.interp, "/ld.so."));
	elf_free(&o);
	x.rest[7] = 'x';
	CHECK(result_of(&x) == -ENOEXEC);
	x.phdrs[2].p_filesz = 1;
	CHECK(result_of(&x) == -ENOEXEC);
	x.phdrs[2].p_filesz = PATH_MAX + 1;
	CHECK(result_of(&x) == -ENOEXEC);
	x.phdrs[2].p_filesz = 8;
	x.phdrs[2].p_offset = sizeof(x);
	CHECK(result_of(&x) == -EIO);
}

int main(void)
{
	test_sound();
	test_heads();
	test_segments();
	test_interpreters();
	return test_end();
}

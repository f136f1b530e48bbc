/* SPDX-License-Identifier: Apache-2.0 */
/* Templates of a machine that is none: made, found, and refused where they were tampered with. */
#include "test.h"

#include "base/file.h"
#include "vm/template.h"

#include <sys/mman.h>
#include <sys/stat.h>

enum { MEMORY = 4 << 20 };

static int nothing(unused struct vm *vm, unused struct err *err)
{
	return 0;
}

static int save(unused struct vm *vm, const struct vm_snapshot *to, unused struct err *err)
{
	if (to->memory_fd >= 0) /* whose memory is in no file of its own */
		CHECK_INT(pwrite(to->memory_fd, "memory", 6, to->memory_at + 8192), 6);
	return pwrite(to->state_fd, "devices", 7, to->state_at) == 7 ? 0 : -EIO;
}

static int identity(unused const struct vm_spec *s, char *buf, size_t size, unused struct err *err)
{
	(void)snprintf(buf, size, "none 1");
	return 0;
}

static const struct hypervisor driver = {
	.name = "none", .pause = nothing, .resume = nothing, .save = save, .identity = identity};

static struct vm_spec spec(int kernel)
{
	return (struct vm_spec){
		.kernel_fd = kernel, .initramfs_fd = kernel, .memory = MEMORY, .vcpus = 1, .kvm_fd = -1};
}

static int look(int dir, int kernel, uint64_t memory, struct vm_template *t, struct err *err)
{
	struct vm_spec s = spec(kernel);
	autoclose int proc = open("/proc", O_PATH | O_CLOEXEC), file = vm_memory_new(memory);
	const struct vm_snapshot in = {.memory_fd = file, .state_fd = -1};

	s.proc_fd = proc;
	s.memory = memory;
	s.memory_in = &in;
	*err = (struct err){0};
	int r = vm_template_open(t, dir, &driver, &s, err);
	CHECK_INT(s.from != NULL, r == 1);
	return r;
}

/* apart: the driver's memory is in a file of its own. */
static void make(int dir, int kernel, bool apart)
{
	autoclose int proc = open("/proc", O_PATH | O_CLOEXEC);
	autoclose int memory = apart ? vm_memory_new(MEMORY) : -1;
	const struct vm_snapshot in = {.memory_fd = memory, .state_fd = -1};
	struct vm_spec s = spec(kernel);
	struct vm vm = {.driver = &driver};
	struct vm_template t;
	struct err err = {0};

	s.proc_fd = proc;
	s.memory_in = &in;
	CHECK_INT(vm_template_open(&t, dir, &driver, &s, &err), 0);
	if (!t.writable) {
		fprintf(stderr, "no files without names here: %s\n", err.msg);
		exit(77);
	}
	if (apart)
		CHECK_INT(pwrite(memory, "memory", 6, 8192), 6);
	t.boot_ns = 42;
	CHECK_INT(vm_template_save(&t, &vm, &s, &err), 0);
	CHECK_STR(err.msg, "");
	vm_template_close(&t);
}

/* One by name: made into a file of somebody's, copied, and refused where it is of another machine. */
static void named(int dir, int kernel)
{
	autoclose int into = vm_memory_new(0), copy = vm_memory_new(0), memory = vm_memory_new(MEMORY);
	const struct vm_snapshot in = {.memory_fd = memory, .state_fd = -1};
	struct vm_spec s = spec(kernel);
	struct vm vm = {.driver = &driver};
	struct vm_template t;
	struct err err = {0};
	char got[8] = "";

	s.memory_in = &in;
	CHECK_INT(vm_template_open(&t, -1, &driver, &s, &err), 0);
	CHECK_INT(vm_template_into(&t, into, &err), 0);
	CHECK_INT(pwrite(memory, "memory", 6, 8192), 6);
	t.boot_ns = 43;
	CHECK_INT(vm_template_save(&t, &vm, &s, &err), 0);
	CHECK(t.kept && t.file < 0);
	/* Its next one begins there, and can hand it on. */
	CHECK_INT(vm_template_named(&t, into, &driver, &s, &err), 1);
	CHECK(s.from == &t.snapshot && t.boot_ns == 43);
	CHECK_INT(pread(t.snapshot.memory_fd, got, 6, t.snapshot.memory_at + 8192), 6);
	CHECK_STR(got, "memory");
	vm_template_refuse(&t, &s); /* removes nothing of anybody's */
	t.file = fcntl(into, F_DUPFD_CLOEXEC, 3);
	CHECK_INT(vm_template_copy(&t, copy, &err), 0);
	vm_template_close(&t);
	CHECK_INT(vm_template_named(&t, copy, &driver, &s, &err), 1);
	/* Another size, with the words for it; another kernel; a file that is none; one that is cut short. */
	s.memory = 2 * MEMORY;
	CHECK_INT(vm_template_named(&t, copy, &driver, &s, &err), -ESTALE);
	CHECK(strstr(err.msg, "another size"));
	s.memory = MEMORY;
	s.kernel_fd = dir;
	CHECK_INT(vm_template_named(&t, copy, &driver, &s, &err), -ESTALE);
	CHECK(strstr(err.msg, "another guest kernel"));
	s.kernel_fd = kernel;
	CHECK_INT(vm_template_named(&t, kernel, &driver, &s, &err), 0);
	struct stat st;
	CHECK(fstat(copy, &st) == 0 && ftruncate(copy, st.st_size - 1) == 0);
	CHECK_INT(vm_template_named(&t, copy, &driver, &s, &err), -EBADMSG);
}

int main(void)
{
	char path[] = "/tmp/coffer-template-XXXXXX";
	autoclose int kernel = memfd_create("kernel", MFD_CLOEXEC);
	struct vm_template t;
	struct err err = {0};
	char got[8] = "";

	CHECK(mkdtemp(path));
	autoclose int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[sizeof(t.name)];
	for (int apart = 0; apart < 2; apart++) {
		make(dir, kernel, apart);
		CHECK_INT(look(dir, kernel, MEMORY, &t, &err), 1);
		CHECK_INT(t.boot_ns, 42);
		CHECK_INT(pread(t.snapshot.memory_fd, got, 6, t.snapshot.memory_at + 8192), 6);
		CHECK_STR(got, "memory");
		CHECK_INT(pread(t.snapshot.state_fd, got, 8, t.snapshot.state_at), 7);
		memcpy(name, t.name, sizeof(name));
		vm_template_close(&t);
		memset(got, 0, sizeof(got));
		CHECK_INT(apart ? 0 : unlinkat(dir, name, 0), 0);
	}
	/* Another machine is another one. */
	CHECK_INT(look(dir, kernel, 2 * MEMORY, &t, &err), 0);
	CHECK(t.writable && !err.code);
	vm_template_close(&t);
	/* One that others may write is not used, and goes. */
	CHECK_INT(fchmodat(dir, name, 0666, 0), 0);
	CHECK_INT(look(dir, kernel, MEMORY, &t, &err), 0);
	CHECK_INT(err.code, EPERM);
	vm_template_close(&t);
	/* Cut short; then not one at all; then a link. */
	make(dir, kernel, true);
	autoclose int file = openat(dir, name, O_RDWR | O_CLOEXEC);
	CHECK_INT(ftruncate(file, 3 << 20), 0);
	CHECK_INT(look(dir, kernel, MEMORY, &t, &err), 0);
	CHECK_INT(err.code, EBADMSG);
	vm_template_close(&t);
	CHECK_INT(file_replace_at(dir, name, "nonsense", 8, 0644, false), 0);
	CHECK_INT(look(dir, kernel, MEMORY, &t, &err), 0);
	CHECK_INT(err.code, EBADMSG);
	vm_template_close(&t);
	CHECK_INT(symlinkat("/etc/passwd", dir, name), 0);
	CHECK_INT(look(dir, kernel, MEMORY, &t, &err), 0);
	CHECK_INT(err.code, ELOOP);
	vm_template_close(&t);
	named(dir, kernel);
	CHECK_INT(file_remove_tree_at(AT_FDCWD, path), 0);
	return test_end();
}

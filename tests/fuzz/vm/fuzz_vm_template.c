/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heads of templates (vm/template.h) in a folder that is ours: what is taken
 * must lie within its file, whatever the head says.
 *
 *	byte 0	1: the right magic is put in front, 2: and the right key, 4: the file becomes as long as
 *		the head says, 8: nothing is behind the devices
 *	the rest	the file
 */
#include "base/fd.h"
#include "vm/template.h"

#include <sys/mman.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	MEMORY = 4 << 20,
	MAGIC_LEN = 16,
	STATE_AT = MAGIC_LEN + 8,
	STATE_LEN = STATE_AT + 8,
	MORE_LEN = STATE_LEN + 16,
	KEY_AT = MORE_LEN + 8,
	LONGEST = 64 << 20
};

static char folder[] = "/tmp/fuzz-template-XXXXXX";
static int dir = -1, proc = -1, kernel = -1;
static struct vm_template mine; /* its name and its key */

static int identify(unused const struct vm_spec *s, char *buf, size_t size, unused struct err *err)
{
	(void)snprintf(buf, size, "none 1");
	return 0;
}

static const struct hypervisor driver = {.name = "none", .identity = identify};

static int look(struct vm_template *t, struct vm_spec *s)
{
	struct err err = {0};

	*s = (struct vm_spec){.kernel_fd = kernel,
			      .initramfs_fd = kernel,
			      .memory = MEMORY,
			      .vcpus = 1,
			      .kvm_fd = -1,
			      .proc_fd = proc};
	return vm_template_open(t, dir, &driver, s, &err);
}

static void remove_folder(void)
{
	(void)unlinkat(dir, mine.name, 0);
	(void)rmdir(folder);
}

static void set_out(void)
{
	struct vm_spec s;

	kernel = memfd_create("kernel", MFD_CLOEXEC);
	proc = open("/proc", O_PATH | O_CLOEXEC);
	if (!mkdtemp(folder) || kernel < 0 || proc < 0)
		abort();
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || look(&mine, &s) != 0)
		abort();
	vm_template_close(&mine);
	(void)atexit(remove_folder);
}

static void write_template(const uint8_t *data, size_t size, uint8_t how)
{
	autoclose int fd = openat(dir, mine.name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	uint64_t at = 0, len = 0;

	if (fd < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	if ((how & 1) && pwrite(fd, "coffer-vm-tmpl2", MAGIC_LEN, 0) != MAGIC_LEN)
		abort();
	if ((how & 2) && pwrite(fd, mine.key, sizeof(mine.key), KEY_AT) != (ssize_t)sizeof(mine.key))
		abort();
	if ((how & 8) && pwrite(fd, &at, sizeof(at), MORE_LEN) != sizeof(at))
		abort();
	if (size >= KEY_AT) {
		memcpy(&at, data + STATE_AT, sizeof(at));
		memcpy(&len, data + STATE_LEN, sizeof(len));
	}
	if ((how & 4) && at < LONGEST && len < LONGEST && ftruncate(fd, (off_t)(at + len)) < 0)
		abort();
}

/* What is taken lies within its file. */
static void check_within(const struct vm_spec *s)
{
	const struct vm_snapshot *p = s->from;
	struct stat st;

	if (!p || fstat(p->memory_fd, &st) < 0 || p->memory_at < 0 || p->memory_at % (2 << 20) ||
	    p->memory_at + (off_t)s->memory > p->state_at || p->state_at >= st.st_size)
		abort();
}

/* The same file as one by name. */
static void look_named(void)
{
	autoclose int file = openat(dir, mine.name, O_RDONLY | O_CLOEXEC);
	struct vm_spec s = {.kernel_fd = kernel,
			    .initramfs_fd = kernel,
			    .memory = MEMORY,
			    .vcpus = 1,
			    .kvm_fd = -1,
			    .proc_fd = proc};
	struct vm_template t;
	struct err err = {0};

	if (file < 0)
		return;
	int r = vm_template_named(&t, file, &driver, &s, &err);
	if (r == 1)
		check_within(&s);
	else if (s.from || (r != 0 && !err.code))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vm_template t;
	struct vm_spec s;

	if (dir < 0)
		set_out();
	if (size < 1)
		return 0;
	write_template(data + 1, size - 1, data[0]);
	look_named(); /* first: a broken one goes when the other looks */
	int r = look(&t, &s);
	if (r == 1)
		check_within(&s);
	else if (r != 0 || s.from)
		abort();
	vm_template_close(&t);
	return 0;
}

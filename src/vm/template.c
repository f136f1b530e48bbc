/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.
 *
 * One template is one file: a head with the whole key and sizes, at
 * MEMORY_AT the guest's memory with its holes, behind it the devices as the
 * driver wrote them.  Its name is a hash of the key, and the head's key is
 * compared in full, so that a collision is a miss.
 *
 * The key is all that the machine was made of: the hypervisor, kernel and
 * initramfs (by device, inode, size and times: they are replaced by rename,
 * and whoever changes them in place owns the machine), command line, memory,
 * processors, the number of cards.  A machine with disks has no template: its
 * kernel has read them before READY.
 *
 * The file is written without a name (O_TMPFILE) and linked whole, so that a
 * kill at any time leaves nothing, and of two writers the first wins.
 *
 * Who may write the folder could make every later guest do what he likes.  So
 * a file counts only where it belongs to the folder's owner, nobody else may
 * write it, and it is no link; and what writes it is a keeper whose machine
 * has not heard a byte of its container yet.  A keeper in a user namespace
 * sees other ids than the folder's, may not write there, and only reads.
 */
#include "vm/template.h"

#include "base/fd.h"
#include "base/hash.h"
#include "base/str.h"
#include "base/sys.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

enum {
	MEMORY_AT = 2 << 20, /* huge pages, where somebody maps it */
	STATE_MAX = 16 << 20,
	MORE_MAX = 256 << 20,
	TEMPLATES_MAX = 16, /* older ones go: each is as large as a guest's first memory */
};

static const char magic[16] = "coffer-vm-tmpl2";

/* ---- Memory ---- */

int vm_memory_new(uint64_t size)
{
	int fd = memfd_create("vm-memory", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0) {
		int code = -errno;
		(void)close(fd); /* empty */
		return code;
	}
	return fd;
}

int vm_memory_copy(int from, off_t from_at, int to, off_t to_at, uint64_t size)
{
	off_t end = from_at + (off_t)size;

	for (off_t next = from_at; next < end;) {
		off_t data = lseek(from, next, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return 0;
		off_t hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		next = hole = MIN_OF(hole, end);
		if (data < hole && lseek(to, to_at + (data - from_at), SEEK_SET) < 0)
			return -errno;
		while (data < hole) {
			ssize_t n = sendfile(to, from, &data, (size_t)(hole - data));
			if (n < 0 && errno != EINTR)
				return -errno;
			if (n == 0)
				return -EIO; /* it has become shorter */
		}
	}
	return 0;
}

/*
 * The same from a mapping, once for a template: pages of zeros, which a booting kernel leaves many of where
 * its image was unpacked, become holes, and no later machine copies them.
 */
static int keep_memory(int from, int to, uint64_t size)
{
	int r = 0;
	unsigned char *m = mmap(NULL, size, PROT_READ, MAP_SHARED, from, 0);

	if (m == MAP_FAILED)
		return -errno;
	for (uint64_t at = 0; r == 0 && at < size;) {
		off_t data = lseek(from, (off_t)at, SEEK_DATA);
		if (data < 0)
			break; /* nothing more */
		off_t hole = lseek(from, data, SEEK_HOLE);
		/* Not beyond: to look at a hole fills it. */
		uint64_t stop = hole < 0 ? size : MIN_OF((uint64_t)hole, size);
		r = fd_write_sparse(to, MEMORY_AT + data, m + data, stop - (uint64_t)data);
		at = stop;
	}
	(void)munmap(m, size); /* ours */
	return r;
}

/* ---- The key ---- */

static int key_of_file(struct str *key, const char *what, int fd, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "cannot look at the guest's %s", what);
	str_putf(key, "%s %llx:%llu %lld %lld.%09ld %lld.%09ld\n", what, (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino, (long long)st.st_size, (long long)st.st_mtim.tv_sec,
		 st.st_mtim.tv_nsec, (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
	return 0;
}

int vm_machine_key(char ret[static VM_TEMPLATE_KEY_MAX], const struct hypervisor *driver,
		   const struct vm_spec *s, struct err *err)
{
	autostr struct str key = {0};
	char identity[256];

	int r = driver->identity(s, identity, sizeof(identity), err);
	if (r < 0)
		return r;
	str_putf(&key, "%s\n", identity);
	r = key_of_file(&key, "kernel", s->kernel_fd, err);
	if (r == 0)
		r = key_of_file(&key, "initramfs", s->initramfs_fd, err);
	if (r < 0)
		return r;
	str_putf(&key, "memory %llu vcpus %u cards %zu acpi %d\ncmdline %s\n", (unsigned long long)s->memory,
		 s->vcpus, s->nnics, s->acpi, s->cmdline ? s->cmdline : "");
	if (key.failed)
		return err_oom(err);
	if (key.len >= VM_TEMPLATE_KEY_MAX)
		return err_set(err, E2BIG, "the kernel's command line is too long for a template");
	memset(ret, 0, VM_TEMPLATE_KEY_MAX);
	memcpy(ret, key.s, key.len);
	return 0;
}

/* ---- The file ---- */

int vm_machine_read(int file, const char wanted[static 16], const struct vm_spec *s,
		    struct vm_machine_head *ret, struct vm_snapshot *ret_from, struct err *err)
{
	struct stat st;
	ssize_t n = pread(file, ret, sizeof(*ret), 0);

	if (n < 0 || fstat(file, &st) < 0)
		return err_sys(err, "cannot read the machine that was kept");
	if (n != (ssize_t)sizeof(*ret) || memcmp(ret->magic, wanted, sizeof(ret->magic)) != 0)
		return err_set(err, EBADMSG, "it is none");
	if (memchr(ret->key, 0, sizeof(ret->key)) == NULL || ret->memory != s->memory ||
	    ret->state_at != MEMORY_AT + ret->memory || ret->state_len == 0 || ret->state_len > STATE_MAX ||
	    ret->more_len > MORE_MAX ||
	    (uint64_t)st.st_size != ret->state_at + ret->state_len + ret->more_len)
		return err_set(err, EBADMSG, "it is cut short or has been changed");
	*ret_from = (struct vm_snapshot){.memory_fd = file,
					 .state_fd = file,
					 .memory_at = MEMORY_AT,
					 .state_at = (off_t)ret->state_at};
	return 0;
}

/* Which line of the key is another one, in words. */
static const char *what_differs(const char *a, const char *b)
{
	static const struct {
		const char *begins, *what;
	} lines[] = {
		{"kernel", "another guest kernel"},
		{"initramfs", "another version of coffer, or another initramfs"},
		{"memory", "another size (memory, processors, network cards)"},
		{"cmdline", "another kernel command line"},
	};
	size_t n = 0;

	while (a[n] && a[n] == b[n])
		n++;
	while (n > 0 && a[n - 1] != '\n')
		n--;
	for (size_t i = 0; n > 0 && i < ARRAY_LEN(lines); i++)
		if (str_starts(b + n, lines[i].begins) || str_starts(a + n, lines[i].begins))
			return lines[i].what;
	return "another hypervisor, processor or accelerator";
}

int vm_machine_same(const char has[static VM_TEMPLATE_KEY_MAX], const char wanted[static VM_TEMPLATE_KEY_MAX],
		    struct err *err)
{
	if (memcmp(has, wanted, VM_TEMPLATE_KEY_MAX) == 0)
		return 0;
	return err_set(
		err, ESTALE,
		"the snapshot is of %s than this machine would have: make it anew with `coffer vm snapshot`",
		what_differs(has, wanted));
}

int vm_machine_write(int file, struct vm_machine_head *h, struct vm *vm, const struct vm_spec *s,
		     struct err *err)
{
	bool apart = s->memory_in->memory_fd >= 0; /* in a file of its own */
	struct vm_snapshot to = {.memory_fd = apart ? -1 : file, .memory_at = MEMORY_AT, .state_fd = file};
	struct stat st;

	h->memory = s->memory;
	h->state_at = MEMORY_AT + s->memory;
	h->more_len = 0;
	to.state_at = (off_t)h->state_at;
	int r = vm->driver->save(vm, &to, err);
	if (r < 0)
		return r;
	if (apart)
		r = keep_memory(s->memory_in->memory_fd, file, s->memory);
	if (r < 0)
		return err_num(err, r, "cannot write the machine's memory");
	if (fstat(file, &st) < 0)
		return err_sys(err, "cannot look at the machine's file");
	h->state_len = (uint64_t)st.st_size - h->state_at;
	if ((uint64_t)st.st_size <= h->state_at || h->state_len > STATE_MAX)
		return err_set(err, EIO, "the machine's devices have an odd size");
	return pwrite(file, h, sizeof(*h), 0) == (ssize_t)sizeof(*h)
		       ? 0
		       : err_sys(err, "cannot write the machine's file");
}

/* ---- Reading ---- */

/* 1: it is whole and of our key; 0: of another key; else why it is none. */
static int template_check(struct vm_template *t, int fd, const struct vm_spec *s, struct err *err)
{
	struct stat dir, st;
	struct vm_machine_head h;

	if (fstat(t->dir_fd, &dir) < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "cannot look at template %s", t->name);
	if (!S_ISREG(st.st_mode) || st.st_uid != dir.st_uid || (st.st_mode & 022) || (dir.st_mode & 022))
		return err_set(err, EPERM,
			       "template %s or its folder may be written by others: it is not used", t->name);
	int r = vm_machine_read(fd, magic, s, &h, &t->snapshot, err);
	if (r < 0)
		return err_prefix(err, "template %s", t->name);
	if (memcmp(h.key, t->key, sizeof(h.key)) != 0)
		return 0;
	t->boot_ns = h.boot_ns;
	return 1;
}

static int template_find(struct vm_template *t, const struct vm_spec *s, struct err *err)
{
	autoclose int fd = openat(t->dir_fd, t->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return err_sys(err, "cannot open template %s", t->name);
	int r = template_check(t, fd, s, err);
	if (r == 1)
		t->file = take_fd(&fd);
	return r;
}

/* A file without a name that can get one; -errno where the folder takes none of ours. */
static int new_file(const struct vm_template *t)
{
	int fd = openat(t->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);

	return fd < 0 ? -errno : fd;
}

static void template_prepare(struct vm_template *t, const struct vm_spec *s)
{
	/* Not where there is a folder for reading alone, or a file system without such files. */
	t->file = s->memory_in ? MAX_OF(new_file(t), -1) : -1;
	t->writable = t->file >= 0;
}

int vm_template_open(struct vm_template *t, int dir_fd, const struct hypervisor *driver, struct vm_spec *s,
		     struct err *err)
{
	*t = (struct vm_template){.dir_fd = dir_fd, .proc_fd = s->proc_fd, .file = -1};
	s->from = NULL;
	err->code = 0;
	int r = vm_machine_key(t->key, driver, s, err);
	if (r < 0 || dir_fd < 0 || s->ndisks > 0)
		return 0;
	(void)snprintf(t->name, sizeof(t->name), "template-%016llx", /* fits */
		       (unsigned long long)fnv_bytes(FNV_START, t->key, strlen(t->key)));
	r = template_find(t, s, err);
	if (r == 1) {
		s->from = &t->snapshot;
		return 1;
	}
	if (r < 0) /* A broken one is in the way of a whole one; where it may not be removed it stays. */
		(void)unlinkat(dir_fd, t->name, 0);
	template_prepare(t, s);
	return 0;
}

int vm_template_named(struct vm_template *t, int file, const struct hypervisor *driver, struct vm_spec *s,
		      struct err *err)
{
	autofree struct vm_machine_head *h = calloc(1, sizeof(*h));
	char found[sizeof(magic)] = "";

	*t = (struct vm_template){.dir_fd = -1, .proc_fd = s->proc_fd, .file = -1};
	if (!h)
		return err_oom(err);
	if (pread(file, found, sizeof(found), 0) < 0)
		return err_sys(err, "cannot read the machine that was kept");
	int r = vm_machine_key(t->key, driver, s, err);
	if (r < 0 || memcmp(found, magic, sizeof(magic)) != 0)
		return r;
	r = vm_machine_read(file, magic, s, h, &t->snapshot, err);
	/* Of another size its key tells more. */
	if ((r == 0 || (r == -EBADMSG && memchr(h->key, 0, sizeof(h->key)))) &&
	    vm_machine_same(h->key, t->key, err) < 0)
		return -ESTALE;
	if (r < 0)
		return r;
	t->boot_ns = h->boot_ns;
	s->from = &t->snapshot;
	return 1;
}

void vm_template_refuse(struct vm_template *t, struct vm_spec *s)
{
	if (t->name[0])				       /* one that has a name of somebody's own is his */
		(void)unlinkat(t->dir_fd, t->name, 0); /* of a folder that is not ours it stays */
	s->from = s->memory_in = NULL;
	vm_template_close(t);
}

/* ---- Writing ---- */

/* The oldest go where there are too many: kernels and settings change, and nobody asks for theirs again. */
static void template_prune(int dir_fd)
{
	for (;;) {
		char oldest[sizeof(((struct vm_template *)0)->name)] = "";
		struct timespec age = {.tv_sec = INT64_MAX};
		size_t n = 0;
		int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		DIR *d = fd < 0 ? NULL : fdopendir(fd);
		if (!d)
			return;
		for (struct dirent *e; (e = readdir(d)) != NULL;) {
			struct stat st;
			if (!str_starts(e->d_name, "template-") || strlen(e->d_name) >= sizeof(oldest) ||
			    fstatat(dir_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
				continue;
			n++;
			if (st.st_mtim.tv_sec < age.tv_sec) {
				age = st.st_mtim;
				memcpy(oldest, e->d_name, strlen(e->d_name) + 1);
			}
		}
		(void)closedir(d); /* read only */
		if (n <= TEMPLATES_MAX || !*oldest || unlinkat(dir_fd, oldest, 0) < 0)
			return;
	}
}

static int template_publish(struct vm_template *t, struct err *err)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "self/fd/%d", t->file); /* fits */
	if (linkat(t->proc_fd, path, t->dir_fd, t->name, AT_SYMLINK_FOLLOW) < 0 && errno != EEXIST)
		return err_sys(err, "cannot give template %s its name", t->name);
	template_prune(t->dir_fd);
	return 0;
}

static int write_template(struct vm_template *t, struct vm *vm, const struct vm_spec *s, struct err *err)
{
	struct vm_machine_head h = {.boot_ns = t->boot_ns};

	memcpy(h.magic, magic, sizeof(magic));
	memcpy(h.key, t->key, sizeof(h.key));
	int r = vm_machine_write(t->file, &h, vm, s, err);
	return r < 0 || !t->name[0] ? r : template_publish(t, err);
}

int vm_template_into(struct vm_template *t, int file, struct err *err)
{
	if (!t->key[0])
		return err_set(err, ENOTSUP,
			       "no template can be made: what the machine is made of is not known");
	vm_template_close(t);
	t->name[0] = '\0';
	t->file = fcntl(file, F_DUPFD_CLOEXEC, 3);
	t->writable = t->file >= 0;
	return t->writable ? 0 : err_sys(err, "cannot hold the template's file");
}

int vm_template_copy(const struct vm_template *t, int file, struct err *err)
{
	struct stat st;

	if (t->file < 0 || fstat(t->file, &st) < 0 || ftruncate(file, st.st_size) < 0)
		return err_set(err, EIO, "cannot copy the template");
	int r = vm_memory_copy(t->file, 0, file, 0, (uint64_t)st.st_size);
	return r < 0 ? err_num(err, r, "cannot copy the template") : 0;
}

int vm_template_save(struct vm_template *t, struct vm *vm, const struct vm_spec *s, struct err *err)
{
	struct err more = {0};

	if (!t->writable)
		return 0;
	int r = vm->driver->pause(vm, err);
	if (r < 0)
		return -EIO;
	r = write_template(t, vm, s, err);
	t->kept = r == 0;
	int again = vm->driver->resume(vm, &more);
	vm_template_close(t);
	if (again < 0) {
		*err = more;
		return -EIO;
	}
	return r == -EIO ? -EINVAL : r;
}

void vm_template_close(struct vm_template *t)
{
	fd_drop(&t->file);
	t->writable = false;
}

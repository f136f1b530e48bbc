/* SPDX-License-Identifier: Apache-2.0 */
#include "isolate/vm/initramfs.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/str.h"

#include <elf.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { LIST_MAX = 1 << 16, MODULE_MAX = 64 << 20, AGENT_MAX = 64 << 20, BLOCK = 4 };

struct entry {
	const char *name; /* without a leading slash */
	mode_t mode;
	unsigned major, minor; /* of a device */
	const void *data;
	size_t len;
};

struct archive {
	int fd;
	unsigned inode;
	struct err *err;
};

static int put_padded(struct archive *a, const void *data, size_t len)
{
	static const char zeros[BLOCK];
	int r = len ? fd_write_all(a->fd, data, len) : 0;

	if (r == 0 && len % BLOCK)
		r = fd_write_all(a->fd, zeros, BLOCK - len % BLOCK);
	return r < 0 ? err_num(a->err, r, "cannot write the guest's initramfs") : 0;
}

/* Always the same bytes for the same content: no times, no owners, inodes counted. */
static int put_cpio(struct archive *a, const struct entry *e)
{
	struct str head autostr = {0};

	str_putf(&head, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", ++a->inode,
		 (unsigned)e->mode, 0U, 0U, 1U, 0U, (unsigned)e->len, 0U, 0U, e->major, e->minor,
		 (unsigned)strlen(e->name) + 1, 0U);
	str_putf(&head, "%s", e->name);
	str_put_n(&head, "", 1);
	if (head.failed)
		return err_oom(a->err);
	int r = put_padded(a, head.s, head.len);
	return r < 0 ? r : put_padded(a, e->data, e->len);
}

/*
 * What of a program is loaded: its sections, with all that is there for debuggers, stand behind.  In the
 * guest each byte would be in memory twice, as the archive's and as the file's.  Anything else stays as it
 * is.
 */
static size_t loaded_part(void *data, size_t len)
{
	Elf64_Ehdr head;
	size_t end = sizeof(head);

	if (len < sizeof(head))
		return len;
	memcpy(&head, data, sizeof(head));
	if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
	    head.e_phentsize != sizeof(Elf64_Phdr) || head.e_phnum == 0 || head.e_phoff > len ||
	    (len - head.e_phoff) / sizeof(Elf64_Phdr) < head.e_phnum)
		return len;
	for (size_t i = 0; i < head.e_phnum; i++) {
		Elf64_Phdr part;
		memcpy(&part, (char *)data + head.e_phoff + i * sizeof(part), sizeof(part));
		if (part.p_offset > len || part.p_filesz > len - part.p_offset)
			return len;
		end = MAX_OF(end, (size_t)(part.p_offset + part.p_filesz));
	}
	end = MAX_OF(end, (size_t)head.e_phoff + head.e_phnum * sizeof(Elf64_Phdr));
	head.e_shoff = 0;
	head.e_shnum = head.e_shstrndx = 0;
	memcpy(data, &head, sizeof(head));
	return end;
}

/* A regular file of the host's; of a program what is loaded, else whole. */
static int put_host_file(struct archive *a, const char *name, mode_t mode, int fd, size_t max, bool program)
{
	struct stat st;
	void *map;

	if (fstat(fd, &st) < 0)
		return err_sys(a->err, "cannot look at \"%s\" for the guest's initramfs", name);
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || (size_t)st.st_size > max)
		return err_set(a->err, EINVAL,
			       "cannot put \"%s\" into the guest's initramfs: not a file of 1 to %zu bytes",
			       name, max);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return err_sys(a->err, "cannot map \"%s\" for the guest's initramfs", name);
	size_t len = program ? loaded_part(map, (size_t)st.st_size) : (size_t)st.st_size;
	int r = put_cpio(a, &(struct entry){.name = name, .mode = S_IFREG | mode, .data = map, .len = len});
	(void)munmap(map, (size_t)st.st_size); /* ours */
	return r;
}

static int put_module(struct archive *a, int modules_fd, const char *name)
{
	autofree char *path = str_format("lib/modules/%s", name);
	autoclose int fd = -1;

	if (!path)
		return err_oom(a->err);
	if (strchr(name, '/') || streq(name, ".") || streq(name, ".."))
		return err_set(a->err, EINVAL, "\"%s\" in modules.list is no name of a module", name);
	fd = openat(modules_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return err_sys(a->err, "cannot open the module \"%s\"", name);
	return put_host_file(a, path, 0644, fd, MODULE_MAX, false);
}

static int put_modules(struct archive *a, int dir_fd)
{
	autofree char *list = NULL;
	struct str paths autostr = {0};
	autoclose int modules = -1;
	size_t len;
	int r = file_read_at(dir_fd, "modules.list", LIST_MAX, &list, &len);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_num(a->err, r, "cannot read modules.list of the guest's kernel");
	if (!len)
		return 0;
	modules = openat(dir_fd, "modules", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (modules < 0)
		return err_sys(a->err, "cannot open the modules of the guest's kernel");
	for (char *at = list, *name; r == 0 && (name = strsep(&at, "\n"));) {
		if (!*name)
			continue;
		r = put_module(a, modules, name);
		str_putf(&paths, "/lib/modules/%s\n", name);
	}
	if (r < 0)
		return r;
	if (paths.failed)
		return err_oom(a->err);
	return put_cpio(a, &(struct entry){.name = "lib/modules/coffer.list",
					   .mode = S_IFREG | 0644,
					   .data = paths.s,
					   .len = paths.len});
}

int initramfs_write(int fd, int agent_fd, int dir_fd, struct err *err)
{
	static const char *const dirs[] = {"dev", "proc", "sys", "run", "tmp", "etc", "lib", "lib/modules"};
	static const struct entry nodes[] = {
		/* The kernel opens it before init runs. */
		{.name = "dev/console", .mode = S_IFCHR | 0600, .major = 5, .minor = 1},
		{.name = "dev/null", .mode = S_IFCHR | 0666, .major = 1, .minor = 3},
	};
	struct archive a = {.fd = fd, .err = err};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(dirs); i++)
		r = put_cpio(&a, &(struct entry){.name = dirs[i], .mode = S_IFDIR | 0755});
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(nodes); i++)
		r = put_cpio(&a, &nodes[i]);
	if (r == 0)
		r = put_host_file(&a, "init", 0755, agent_fd, AGENT_MAX, true);
	if (r == 0 && dir_fd >= 0)
		r = put_modules(&a, dir_fd);
	return r < 0 ? r : put_cpio(&a, &(struct entry){.name = "TRAILER!!!"});
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "isolate/vm/guest_files.h"

#include "base/file.h"
#include "base/str.h"
#include "host/helper.h"
#include "isolate/vm/initramfs.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#define SYSTEM_DIR "/var/lib/coffer/vm"
#define WHAT_TO_TYPE                                                                                         \
	"'coffer vm fetch-kernel' gets Debian's, 'coffer vm build-kernel' builds a smaller and faster one"

enum {
	INFO_MAX = 1 << 16,
	KERNELS_MAX = 256,
	STALE_SECONDS = 24 * 3600, /* an initramfs of another agent; another installation may still use it */
};

/* ---- where ---- */

struct folders {
	char *v[2];
	size_t n;
};

static void drop_folders(struct folders *p)
{
	for (size_t i = 0; i < ARRAY_LEN(p->v); i++)
		free(p->v[i]);
}

static void find_folders(struct folders *ret)
{
	const char *set = secure_getenv("COFFER_VM_DIR"), *data = secure_getenv("XDG_DATA_HOME"),
		   *home = secure_getenv("HOME");
	struct folders p = {0};

	if (set && *set == '/') {
		p.v[p.n++] = strdup(set);
	} else {
		if (geteuid() != 0 && data && *data == '/')
			p.v[p.n++] = str_format("%s/coffer/vm", data);
		else if (geteuid() != 0 && home && *home == '/')
			p.v[p.n++] = str_format("%s/.local/share/coffer/vm", home);
		p.v[p.n++] = strdup(SYSTEM_DIR);
	}
	*ret = p;
}

char *guest_kernels_dir(void)
{
	struct folders p;

	find_folders(&p);
	char *first = p.v[0];
	p.v[0] = NULL;
	drop_folders(&p);
	return first;
}

/* ---- the kernels there are ---- */

struct info {
	const char *source, *release, *devices;
	int64_t made;
};
static const char *const device_words[] = {
	[GUEST_DEVICES_CMDLINE] = "cmdline",
	[GUEST_DEVICES_ACPI] = "acpi",
	NULL,
};
static const struct json_field info_fields[] = {
	F_STR(struct info, source, "source", .required = true),
	F_STR(struct info, release, "release", .required = true),
	F_STR(struct info, devices, "devices", .required = true, .allowed = device_words),
	F_I64(struct info, made, "made", .required = true),
};
static const struct json_table info_table = JSON_TABLE(struct info, info_fields);

static void kernel_free(struct guest_kernel *k)
{
	free(k->name);
	free(k->dir);
	free(k->source);
	free(k->release);
}

void guest_kernels_free(struct guest_kernels *k)
{
	for (size_t i = 0; i < k->n; i++)
		kernel_free(&k->v[i]);
	free(k->v);
	*k = (struct guest_kernels){0};
}

static int decode_info(int dir_fd, const char *where, struct guest_kernel *k, struct err *err)
{
	struct json_doc memory autojson = {0};
	autofree char *text = NULL;
	struct info info = {0};
	size_t len;
	int r = file_read_at(dir_fd, "info.json", INFO_MAX, &text, &len);

	if (r < 0)
		return err_num(err, r, "cannot read \"%s/info.json\"", where);
	r = json_decode(&memory, text, len, where, &info_table, &info, err);
	if (r < 0)
		return r;
	k->source = strdup(info.source);
	k->release = strdup(info.release);
	k->devices = streq(info.devices, device_words[GUEST_DEVICES_ACPI]) ? GUEST_DEVICES_ACPI
									   : GUEST_DEVICES_CMDLINE;
	k->made = info.made;
	return k->source && k->release ? 0 : err_oom(err);
}

/* 0: *ret is one; -errno: it is none, or not to be trusted. */
static int examine_kernel(int place_fd, const char *place, const char *name, struct guest_kernel *ret,
			  struct err *err)
{
	struct guest_kernel k = {.name = strdup(name), .dir = str_format("%s/%s", place, name)};
	autoclose int dir = -1;
	struct stat st, kst;
	int r = 0;

	if (!k.name || !k.dir)
		r = err_oom(err);
	else if ((dir = openat(place_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) < 0 ||
		 fstat(dir, &st) < 0 || fstatat(dir, "kernel", &kst, AT_SYMLINK_NOFOLLOW) < 0)
		r = err_sys(err, "cannot open \"%s/kernel\"", k.dir);
	else if (!S_ISREG(kst.st_mode) || !kst.st_size || ((st.st_mode | kst.st_mode) & S_IWOTH))
		r = err_set(err, EPERM, "\"%s/kernel\" is no file, or everybody may write it", k.dir);
	if (r == 0)
		r = decode_info(dir, k.dir, &k, err);
	if (r < 0) {
		kernel_free(&k);
		return r;
	}
	k.bytes = (uint64_t)kst.st_size;
	*ret = k;
	return 0;
}

static int list_place(const char *place, struct guest_kernels *all, struct err *err)
{
	autoclose int fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int twin = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
	DIR *d = twin >= 0 ? fdopendir(twin) : NULL;
	int r = 0;

	if (!d) {
		if (twin >= 0)
			(void)close(twin); /* read-only */
		return errno == ENOENT || errno == ENOTDIR
			       ? 0
			       : err_sys(err, "cannot list the kernels in \"%s\"", place);
	}
	for (struct dirent *e; r == 0 && all->n < KERNELS_MAX && (e = readdir(d));) {
		struct err why = {0};
		struct guest_kernel k = {0};
		/* A dot: one that is being made. */
		if (*e->d_name == '.' || examine_kernel(fd, place, e->d_name, &k, &why) < 0)
			continue;
		struct guest_kernel *more = realloc(all->v, (all->n + 1) * sizeof(*more));
		if (!more) {
			kernel_free(&k);
			r = err_oom(err);
			break;
		}
		all->v = more;
		all->v[all->n++] = k;
	}
	(void)closedir(d); /* read-only */
	return r;
}

static int newest_first(const void *a, const void *b)
{
	const struct guest_kernel *x = a, *y = b;

	return x->made != y->made ? (x->made < y->made) - (x->made > y->made) : strcmp(x->name, y->name);
}

int guest_kernels_list(struct guest_kernels *ret, struct err *err)
{
	struct guest_kernels all = {0};
	struct folders p;
	int r = 0;

	find_folders(&p);
	for (size_t i = 0; r == 0 && i < p.n; i++)
		r = p.v[i] ? list_place(p.v[i], &all, err) : err_oom(err);
	drop_folders(&p);
	if (r < 0) {
		guest_kernels_free(&all);
		return r;
	}
	if (all.n)
		qsort(all.v, all.n, sizeof(*all.v), newest_first);
	*ret = all;
	return 0;
}

/* ---- the initramfs ---- */

static int open_agent_program(int *ret_fd, struct stat *ret_st, struct err *err)
{
	autofree char *path = NULL;
	int r = helper_path("coffer-agent", &path, err);

	if (r < 0)
		return r;
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, ret_st) < 0)
		return err_sys(err, "cannot open the agent \"%s\"", path);
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Those of agents that are no more.  What cannot be removed is in nobody's way. */
static void drop_stale(int dir_fd, const char *keep)
{
	int twin = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = twin >= 0 ? fdopendir(twin) : NULL;
	time_t now = time(NULL);
	struct stat st;

	if (!d) {
		if (twin >= 0)
			(void)close(twin); /* read-only */
		return;
	}
	for (struct dirent *e; (e = readdir(d));)
		if (str_starts(e->d_name, "initramfs-") && !streq(e->d_name, keep) &&
		    fstatat(dir_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_mtime < now - STALE_SECONDS)
			(void)unlinkat(dir_fd, e->d_name, 0); /* see above */
	(void)closedir(d);				      /* read-only */
}

/* A descriptor that nothing can be written through, of one that could. */
static int reopen_readonly(int fd, struct err *err)
{
	int r = open(fd_path(fd).s, O_RDONLY | O_CLOEXEC);

	return r < 0 ? err_sys(err, "cannot open the guest's initramfs again") : r;
}

/*
 * Made without a name, and linked when whole: whoever is killed leaves
 * nothing, and two at once make the same.  Where the directory cannot be
 * written, it lives in memory.
 */
static int make_initramfs(int dir_fd, const char *name, int agent_fd, struct err *err)
{
	autoclose int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
	bool named = fd >= 0;

	if (!named)
		fd = memfd_create("coffer-initramfs", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "cannot make the guest's initramfs");
	int r = initramfs_write(fd, agent_fd, dir_fd, err);
	if (r < 0)
		return r;
	if (named && linkat(AT_FDCWD, fd_path(fd).s, dir_fd, name, AT_SYMLINK_FOLLOW) == 0)
		drop_stale(dir_fd, name);
	/* Without a name (somebody else was faster, the disk is full) it serves this machine all the same. */
	return reopen_readonly(fd, err);
}

/* The initramfs of the agent that there is now. */
static int open_initramfs(int dir_fd, bool anew, char **ret_name, struct err *err)
{
	autoclose int agent = -1;
	struct stat st;
	int r = open_agent_program(&agent, &st, err);

	if (r < 0)
		return r;
	autofree char *name =
		str_format("initramfs-%d-%llx-%llx%08lx", INITRAMFS_FORMAT, (unsigned long long)st.st_size,
			   (unsigned long long)st.st_ctim.tv_sec, (unsigned long)st.st_ctim.tv_nsec);
	if (!name)
		return err_oom(err);
	if (anew && unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
		return err_sys(err, "cannot remove the old initramfs \"%s\"", name);
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		fd = make_initramfs(dir_fd, name, agent, err);
	if (fd >= 0 && ret_name)
		*ret_name = take_ptr(&name);
	return fd;
}

int guest_initramfs_make(const struct guest_kernel *k, bool anew, char **ret_path, struct err *err)
{
	autoclose int dir = open(k->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	autofree char *name = NULL;

	if (dir < 0)
		return err_sys(err, "cannot open \"%s\"", k->dir);
	fd = open_initramfs(dir, anew, &name, err);
	if (fd < 0)
		return fd;
	if (faccessat(dir, name, F_OK, 0) < 0)
		return err_sys(err, "cannot write \"%s/%s\"", k->dir, name);
	*ret_path = str_format("%s/%s", k->dir, name);
	return *ret_path ? 0 : err_oom(err);
}

/* ---- opening ---- */

static int open_named(const char *path, const char *what, struct err *err)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "cannot open the guest's %s \"%s\" of coffer.toml", what, path);
	if (!S_ISREG(st.st_mode) || !st.st_size)
		return err_set(err, EINVAL,
			       "the guest's %s \"%s\" of coffer.toml is no file with something in it", what,
			       path);
	if (st.st_mode & S_IWOTH)
		return err_set(err, EPERM, "cannot use the guest's %s \"%s\": everybody may write it", what,
			       path);
	return take_fd(&fd);
}

/*
 * A kernel that the configuration names has no info.json.  One that takes
 * devices on the command line has the parameter's name in it; a compressed
 * one cannot be asked, and such are distributions', which do not.
 */
static enum guest_devices ask_kernel(int fd)
{
	static const char parameter[] = "virtio_mmio.device";
	enum guest_devices answer = GUEST_DEVICES_ACPI;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return answer;
	void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return answer;
	if (memmem(map, (size_t)st.st_size, parameter, strlen(parameter)))
		answer = GUEST_DEVICES_CMDLINE;
	(void)munmap(map, (size_t)st.st_size); /* ours */
	return answer;
}

static int newest(struct guest_kernel *ret, struct err *err)
{
	struct guest_kernels all;
	int r = guest_kernels_list(&all, err);

	if (r < 0)
		return r;
	if (!all.n) {
		autofree char *dir = guest_kernels_dir();
		return err_set(err, ENOENT, "no kernel for virtual machines in \"%s\": " WHAT_TO_TYPE,
			       dir ? dir : SYSTEM_DIR);
	}
	*ret = all.v[0];
	all.v[0] = (struct guest_kernel){0};
	guest_kernels_free(&all);
	return 0;
}

static int open_newest(struct guest_files *f, bool with_initramfs, struct err *err)
{
	struct guest_kernel k = {0};
	int r = newest(&k, err);

	if (r < 0)
		return r;
	autoclose int dir = open(k.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		r = err_sys(err, "cannot open \"%s\"", k.dir);
	else if ((f->kernel_fd = openat(dir, "kernel", O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) < 0)
		r = err_sys(err, "cannot open \"%s/kernel\"", k.dir);
	else if (with_initramfs && (f->initramfs_fd = open_initramfs(dir, false, NULL, err)) < 0)
		r = f->initramfs_fd;
	f->devices = k.devices;
	f->name = take_ptr(&k.name);
	kernel_free(&k);
	return r;
}

/* The agent alone: a kernel of the user's own has its drivers built in, or an initramfs in coffer.toml. */
static int agent_only(struct err *err)
{
	autoclose int agent = -1, fd = -1;
	struct stat st;
	int r = open_agent_program(&agent, &st, err);

	if (r < 0)
		return r;
	fd = memfd_create("coffer-initramfs", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "cannot make the guest's initramfs");
	r = initramfs_write(fd, agent, -1, err);
	return r < 0 ? r : reopen_readonly(fd, err);
}

int guest_files_open(const struct vm_settings *s, struct guest_files *ret, struct err *err)
{
	struct guest_files f = {.kernel_fd = -1, .initramfs_fd = -1};
	int r = 0;

	if (s->initramfs && (f.initramfs_fd = open_named(s->initramfs, "initramfs", err)) < 0)
		return f.initramfs_fd;
	if (!s->kernel) {
		r = open_newest(&f, !s->initramfs, err);
	} else if ((f.kernel_fd = open_named(s->kernel, "kernel", err)) < 0) {
		r = f.kernel_fd;
	} else {
		f.devices = ask_kernel(f.kernel_fd);
		f.name = strdup(s->kernel);
		if (!f.name)
			r = err_oom(err);
		else if (!s->initramfs && (f.initramfs_fd = agent_only(err)) < 0)
			r = f.initramfs_fd;
	}
	if (r < 0) {
		guest_files_close(&f);
		return r;
	}
	*ret = f;
	return 0;
}

int guest_files_devices(const struct vm_settings *s, enum guest_devices *ret, struct err *err)
{
	struct guest_kernel k = {0};

	if (s->kernel) {
		autoclose int fd = open_named(s->kernel, "kernel", err);
		if (fd < 0)
			return fd;
		*ret = ask_kernel(fd);
		return 0;
	}
	int r = newest(&k, err);
	if (r == 0)
		*ret = k.devices;
	kernel_free(&k);
	return r;
}

void guest_files_close(struct guest_files *f)
{
	fd_drop(&f->kernel_fd);
	fd_drop(&f->initramfs_fd);
	free(f->name);
	f->name = NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots on disk, beside the kernels:
 *
 *	snapshots/		0700: what is in a machine's memory is in them
 *		NAME/machine	the keeper's (vm/snapshot.c)
 *		NAME/info.json	the engine's
 *		.making-NAME/	one under way; renamed when it is whole
 *		.gone-NAME/	one that is being removed
 *		.lock		held by who makes or removes one
 *
 * So whoever has the lock knows that what begins with a dot was left by one
 * that was killed.
 */
#include "isolate/machine.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/str.h"
#include "isolate/vm/vm.h"

#include <ctype.h>
#include <dirent.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { INFO_MAX = 4 << 20, NAME_LEN_MAX = 100 };
#define MAKING "making-"
#define GONE   "gone-"

static int check_snapshot_name(const char *name, struct err *err)
{
	size_t n = strlen(name);
	bool good = n > 0 && n <= NAME_LEN_MAX && isalnum((unsigned char)name[0]);

	for (size_t i = 0; i < n && good; i++)
		good = isalnum((unsigned char)name[i]) || strchr("_.-", name[i]);
	return good ? 0
		    : err_set(err, EINVAL,
			      "\"%.128s\" is no name of a snapshot: letters, digits, \"_\", \".\", \"-\", at "
			      "most %d",
			      name, NAME_LEN_MAX);
}

/* -ENOENT, with no error set, where there is none and it is not to be made. */
static int open_snapshots(bool make, struct err *err)
{
	autofree char *kernels = guest_kernels_dir();
	autofree char *path = kernels ? str_format("%s/snapshots", kernels) : NULL;
	struct stat st;

	*err = (struct err){0}; /* callers ask whether there is an error now */
	if (!path)
		return err_oom(err);
	if (make && (file_mkdir_all(kernels, 0755) < 0 || (mkdir(path, 0700) < 0 && errno != EEXIST)))
		return err_sys(err, "cannot make \"%s\"", path);
	autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && !make)
		return -ENOENT;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "cannot open \"%s\"", path);
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		return err_set(err, EPERM,
			       "\"%s\" is not yours, or others may look into it: its snapshots are not used",
			       path);
	return take_fd(&fd);
}

static int lock_snapshots(int dir, struct err *err)
{
	autoclose int fd = openat(dir, ".lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return err_sys(err, "cannot lock the snapshots");
	do
		r = flock(fd, LOCK_EX);
	while (r < 0 && errno == EINTR);
	return r < 0 ? err_sys(err, "cannot lock the snapshots") : take_fd(&fd);
}

/* ---- looking ---- */

static int read_info(int dir, const char *name, char **ret, size_t *ret_len)
{
	autofree char *path = str_format("%s/info.json", name);

	return path ? file_read_at(dir, path, INFO_MAX, ret, ret_len) : -ENOMEM;
}

int guest_snapshots_each(int (*each)(void *data, const char *name, const char *info, size_t len,
				     struct err *err),
			 void *data, struct err *err)
{
	int fd = open_snapshots(false, err), r = 0;
	struct dirent *e;

	if (fd < 0)
		return err->code ? fd : 0;
	DIR *d = fdopendir(fd);
	if (!d) {
		(void)close(fd); /* read only */
		return err_sys(err, "cannot list the snapshots");
	}
	while (r == 0 && (e = readdir(d))) {
		autofree char *info = NULL;
		size_t len = 0;
		if (e->d_name[0] != '.' && read_info(fd, e->d_name, &info, &len) == 0)
			r = each(data, e->d_name, info, len, err);
	}
	(void)closedir(d); /* read only */
	return r;
}

int guest_snapshot_info(const char *name, char **ret, size_t *ret_len, struct err *err)
{
	int r = check_snapshot_name(name, err);
	autoclose int dir = r < 0 ? -1 : open_snapshots(false, err);

	if (err->code)
		return -err->code;
	r = dir < 0 ? -ENOENT : read_info(dir, name, ret, ret_len);
	return r == -ENOENT ? err_set(err, ENOENT, "no such snapshot: %s", name)
	       : r < 0	    ? err_num(err, r, "cannot read snapshot %s", name)
			    : 0;
}

/* The machine's memory in the snapshot of that name; -ENOENT, without a text: there is no such snapshot. */
static int open_machine(const char *before, const char *name, int flags, struct stat *ret, struct err *err)
{
	autofree char *path = str_format("%s%s/machine", before, name);
	int r = check_snapshot_name(name, err);
	autoclose int dir = r < 0 ? -1 : open_snapshots(false, err);

	if (err->code)
		return -err->code;
	if (!path)
		return err_oom(err);
	autoclose int fd = dir < 0 ? -1 : openat(dir, path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (dir < 0 || (fd < 0 && errno == ENOENT))
		return -ENOENT;
	if (fd < 0 || fstat(fd, ret) < 0)
		return err_sys(err, "cannot open snapshot %s", name);
	return take_fd(&fd);
}

int vm_snapshot_open(const char *name, struct err *err)
{
	struct stat st;
	autoclose int fd = open_machine("", name, O_RDONLY, &st, err);

	if (fd < 0)
		return err->code ? fd : err_set(err, ENOENT, "no such snapshot: %s", name);
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return err_set(err, EPERM, "snapshot %s may be written by others: it is not used", name);
	return take_fd(&fd);
}

/* ---- making ---- */

int vm_snapshot_open_begun(const char *name, struct err *err)
{
	struct stat st;
	autoclose int fd = open_machine("." MAKING, name, O_RDWR, &st, err);

	if (err->code)
		return fd;
	if (fd < 0 || !S_ISREG(st.st_mode) || st.st_size != 0)
		return err_set(err, ENOENT,
			       "no snapshot \"%s\" is under way: type `coffer vm snapshot --template`", name);
	return take_fd(&fd);
}

static int remove_inner(int dir, const char *name, struct err *err)
{
	int r = file_remove_tree_at(dir, name);

	return r < 0 && r != -ENOENT ? err_num(err, r, "cannot remove snapshot %s", name) : 0;
}

/* Of a name that is the image's tag too, who lists what is left knows what to take away. */
static int clear_left(int dir, void (*left)(void *data, const char *name), void *data, struct err *err)
{
	DIR *d = fdopendir(fcntl(dir, F_DUPFD_CLOEXEC, 3));
	struct dirent *e;
	int r = 0;

	if (!d)
		return err_sys(err, "cannot list the snapshots");
	rewinddir(d);
	while (r == 0 && (e = readdir(d))) {
		const char *name = str_starts(e->d_name, "." MAKING) ? e->d_name + sizeof(MAKING)
				   : str_starts(e->d_name, "." GONE) ? e->d_name + sizeof(GONE)
								     : NULL;
		if (!name)
			continue;
		if (left && faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			left(data, name);
		r = remove_inner(dir, e->d_name, err);
	}
	(void)closedir(d); /* read only */
	return r;
}

int guest_snapshot_begin(const char *name, void (*left)(void *data, const char *name), void *data,
			 struct guest_snapshot *ret, struct err *err)
{
	struct guest_snapshot s = {.dir = -1, .lock = -1, .made = -1, .machine = -1};
	int r = check_snapshot_name(name, err);

	s.dir = r < 0 ? -1 : open_snapshots(true, err);
	s.lock = s.dir < 0 ? -1 : lock_snapshots(s.dir, err);
	r = s.lock < 0 ? -err->code : clear_left(s.dir, left, data, err);
	if (r == 0 && faccessat(s.dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		r = err_set(err, EEXIST, "there is a snapshot %s already (coffer vm snapshot-rm %s)", name,
			    name);
	s.name = r < 0 ? NULL : strdup(name);
	s.inner = r < 0 ? NULL : str_format("." MAKING "%s", name);
	if (r == 0 && (!s.name || !s.inner))
		r = err_oom(err);
	if (r == 0 && mkdirat(s.dir, s.inner, 0700) < 0)
		r = err_sys(err, "cannot make snapshot %s", name);
	s.made = r < 0 ? -1 : openat(s.dir, s.inner, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	s.machine = s.made < 0 ? -1 : openat(s.made, "machine", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (r == 0 && s.machine < 0)
		r = err_sys(err, "cannot make snapshot %s", name);
	if (r < 0)
		guest_snapshot_drop(&s);
	else
		*ret = s;
	return r;
}

int guest_snapshot_finish(struct guest_snapshot *s, const char *info, struct err *err)
{
	int r = file_replace_at(s->made, "info.json", info, strlen(info), 0600, true);

	if (r < 0)
		return err_num(err, r, "cannot write snapshot %s", s->name);
	if (fsync(s->machine) < 0 || fsync(s->made) < 0 || renameat(s->dir, s->inner, s->dir, s->name) < 0 ||
	    fsync(s->dir) < 0)
		return err_sys(err, "cannot keep snapshot %s", s->name);
	free(s->inner);
	s->inner = NULL;
	return 0;
}

void guest_snapshot_drop(struct guest_snapshot *s)
{
	struct err ignored = {0};

	if (s->inner && s->dir >= 0)
		ignore_result(remove_inner(s->dir, s->inner, &ignored)); /* the next one removes it */
	fd_drop(&s->machine);
	fd_drop(&s->made);
	fd_drop(&s->lock);
	fd_drop(&s->dir);
	free(s->inner);
	free(s->name);
	s->inner = s->name = NULL;
}

int guest_snapshot_remove(const char *name, void (*left)(void *data, const char *name), void *data,
			  struct err *err)
{
	autofree char *gone = str_format("." GONE "%s", name);
	int r = check_snapshot_name(name, err);
	autoclose int dir = r < 0 ? -1 : open_snapshots(false, err);

	if (err->code)
		return -err->code;
	if (!gone)
		return err_oom(err);
	autoclose int lock = dir < 0 ? -1 : lock_snapshots(dir, err);
	if (dir >= 0 && lock < 0)
		return lock;
	if (dir < 0 || faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(err, ENOENT, "no such snapshot: %s", name);
	if (renameat(dir, name, dir, gone) < 0)
		return err_sys(err, "cannot remove snapshot %s", name);
	return clear_left(dir, left, data, err);
}

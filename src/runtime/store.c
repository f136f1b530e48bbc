/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/store.h"

#include "base/file.h"
#include "base/str.h"

#include <sys/file.h>
#include <sys/stat.h>

/* Not blocking: what lies there instead may be a FIFO. */
enum { INIT_FLAGS = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC };

int store_check_id(const char *id, struct err *err)
{
	size_t len = strlen(id);
	size_t good = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.");

	if (len == 0)
		return err_set(err, EINVAL, "container id cannot be empty");
	if (good != len || streq(id, ".") || streq(id, ".."))
		return err_set(err, EINVAL, "invalid container ID format");
	if (len > NAME_MAX)
		return err_set(err, EINVAL, "invalid container ID format: longer than %d characters",
			       NAME_MAX);
	return 0;
}

static int open_dir(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* 0711: the container's root, which may be another user, passes through to the notify socket. */
static int make_dir(const char *root, const char *path)
{
	int r;

	if (mkdir(path, 0711) == 0)
		return 0;
	if (errno != ENOENT)
		return -errno;
	r = file_mkdir_all(root, 0700);
	if (r < 0)
		return r;
	return mkdir(path, 0711) < 0 ? -errno : 0;
}

int store_claim(const char *root, const char *id, struct err *err)
{
	int r = store_check_id(id, err);

	if (r < 0)
		return r;
	autofree char *path = str_format("%s/%s", root, id);
	if (!path)
		return err_oom(err);
	r = make_dir(root, path);
	if (r == -EEXIST)
		return err_set(err, EEXIST, "container with given ID already exists");
	if (r < 0)
		return err_num(err, r, "cannot make the state directory \"%s\"", path);
	autoclose int fd = open_dir(path);
	if (fd < 0) {
		r = err_sys(err, "cannot open the state directory \"%s\"", path);
		(void)rmdir(path); /* ours and empty; the first error is the one to tell */
		return r;
	}
	r = store_lock(fd, err);
	if (r < 0) {
		/* Still ours, and empty.  After -ENOENT, a delete of somebody's, the name may be another's.
		 */
		if (r != -ENOENT)
			(void)rmdir(path); /* the first error is the one to tell */
		return r;
	}
	return take_fd(&fd);
}

int store_open(const char *root, const char *id, struct err *err)
{
	int r = store_check_id(id, err);

	if (r < 0)
		return r;
	autofree char *path = str_format("%s/%s", root, id);
	if (!path)
		return err_oom(err);
	int fd = open_dir(path);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return err_set(err, ENOENT, "container does not exist");
	if (fd < 0)
		return err_sys(err, "cannot open the state directory \"%s\"", path);
	return fd;
}

int store_lock(int dirfd, struct err *err)
{
	struct stat st;

	int r = fd_flock(dirfd, LOCK_EX);

	if (r < 0)
		return err_num(err, r, "cannot lock the state directory");
	if (fstat(dirfd, &st) < 0)
		return err_sys(err, "cannot look at the state directory");
	if (st.st_nlink == 0)
		return err_set(err, ENOENT, "container does not exist");
	return 0;
}

bool store_try_lock(int dirfd)
{
	return fd_flock(dirfd, LOCK_EX | LOCK_NB) == 0;
}

bool store_busy(int dirfd)
{
	/* Another open file description: the lock of our own caller does not count as foreign. */
	autoclose int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && fd_flock(fd, LOCK_SH | LOCK_NB) == -EWOULDBLOCK;
}

void store_unlock(int dirfd)
{
	(void)flock(dirfd, LOCK_UN); /* cannot fail on a lock of ours */
}

int store_remove(const char *root, const char *id, int dirfd, struct err *err)
{
	static const char *const known[] = {"init", "config.json", "control.sock", "start.sock",
					    "state.json"};
	autofree char *path = str_format("%s/%s", root, id);

	if (!path)
		return err_oom(err);
	/* While state.json stands the rest can be found again: anything unusual goes before it. */
	for (size_t i = 0; i < ARRAY_LEN(known) - 1; i++)
		(void)unlinkat(dirfd, known[i], 0); /* what cannot be removed makes rmdir fail */
	if (unlinkat(dirfd, "state.json", 0) < 0 && errno != ENOENT)
		return err_sys(err, "cannot remove \"%s/state.json\"", path);
	if (rmdir(path) == 0 || errno == ENOENT)
		return 0;
	autoclose int rootfd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = rootfd < 0 ? -errno : file_remove_tree_at(rootfd, id);
	return r < 0 ? err_num(err, r, "cannot remove \"%s\"", path) : 0;
}

int store_write_init(int dirfd, const struct store_init *init, struct err *err)
{
	char text[64];
	int len = snprintf(text, sizeof(text), "%c %d %llu\n", init->phase, init->pid,
			   (unsigned long long)init->start_time);

	/* A reader that comes between open and write sees an empty file: no process yet. */
	autoclose int fd = openat(dirfd, "init", O_WRONLY | O_CREAT | O_TRUNC | INIT_FLAGS, 0600);
	if (fd < 0)
		return err_sys(err, "cannot record the container's process");
	int r = fd_write_all(fd, text, (size_t)len);
	if (r < 0)
		return err_num(err, r, "cannot record the container's process");
	return 0;
}

int store_set_phase(int dirfd, enum store_phase phase, struct err *err)
{
	char c = (char)phase;
	autoclose int fd = openat(dirfd, "init", O_WRONLY | INIT_FLAGS);

	if (fd < 0 || pwrite(fd, &c, 1, 0) != 1)
		return err_sys(err, "cannot record the container's phase");
	return 0;
}

int store_read_init(int dirfd, struct store_init *ret)
{
	char text[64], phase;
	unsigned long long start;
	int pid;

	autoclose int fd = openat(dirfd, "init", O_RDONLY | INIT_FLAGS);
	if (fd < 0)
		return -errno;
	ssize_t n = fd_read_full(fd, text, sizeof(text) - 1);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	if (n == 0)
		return -ENOENT;
	if (sscanf(text, "%c %d %llu\n", &phase, &pid, &start) != 3 || pid <= 0 || !strchr("ncsr", phase))
		return -EINVAL;
	*ret = (struct store_init){.pid = pid, .start_time = start, .phase = (enum store_phase)phase};
	return 0;
}

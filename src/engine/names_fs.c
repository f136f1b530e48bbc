/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /etc/hosts, /etc/hostname and /etc/resolv.conf as the container has them: on a file system of their own.
 *
 * Theory of operation.  The container may write to all three, and they must not be on a file system of the
 * host's that it could fill: /run is where the machine's other services keep theirs.  So what is in the run
 * directory is what they begin with, and is nobody's but root's; the container gets a copy on a tmpfs with
 * room for the texts and some more.  The tmpfs is detached, and goes with the container's mounts.  Clones of
 * a detached mount take Linux 6.15; elsewhere, and for an ordinary user, whose run directory is the user's
 * own to fill, the container has the files of the run directory themselves.
 */
#include "engine/start.h"

#include "base/file.h"
#include "base/sys.h"
#include "host/mount.h"

#include <sys/mount.h>
#include <sys/stat.h>

enum { NAMES_TEXT_MAX = 2 << 20, NAMES_ROOM_KB = 512 };

static const char *const file_names[] = {"hosts", "hostname", "resolv.conf"};

struct names_fs {
	char *text[ARRAY_LEN(file_names)];
	size_t len[ARRAY_LEN(file_names)];
};

static void names_fs_free(struct names_fs *f)
{
	for (size_t i = 0; i < ARRAY_LEN(f->text); i++)
		free(f->text[i]);
}
#define autonamesfs __attribute__((cleanup(names_fs_free)))

/* -EOPNOTSUPP, with no error set: not on this kernel. */
static int make_names_fs(const struct names_fs *f, struct err *err)
{
	size_t kb = NAMES_ROOM_KB;
	char data[64];

	for (size_t i = 0; i < ARRAY_LEN(f->text); i++)
		kb += f->len[i] / 1024 + 1;
	if (snprintf(data, sizeof(data), "mode=0755,nr_inodes=8,size=%zuk", kb) < 0)
		return err_set(err, EINVAL, "cannot name the size of a file system");
	const struct mount_request q = {
		.type = "tmpfs", .source = "names", .data = data, .flags = MS_NOSUID | MS_NODEV};
	return mount_new(&q, err);
}

static int put_name(const struct engine_starting *s, int dir, const char *name, const char *text, size_t len,
		    struct err *err)
{
	autoclose int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	uint32_t uid = engine_maps_host(&s->maps.uids, 0), gid = engine_maps_host(&s->maps.gids, 0);
	int r = fd < 0 ? -errno : fd_write_all(fd, text, len);

	if (r >= 0 && (fchown(fd, uid, gid) < 0 || fchmod(fd, 0644) < 0))
		r = -errno;
	return r < 0 ? err_num(err, r, "cannot make the container's \"%s\"", name) : 0;
}

int engine_names_bounded(struct engine_starting *s, struct held_mounts *later, struct err *err)
{
	char **const paths[] = {&s->hosts, &s->hostname, &s->resolv};
	struct names_fs f autonamesfs = {0};
	int trees[ARRAY_LEN(file_names)], r = 0;

	if (s->e->o.rootless)
		return 0;
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(paths); i++) {
		r = file_read_at(AT_FDCWD, *paths[i], NAMES_TEXT_MAX, &f.text[i], &f.len[i]);
		if (r < 0)
			return err_num(err, r, "cannot read \"%s\"", *paths[i]);
	}
	/* Closed by the monitor, as the clones below: the last close of each waits for an RCU grace period,
	 * and the container's end is not told before this process has ended. */
	int root = make_names_fs(&f, err);
	if (root == -EOPNOTSUPP)
		return 0;
	if (root < 0)
		return root;
	held_mounts_lend(later, root);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		r = put_name(s, root, file_names[i], f.text[i], f.len[i], err);
		if (r < 0)
			return r;
		trees[i] = sys_open_tree(root, file_names[i], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		if (trees[i] < 0)
			return i == 0 && errno == EINVAL
				       ? 0
				       : err_sys(err, "cannot clone the container's \"%s\"", file_names[i]);
	}
	/* They stay open here until this process ends: the runtime finds them by number. */
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		free(*paths[i]);
		*paths[i] = str_format("/proc/self/fd/%d", trees[i]);
		if (!*paths[i])
			return err_oom(err);
		held_mounts_lend(later, trees[i]);
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The places that the engine mounts something on in every container, below the layers of its image.
 *
 * Theory of operation.  Few images have /etc/hosts, /etc/hostname and /etc/resolv.conf.  Where they are
 * missing they would be made in each container's upper directory, and /etc copied up for them: four inodes on
 * the disk that are there to be covered.  So the lowest layer of a root is a directory of RUN_ROOT that has
 * them, one for all containers: what the image has, or says to be gone, covers it.  Any number of processes
 * may be making it at the same time, and be killed while they do: it is used once the mark beside it stands.
 * Where it cannot be made or used (image/snapshot.c) the mount points are made one by one, as ever.
 */
#include "engine/engine_int.h"

#include "base/fd.h"
#include "base/str.h"

#include <fcntl.h>
#include <sys/stat.h>

static const char places_top[] = "../places", places_tree[] = "../places/tree",
		  places_mark[] = "../places/whole";

static const char *const dirs[] = {"dev", "etc", "proc", "sys"};
static const char *const files[] = {"etc/hostname", "etc/hosts", "etc/resolv.conf"};

static bool are_whole(const struct engine *e)
{
	return e->run_fd >= 0 && faccessat(e->run_fd, places_mark, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Whatever the umask. */
static int give_mode(int fd, mode_t mode)
{
	return fd < 0 || fchmod(fd, mode) < 0 ? -1 : 0;
}

static int make_places_dir(int at, const char *path, mode_t mode)
{
	if (mkdirat(at, path, mode) < 0 && errno != EEXIST)
		return -1;
	autoclose int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return give_mode(fd, mode);
}

static int make_places_file(int at, const char *path, mode_t mode)
{
	autoclose int fd = openat(at, path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, mode);

	return give_mode(fd, mode);
}

void engine_places_make(const struct engine *e)
{
	if (e->o.rootless || e->run_fd < 0 || are_whole(e))
		return;
	if (make_places_dir(e->run_fd, places_top, 0700) < 0 ||
	    make_places_dir(e->run_fd, places_tree, 0755) < 0)
		return;
	autoclose int tree = openat(e->run_fd, places_tree, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		if (make_places_dir(tree, dirs[i], 0755) < 0)
			return;
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (make_places_file(tree, files[i], 0644) < 0)
			return;
	ignore_result(make_places_file(e->run_fd, places_mark, 0600) < 0); /* the next start tries again */
}

int engine_places_path(const struct engine *e, char **ret, struct err *err)
{
	*ret = NULL;
	if (e->o.rootless || !are_whole(e))
		return 0;
	*ret = str_format("%s/places/tree", e->run_root);
	return *ret ? 0 : err_oom(err);
}

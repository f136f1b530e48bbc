/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places: counted names of objects in the container's tree.
 *
 * A place of the host's is a descriptor, and its path is asked of the host,
 * which knows of renames: the sentry's "/" is the container's, so that the
 * link text of the descriptor is the guest's own path already.
 */
#include "sentry/fs/host.h"
#include "sentry/path.h"
#include "sentry/task.h"

struct place *place_new_host(int fd)
{
	struct place *p = calloc(1, sizeof(*p));

	if (!p) {
		(void)close(fd); /* nothing to do about a failing close of what is given up */
		return NULL;
	}
	*p = (struct place){.refs = 1, .fd = fd};
	return p;
}

struct place *place_new_synth(const struct synth_node *node, const char *path)
{
	struct place *p = calloc(1, sizeof(*p));
	char *copy = strdup(path);

	if (!p || !copy) {
		free(p);
		free(copy);
		return NULL;
	}
	*p = (struct place){.refs = 1, .fd = -1, .synth = *node, .path = copy};
	return p;
}

struct place *place_ref(struct place *p)
{
	p->refs++;
	return p;
}

void place_unref(struct place *p)
{
	if (!p || --p->refs)
		return;
	if (p->fd >= 0)
		(void)close(p->fd); /* what was written is the host's already */
	free(p->path);
	free(p);
}

int place_stat(const struct place *p, struct statx *ret)
{
	struct stat st;
	int r;

	if (place_is_synth(p))
		return synth_node_stat(NULL, &p->synth, ret);
	r = (int)host_call(fstat(p->fd, &st));
	if (r == 0)
		statx_from_stat(&st, ret);
	return r;
}

ssize_t place_host_path(const struct place *p, char *buf, size_t size)
{
	ssize_t n;

	if (p->path) {
		size_t len = strlen(p->path);

		if (len >= size)
			return -ENAMETOOLONG;
		memcpy(buf, p->path, len + 1);
		return (ssize_t)len;
	}
	n = readlinkat(kernel.self_fd_fd, fd_name(p->fd).text, buf, size);
	if (n < 0)
		return -errno;
	if ((size_t)n >= size)
		return -ENAMETOOLONG;
	buf[n] = '\0';
	return n;
}

ssize_t place_path(const struct task *t, const struct place *p, char *buf, size_t size)
{
	char root[PATH_MAX];
	ssize_t n = place_host_path(p, buf, size), skip;

	if (n < 0 || !place_has_own_root(t))
		return n;
	skip = place_host_path(t->fs->root, root, sizeof(root));
	if (skip < 0)
		return skip;
	if (skip == 1) /* "/" under another name */
		return n;
	if (memcmp(buf, root, MIN_OF((size_t)skip, (size_t)n)) != 0 || n < skip ||
	    (buf[skip] && buf[skip] != '/')) {
		int len;

		if ((size_t)n >= sizeof(root))
			return -ENAMETOOLONG;
		memcpy(root, buf, (size_t)n + 1);
		len = snprintf(buf, size, "(unreachable)%s", root);
		return len < 0 || (size_t)len >= size ? -ENAMETOOLONG : len;
	}
	if (n == skip) {
		memcpy(buf, "/", 2);
		return 1;
	}
	memmove(buf, buf + skip, (size_t)(n - skip) + 1);
	return n - skip;
}

bool place_has_own_root(const struct task *t)
{
	const struct place *root = t->fs->root;

	return !root->path || !streq(root->path, "/");
}

struct fs_context *fs_new(void)
{
	int fd = openat(kernel.root_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct place *root = fd < 0 ? NULL : place_new_host(fd);
	struct fs_context *fs = calloc(1, sizeof(*fs));

	if (root)
		root->path = strdup("/");
	if (!fs || !root || !root->path) {
		place_unref(root);
		free(fs);
		return NULL;
	}
	*fs = (struct fs_context){
		.refs = 1, .root = root, .cwd = place_ref(root), .umask = S_IWGRP | S_IWOTH};
	return fs;
}

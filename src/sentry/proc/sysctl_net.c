/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/sys/net: the host's own tree, in the sentry's network namespace, which
 * is the container's.
 *
 * Nodes have no text of their own: paths of this tree that were looked up are
 * kept, and a node has the number of its own.  Only what the host has becomes
 * one, so that there are no more than it has.
 */
#include "base/file.h"
#include "sentry/proc/proc.h"
#include "sentry/proc/sysctl.h"
#include "sentry/sys/creds_int.h"

#include <dirent.h>

enum { PATHS_MAX = 1 << 16 };

static struct {
	char **paths; /* "sys/net/ipv4/ip_forward" */
	size_t n;
} known;

static int path_number(const char *path, uint64_t *ret)
{
	char **bigger, *copy;

	for (size_t i = 0; i < known.n; i++)
		if (streq(known.paths[i], path)) {
			*ret = i;
			return 0;
		}
	copy = strdup(path);
	bigger = copy ? realloc(known.paths, (known.n + 1) * sizeof(*bigger)) : NULL;
	if (!bigger) {
		free(copy);
		return -ENOMEM;
	}
	known.paths = bigger;
	known.paths[known.n] = copy;
	*ret = known.n++;
	return 0;
}

/* The directory itself has number 0 by its type alone: its entry is in the table of /proc/sys. */
static const char *sysctl_path(const struct synth_node *node);

static int show_sysctl(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	autofree char *data = NULL;
	size_t len;
	int r = file_read_at(kernel.proc_fd, sysctl_path(node), 1 << 20, &data, &len);

	(void)t;
	if (r == 0)
		synth_write(text, data, len);
	return r;
}

static ssize_t store_sysctl(struct task *t, const struct synth_node *node, const char *data, size_t n)
{
	if (!task_capable(t, CAP_NET_ADMIN))
		return -EPERM;
	return sysctl_store(sysctl_path(node), data, n);
}

static const struct synth_type dir_type = {
	.mode = S_IFDIR | 0555, .lookup = proc_sysctl_net_lookup, .list = proc_sysctl_net_list};
static const struct synth_type readable_type = {.mode = S_IFREG | 0444, .show = show_sysctl};
static const struct synth_type writable_type = {
	.mode = S_IFREG | 0644, .show = show_sysctl, .store = store_sysctl};
static const struct synth_type write_only_type = {.mode = S_IFREG | 0200, .store = store_sysctl};

static const char *sysctl_path(const struct synth_node *node)
{
	return node->type == &dir_type || !S_ISDIR(node->type->mode) ? known.paths[node->arg] : "sys/net";
}

static const struct synth_type *sysctl_type(mode_t mode)
{
	if (S_ISDIR(mode))
		return &dir_type;
	if (!(mode & 0222))
		return &readable_type;
	return mode & 0444 ? &writable_type : &write_only_type;
}

PROC_LOOKUP(proc_sysctl_net_lookup)
{
	autofree char *path = str_format("%s/%s", sysctl_path(dir), called);
	struct synth_node node = {0};
	struct stat st;
	int r;

	(void)t;
	if (!path)
		return -ENOMEM;
	if (streq(called, ".") || streq(called, "..") || strchr(called, '/') || known.n >= PATHS_MAX)
		return -ENOENT;
	if (fstatat(kernel.proc_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return -ENOENT;
	node.type = sysctl_type(st.st_mode);
	r = path_number(path, &node.arg);
	if (r == 0)
		*ret = node;
	return r;
}

PROC_LIST(proc_sysctl_net_list)
{
	int fd = openat(kernel.proc_fd, sysctl_path(dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	uint64_t i = 0;

	if (!d) {
		int r = -errno;

		if (fd >= 0)
			(void)close(fd); /* read only */
		return r;
	}
	while ((e = readdir(d))) {
		struct synth_node node;

		if (e->d_name[0] == '.' || i++ < from || proc_sysctl_net_lookup(t, dir, e->d_name, &node) < 0)
			continue;
		if (!each(data, e->d_name, &node))
			break;
	}
	(void)closedir(d); /* read only */
	return 0;
}

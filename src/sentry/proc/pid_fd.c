/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PID/fd and PID/fdinfo: a link for each open file, and its flags.
 *
 * What has a place is followed to it.  What has none (pipes, sockets,
 * anonymous files) is opened anew as the very file that is there: for these
 * Linux' magic links lead to the same object.
 */
#include "base/file.h"
#include "sentry/file.h"
#include "sentry/proc/proc.h"
#include "sentry/sys/creds_int.h"
#include "sentry/sys/pidfd.h"

enum { WATCHES_MAX = 8 << 20 };

/* The file, or -errno; who may not look at the process sees nothing. */
static int find_file(struct task *t, const struct synth_node *node, struct file **ret)
{
	const struct task *of = proc_task(node);
	struct file *f;

	if (!of)
		return -ESRCH;
	if (!may_inspect(t, of))
		return -EACCES;
	f = fd_table_get(of->files, (int)node->arg);
	if (!f)
		return -ENOENT;
	*ret = f;
	return 0;
}

static ssize_t read_fd(struct task *t, const struct synth_node *node, char *buf, size_t size)
{
	struct file *f;
	struct statx st;
	int r = find_file(t, node, &f);

	if (r < 0)
		return r;
	if (f->place)
		return place_path(t, f->place, buf, size);
	/* A file of the host's that the runtime has handed in: as its path shows itself, which leads nowhere.
	 */
	if (f->host_fd >= 0 && streq(f->ops->name, "file")) {
		char name[16];

		(void)snprintf(name, sizeof(name), "%d", f->host_fd);
		ssize_t n = readlinkat(kernel.self_fd_fd, name, buf, size);
		return n < 0 ? -errno : n;
	}
	if (strchr(f->ops->name, ':'))
		return snprintf(buf, size, "%s", f->ops->name);
	/* "pipe:[17]" */
	const char *name = f->ops->name;

	(void)file_ref(f);
	r = file_stat(f, &st);
	file_unref(f);
	return r < 0 ? r : snprintf(buf, size, "%s:[%llu]", name, (unsigned long long)st.stx_ino);
}

static int follow_fd(struct task *t, const struct synth_node *node, struct place **ret)
{
	struct file *f;
	int r = find_file(t, node, &f);

	if (r < 0)
		return r;
	if (!f->place)
		return -ENXIO;
	*ret = place_ref(f->place);
	return 0;
}

static int open_fd(struct task *t, const struct synth_node *node, int flags, struct file **ret)
{
	struct file *f;
	int r = find_file(t, node, &f);

	if (r < 0)
		return r;
	(void)file_ref(f); /* it may be closed while it is asked */
	if (!(flags & O_PATH)) {
		struct statx st;

		r = file_stat(f, &st);
		if (r == 0 && S_ISSOCK(st.stx_mode))
			r = -ENXIO;
		/* Not with more than it was opened for. */
		else if (r == 0 && (((flags & O_ACCMODE) != O_WRONLY && !file_can_read(f)) ||
				    ((flags & O_ACCMODE) != O_RDONLY && !file_can_write(f))))
			r = -EACCES;
	}
	if (r == 0)
		*ret = f;
	else
		file_unref(f);
	return r;
}

static void owner_fd(struct task *t, const struct synth_node *node, uid_t *uid, gid_t *gid)
{
	const struct task *of = proc_task(node);

	(void)t;
	*uid = of ? of->creds->euid : 0;
	*gid = of ? of->creds->egid : 0;
}

static bool gone_fd(const struct synth_node *node)
{
	const struct task *of = proc_task(node);

	return !of || !fd_table_get(of->files, (int)node->arg);
}

/* Its permissions tell what it was opened for. */
#define FD_LINK(bits)                                                                                        \
	{                                                                                                    \
		.mode = S_IFLNK | (bits), .readlink = read_fd, .follow = follow_fd, .open = open_fd,         \
		.owner = owner_fd, .gone = gone_fd                                                           \
	}

static const struct synth_type fd_links[] = {FD_LINK(0000), FD_LINK(0500), FD_LINK(0300), FD_LINK(0700)};

/* The watches of inotify are the host's, on the very files that the guest sees. */
static void show_watches(const struct file *f, struct synth_text *text)
{
	autofree char *lines = NULL;
	char path[32];

	(void)snprintf(path, sizeof(path), "self/fdinfo/%d", f->host_fd);
	if (file_read_at(kernel.proc_fd, path, WATCHES_MAX, &lines, NULL) < 0)
		return;
	for (const char *at = lines; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
		if (str_starts(at, "inotify "))
			synth_printf(text, "%.*s\n", (int)strcspn(at, "\n"), at);
}

static int show_fdinfo(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	const struct task *of = proc_task(node);
	struct statx st;
	struct file *f;
	int r = find_file(t, node, &f);

	if (r < 0)
		return r;
	int cloexec = fd_flags(of, (int)node->arg) & FD_CLOEXEC ? O_CLOEXEC : 0;

	(void)file_ref(f); /* as above */
	r = file_stat(f, &st);
	synth_printf(text, "pos:\t%lld\nflags:\t0%o\nmnt_id:\t%llu\nino:\t%llu\n", (long long)f->pos,
		     (unsigned)(f->flags | cloexec), r < 0 ? 0 : (unsigned long long)st.stx_mnt_id,
		     r < 0 ? 0 : (unsigned long long)st.stx_ino);
	if (streq(f->ops->name, "anon_inode:inotify"))
		show_watches(f, text);
	if (pidfd_pid(f) > 0)
		synth_printf(text, "Pid:\t%d\nNSpid:\t%d\n", pidfd_pid(f), pidfd_pid(f));
	file_unref(f);
	return 0;
}

static const struct synth_type fdinfo_type = {
	.mode = S_IFREG | 0444, .show = show_fdinfo, .owner = owner_fd, .gone = gone_fd};

static const struct synth_type *link_type(const struct file *f)
{
	return &fd_links[(file_can_read(f) ? 1 : 0) | (file_can_write(f) ? 2 : 0)];
}

static int lookup_fd(struct task *t, const struct synth_node *dir, const char *name, bool info,
		     struct synth_node *ret)
{
	struct synth_node node = *dir;
	struct file *f;
	int r;

	if (str_to_u64(name, 10, &node.arg) < 0 || node.arg > INT_MAX || (name[0] == '0' && name[1]))
		return -ENOENT;
	r = find_file(t, &node, &f);
	if (r < 0)
		return r;
	node.type = info ? &fdinfo_type : link_type(f);
	*ret = node;
	return 0;
}

static int list_fds(struct task *t, const struct synth_node *dir, uint64_t from, bool info, synth_list *each,
		    void *data)
{
	const struct task *of = proc_task(dir);

	if (!of)
		return -ENOENT;
	if (!may_inspect(t, of))
		return -EACCES;
	/* By number, so that whoever closes what it reads of misses nothing. */
	for (int fd = fd_next(of->files, (int)MIN_OF(from, (uint64_t)INT_MAX)); fd >= 0;
	     fd = fd_next(of->files, fd + 1)) {
		struct synth_node node = *dir;
		char name[16];

		node.arg = (uint64_t)fd;
		node.after = (uint64_t)fd + 1;
		node.type = info ? &fdinfo_type : link_type(fd_table_get(of->files, fd));
		(void)snprintf(name, sizeof(name), "%d", fd);
		if (!each(data, name, &node))
			break;
	}
	return 0;
}

PROC_LOOKUP(proc_fd_lookup)
{
	return lookup_fd(t, dir, called, false, ret);
}

PROC_LIST(proc_fd_list)
{
	return list_fds(t, dir, from, false, each, data);
}

PROC_LOOKUP(proc_fdinfo_lookup)
{
	return lookup_fd(t, dir, called, true, ret);
}

PROC_LIST(proc_fdinfo_list)
{
	return list_fds(t, dir, from, true, each, data);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces: PID/ns and its files.
 *
 * There is one of each, all processes of the sandbox are in it, and no other
 * can be made: the numbers are those of the sentry's own.  A guest gets no
 * descriptor of the host's: its file says which namespace it is, and knows what
 * it is asked by ioctl.
 */
#include "sentry/proc/namespaces.h"
#include "sentry/guest.h"
#include "sentry/io/io.h"
#include "sentry/proc/proc.h"
#include "sentry/sys/creds_int.h"

#include <linux/nsfs.h>
#include <sched.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

struct ns_file {
	struct file file;
	int type; /* CLONE_NEW... */
	ino_t ino;
	unsigned dev_minor;
};

static int ns_stat(struct file *f, struct statx *ret)
{
	const struct ns_file *x = container_of(f, struct ns_file, file);

	io_stat_anonymous(ret, S_IFREG | 0444, x->ino, x->dev_minor, 0, 0);
	return 0;
}

static void ns_release(struct file *f)
{
	free(container_of(f, struct ns_file, file));
}

static long ns_ioctl(struct file *f, struct task *t, unsigned cmd, uint64_t arg)
{
	int type = namespace_type(f), r;
	struct file *owner;
	const uid_t root = 0;

	switch (cmd) {
	case NS_GET_NSTYPE:
		return type;
	case NS_GET_USERNS: /* of the one of users it is what is outside, as for NS_GET_PARENT */
		if (type == CLONE_NEWUSER)
			return -EPERM;
		r = namespace_open("user", &owner);
		return r < 0 ? r : io_install(t, owner, true);
	case NS_GET_PARENT:
		return type == CLONE_NEWUSER || type == CLONE_NEWPID ? -EPERM : -EINVAL;
	case NS_GET_OWNER_UID:
		return type == CLONE_NEWUSER ? guest_put(t, arg, &root) : -EINVAL;
	default:
		return -ENOTTY;
	}
}

/* The names are what /proc/PID/fd shows, with the number behind them. */
#define NS_OPS(called)                                                                                       \
	{                                                                                                    \
		.name = (called), .stat = ns_stat, .ioctl = ns_ioctl, .release = ns_release                  \
	}
static const struct {
	struct file_ops ops;
	int type;
} kinds[] = {
	{NS_OPS("cgroup"), CLONE_NEWCGROUP}, {NS_OPS("ipc"), CLONE_NEWIPC}, {NS_OPS("mnt"), CLONE_NEWNS},
	{NS_OPS("net"), CLONE_NEWNET},	     {NS_OPS("pid"), CLONE_NEWPID}, {NS_OPS("time"), CLONE_NEWTIME},
	{NS_OPS("user"), CLONE_NEWUSER},     {NS_OPS("uts"), CLONE_NEWUTS},
};

int namespace_open(const char *name, struct file **ret)
{
	char path[64];
	struct ns_file *x;
	struct stat st;
	size_t i = 0;

	(void)snprintf(path, sizeof(path), "self/ns/%s", name);
	if (fstatat(kernel.proc_fd, path, &st, 0) < 0)
		return -errno;
	/* "pid_for_children" is a pid. */
	while (i < ARRAY_LEN(kinds) && strncmp(name, kinds[i].ops.name, strlen(kinds[i].ops.name)) != 0)
		i++;
	x = i < ARRAY_LEN(kinds) ? calloc(1, sizeof(*x)) : NULL;
	if (!x)
		return -ENOMEM;
	file_init(&x->file, &kinds[i].ops, O_RDONLY);
	x->type = kinds[i].type;
	x->ino = st.st_ino;
	x->dev_minor = minor(st.st_dev);
	*ret = &x->file;
	return 0;
}

int namespace_type(const struct file *f)
{
	return f->ops->stat == ns_stat ? container_of(f, const struct ns_file, file)->type : 0;
}

int namespaces_enter(const struct task *t, int types)
{
	if (types & CLONE_NEWUSER) /* nobody enters again the one that it is in */
		return -EINVAL;
	if (!task_capable(t, CAP_SYS_ADMIN) || (types & CLONE_NEWNS && !task_capable(t, CAP_SYS_CHROOT)))
		return -EPERM;
	return 0;
}

/* ---- the links ---- */

static int check_namespace(const struct task *t, const struct synth_node *node)
{
	const struct task *of = proc_task(node);

	if (!of)
		return -ESRCH;
	return may_inspect(t, of) ? 0 : -EACCES;
}

static ssize_t read_namespace(struct task *t, const struct synth_node *node, char *buf, size_t size)
{
	int r = check_namespace(t, node);
	char path[64];
	ssize_t n;

	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "self/ns/%s", proc_entry_of(node)->name);
	n = readlinkat(kernel.proc_fd, path, buf, size);
	return n < 0 ? -errno : n;
}

static int follow_namespace(struct task *t, const struct synth_node *node, struct place **ret unused)
{
	int r = check_namespace(t, node);

	return r < 0 ? r : -ENXIO; /* it has no place */
}

static int ns_link_open(struct task *t, const struct synth_node *node, int flags, struct file **ret)
{
	int r = check_namespace(t, node);

	if (r == 0 && (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH))
		r = -EPERM; /* no right is enough: such a file is immutable */
	if (r == 0)
		r = namespace_open(proc_entry_of(node)->name, ret);
	if (r == 0)
		(*ret)->flags |= flags & (O_PATH | O_NONBLOCK);
	return r;
}

#define NAMESPACE(called)                                                                                    \
	{                                                                                                    \
		.name = (called), .type = {                                                                  \
			.mode = S_IFLNK | 0777,                                                              \
			.readlink = read_namespace,                                                          \
			.follow = follow_namespace,                                                          \
			.open = ns_link_open                                                                 \
		}                                                                                            \
	}

const struct proc_entry proc_ns_entries[] = {
	NAMESPACE("cgroup"), NAMESPACE("ipc"),
	NAMESPACE("mnt"),    NAMESPACE("net"),
	NAMESPACE("pid"),    NAMESPACE("pid_for_children"),
	NAMESPACE("time"),   NAMESPACE("time_for_children"),
	NAMESPACE("user"),   NAMESPACE("uts"),
	{.name = NULL},
};

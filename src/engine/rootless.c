/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/rootless.h"

#include "base/file.h"
#include "base/proc.h"
#include "host/procfs.h"
#include "host/userns.h"
#include "host/userns_self.h"

#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

void engine_holder_end(struct engine_holder *h)
{
	if (h->pid <= 0)
		return;
	fd_drop(&h->sock);
	(void)kill(h->pid, SIGKILL);	  /* our child, not reaped */
	ignore_result(proc_wait(h->pid)); /* killed: the status says nothing */
	h->pid = 0;
}

int engine_rootless_user(const struct engine *e, const struct engine_maps *maps, const struct engine_user *u,
			 struct err *err)
{
	if (!e->o.rootless || (engine_maps_host(&maps->uids, u->uid) != UINT32_MAX &&
			       engine_maps_host(&maps->gids, u->gid) != UINT32_MAX))
		return 0;
	return err_set(err, EINVAL,
		       "user %u:%u has no id on this machine: give yourself more subordinate ids (usermod "
		       "--add-subuids 100000-165535 --add-subgids 100000-165535 USER)",
		       u->uid, u->gid);
}

/* What the holder says: an error, or none and the mount's descriptor. */
struct holder_word {
	struct err err;
};

struct holder_task {
	const struct snapshot *s;
	const char *join; /* a user namespace by path; NULL = a new one */
	bool remove;
};

/*
 * The store anew: descriptors of before belong to the other mount namespace,
 * and overlayfs takes no layers of those.
 */
static int mount_here(struct engine *e, const struct snapshot *s, struct err *err)
{
	struct image_store_options o = {.root = e->data_root, .layers = e->o.layers, .rules = e->o.rules};
	struct image_store *store autostore = NULL;
	int r = image_store_open(&o, &store, err);

	if (r == 0)
		r = snapshot_prepare(store, s, err);
	return r < 0 ? r : snapshot_mount(store, s, err);
}

static int new_users(int sock, struct err *err)
{
	char go;
	size_t nfds;

	if (unshare(CLONE_NEWUSER) < 0)
		return err_sys(err, "cannot make a user namespace");
	/* "Made"; then the maps are written from outside. */
	if (fd_send(sock, "m", 1, NULL, 0) < 0 || fd_recv(sock, &go, 1, NULL, 0, &nfds) != 1)
		return err_set(err, EIO, "the maker of the container went away");
	return 0;
}

static int join_users_of(const char *path, struct err *err)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 || setns(fd, CLONE_NEWUSER) < 0
		       ? err_sys(err, "cannot join the user namespace of another container (%s)", path)
		       : 0;
}

static int act_inside(struct engine *e, const struct holder_task *t, int sock, struct err *err)
{
	int r = t->join ? join_users_of(t->join, err) : new_users(sock, err);

	if (r < 0)
		return r;
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return err_sys(err, "cannot become root of the user namespace");
	if (unshare(CLONE_NEWNS) < 0)
		return err_sys(err, "cannot make a mount namespace");
	return t->remove ? snapshot_remove(t->s, err) : mount_here(e, t->s, err);
}

static _Noreturn void holder_hold(struct engine *e, const struct holder_task *t, int sock)
{
	struct holder_word word = {{0}};
	size_t nfds;
	char end;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* else the closed socket ends it as well */
	int fd = act_inside(e, t, sock, &word.err);
	if (fd >= 0)
		word.err.code = 0;
	if (fd_send(sock, &word, sizeof(word), &fd, fd >= 0 && !t->remove ? 1 : 0) < 0)
		_exit(1);
	while (fd_recv(sock, &end, 1, NULL, 0, &nfds) > 0)
		;
	_exit(0);
}

static int map_users(const struct engine_holder *h, const struct snapshot *s, struct err *err)
{
	struct holder_word word;
	size_t nfds = 0;
	char made;

	ssize_t n = fd_recv(h->sock, &word, sizeof(word), NULL, 0, &nfds);
	memcpy(&made, &word, 1);
	if (n == sizeof(word)) {
		*err = word.err;
		return -err->code;
	}
	if (n != 1 || made != 'm')
		return err_set(err, EIO, "the process that holds the user namespace ended");
	autoclose int procfs = procfs_open(err);
	if (procfs < 0)
		return procfs;
	int r = userns_write_maps(procfs, h->pid, s->uids, s->gids, true, NULL, err);
	return r == 0 ? fd_send(h->sock, "g", 1, NULL, 0) : r;
}

/* The mount's descriptor; of a removal, 0. */
static int map_and_take(const struct engine_holder *h, const struct holder_task *t, struct err *err)
{
	struct holder_word word;
	size_t nfds = 0;
	int fd = -1, r = t->join ? 0 : map_users(h, t->s, err);

	if (r < 0)
		return r;
	ssize_t n = fd_recv(h->sock, &word, sizeof(word), &fd, 1, &nfds);
	if (n != sizeof(word))
		return err_set(err, EIO, "the process that holds the user namespace ended");
	if (nfds != 1) {
		*err = word.err;
		if (t->remove)
			return -err->code;
		return err->code ? -err->code : err_set(err, EIO, "no root file system came");
	}
	return fd;
}

static int holder_start(struct engine *e, const struct holder_task *t, struct engine_holder *ret,
			struct err *err)
{
	struct engine_holder h = {.sock = -1};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "cannot make a pair of sockets");
	h.pid = fork();
	if (h.pid == 0) {
		(void)close(pair[0]); /* so that the end of the others is the end of this */
		holder_hold(e, t, pair[1]);
	}
	(void)close(pair[1]); /* the holder's */
	h.sock = pair[0];
	if (h.pid < 0) {
		(void)close(pair[0]); /* unused */
		return err_sys(err, "cannot fork");
	}
	int fd = map_and_take(&h, t, err);
	if (fd < 0)
		engine_holder_end(&h);
	else
		*ret = h;
	return fd;
}

int engine_holder_mount(struct engine *e, const struct snapshot *s, const char *join,
			struct engine_holder *ret, struct err *err)
{
	const struct holder_task t = {.s = s, .join = join};

	return holder_start(e, &t, ret, err);
}

int engine_holder_remove(struct engine *e, const struct snapshot *s, struct err *err)
{
	const struct holder_task t = {.s = s, .remove = true};
	struct engine_holder h autoholder = {.sock = -1};

	return holder_start(e, &t, &h, err);
}

struct doomed_tree {
	int dirfd;
	const char *name;
};

static int remove_inside(void *data, struct err *err)
{
	const struct doomed_tree *d = data;
	int r = file_remove_tree_at(d->dirfd, d->name);

	return r < 0 ? err_num(err, r, "cannot remove \"%s\"", d->name) : 0;
}

int engine_remove_tree(const struct engine *e, int dirfd, const char *name)
{
	struct doomed_tree doomed = {dirfd, name};
	struct err ignored = {0}; /* the caller tells */
	int r = file_remove_tree_at(dirfd, name);

	if ((r != -EACCES && r != -EPERM) || !e->o.rootless || geteuid() == 0)
		return r;
	return userns_self_run(0, remove_inside, &doomed, &ignored);
}

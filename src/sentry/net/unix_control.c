/* SPDX-License-Identifier: Apache-2.0 */
/* SCM_RIGHTS and SCM_CREDENTIALS. */
#include "sentry/net/unix.h"

#include <linux/capability.h>

size_t unix_inflight_sockets;

/*
 * Files in flight are held against the user who sent them, as Linux does it: his RLIMIT_NOFILE is the bound
 * for all of his processes, and nobody else's.
 */
struct unix_user {
	struct unix_user *next; /* of its bucket */
	uid_t uid;
	size_t messages; /* that refer to this */
	size_t files;	 /* of those that have been sent */
};
enum { USER_BUCKETS = 64 };
static struct unix_user *users[USER_BUCKETS];

static struct unix_user **user_at(uid_t uid)
{
	struct unix_user **at = &users[uid % USER_BUCKETS];

	while (*at && (*at)->uid != uid)
		at = &(*at)->next;
	return at;
}

static struct unix_user *user_get(uid_t uid)
{
	struct unix_user **at = user_at(uid);

	if (!*at) {
		*at = calloc(1, sizeof(**at));
		if (!*at)
			return NULL;
		(*at)->uid = uid;
	}
	(*at)->messages++;
	return *at;
}

static void user_put(struct unix_user *x)
{
	if (--x->messages)
		return;
	*user_at(x->uid) = x->next;
	free(x);
}

void unix_rights_sent(struct unix_rights *x)
{
	for (size_t i = 0; x && i < x->count; i++) {
		struct unix_socket *u = unix_socket_of(x->files[i]);
		x->user->files++;
		if (u) {
			u->inflight++;
			unix_inflight_sockets++;
		}
	}
}

void unix_rights_free(struct unix_rights *x)
{
	for (size_t i = 0; x && i < x->count; i++) {
		struct unix_socket *u = unix_socket_of(x->files[i]);
		x->user->files--;
		if (u) {
			u->inflight--;
			unix_inflight_sockets--;
		}
		file_unref(x->files[i]);
	}
	if (x)
		user_put(x->user);
	free(x);
}

/* Adds the files of one SCM_RIGHTS message. */
static int rights_add(struct task *t, struct unix_control *x, const uint8_t *data, size_t len)
{
	size_t n = len / sizeof(int);

	if (n == 0)
		return 0;
	if (n > RIGHTS_MAX)
		return -EINVAL;
	if (!x->rights) {
		x->rights = calloc(1, sizeof(*x->rights) + RIGHTS_MAX * sizeof(struct file *));
		if (!x->rights)
			return -ENOMEM;
		x->rights->user = user_get(t->creds->uid);
		if (!x->rights->user) {
			free(x->rights);
			x->rights = NULL;
			return -ENOMEM;
		}
	}
	if (x->rights->count + n > RIGHTS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		int fd;
		memcpy(&fd, data + i * sizeof(fd), sizeof(fd));
		struct file *f = fd_get_any(t, fd);
		if (!f)
			return -EBADF;
		x->rights->files[x->rights->count++] = file_ref(f);
	}
	return 0;
}

/* One may be oneself, as far as capabilities do not say more. */
static int credentials_check(struct task *t, const uint8_t *data, size_t len, struct unix_creds *ret)
{
	const struct creds *c = t->creds;
	struct ucred id;

	if (len != sizeof(id))
		return -EINVAL;
	memcpy(&id, data, sizeof(id));
	if (id.pid != t->process->pid && !creds_capable(c, CAP_SYS_ADMIN))
		return -EPERM;
	if (id.uid != c->uid && id.uid != c->euid && id.uid != c->suid && !creds_capable(c, CAP_SETUID))
		return -EPERM;
	if (id.gid != c->gid && id.gid != c->egid && id.gid != c->sgid && !creds_capable(c, CAP_SETGID))
		return -EPERM;
	if (id.pid != t->process->pid && !process_find(id.pid))
		return -ESRCH;
	*ret = (struct unix_creds){id, true};
	return 0;
}

static int control_one(struct task *t, const struct cmsghdr *h, const uint8_t *data, size_t len,
		       struct unix_control *ret)
{
	if (h->cmsg_level != SOL_SOCKET)
		return 0; /* as the kernel: not ours to judge */
	if (h->cmsg_type == SCM_RIGHTS)
		return rights_add(t, ret, data, len);
	if (h->cmsg_type == SCM_CREDENTIALS)
		return credentials_check(t, data, len, &ret->creds);
	return -EINVAL;
}

void unix_control_end(struct unix_control *x)
{
	for (size_t i = 0; x->rights && i < x->rights->count; i++)
		file_unref(x->rights->files[i]);
	if (x->rights)
		user_put(x->rights->user);
	free(x->rights);
	x->rights = NULL;
}

int unix_control_read(struct task *t, const struct message *m, struct unix_control *ret)
{
	struct cmsghdr h;
	const uint8_t *data;
	size_t at = 0, len;
	int r = 0;

	*ret = (struct unix_control){0};
	if (!t || m->continued)
		return 0;
	while (r == 0 && control_next(m->control, m->control_len, &at, &h, &data, &len, &r))
		r = control_one(t, &h, data, len, ret);
	/* What lies in messages costs the sandbox; cycles cannot pile up either, see unix_gc.c. */
	if (r == 0 && ret->rights && ret->rights->user->files > t->process->limits[RLIMIT_NOFILE].rlim_cur &&
	    !creds_capable(t->creds, CAP_SYS_RESOURCE) && !creds_capable(t->creds, CAP_SYS_ADMIN))
		r = -ETOOMANYREFS;
	if (r < 0)
		unix_control_end(ret);
	return r;
}

void unix_rights_give(struct task *t, const struct unix_packet *p, struct message *m)
{
	const struct unix_rights *x = p->rights;
	size_t room = m->control ? m->control_room - m->control_len : 0, n = 0;
	size_t fit = room > sizeof(struct cmsghdr) ? (room - sizeof(struct cmsghdr)) / sizeof(int) : 0;
	int fds[RIGHTS_MAX];

	if (!x || !t)
		return;
	/* What fits is installed; the rest is dropped with MSG_CTRUNC, as the kernel does. */
	while (n < x->count && n < fit) {
		int fd = fd_install(t, file_ref(x->files[n]), 0, m->flags & MSG_CMSG_CLOEXEC);
		if (fd < 0)
			break;
		fds[n++] = fd;
	}
	if (n > 0)
		control_put(m, SOL_SOCKET, SCM_RIGHTS, fds, n * sizeof(int));
	if (n < x->count)
		m->result |= MSG_CTRUNC;
}

void unix_creds_give(struct unix_socket *u, const struct unix_packet *p, struct message *m)
{
	static const struct ucred nobody = {0, 65534, 65534};

	if (u->pass_creds)
		control_put(m, SOL_SOCKET, SCM_CREDENTIALS, p->creds.known ? &p->creds.id : &nobody,
			    sizeof(nobody));
}

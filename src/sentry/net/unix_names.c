/* SPDX-License-Identifier: Apache-2.0 */
/* Names of unix sockets: abstract ones by their bytes, those in the file system by their inode. */
#include "sentry/fs/host.h"
#include "sentry/net/unix.h"

#include <sys/syscall.h>

/* AUTO_TRIES names in a row that are taken are the work of who wants the sandbox to search. */
enum { BUCKETS = 1024, AUTO_NAMES = 1 << 20, AUTO_TRIES = 1 << 14 };
static struct unix_socket *buckets[BUCKETS]; /* guarded by the lock, as all */

int unix_address_check(const struct sockaddr_storage *a, socklen_t len)
{
	return len <= UNIX_PATH_AT || len > sizeof(struct sockaddr_un) || a->ss_family != AF_UNIX ? -EINVAL
												  : 0;
}

struct unix_address *unix_address_ref(struct unix_address *a)
{
	if (a)
		a->refs++;
	return a;
}

void unix_address_unref(struct unix_address *a)
{
	if (a && --a->refs == 0)
		free(a);
}

static bool is_abstract(const struct sockaddr_un *sun)
{
	return sun->sun_path[0] == '\0';
}

/* The name as it is kept: a path with one NUL behind it, abstract ones as they are. */
static struct unix_address *address_new(const struct sockaddr_storage *a, socklen_t len)
{
	struct unix_address *x = calloc(1, sizeof(*x) + 1); /* a path may fill sun_path to its end */

	if (!x)
		return NULL;
	x->refs = 1;
	memcpy(&x->sun, a, len);
	if (!is_abstract(&x->sun))
		len = (socklen_t)(UNIX_PATH_AT + strnlen(x->sun.sun_path, len - UNIX_PATH_AT) + 1);
	x->len = len;
	return x;
}

static struct unix_socket **bucket_of_name(const struct unix_address *a)
{
	uint32_t h = 2166136261u;

	for (socklen_t i = UNIX_PATH_AT; i < a->len; i++)
		h = (h ^ ((const uint8_t *)&a->sun)[i]) * 16777619u;
	return &buckets[h % BUCKETS];
}

static struct unix_socket **bucket_of_inode(uint64_t dev, uint64_t ino)
{
	return &buckets[(ino ^ dev) % BUCKETS];
}

/* Abstract names are apart by type. */
static struct unix_socket *find_abstract(const struct unix_address *a, int type)
{
	for (struct unix_socket *u = *bucket_of_name(a); u; u = u->next_bound)
		if (!u->place && u->address->len == a->len &&
		    memcmp(&u->address->sun, &a->sun, a->len) == 0 && (type < 0 || u->s.type == type))
			return u;
	return NULL;
}

static struct unix_socket *find_bound(uint64_t dev, uint64_t ino)
{
	for (struct unix_socket *u = *bucket_of_inode(dev, ino); u; u = u->next_bound)
		if (u->place && u->ino == ino && u->dev == dev)
			return u;
	return NULL;
}

static void enter(struct unix_socket *u, struct unix_address *a, struct unix_socket **bucket)
{
	u->address = a;
	u->bound = true;
	u->next_bound = *bucket;
	*bucket = u;
}

void unix_unbind(struct unix_socket *u)
{
	if (!u->bound)
		return;
	struct unix_socket **at = u->place ? bucket_of_inode(u->dev, u->ino) : bucket_of_name(u->address);
	while (*at != u)
		at = &(*at)->next_bound;
	*at = u->next_bound;
	u->bound = false;
	place_unref(u->place);
	u->place = NULL;
}

static uint64_t device_of(const struct statx *st)
{
	return (uint64_t)st->stx_dev_major << 32 | st->stx_dev_minor;
}

/* Makes the socket's node and keeps hold of it. */
static int bind_path(struct task *t, struct unix_socket *u, const char *path)
{
	char name[NAME_MAX + 1];
	struct place *dir, *node;
	struct statx st;
	bool slashes;
	int r = path_parent(t, AT_FDCWD, path, &dir, name, &slashes), fd = -1;

	if (r < 0)
		return r;
	if (u->address)
		r = -EINVAL; /* bound by another thread while the lock was let go */
	else if (place_is_synth(dir))
		r = -EROFS;
	else if (!name[0] || streq(name, ".") || streq(name, ".."))
		r = -EADDRINUSE;
	else if (slashes)
		r = -ENOENT;
	else
		r = (int)host_call(mknodat(dir->fd, name, u->s.owner.mode & ~t->fs->umask, 0));
	if (r == -EEXIST)
		r = -EADDRINUSE;
	/* Not by the path again, which may lead to another's socket by now. */
	if (r == 0)
		r = fd = (int)host_call(openat(dir->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
	place_unref(dir);
	if (r < 0)
		return r;
	node = place_new_host(fd);
	if (!node)
		return -ENOMEM;
	r = place_stat(node, &st);
	if (r == 0 && u->address)
		r = -EINVAL; /* likewise */
	if (r == 0 && (!S_ISSOCK(st.stx_mode) || find_bound(device_of(&st), st.stx_ino)))
		r = -EADDRINUSE; /* it has been replaced */
	if (r < 0) {
		place_unref(node);
		return r;
	}
	u->place = node;
	u->dev = device_of(&st);
	u->ino = st.stx_ino;
	return 0;
}

int unix_autobind(struct unix_socket *u)
{
	static unsigned next; /* where the search begins; any start is right */
	struct sockaddr_storage a = {.ss_family = AF_UNIX};
	char digits[8];

	if (u->address)
		return 0;
	struct unix_address *x = address_new(&a, UNIX_PATH_AT + 6);
	if (!x)
		return -ENOMEM;
	for (unsigned i = 0; i < AUTO_TRIES; i++) {
		ignore_result(
			snprintf(digits, sizeof(digits), "%05x", next++ % AUTO_NAMES)); /* five digits */
		memcpy(x->sun.sun_path + 1, digits, 5);
		if (!find_abstract(x, u->s.type)) {
			enter(u, x, bucket_of_name(x));
			return 0;
		}
	}
	unix_address_unref(x);
	return -ENOSPC;
}

int unix_bind(struct task *t, struct socket *s, const struct sockaddr_storage *a, socklen_t len)
{
	struct unix_socket *u = unix_of(s);

	if (len == UNIX_PATH_AT && a->ss_family == AF_UNIX)
		return unix_autobind(u);
	int r = unix_address_check(a, len);
	if (r < 0)
		return r;
	struct unix_address *x = address_new(a, len);
	struct place *taken = NULL;
	if (!x)
		return -ENOMEM;
	if (u->address) /* that a path is taken is found out first */
		r = is_abstract(&x->sun) || path_find(t, AT_FDCWD, x->sun.sun_path, 0, &taken) < 0
			    ? -EINVAL
			    : -EADDRINUSE;
	else if (is_abstract(&x->sun))
		r = find_abstract(x, s->type) ? -EADDRINUSE : 0;
	else
		r = bind_path(t, u, x->sun.sun_path);
	place_unref(taken);
	if (r < 0)
		unix_address_unref(x);
	else
		enter(u, x, u->place ? bucket_of_inode(u->dev, u->ino) : bucket_of_name(x));
	return r;
}

static int find_by_path(struct task *t, const char *path, int type, struct unix_socket **ret)
{
	struct place *p;
	struct statx st;
	int r = path_find(t, AT_FDCWD, path, PATH_FOLLOW, &p);

	if (r < 0)
		return r;
	r = place_stat(p, &st);
	if (r == 0 && !S_ISSOCK(st.stx_mode))
		r = -ECONNREFUSED;
	if (!place_is_synth(p)) {
		long may = host_call(syscall(SYS_faccessat2, p->fd, "", W_OK, AT_EACCESS | AT_EMPTY_PATH));

		r = may < 0 ? (int)may : r;
	}
	place_unref(p);
	if (r < 0)
		return r;
	struct unix_socket *u = find_bound(device_of(&st), st.stx_ino);
	if (!u)
		return -ECONNREFUSED;
	if (u->s.type != type)
		return -EPROTOTYPE;
	*ret = u;
	return 0;
}

int unix_find(struct task *t, const struct sockaddr_storage *a, socklen_t len, int type,
	      struct unix_socket **ret)
{
	struct unix_address *x = address_new(a, len);
	int r = 0;

	if (!x)
		return -ENOMEM;
	if (!is_abstract(&x->sun)) {
		r = t ? find_by_path(t, x->sun.sun_path, type, ret) : -ECONNREFUSED;
	} else {
		*ret = find_abstract(x, type);
		if (!*ret)
			r = -ECONNREFUSED;
	}
	unix_address_unref(x);
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading directories, without opening them: a request names a node and the
 * place behind the entry that the guest had last.
 *
 * A stream holds what the host gave at once (some hundred entries) and the
 * guest did not ask for yet.  One whose next entry is at the place asked for
 * goes on; each of several readers has its own, therefore, and a merged
 * directory of an overlay, whose places hold in one open file only, stays
 * right for as long as no more than STREAMS are read at a time.
 */
#include "vm/share/share_int.h"

#include <dirent.h>
#include <sys/syscall.h>

enum { STREAM_BUFFER = 16 << 10 };

/* As getdents64 gives it. */
struct host_entry {
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};

static void stream_close(struct stream *t)
{
	if (t->node)
		t->node->streams--;
	t->node = NULL;
	t->stamp = 0;
	fd_drop(&t->fd);
	free(t->buf);
	t->buf = NULL;
}

void streams_drop(struct share_server *s, struct node *n)
{
	for (size_t i = 0; i < STREAMS; i++)
		if (s->streams[i].node && (!n || s->streams[i].node == n))
			stream_close(&s->streams[i]);
}

/* Goes to a place among the entries that are at hand. */
static bool rewind_in_buffer(struct stream *t, uint64_t offset)
{
	for (size_t at = 0; at < t->len;) {
		const struct host_entry *e = (const void *)(t->buf + at);
		at += e->len;
		if ((uint64_t)e->off == offset) {
			t->at = at;
			t->next = offset;
			return true;
		}
	}
	return false;
}

static struct stream *stream_at(struct share_server *s, const struct node *n, uint64_t offset)
{
	for (size_t i = 0; n->streams && offset && i < STREAMS; i++)
		if (s->streams[i].node == n && s->streams[i].next == offset)
			return &s->streams[i];
	/* It took fewer entries than it was given. */
	for (size_t i = 0; n->streams && offset && i < STREAMS; i++)
		if (s->streams[i].node == n && rewind_in_buffer(&s->streams[i], offset))
			return &s->streams[i];
	return NULL;
}

static int stream_new(struct share_server *s, struct node *n, struct stream **ret)
{
	struct stream *t = &s->streams[0];
	for (size_t i = 1; i < STREAMS; i++) /* a free one has the stamp 0 */
		if (s->streams[i].stamp < t->stamp)
			t = &s->streams[i];
	stream_close(t);
	int at = node_fd(s, n);
	if (at < 0)
		return at;
	autofree uint8_t *buf = malloc(STREAM_BUFFER);
	if (!buf)
		return -ENOMEM;
	int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*t = (struct stream){.node = n, .fd = fd, .buf = take_ptr(&buf)};
	n->streams++;
	*ret = t;
	return 0;
}

static int stream_get(struct share_server *s, struct node *n, uint64_t offset, struct stream **ret)
{
	struct stream *t = stream_at(s, n, offset);
	if (!t) {
		int r = stream_new(s, n, &t);
		if (r < 0)
			return r;
		if (offset && lseek(t->fd, (off_t)offset, SEEK_SET) < 0)
			return -errno;
		t->next = offset;
	}
	t->stamp = ++s->stamp;
	*ret = t;
	return 0;
}

/* The next entry, which stays the next; NULL at the end. */
static int stream_peek(struct stream *t, const struct host_entry **ret)
{
	if (t->at == t->len) {
		long n = syscall(SYS_getdents64, t->fd, t->buf, STREAM_BUFFER);
		if (n < 0)
			return -errno;
		t->len = (size_t)n;
		t->at = 0;
	}
	*ret = t->at < t->len ? (const void *)(t->buf + t->at) : NULL;
	return 0;
}

static bool is_dot(const char *name)
{
	return streq(name, ".") || streq(name, "..");
}

/* The head of an entry in a listing with attributes.  1: there is no such file any more. */
static int put_plus(struct share_server *s, struct node *n, const char *name, uint64_t *ino, struct reply *r)
{
	struct fuse_entry_out out = {0};
	struct statx x;
	if (!is_dot(name)) {
		int fd = node_fd(s, n);
		int e = fd < 0 ? fd : share_statx(fd, name, &x);
		if (e == -ENOENT)
			return 1;
		struct node *child;
		if (e == 0)
			e = node_seen(s, n, name, &x, &child);
		if (e == 0) {
			entry_fill(s, child, &x, &out);
			*ino = child->guest_ino;
		} /* else the name alone: a look at it will tell the error */
	}
	return reply_put(r, &out, sizeof(out));
}

static int list_entries(struct share_server *s, struct node *n, struct request *q, struct reply *r, bool plus)
{
	static const uint8_t zeros[8];
	struct fuse_read_in in;
	struct stream *t = NULL;
	const struct host_entry *h = NULL;
	int e = request_take(q, &in, sizeof(in));
	if (e == 0)
		watch_node(s, n);
	if (e == 0)
		e = n->type == S_IFDIR ? stream_get(s, n, in.offset, &t) : -ENOTDIR;
	if (e < 0)
		return e;
	r->size = MIN_OF(r->size, (size_t)in.size);
	while (e == 0) {
		e = stream_peek(t, &h);
		if (e < 0 || !h)
			break;
		size_t name_len = strlen(h->name);
		size_t size = FUSE_REC_ALIGN(FUSE_NAME_OFFSET + name_len) +
			      (plus ? sizeof(struct fuse_entry_out) : 0);
		if (size > r->size - r->len)
			return r->len ? 0 : -EINVAL;
		struct fuse_dirent d = {
			.ino = attr_ino(s, n->dev, h->ino),
			.off = (uint64_t)h->off,
			.namelen = (uint32_t)name_len,
			.type = h->type,
		};
		e = plus ? put_plus(s, n, h->name, &d.ino, r) : 0;
		bool gone = e == 1;
		if (e == 0)
			e = reply_put(r, &d, sizeof(d));
		if (e == 0)
			e = reply_put(r, h->name, name_len);
		if (e == 0)
			e = reply_put(r, zeros, -(FUSE_NAME_OFFSET + name_len) % 8);
		if (gone)
			e = 0;
		t->at += h->len;
		t->next = (uint64_t)h->off;
	}
	return r->len ? 0 : e; /* an error comes again with the next request */
}

int verb_readdir(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	return list_entries(s, n, q, r, false);
}

int verb_readdirplus(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	return list_entries(s, n, q, r, true);
}

int verb_fsyncdir(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_fsync_in in;
	(void)r; /* nothing is said but that */
	int e = request_take(q, &in, sizeof(in));
	if (e < 0)
		return e;
	int at = n->type == S_IFDIR ? node_fd(s, n) : -ENOTDIR;
	if (at < 0)
		return at;
	autoclose int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	e = in.fsync_flags & FUSE_FSYNC_FDATASYNC ? fdatasync(fd) : fsync(fd);
	return e < 0 ? -errno : 0;
}

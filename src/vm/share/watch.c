/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host changes behind the guest's back.
 *
 * A directory of the root's own file system that the guest looks into is
 * watched (inotify), so that its names, and the files that have no other name,
 * may be believed for WATCHED_TTL_MS rather than for as long as is configured:
 * of a change the guest is told.  What is not told (a host's program that
 * writes by mapping; by a further name, outside) is seen after that time.  A
 * file system whose changes another machine may make, a volume, and whatever
 * no watch could be had for, keep the configured time.
 *
 * The server's own changes come back as events, too, and the guest need not
 * hear of them: the queue is read before each verb that writes, and again
 * after it, and of these latter events those are left out that are about the
 * names that the request is about.  They are there when the call has returned.
 *
 * Of an inode the guest is told that its attributes are old (it asks for them
 * before it uses its pages): to drop pages it would wait for ones that are
 * under way.
 */
#include "vm/share/share_int.h"

#include "base/file.h"
#include "base/str.h"

#include <linux/magic.h>
#include <sys/inotify.h>
#include <sys/vfs.h>

#ifndef IN_MASK_CREATE
#define IN_MASK_CREATE 0x10000000
#endif

enum {
	WATCHED_TTL_MS = 300000,
	WATCHES_MAX = 4096,    /* each keeps an inode in the host's memory */
	WATCHERS = 128,	       /* of one user: each may have this part of the watches that there are for it */
	WATCHES_USUAL = 65536, /* of a user, where nothing tells */
	INSTANCES_LEFT = 32,   /* to the user's other programs */
	NOTICES_MAX = 1 << 20,
	NAMES = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO,
	MASK = NAMES | IN_MODIFY | IN_ATTRIB | IN_ONLYDIR | IN_MASK_CREATE,
};

/* Nobody changes them but by this kernel. */
static bool is_local(int fd)
{
	static const uint32_t types[] = {OVERLAYFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC,
					 BTRFS_SUPER_MAGIC,	TMPFS_MAGIC,	  EROFS_SUPER_MAGIC_V1,
					 F2FS_SUPER_MAGIC};
	struct statfs f;
	size_t i = 0;

	if (fstatfs(fd, &f) < 0)
		return false;
	while (i < ARRAY_LEN(types) && types[i] != (uint32_t)f.f_type)
		i++;
	return i < ARRAY_LEN(types);
}

/*
 * Instances are counted for each user, and 128 are usual: so many machines would take them from all else that
 * root runs.  Nothing tells how many there are, but whether some more can be had.
 */
static int open_watcher(void)
{
	int fds[INSTANCES_LEFT + 1];
	size_t n = 0;

	while (n < ARRAY_LEN(fds) && (fds[n] = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) >= 0)
		n++;
	size_t kept = n == ARRAY_LEN(fds);
	while (n > kept)
		(void)close(fds[--n]);
	return kept ? fds[0] : -1;
}

static size_t watches_for_one(const struct share_server *s)
{
	autofree char *text = NULL;
	uint64_t all = WATCHES_USUAL;
	size_t len = 0;

	/* A procfs may have nothing but processes. */
	if (file_read_at(s->self_fd, "../../sys/fs/inotify/max_user_watches", 64, &text, &len) == 0) {
		text[strcspn(text, "\n")] = '\0';
		if (str_to_u64(text, 10, &all) < 0)
			all = WATCHES_USUAL;
	}
	return (size_t)MIN_OF(all / WATCHERS, (uint64_t)WATCHES_MAX);
}

void watch_begin(struct share_server *s)
{
	bool of_use = s->config.root_ttl_ms > 0 && s->config.root_ttl_ms < WATCHED_TTL_MS;
	/* Not to be had is no failure. */
	s->watch_fd = of_use && is_local(s->root_fd) ? open_watcher() : -1;
	s->watches_max = s->watch_fd < 0 ? 0 : watches_for_one(s);
}

void watch_end(struct share_server *s)
{
	fd_drop(&s->watch_fd);
	free(s->notices.p);
	s->notices = (struct notices){0};
}

/* ---- the watched ---- */

static struct node **watched_at(struct share_server *s, int watch)
{
	struct node **p = &s->watched[(unsigned)watch % ARRAY_LEN(s->watched)];
	while (*p && (*p)->watch != watch)
		p = &(*p)->watch_next;
	return p;
}

static void unwatch(struct share_server *s, int watch)
{
	struct node **p = watched_at(s, watch), *n = *p;
	if (!n)
		return;
	*p = n->watch_next;
	n->watch_next = NULL;
	n->watch = 0;
	s->watches--;
}

void watch_drop(struct share_server *s, struct node *n)
{
	if (!n->watch)
		return;
	(void)inotify_rm_watch(s->watch_fd, n->watch); /* it may be gone with the directory */
	unwatch(s, n->watch);
}

void watch_node(struct share_server *s, struct node *n)
{
	if (s->watch_fd < 0 || n->watch || n->type != S_IFDIR || n->mount != s->root_mount ||
	    s->watches >= s->watches_max)
		return;
	int fd = node_fd(s, n);
	int watch = fd < 0 ? -1 : inotify_add_watch(s->watch_fd, fd_digits(fd).s, MASK);
	if (watch <= 0) /* also of one that another node has had */
		return;
	n->watch = watch;
	struct node **p = watched_at(s, watch);
	n->watch_next = *p;
	*p = n;
	s->watches++;
}

void watch_parents(struct share_server *s)
{
	for (size_t i = 1; i < s->nslots; i++)
		if (s->slots[i]->live && s->slots[i]->refs)
			watch_node(s, s->slots[i]);
}

uint32_t entry_ttl_ms(const struct share_server *s, const struct node *parent, const struct node *n)
{
	if (parent && parent->watch && (!n || n->mount == s->root_mount))
		return WATCHED_TTL_MS;
	return node_ttl_ms(s, n ? n : parent);
}

uint32_t attr_ttl_ms(const struct share_server *s, const struct node *n, const struct statx *x)
{
	bool told = n->type == S_IFDIR ? n->watch != 0 : n->parent && n->parent->watch && x->stx_nlink == 1;
	return told && n->mount == s->root_mount ? WATCHED_TTL_MS : node_ttl_ms(s, n);
}

/* ---- what the guest is to be told ---- */

static void put_notice(struct share_server *s, int code, const void *what, size_t size, const char *name)
{
	struct notices *t = &s->notices;
	size_t name_size = name ? strlen(name) + 1 : 0;
	struct fuse_out_header head = {.len = (uint32_t)(sizeof(head) + size + name_size), .error = code};

	if (t->size - t->len < head.len) {
		size_t room = MIN_OF(MAX_OF(t->size * 2, (size_t)4096), (size_t)NOTICES_MAX);
		uint8_t *p = room - t->len < head.len ? NULL : realloc(t->p, room);
		if (!p)
			return; /* it sees it within the time */
		t->p = p;
		t->size = room;
	}
	memcpy(t->p + t->len, &head, sizeof(head));
	memcpy(t->p + t->len + sizeof(head), what, size);
	if (name_size)
		memcpy(t->p + t->len + sizeof(head) + size, name, name_size);
	t->len += head.len;
}

static void notice_inode(struct share_server *s, const struct node *n)
{
	const struct fuse_notify_inval_inode_out what = {.ino = n->id, .off = -1};
	put_notice(s, FUSE_NOTIFY_INVAL_INODE, &what, sizeof(what), NULL);
}

static void notice_entry(struct share_server *s, const struct node *parent, const char *name)
{
	const struct fuse_notify_inval_entry_out what = {.parent = parent->id,
							 .namelen = (uint32_t)strlen(name)};
	put_notice(s, FUSE_NOTIFY_INVAL_ENTRY, &what, sizeof(what), name);
}

static void notice_all(struct share_server *s)
{
	for (size_t i = 1; i < s->nslots; i++)
		if (s->slots[i]->live && s->slots[i]->mount == s->root_mount)
			notice_inode(s, s->slots[i]);
}

/* ---- events ---- */

static struct share_place node_place(const struct node *n)
{
	struct share_place p = {0};
	if (n && n->parent && n->name) {
		p.parent = n->parent->id;
		(void)snprintf(p.name, sizeof(p.name), "%s", n->name);
	}
	return p;
}

static bool is_own_change(const struct share_own *own, const struct node *dir, const char *name)
{
	if (!own)
		return false;
	if (!*name)
		return dir->id == own->node;
	for (size_t i = 0; i < ARRAY_LEN(own->places); i++)
		if (own->places[i].parent == dir->id && streq(own->places[i].name, name))
			return true;
	return (dir->id == own->node || dir->id == own->other) &&
	       memmem(own->payload, own->len, name, strlen(name) + 1);
}

/* By its place: an overlay has copied it, and it is another inode now. */
static struct node *last_seen_at(const struct share_server *s, const struct node *dir, const char *name)
{
	for (size_t i = 1; i < s->nslots; i++)
		if (s->slots[i]->live && s->slots[i]->parent == dir && s->slots[i]->name &&
		    streq(s->slots[i]->name, name))
			return s->slots[i];
	return NULL;
}

/* It is not what the guest knows, or has other attributes. */
static void notice_child(struct share_server *s, struct node *dir, const char *name)
{
	struct node *child = NULL;
	struct statx x;
	int fd = node_fd(s, dir);

	if (fd < 0 || node_at(s, fd, name, &x, &child) < 0)
		return;
	/* The name of a directory is not taken away: the guest may have mounts there. */
	if (!child && S_ISDIR(x.stx_mode))
		child = last_seen_at(s, dir, name);
	else if (!child)
		notice_entry(s, dir, name);
	if (child)
		notice_inode(s, child);
}

static void heed_event(struct share_server *s, const struct inotify_event *e, const char *name,
		       const struct share_own *own)
{
	struct node *dir = e->wd > 0 ? *watched_at(s, e->wd) : NULL;

	if (e->mask & IN_Q_OVERFLOW)
		notice_all(s);
	if (!dir)
		return;
	if (e->mask & IN_IGNORED) {
		unwatch(s, e->wd);
		return;
	}
	if (is_own_change(own, dir, name))
		return;
	if (!*name || e->mask & NAMES)
		notice_inode(s, dir);
	if (!*name)
		return;
	if (e->mask & NAMES)
		notice_entry(s, dir, name);
	notice_child(s, dir, name);
}

void watch_read(struct share_server *s, const struct share_own *own)
{
	_Alignas(struct inotify_event) char buf[4096];
	ssize_t got;

	while (s->watch_fd >= 0 && (got = read(s->watch_fd, buf, sizeof(buf))) > 0)
		for (size_t at = 0, len = (size_t)got; at < len;) {
			struct inotify_event e;
			memcpy(&e, buf + at, sizeof(e));
			/* It is padded with NULs, and has one at least. */
			heed_event(s, &e, e.len ? buf + at + sizeof(e) : "", own);
			at += sizeof(e) + e.len;
		}
}

void watch_before(struct share_server *s, const struct node *n, const struct request *q,
		  struct share_own *ret)
{
	uint64_t other = 0;

	watch_read(s, NULL);
	*ret = (struct share_own){.payload = q->p, .len = q->left, .node = n->id};
	/* The directory, or the file, that is the second one. */
	size_t at = q->head.opcode == FUSE_COPY_FILE_RANGE
			    ? offsetof(struct fuse_copy_file_range_in, nodeid_out)
			    : 0;
	bool has = q->head.opcode == FUSE_COPY_FILE_RANGE || q->head.opcode == FUSE_RENAME ||
		   q->head.opcode == FUSE_RENAME2 || q->head.opcode == FUSE_LINK;
	if (has && q->left >= at + sizeof(other))
		memcpy(&other, q->p + at, sizeof(other));
	const struct node *second = other ? node_find(s, other) : NULL;
	ret->other = second ? second->id : 0;
	ret->places[0] = node_place(n);
	ret->places[1] = node_place(second);
}

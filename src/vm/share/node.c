/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of nodes: by the guest's number, and by identity.
 *
 * A node lives while the guest has a lookup of it or another node's place is
 * in it.  Places form a tree: a directory that would come to be below itself,
 * as happens where the host moves directories about behind the guest's back,
 * loses its place and is pinned.
 */
#include "vm/share/share_int.h"

enum { NODES_MAX = 1 << 22 /* a guest with more is refused more, rather than fed with the host's memory */ };

static size_t bucket_of(const struct share_server *s, uint64_t mount, uint64_t dev, uint64_t ino)
{
	uint64_t h = (ino ^ (dev << 20) ^ (mount << 40)) * UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(h >> 32) & (s->nbuckets - 1);
}

static uint64_t statx_dev(const struct statx *x)
{
	return (uint64_t)x->stx_dev_major << 32 | x->stx_dev_minor;
}

static void hash_in(struct share_server *s, struct node *n)
{
	struct node **b = &s->buckets[bucket_of(s, n->mount, n->dev, n->ino)];
	n->hash_next = *b;
	*b = n;
	n->hashed = true;
}

static void hash_out(struct share_server *s, struct node *n)
{
	if (!n->hashed)
		return;
	struct node **p = &s->buckets[bucket_of(s, n->mount, n->dev, n->ino)];
	while (*p != n)
		p = &(*p)->hash_next;
	*p = n->hash_next;
	n->hash_next = NULL;
	n->hashed = false;
}

/* Failure to grow is none: chains get longer. */
static void hash_grow(struct share_server *s)
{
	size_t old = s->nbuckets;
	struct node **from = s->buckets, **to = calloc(old * 2, sizeof(*to));
	if (!to)
		return;
	s->buckets = to;
	s->nbuckets = old * 2;
	for (size_t i = 0; i < old; i++)
		for (struct node *n = from[i], *next; n; n = next) {
			next = n->hash_next;
			hash_in(s, n);
		}
	free(from);
}

static struct node *hash_find(const struct share_server *s, uint64_t mount, uint64_t dev, uint64_t ino)
{
	for (struct node *n = s->buckets[bucket_of(s, mount, dev, ino)]; n; n = n->hash_next)
		if (n->ino == ino && n->dev == dev && n->mount == mount)
			return n;
	return NULL;
}

static bool same_birth(const struct node *n, const struct statx *x)
{
	return n->birth_s == x->stx_btime.tv_sec && n->birth_ns == x->stx_btime.tv_nsec;
}

bool node_is(const struct node *n, const struct statx *x)
{
	return n->ino == x->stx_ino && n->dev == statx_dev(x) && n->mount == x->stx_mnt_id &&
	       n->type == (x->stx_mode & S_IFMT) && same_birth(n, x);
}

/* With a descriptor of ours its number cannot have gone to another file. */
static bool is_held_open(const struct node *n, const struct statx *x)
{
	return (n->fd >= 0 || n->data_fd >= 0) && n->type == (x->stx_mode & S_IFMT);
}

static void set_identity(struct node *n, const struct statx *x)
{
	n->mount = x->stx_mnt_id;
	n->dev = statx_dev(x);
	n->ino = x->stx_ino;
	n->birth_s = x->stx_btime.tv_sec;
	n->birth_ns = x->stx_btime.tv_nsec;
	n->type = x->stx_mode & S_IFMT;
}

void node_rekey(struct share_server *s, struct node *n, const struct statx *x)
{
	if (node_is(n, x) || n->type != (x->stx_mode & S_IFMT))
		return;
	hash_out(s, n);
	set_identity(n, x);
	hash_in(s, n);
}

static int node_new(struct share_server *s, const struct statx *x, struct node **ret)
{
	struct node *n = s->spare;
	if (n) {
		s->spare = n->hash_next;
	} else {
		if (s->nslots >= NODES_MAX)
			return -ENFILE;
		if (s->nslots == s->slots_size) {
			size_t size = s->slots_size ? s->slots_size * 2 : 1024;
			struct node **slots = realloc(s->slots, size * sizeof(struct node *));
			if (!slots)
				return -ENOMEM;
			s->slots = slots;
			s->slots_size = size;
		}
		n = calloc(1, sizeof(*n));
		if (!n)
			return -ENOMEM;
		n->id = (uint32_t)s->nslots;
		s->slots[s->nslots++] = n;
	}
	*n = (struct node){
		.id = n->id, .generation = n->generation + 1, .fd = -1, .data_fd = -1, .live = true};
	set_identity(n, x);
	n->guest_ino = attr_ino(s, n->dev, n->ino);
	hash_in(s, n);
	if (++s->live > s->nbuckets)
		hash_grow(s);
	*ret = n;
	return 0;
}

static void clear_name(struct node *n)
{
	if (n->name != n->short_name)
		free(n->name);
	n->name = NULL;
}

/* Frees it, and the parents that were there for its sake only. */
static void node_unref(struct share_server *s, struct node *n)
{
	while (n && n != s->root && n->lookups == 0 && n->refs == 0) {
		struct node *parent = n->parent;
		if (n->streams)
			streams_drop(s, n);
		watch_drop(s, n);
		node_close(s, n);
		hash_out(s, n);
		clear_name(n);
		n->parent = NULL;
		n->live = false;
		n->hash_next = s->spare;
		s->spare = n;
		s->live--;
		if (parent)
			parent->refs--;
		n = parent;
	}
}

static void lose_place(struct share_server *s, struct node *n)
{
	struct node *parent = n->parent;
	clear_name(n);
	n->parent = NULL;
	if (parent) {
		parent->refs--;
		node_unref(s, parent);
	}
}

static bool node_is_below(const struct node *n, const struct node *top)
{
	for (; n; n = n->parent)
		if (n == top)
			return true;
	return false;
}

void node_moved(struct share_server *s, struct node *n, struct node *parent, const char *name)
{
	if (n == s->root || (n->parent == parent && n->name && streq(n->name, name)))
		return;
	char *copy = n->short_name;
	size_t size = strlen(name) + 1;
	bool loop = n->type == S_IFDIR && node_is_below(parent, n);
	if (size > sizeof(n->short_name))
		copy = loop ? NULL : malloc(size);
	if (loop || !copy) {
		node_pin(s, n); /* by the place that it still has */
		lose_place(s, n);
		return;
	}
	parent->refs++; /* first: it may be the same one */
	lose_place(s, n);
	memcpy(copy, name, size);
	n->name = copy;
	n->parent = parent;
}

/* It has a name again: its descriptor may be closed like any other's. */
static void unpin(struct share_server *s, struct node *n)
{
	if (!n->pinned || !n->name)
		return;
	n->pinned = false;
	s->pinned--;
	node_close(s, n);
}

int node_seen(struct share_server *s, struct node *parent, const char *name, const struct statx *x,
	      struct node **ret)
{
	struct node *n = hash_find(s, x->stx_mnt_id, statx_dev(x), x->stx_ino);
	if (n && !node_is(n, x)) {
		/* The same file, if it is open: an overlay copied it.  Else another one; who still has the
		 * old one finds it stale. */
		if (is_held_open(n, x)) {
			node_rekey(s, n, x);
		} else {
			hash_out(s, n);
			n = NULL;
		}
	}
	if (!n) {
		int r = node_new(s, x, &n);
		if (r < 0)
			return r;
	}
	n->lookups++; /* before its place is changed, which may free nodes */
	node_moved(s, n, parent, name);
	unpin(s, n);
	if (!n->name && n != s->root && n->fd < 0) { /* no memory for its name, or a loop */
		node_forget(s, n, 1);
		return -ESTALE;
	}
	*ret = n;
	return 0;
}

int node_unnamed(struct share_server *s, const struct statx *x, int fd, struct node **ret)
{
	if (s->pinned >= s->pinned_max)
		return -ENFILE;
	int r = node_new(s, x, ret);
	if (r < 0)
		return r;
	(*ret)->lookups = 1;
	(*ret)->fd = fd;
	(*ret)->pinned = true;
	s->pinned++;
	return 0;
}

int node_at(struct share_server *s, int dirfd, const char *name, struct statx *x, struct node **ret)
{
	int r = share_statx(dirfd, name, x);
	if (r < 0)
		return r;
	struct node *n = hash_find(s, x->stx_mnt_id, statx_dev(x), x->stx_ino);
	*ret = n && (node_is(n, x) || is_held_open(n, x)) ? n : NULL;
	return 0;
}

struct node *node_find(const struct share_server *s, uint64_t id)
{
	if (id >= s->nslots)
		return NULL;
	struct node *n = s->slots[id];
	return n && n->live ? n : NULL;
}

void node_forget(struct share_server *s, struct node *n, uint64_t lookups)
{
	n->lookups -= MIN_OF(lookups, n->lookups);
	node_unref(s, n);
}

int nodes_init(struct share_server *s, struct err *err)
{
	struct statx x;
	s->nbuckets = 1024;
	s->buckets = calloc(s->nbuckets, sizeof(*s->buckets));
	s->slots = calloc(1024, sizeof(struct node *));
	if (!s->buckets || !s->slots)
		return err_oom(err);
	s->slots_size = 1024;
	s->nslots = 1; /* 0 is nobody's; the root is 1 */
	int r = share_statx(s->root_fd, "", &x);
	if (r == 0)
		r = node_new(s, &x, &s->root);
	if (r < 0)
		return err_num(err, r, "cannot look at the directory to share");
	s->root_mount = s->root->mount;
	s->root->fd = s->root_fd;
	s->root->pinned = true;
	return 0;
}

int nodes_reserve(struct share_server *s, size_t nslots)
{
	if (s->slots_size < nslots) {
		struct node **slots = realloc(s->slots, nslots * sizeof(struct node *));
		if (!slots)
			return -ENOMEM;
		s->slots = slots;
		s->slots_size = nslots;
	}
	while (s->nslots < nslots) {
		struct node *n = calloc(1, sizeof(*n));
		if (!n)
			return -ENOMEM;
		*n = (struct node){.id = (uint32_t)s->nslots, .fd = -1, .data_fd = -1};
		s->slots[s->nslots++] = n;
	}
	return 0;
}

int node_load(struct share_server *s, size_t id, const struct node_kept *kept)
{
	struct node *n = s->slots[id];

	n->generation = kept->generation;
	if (kept->type == 0) {
		n->hash_next = s->spare;
		s->spare = n;
		return 0;
	}
	n->live = true;
	n->type = kept->type;
	n->lookups = kept->lookups;
	n->guest_ino = kept->guest_ino;
	if (++s->live > s->nbuckets)
		hash_grow(s);
	/* Two of them that are one file now: the other one has it. */
	if (!kept->found ||
	    hash_find(s, kept->found->stx_mnt_id, statx_dev(kept->found), kept->found->stx_ino))
		return 0;
	set_identity(n, kept->found);
	hash_in(s, n);
	node_moved(s, n, kept->parent, kept->name);
	return 0;
}

void nodes_reset(struct share_server *s)
{
	streams_drop(s, NULL);
	for (size_t i = 1; i < s->nslots; i++)
		if (s->slots[i]->live && s->slots[i] != s->root) {
			s->slots[i]->lookups = 0;
			node_unref(s, s->slots[i]);
		}
}

void nodes_free(struct share_server *s)
{
	if (s->root)
		nodes_reset(s);
	for (size_t i = 1; i < s->nslots; i++)
		free(s->slots[i]);
	free(s->slots);
	free(s->buckets);
}

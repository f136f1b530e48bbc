/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of nodes in a file: what a saved machine's kernel knows of the
 * share, so that another server can stand in for this one.
 *
 * A node is kept by its number, its place (parent and name) and what the guest
 * was told that may not change: its type, generation and inode number.  Which
 * file of the host's it is, is found out anew, by its place in the tree that
 * the other server has; where there is none, or one of another type, the node
 * is stale, as if the host had taken the file away.  There are no open files:
 * the guest never says OPEN (handle.c).
 *
 * What cannot be kept is a file without a place that the guest still has open:
 * then nothing is.
 *
 * The file is hostile to who reads it: every number is checked before it is
 * used, and parents that would make a circle are refused.
 */
#include "vm/share/share_int.h"

enum { TABLE_MAX = 256 << 20, NODES_KEPT_MAX = 1 << 20 };
static const char table_magic[8] = "shtable1";

struct table_head {
	char magic[8];
	uint64_t nslots, bytes; /* of the whole file */
};

/* One for each number from 1 on: of those that are nobody's the generation alone counts. */
struct table_row {
	uint32_t generation, type, parent, name_len; /* type 0: nobody's.  parent 0: it has no place. */
	uint64_t lookups, guest_ino;
};

/* ---- writing ---- */

struct table_text {
	unsigned char *data; /* owned */
	size_t len, room;
};

static int text_add(struct table_text *t, const void *data, size_t len)
{
	if (t->room - t->len < len) {
		size_t room = MAX_OF(t->room * 2, t->len + len + (64 << 10));
		unsigned char *bigger = realloc(t->data, room);
		if (!bigger)
			return -ENOMEM;
		t->data = bigger;
		t->room = room;
	}
	if (len)
		memcpy(t->data + t->len, data, len);
	t->len += len;
	return 0;
}

static int add_node(const struct share_server *s, struct table_text *t, const struct node *n)
{
	struct table_row row = {.generation = n->generation};

	if (n->live && n != s->root) {
		if (n->pinned) /* its place is one that it had */
			return -EBUSY;
		row.type = n->type;
		row.lookups = n->lookups;
		row.guest_ino = n->guest_ino;
		row.parent = n->name && n->parent ? n->parent->id : 0;
		row.name_len = row.parent ? (uint32_t)strlen(n->name) : 0;
	}
	int r = text_add(t, &row, sizeof(row));
	return r < 0 ? r : text_add(t, n->name, row.name_len);
}

int share_table_save(const struct share_server *s, int fd)
{
	struct table_head head = {.nslots = s->nslots};
	struct table_text t = {0};
	int r = s->nslots > NODES_KEPT_MAX ? -E2BIG : text_add(&t, &head, sizeof(head));

	memcpy(head.magic, table_magic, sizeof(head.magic));
	for (size_t i = 1; r == 0 && i < s->nslots; i++)
		r = add_node(s, &t, s->slots[i]);
	if (r == 0) {
		head.bytes = t.len;
		memcpy(t.data, &head, sizeof(head));
		r = ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0 ? -errno
								       : fd_write_all(fd, t.data, t.len);
	}
	free(t.data);
	return r;
}

/* ---- reading ---- */

struct loading {
	struct share_server *s;
	const unsigned char *data;
	const struct table_head *head;
	struct loaded {
		size_t at; /* of its row */
		enum { NEW, UNDER_WAY, DONE } state;
	} * nodes; /* by number; owned */
};

static void row_of(const struct loading *l, size_t id, struct table_row *ret)
{
	memcpy(ret, l->data + l->nodes[id].at, sizeof(*ret));
}

static bool is_node_name(const unsigned char *name, size_t len)
{
	return len > 0 && len <= NAME_MAX && !memchr(name, '/', len) && !memchr(name, 0, len) &&
	       !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

static int check_node_row(const struct table_row *row, const unsigned char *name, size_t nslots)
{
	static const uint32_t types[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK};
	size_t i = 0;

	if (row->type == 0)
		return row->parent || row->name_len ? -EBADMSG : 0;
	while (i < ARRAY_LEN(types) && types[i] != row->type)
		i++;
	if (i == ARRAY_LEN(types) || row->parent >= nslots)
		return -EBADMSG;
	return row->parent     ? (is_node_name(name, row->name_len) ? 0 : -EBADMSG)
	       : row->name_len ? -EBADMSG
			       : 0;
}

/* Where each row is. */
static int find_rows(struct loading *l, size_t len)
{
	size_t at = sizeof(*l->head);

	for (size_t id = 1; id < l->head->nslots; id++) {
		struct table_row row;
		if (len - at < sizeof(row))
			return -EBADMSG;
		l->nodes[id].at = at;
		row_of(l, id, &row);
		at += sizeof(row);
		if (row.name_len > NAME_MAX || len - at < row.name_len ||
		    check_node_row(&row, l->data + at, l->head->nslots) < 0)
			return -EBADMSG;
		at += row.name_len;
	}
	return at == len ? 0 : -EBADMSG;
}

static int load_node(struct loading *l, size_t id);

/* Its place, where there is one: 1; else 0. */
static int load_place(struct loading *l, size_t id, const struct table_row *row, struct node **ret_parent,
		      char name[static NAME_MAX + 1], struct statx *x)
{
	struct share_server *s = l->s;
	int r = row->parent > 1 ? load_node(l, row->parent) : 0;

	if (r < 0 || !row->parent)
		return r;
	struct node *parent = s->slots[row->parent];
	if (!parent->live || parent->type != S_IFDIR)
		return -EBADMSG;
	memcpy(name, l->data + l->nodes[id].at + sizeof(*row), row->name_len);
	name[row->name_len] = '\0';
	*ret_parent = parent;
	int fd = node_fd(s, parent);
	r = fd < 0 ? fd : share_statx(fd, name, x);
	return r == 0 && (x->stx_mode & S_IFMT) == row->type;
}

static int load_node(struct loading *l, size_t id)
{
	struct loaded *state = &l->nodes[id];
	char name[NAME_MAX + 1] = "";
	struct statx x = {0};
	struct node *parent = NULL;
	struct table_row row;

	if (state->state == DONE)
		return 0;
	if (state->state == UNDER_WAY)
		return -EBADMSG; /* it would be below itself */
	state->state = UNDER_WAY;
	row_of(l, id, &row);
	int r = row.type ? load_place(l, id, &row, &parent, name, &x) : 0;
	if (r == -EBADMSG)
		return r;
	r = node_load(l->s, id,
		      &(struct node_kept){.generation = row.generation,
					  .type = row.type,
					  .lookups = row.lookups,
					  .guest_ino = row.guest_ino,
					  .parent = parent,
					  .name = name,
					  .found = r == 1 ? &x : NULL});
	state->state = DONE;
	return r;
}

static int load_all(struct loading *l, size_t len)
{
	int r = find_rows(l, len);

	/* A chain of parents is as deep as the call is: no deeper than a path can be. */
	for (size_t id = 1; r == 0 && id < l->head->nslots; id++) {
		struct table_row row;
		size_t at = id, depth = 0;
		for (row_of(l, at, &row); row.parent > 1 && depth <= PATH_MAX; row_of(l, at, &row), depth++)
			at = row.parent;
		r = depth > PATH_MAX ? -EBADMSG : 0;
		if (r == 0 && id != 1)
			r = load_node(l, id);
	}
	return r;
}

int share_table_load(struct share_server *s, int fd)
{
	struct table_head head;
	struct stat st;
	int r = fstat(fd, &st) < 0 ? -errno : 0;

	if (r < 0)
		return r;
	if (st.st_size < (off_t)sizeof(head) || st.st_size > TABLE_MAX ||
	    pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
	    memcmp(head.magic, table_magic, sizeof(head.magic)) != 0 || head.bytes != (uint64_t)st.st_size ||
	    head.nslots < 2 || head.nslots > NODES_KEPT_MAX)
		return -EBADMSG;
	size_t len = (size_t)st.st_size;
	autofree unsigned char *data = malloc(len);
	struct loading l = {.s = s, .data = data, .head = &head};
	l.nodes = calloc(head.nslots, sizeof(*l.nodes));
	if (!data || !l.nodes)
		r = -ENOMEM;
	else if (pread(fd, data, len, 0) != (ssize_t)len)
		r = -EIO;
	if (r == 0)
		r = nodes_reserve(s, head.nslots);
	if (r == 0)
		r = load_all(&l, len);
	if (r == 0)
		watch_parents(s); /* the guest believes what it was told of them */
	free(l.nodes);
	s->started = r == 0;
	return r;
}

/* ---- what is another file now ---- */

size_t share_table_notice(struct share_server *s, size_t *at, void *buf)
{
	for (; *at < s->nslots; ++*at) {
		const struct node *n = s->slots[*at];
		struct {
			struct fuse_out_header head;
			struct fuse_notify_inval_inode_out what;
		} m = {.head = {.len = sizeof(m), .error = FUSE_NOTIFY_INVAL_INODE}};
		if (*at < 2 || !n->live || n->mount == s->root_mount)
			continue;
		m.what.ino = n->id;
		memcpy(buf, &m, sizeof(m));
		++*at;
		return sizeof(m);
	}
	return 0;
}

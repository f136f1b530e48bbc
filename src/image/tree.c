/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.
 *
 * Everything lies in arrays and is named by index, so that a million entries
 * take tens of megabytes and are freed at once.  One hash table finds (directory,
 * name).  A name that comes again names something else from then on; a directory
 * that is replaced takes with it all that was below, which nothing can reach
 * any more.  Only tree_sort() at the end decides what there is.
 */
#include "image/tree.h"

#include "base/str.h"

#include <sys/random.h>

enum { LINKS_MAX = 40, IMPLIED_MODE = 0040755 };

int tree_charge(struct tree *t, uint64_t bytes, struct err *err)
{
	t->memory += bytes;
	if (t->memory > t->memory_max)
		return err_set(err, EFBIG,
			       "the names of its entries need more than %llu bytes of memory (limit "
			       "layer.memory)",
			       (unsigned long long)t->memory_max);
	return 0;
}

static int tree_grow(struct tree *t, void *pv, size_t *cap, size_t need, size_t size, struct err *err)
{
	if (need <= *cap)
		return 0;
	size_t bigger = *cap ? *cap + *cap / 2 : 64;
	if (bigger < need)
		bigger = need;
	if (bigger > UINT32_MAX)
		return err_oom(err);
	int r = tree_charge(t, (bigger - *cap) * size, err);
	if (r < 0)
		return r;
	void *v = realloc(*(void **)pv, bigger * size);
	if (!v)
		return err_oom(err);
	*(void **)pv = v;
	*cap = bigger;
	return 0;
}

static int keep_text(struct tree *t, const char *s, size_t len, uint32_t *ret, struct err *err)
{
	int r = tree_grow(t, &t->texts, &t->texts_cap, t->texts_len + len + 1, 1, err);

	if (r < 0)
		return r;
	memcpy(t->texts + t->texts_len, s, len);
	t->texts[t->texts_len + len] = '\0';
	*ret = (uint32_t)t->texts_len;
	t->texts_len += len + 1;
	return 0;
}

const char *tree_text(const struct tree *t, uint32_t at)
{
	return t->texts + at;
}

static int new_dir(struct tree *t, uint32_t parent, uint32_t *ret_dir, uint32_t *ret_inode, struct err *err)
{
	int r = tree_add(t, EROFS_FT_DIR, 0, NULL, ret_inode, err);

	if (r == 0)
		r = tree_grow(t, &t->dirs, &t->dirs_cap, (size_t)t->ndirs + 1, sizeof(*t->dirs), err);
	if (r < 0)
		return r;
	t->inodes[*ret_inode].dir = t->ndirs;
	t->dirs[t->ndirs] =
		(struct tree_dir){.attr = {.mode = IMPLIED_MODE}, .parent = parent, .implied = true};
	*ret_dir = t->ndirs++;
	return 0;
}

int tree_init(struct tree *t, uint64_t memory_max, struct err *err)
{
	uint32_t dir, inode;

	*t = (struct tree){.memory_max = memory_max, .nhash = 1024};
	if (getrandom(t->secret, sizeof(t->secret), 0) != (ssize_t)sizeof(t->secret))
		return err_sys(err, "cannot get random numbers");
	t->secret[1] |= 1; /* not 0, which would swallow everything */
	t->hash = calloc(t->nhash, sizeof(*t->hash));
	int r = t->hash ? new_dir(t, 0, &dir, &inode, err) : err_oom(err);
	if (r == 0)
		r = tree_grow(t, &t->names, &t->names_cap, 1, sizeof(*t->names), err);
	t->nnames = 1;
	if (r < 0)
		tree_free(t);
	return r;
}

void tree_free(struct tree *t)
{
	for (uint32_t i = 0; i < t->ndirs; i++)
		free((void *)(uintptr_t)t->dirs[i].attr.xattrs);
	free(t->inodes);
	free(t->dirs);
	free(t->names);
	free(t->texts);
	free(t->hash);
	free(t->sorted);
	free(t->order);
	free(t->last_path);
	*t = (struct tree){0};
}

/*
 * Names are chosen by whoever made the archive: without a secret in it, millions of them could be made to
 * fall on one place.  Multiplications whose halves are folded, eight bytes at a time.
 */
static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 m = (unsigned __int128)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint32_t hash_name(const struct tree *t, uint32_t dir, const char *name, size_t len)
{
	uint64_t h = fold(t->secret[0] ^ dir, t->secret[1] ^ len);

	for (; len > 0;) {
		uint64_t word = 0;
		size_t n = MIN_OF(len, sizeof(word));
		memcpy(&word, name, n);
		h = fold(h ^ word ^ t->secret[2], t->secret[1]);
		name += n;
		len -= n;
	}
	return (uint32_t)(h ^ h >> 32);
}

static struct tree_name *find_name(const struct tree *t, uint32_t dir, const char *name, size_t len)
{
	uint32_t i = t->hash[hash_name(t, dir, name, len) & (t->nhash - 1)];

	for (; i; i = t->names[i].next) {
		struct tree_name *n = &t->names[i];
		if (n->dir == dir && n->len == len && memcmp(t->texts + n->text, name, len) == 0)
			return n;
	}
	return NULL;
}

bool tree_find(const struct tree *t, uint32_t dir, const char *name, size_t len, uint32_t *ret_inode)
{
	const struct tree_name *n = find_name(t, dir, name, len);

	if (n)
		*ret_inode = n->inode;
	return n != NULL;
}

static int rehash(struct tree *t, struct err *err)
{
	uint32_t size = t->nhash * 4;
	int r = tree_charge(t, (size - t->nhash) * sizeof(*t->hash), err);
	uint32_t *hash = r == 0 ? calloc(size, sizeof(*hash)) : NULL;

	if (!hash)
		return r < 0 ? r : err_oom(err);
	free(t->hash);
	t->hash = hash;
	t->nhash = size;
	for (uint32_t i = 1; i < t->nnames; i++) {
		struct tree_name *n = &t->names[i];
		uint32_t h = hash_name(t, n->dir, t->texts + n->text, n->len) & (size - 1);
		n->next = hash[h];
		hash[h] = i;
	}
	return 0;
}

int tree_add(struct tree *t, enum erofs_type type, uint64_t nid, const char *target, uint32_t *ret,
	     struct err *err)
{
	uint32_t text = 0;
	int r = tree_grow(t, &t->inodes, &t->inodes_cap, (size_t)t->ninodes + 1, sizeof(*t->inodes), err);

	if (r == 0 && target)
		r = keep_text(t, target, strlen(target), &text, err);
	if (r < 0)
		return r;
	t->inodes[t->ninodes] = (struct tree_inode){.nid = nid, .target = text, .type = (uint8_t)type};
	*ret = t->ninodes++;
	return 0;
}

int tree_name(struct tree *t, uint32_t dir, const char *name, size_t len, uint32_t inode, struct err *err)
{
	struct tree_name *old = find_name(t, dir, name, len);
	uint32_t text;

	if (old) {
		old->inode = inode;
		free(t->last_path); /* it may have led through here */
		t->last_path = NULL;
		return 0;
	}
	int r = tree_grow(t, &t->names, &t->names_cap, (size_t)t->nnames + 1, sizeof(*t->names), err);
	if (r == 0)
		r = keep_text(t, name, len, &text, err);
	if (r == 0 && t->nnames >= t->nhash)
		r = rehash(t, err);
	if (r < 0)
		return r;
	uint32_t h = hash_name(t, dir, name, len) & (t->nhash - 1);
	t->names[t->nnames] = (struct tree_name){
		.dir = dir, .inode = inode, .text = text, .next = t->hash[h], .len = (uint8_t)len};
	t->hash[h] = t->nnames++;
	return 0;
}

int tree_add_dir(struct tree *t, uint32_t dir, const char *name, size_t len, uint32_t *ret_dir,
		 struct err *err)
{
	uint32_t inode;
	int r = new_dir(t, dir, ret_dir, &inode, err);

	return r == 0 ? tree_name(t, dir, name, len, inode, err) : r;
}

/* One step of a walk: `name` from *dir.  1: it is a symbolic link, to *ret_target. */
static int step_down(struct tree *t, uint32_t *dir, const char *name, size_t len, bool make,
		     const char **ret_target, struct err *err)
{
	uint32_t inode, made;

	if (len == 1 && name[0] == '.')
		return 0;
	if (len == 2 && name[0] == '.' &&
	    name[1] == '.') { /* of a link's text; the root's parent is the root */
		*dir = t->dirs[*dir].parent;
		return 0;
	}
	if (!tree_find(t, *dir, name, len, &inode)) {
		if (!make)
			return -ENOENT;
		if (len > EROFS_NAME_MAX)
			return -ENAMETOOLONG;
		int r = tree_add_dir(t, *dir, name, len, &made, err);
		*dir = made;
		return r;
	}
	if (t->inodes[inode].type == EROFS_FT_DIR) {
		*dir = t->inodes[inode].dir;
		return 0;
	}
	if (t->inodes[inode].type != EROFS_FT_SYMLINK)
		return -ENOTDIR;
	*ret_target = tree_text(t, t->inodes[inode].target);
	return 1;
}

/* Walks all components of `path`, spelling out links. */
static int walk_down(struct tree *t, char *path, bool make, uint32_t *ret_dir, struct err *err)
{
	autofree char *owned = NULL;
	uint32_t dir = 0;
	int links = 0;

	for (char *p = path + strspn(path, "/"); *p;) {
		const char *target = NULL;
		size_t len = strcspn(p, "/");
		int r = step_down(t, &dir, p, len, make, &target, err);
		if (r < 0)
			return r;
		p += len;
		p += strspn(p, "/");
		if (r == 0)
			continue;
		if (++links > LINKS_MAX)
			return -ELOOP;
		char *rest = str_format("%s/%s", target, p);
		if (!rest)
			return -ENOMEM;
		if (rest[0] == '/')
			dir = 0;
		free(owned);
		owned = rest;
		if (strlen(rest) > PATH_MAX * 2)
			return -ENAMETOOLONG;
		p = rest + strspn(rest, "/");
	}
	*ret_dir = dir;
	return 0;
}

int tree_parent(struct tree *t, const char *path, bool make, uint32_t *ret_dir, const char **ret_base,
		struct err *err)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	*ret_base = slash ? slash + 1 : path;
	if (len == 0) {
		*ret_dir = 0;
		return 0;
	}
	if (t->last_path && strncmp(t->last_path, path, len) == 0 && t->last_path[len] == '\0') {
		*ret_dir = t->last_dir;
		return 0;
	}
	autofree char *parent = strndup(path, len);
	if (!parent)
		return err_oom(err);
	err->code = 0;
	int r = walk_down(t, parent, make, ret_dir, err);
	if (r < 0) /* a limit has been told already */
		return err->code ? r : err_num(err, r, "cannot find the directory of \"%.200s\"", path);
	free(t->last_path);
	t->last_path = take_ptr(&parent);
	t->last_dir = *ret_dir;
	return 0;
}

/* ---- the end ---- */

static int compare_names(const void *a, const void *b, void *data)
{
	const struct tree *t = data;
	const struct tree_name *x = &t->names[*(const uint32_t *)a], *y = &t->names[*(const uint32_t *)b];
	int r = memcmp(t->texts + x->text, t->texts + y->text, MIN_OF(x->len, y->len));

	return r ? r : (int)x->len - (int)y->len;
}

static void sort_names(struct tree *t)
{
	uint32_t at = 0;

	for (uint32_t i = 1; i < t->nnames; i++)
		t->dirs[t->names[i].dir].count++;
	for (uint32_t d = 0; d < t->ndirs; d++) {
		t->dirs[d].first = at;
		at += t->dirs[d].count;
		t->dirs[d].count = 0;
	}
	for (uint32_t i = 1; i < t->nnames; i++) {
		struct tree_dir *d = &t->dirs[t->names[i].dir];
		t->sorted[d->first + d->count++] = i;
	}
}

int tree_sort(struct tree *t, struct err *err)
{
	int r = tree_charge(t, ((uint64_t)t->nnames + t->ndirs) * sizeof(uint32_t), err);

	if (r < 0)
		return r;
	t->sorted = calloc(t->nnames, sizeof(*t->sorted));
	t->order = calloc(t->ndirs, sizeof(*t->order));
	if (!t->sorted || !t->order)
		return err_oom(err);
	sort_names(t);
	/* A directory has one name only, so this comes to an end. */
	t->norder = 1;
	for (uint32_t i = 0; i < t->norder; i++) {
		struct tree_dir *d = &t->dirs[t->order[i]];
		qsort_r(t->sorted + d->first, d->count, sizeof(*t->sorted), compare_names, t);
		d->attr.nlink = 2;
		for (uint32_t k = 0; k < d->count; k++) {
			struct tree_inode *n = &t->inodes[t->names[t->sorted[d->first + k]].inode];
			n->links++;
			if (n->type != EROFS_FT_DIR)
				continue;
			d->attr.nlink++;
			t->order[t->norder++] = n->dir;
		}
	}
	return 0;
}

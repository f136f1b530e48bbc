/* SPDX-License-Identifier: Apache-2.0 */
#include "image/pack_links.h"

static struct pack_link *slot_of(struct pack_link *v, size_t cap, uint64_t dev, uint64_t ino)
{
	size_t h = (size_t)((ino ^ dev << 32) * 0x9e3779b97f4a7c15ULL >> 20) & (cap - 1);

	while (v[h].ino && (v[h].ino != ino || v[h].dev != dev))
		h = (h + 1) & (cap - 1);
	return &v[h];
}

static int grow_links(struct pack_links *l, struct err *err)
{
	size_t cap = l->cap ? l->cap * 4 : 256;
	struct pack_link *v = calloc(cap, sizeof(*v));

	if (!v)
		return err_oom(err);
	for (size_t i = 0; i < l->cap; i++)
		if (l->v[i].ino)
			*slot_of(v, cap, l->v[i].dev, l->v[i].ino) = l->v[i];
	free(l->v);
	l->v = v;
	l->cap = cap;
	return 0;
}

int pack_links_find(struct pack_links *l, const struct stat *st, const char *name, const char **ret_first,
		    struct err *err)
{
	*ret_first = NULL;
	if (l->n * 2 >= l->cap) {
		int r = grow_links(l, err);
		if (r < 0)
			return r;
	}
	struct pack_link *k = slot_of(l->v, l->cap, st->st_dev, st->st_ino);
	if (k->ino) {
		*ret_first = k->name;
		return 1;
	}
	char *copy = name ? strdup(name) : NULL;
	if (name && !copy)
		return err_oom(err);
	*k = (struct pack_link){st->st_dev, st->st_ino, copy};
	l->n++;
	return 0;
}

void pack_links_free(struct pack_links *l)
{
	for (size_t i = 0; i < l->cap; i++)
		free(l->v[i].name);
	free(l->v);
	*l = (struct pack_links){0};
}

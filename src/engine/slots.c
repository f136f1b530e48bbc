/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots: which 65,536 ids of the host a container's user namespace has.
 *
 * The column is UNIQUE, and who looks for a free one does so in the
 * transaction that takes it.  The next one above the highest is one look into
 * the index; only when the top is reached the gaps are looked through.  Ranges that
 * /etc/subuid and /etc/subgid give to people are left out.
 */
#include "engine/engine_int.h"

#include "base/file.h"

enum {
	SLOT_COUNT = (ENGINE_LAST_ID - ENGINE_FIRST_ID + 1) / ENGINE_SLOT_IDS,
	SUBIDS_MAX = 4 << 20,
};

struct id_ranges {
	struct id_range {
		uint64_t first, count;
	} * v;
	size_t n;
};

static int read_ranges(const char *path, struct id_ranges *l, struct err *err)
{
	autofree char *text = NULL;
	size_t len;
	int r = file_read_at(AT_FDCWD, path, SUBIDS_MAX, &text, &len);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_num(err, r, "cannot read \"%s\", which says what ids are free for containers",
			       path);
	for (char *p = text, *line; p && *p;) {
		line = p;
		p = strchr(p, '\n');
		if (p)
			*p++ = '\0';
		char *first = strchr(line, ':'), *count = first ? strchr(first + 1, ':') : NULL;
		if (!count || line[0] == '#')
			continue;
		struct id_range *v = realloc(l->v, (l->n + 1) * sizeof(*v));
		if (!v)
			return err_oom(err);
		l->v = v;
		v[l->n++] = (struct id_range){.first = strtoull(first + 1, NULL, 10),
					      .count = strtoull(count + 1, NULL, 10)};
	}
	return 0;
}

static bool slot_is_theirs(const struct id_ranges *l, int64_t slot)
{
	uint64_t first = engine_slot_base(slot);

	for (size_t i = 0; i < l->n; i++) {
		if (first < l->v[i].first + l->v[i].count && l->v[i].first < first + ENGINE_SLOT_IDS)
			return true;
	}
	return false;
}

static int64_t skip_theirs(const struct id_ranges *l, int64_t slot)
{
	while (slot < SLOT_COUNT && slot_is_theirs(l, slot))
		slot++;
	return slot;
}

static int find_gap(struct engine *e, const struct id_ranges *l, int64_t *ret, struct err *err)
{
	struct db_row q autodbrow;
	int64_t slot = skip_theirs(l, 0);
	int r = db_query(e->db, &q, err, "SELECT slot FROM container WHERE slot IS NOT NULL ORDER BY slot",
			 "");

	while (r == 0 && (r = db_next(&q, err)) > 0) {
		int64_t taken = db_int(&q, 0);
		if (taken > slot)
			break;
		if (taken == slot)
			slot = skip_theirs(l, slot + 1);
		r = 0;
	}
	if (r < 0)
		return r;
	if (slot >= SLOT_COUNT)
		return err_set(
			err, ENOSPC,
			"no ids are left for a user namespace: %d containers have theirs; remove some, or "
			"use --userns=host",
			SLOT_COUNT);
	*ret = slot;
	return 0;
}

int engine_slot_find(struct engine *e, int64_t *ret, struct err *err)
{
	struct id_ranges l = {0};
	int r = read_ranges("/etc/subuid", &l, err);

	if (r == 0)
		r = read_ranges("/etc/subgid", &l, err);
	if (r == 0) {
		struct db_row q autodbrow;
		r = db_query(e->db, &q, err, "SELECT max(slot) FROM container", "");
		if (r == 0)
			r = db_next(&q, err);
		if (r > 0) {
			int64_t slot = skip_theirs(&l, db_is_null(&q, 0) ? 0 : db_int(&q, 0) + 1);
			r = slot < SLOT_COUNT ? 0 : 1;
			if (r == 0)
				*ret = slot;
		}
	}
	if (r > 0)
		r = find_gap(e, &l, ret, err);
	free(l.v);
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The mounts of a container: what was asked for, of other containers, and the image's volumes. */
#include "engine/create.h"

#include "host/mount.h"
#include "host/mount_options.h"
#include "host/resolve.h"

struct mounts_making {
	struct engine_making *m;
	struct engine_record_mount *v;
	size_t n, cap;
};

static int room_for_mount(struct mounts_making *l, struct err *err)
{
	if (l->n < l->cap)
		return 0;
	size_t cap = l->cap ? 2 * l->cap : 8;
	struct engine_record_mount *v = engine_keep(l->m, cap * sizeof(*v));
	if (!v)
		return err_oom(err);
	if (l->n)
		memcpy(v, l->v, l->n * sizeof(*v));
	l->v = v;
	l->cap = cap;
	return 0;
}

static bool has_target(const struct mounts_making *l, const char *target)
{
	for (size_t i = 0; i < l->n; i++) {
		if (streq(l->v[i].target, target))
			return true;
	}
	return false;
}

static int add_record_mount(struct mounts_making *l, const struct engine_record_mount *mount, struct err *err)
{
	int r = room_for_mount(l, err);

	if (r == 0)
		l->v[l->n++] = *mount;
	return r;
}

/* Absolute, clean, and not the root. */
static int clean_target(struct mounts_making *l, const char *target, const char *type, const char **ret,
			struct err *err)
{
	if (!target || target[0] != '/')
		return err_set(
			err, EINVAL,
			"invalid mount config for type \"%s\": invalid mount path: '%s' mount path must be "
			"absolute",
			type, target ? target : "");
	autofree char *clean = resolve_clean(target);
	if (!clean)
		return err_oom(err);
	if (streq(clean, "/"))
		return err_set(
			err, EINVAL,
			"invalid mount config for type \"%s\": invalid specification: destination can't be "
			"'/'",
			type);
	*ret = engine_keep_text(l->m, clean);
	return *ret ? 0 : err_oom(err);
}

static bool create_mounts_is_propagation(const char *word)
{
	return mount_propagation_named(word) && !str_ends(word, "unbindable");
}

/* One word of what stood behind the second colon of -v. */
static int take_mode_word(const char *word, struct engine_record_mount *m, struct err *err)
{
	static const char *const meaningless[] = {"z",	       "Z",  "consistent", "cached",
						  "delegated", "rw", "copy"};

	for (size_t i = 0; i < ARRAY_LEN(meaningless); i++) {
		if (streq(word, meaningless[i]))
			return 0;
	}
	if (streq(word, "ro"))
		m->read_only = true;
	else if (streq(word, "rro"))
		m->read_only = m->recursive_read_only = true;
	else if (streq(word, "nocopy"))
		m->no_copy = true;
	else if (streq(word, "idmap"))
		m->idmap = true;
	else if (create_mounts_is_propagation(word))
		m->propagation = word;
	else
		return err_set(err, EINVAL, "invalid mode: %.64s", word);
	return 0;
}

static int take_mode(struct mounts_making *l, const char *mode, struct engine_record_mount *m,
		     struct err *err)
{
	const char *kept = engine_keep_text(l->m, mode);
	char *p = (char *)(uintptr_t)kept; /* our own copy, cut into words */
	int r = kept ? 0 : err_oom(err);

	m->mode = mode;
	while (r == 0 && p && *p) {
		char *comma = strchr(p, ',');
		if (comma)
			*comma++ = '\0';
		if (*p)
			r = take_mode_word(p, m, err);
		p = comma;
	}
	return r;
}

static int note_volume(struct engine_making *m, const struct engine_volume *volume, struct err *err)
{
	struct engine_volume *all = engine_keep(m, (m->n_new + 1) * sizeof(*all));

	if (!all)
		return err_oom(err);
	if (m->n_new)
		memcpy(all, m->new_volumes, m->n_new * sizeof(*all));
	all[m->n_new++] = *volume;
	m->new_volumes = all;
	return 0;
}

/* `q`: what else was asked for of the volume, NULL = nothing. */
static int name_volume(struct mounts_making *l, const char *name, const struct engine_mount *q,
		       struct engine_record_mount *m, struct err *err)
{
	char id[ENGINE_ID_LEN + 1];
	int r = 0;

	if (name && *name) {
		r = engine_volume_name_check(name, err);
		m->name = name;
	} else {
		engine_random_id(id);
		m->name = engine_keep_text(l->m, id);
		m->anonymous = true;
		if (!m->name)
			return err_oom(err);
	}
	struct engine_volume volume = {.name = m->name, .anonymous = m->anonymous};
	if (q) {
		volume.driver = q->volume_driver;
		volume.labels = q->volume_labels;
		volume.options = q->volume_options;
	}
	return r < 0 ? r : note_volume(l->m, &volume, err);
}

static int add_asked(struct mounts_making *l, const struct engine_mount *q, struct err *err)
{
	static const char *const types[] = {
		[ENGINE_BIND] = "bind", [ENGINE_VOLUME] = "volume", [ENGINE_TMPFS] = "tmpfs"};
	struct engine_record_mount m = {.type = types[q->kind],
					.read_only = q->read_only,
					.no_copy = q->no_copy,
					.create_source = q->create_source,
					.recursive_read_only = q->recursive_read_only,
					.idmap = q->idmap,
					.by_mount = q->by_mount,
					.non_recursive = q->non_recursive,
					.propagation = q->propagation,
					.subpath = q->subpath};
	int r = clean_target(l, q->target, m.type, &m.target, err);

	if (r == 0 && has_target(l, m.target))
		r = err_set(err, EINVAL, "Duplicate mount point: %s", m.target);
	if (r == 0 && q->propagation && !create_mounts_is_propagation(q->propagation))
		r = err_set(err, EINVAL, "invalid propagation: %.64s", q->propagation);
	if (r < 0)
		return r;
	if (q->kind == ENGINE_TMPFS) {
		m.options = q->options;
		return add_record_mount(l, &m, err);
	}
	if (q->options && *q->options)
		r = take_mode(l, q->options, &m, err);
	if (r == 0 && q->kind == ENGINE_VOLUME)
		r = name_volume(l, q->source, q, &m, err);
	if (r == 0 && q->kind == ENGINE_BIND) {
		if (!q->source || q->source[0] != '/')
			return err_set(
				err, EINVAL,
				"invalid mount config for type \"bind\": invalid mount path: '%s' mount path "
				"must be absolute",
				q->source ? q->source : "");
		autofree char *clean = resolve_clean(q->source);
		m.source = clean ? engine_keep_text(l->m, clean) : NULL;
		if (!m.source)
			return err_oom(err);
		if (!m.create_source && access(m.source, F_OK) < 0 && errno == ENOENT)
			return err_set(
				err, EINVAL,
				"invalid mount config for type \"bind\": bind source path does not exist: %s",
				m.source);
	}
	return r < 0 ? r : add_record_mount(l, &m, err);
}

static const char *keep_or_null(struct engine_making *m, const char *text, bool *oom)
{
	const char *s = text ? engine_keep_text(m, text) : NULL;

	*oom |= text && !s;
	return s;
}

static int add_from(struct mounts_making *l, const char *spec, struct err *err)
{
	struct engine_container other autocontainer_row = {.lock = -1};
	autofree char *name = strdup(spec), *id = NULL;
	int r;

	if (!name)
		return err_oom(err);
	char *mode = strrchr(name, ':');
	if (mode) {
		*mode++ = '\0';
		if (!streq(mode, "ro") && !streq(mode, "rw") && !streq(mode, "z") && !streq(mode, "Z"))
			return err_set(err, EINVAL, "invalid mode: %s", mode);
	}
	r = engine_resolve(l->m->e, name, &id, err);
	if (r == 0)
		r = engine_load(l->m->e, id, &other, err);
	for (size_t i = 0; r == 0 && i < other.record.mounts.n; i++) {
		struct engine_record_mount m = other.record.mounts.v[i];
		bool oom = false;
		if (streq(m.type, "tmpfs") || has_target(l, m.target))
			continue;
		const char **texts[] = {&m.type, &m.name,	 &m.source,  &m.target,
					&m.mode, &m.propagation, &m.options, &m.subpath};
		for (size_t k = 0; k < ARRAY_LEN(texts); k++)
			*texts[k] = keep_or_null(l->m, *texts[k], &oom);
		m.read_only |= mode && streq(mode, "ro");
		r = oom ? err_oom(err) : add_record_mount(l, &m, err);
		if (r == 0 && m.name)
			r = note_volume(
				l->m, &(struct engine_volume){.name = m.name, .anonymous = m.anonymous}, err);
	}
	return r;
}

int engine_create_mounts(struct engine_making *m, struct err *err)
{
	const struct engine_create *q = m->q;
	const str_list *volumes = &m->image.config.volumes;
	struct mounts_making l = {.m = m};
	int r = 0;

	for (size_t i = 0; r == 0 && i < q->mounts.n; i++)
		r = add_asked(&l, &q->mounts.v[i], err);
	for (size_t i = 0; r == 0 && i < q->volumes_from.n; i++)
		r = add_from(&l, q->volumes_from.v[i], err);
	for (size_t i = 0; r == 0 && i < volumes->n; i++) {
		struct engine_record_mount own = {.type = "volume", .from_image = true};
		r = clean_target(&l, volumes->v[i], "volume", &own.target, err);
		if (r < 0 || has_target(&l, own.target))
			continue;
		r = name_volume(&l, NULL, NULL, &own, err);
		if (r == 0)
			r = add_record_mount(&l, &own, err);
	}
	m->c.record.mounts.v = l.v;
	m->c.record.mounts.n = l.n;
	return r;
}

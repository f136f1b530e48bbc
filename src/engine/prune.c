/* SPDX-License-Identifier: Apache-2.0 */
/* `prune` and `system df`. */
#include "engine/engine_int.h"

/* ---- which images and layers containers stand on ---- */

struct in_use {
	struct image_use {
		char id[72]; /* of the image */
		char container[65];
		bool runs;
	} * v;
	size_t n;
	str_list diff_ids;
};

static void in_use_free(struct in_use *u)
{
	free(u->v);
	engine_strs_free(&u->diff_ids);
}

static int add_image_use(struct in_use *u, const char *image, const char *user, bool runs, struct err *err)
{
	struct image_use *v = realloc(u->v, (u->n + 1) * sizeof(*v));

	if (!v)
		return err_oom(err);
	u->v = v;
	if (snprintf(v[u->n].id, sizeof(v->id), "%s", image) < 0 ||
	    snprintf(v[u->n].container, sizeof(v->container), "%s", user) < 0)
		return err_oom(err);
	v[u->n++].runs = runs;
	return 0;
}

/* The files of a machine that was kept are of no use without it, and it without them. */
static int add_machine_use(void *data, const char *image, const char *name, struct err *err)
{
	return add_image_use(data, image, name, true, err);
}

static int add_use(struct in_use *u, const struct engine_container *c, struct err *err)
{
	int r = add_image_use(u, c->record.image_id, c->id, engine_is_live(c), err);

	for (size_t i = 0; r == 0 && i < c->record.diff_ids.n; i++)
		r = engine_strs_add(&u->diff_ids, c->record.diff_ids.v[i], err);
	return r;
}

/* All ids, then each record: not on any hot path. */
int engine_each(struct engine *e, int (*each)(void *data, struct engine_container *c, struct err *err),
		void *data, struct err *err)
{
	str_list ids = {0};
	int r;
	{
		struct db_row q autodbrow;
		r = db_query(e->db, &q, err, "SELECT id FROM container ORDER BY created", "");
		while (r == 0 && (r = db_next(&q, err)) > 0)
			r = engine_strs_add(&ids, db_text(&q, 0), err);
	}
	for (size_t i = 0; r == 0 && i < ids.n; i++) {
		struct engine_container c autocontainer_row = {.lock = -1};
		r = engine_load(e, ids.v[i], &c, err);
		if (r == -ENOENT)
			r = 0; /* removed meanwhile */
		else if (r == 0)
			r = each(data, &c, err);
	}
	engine_strs_free(&ids);
	return r;
}

static int note_use(void *data, struct engine_container *c, struct err *err)
{
	return add_use(data, c, err);
}

static int uses_image(void *data, const char *image_id, char ret_container[static 65])
{
	const struct in_use *u = data;
	int found = 0;

	for (size_t i = 0; i < u->n; i++) {
		if (!streq(u->v[i].id, image_id) || (found && !u->v[i].runs))
			continue;
		memcpy(ret_container, u->v[i].container, 65);
		found = u->v[i].runs ? 2 : 1;
	}
	return found;
}

static bool uses_layer(void *data, const char *diff_id)
{
	const struct in_use *u = data;

	for (size_t i = 0; i < u->diff_ids.n; i++) {
		if (streq(u->diff_ids.v[i], diff_id))
			return true;
	}
	return false;
}

/* ---- sweep ---- */

struct sweeping {
	struct engine *e;
	struct in_use use;
	bool looked, failed;
};

/* The store is locked by now: no container is made between this look and the removal. */
static bool sweep_spares(void *data, const char *diff_id)
{
	struct sweeping *s = data;
	struct err err;

	if (!s->looked)
		s->failed = engine_each(s->e, note_use, &s->use, &err) < 0;
	s->looked = true;
	return s->failed || uses_layer(&s->use, diff_id);
}

int engine_sweep(struct engine *e, bool wait, uint64_t *ret_bytes, struct err *err)
{
	struct sweeping s = {.e = e};
	struct image_gc_result gc = {0};
	int r = wait ? image_gc(e->store, sweep_spares, &s, &gc, err)
		     : image_gc_try(e->store, sweep_spares, &s, &gc, err);

	in_use_free(&s.use);
	*ret_bytes = gc.bytes;
	return r == -EAGAIN ? 0 : r;
}

/* ---- prune ---- */

static const char *const prune_filters[] = {"until", "label", "label!", "dangling", "all", NULL};

struct pruning {
	struct engine *e;
	const struct engine_prune *q;
	struct engine_filters filters;
	int64_t until; /* 0 = no such filter */
	uint64_t bytes;
	struct in_use use;
};

static void told_pruned(const struct pruning *p, const char *kind, const char *what)
{
	if (p->q->told)
		p->q->told(p->q->data, kind, what);
}

static int prune_one_container(void *data, struct engine_container *c, struct err *err)
{
	struct pruning *p = data;
	struct snapshot s autosnapshot = {0};
	struct engine_maps maps;
	struct err why = {0};
	uint64_t bytes = 0, inodes;

	if (engine_is_live(c))
		return 0;
	if ((p->until && c->created >= p->until) ||
	    !engine_filter_labels(&p->filters, c->record.config.labels.v, c->record.config.labels.n))
		return 0;
	engine_maps_of(p->e, c, &maps);
	int r = engine_snapshot_of(p->e, c, &maps, &s, err);
	if (r < 0)
		return r;
	if (snapshot_usage(&s, &bytes, &inodes, &why) < 0)
		bytes = 0;
	r = engine_remove(p->e, c->id, false, false, &why);
	if (r == -EBUSY || r == -ENOENT)
		return 0; /* started or removed meanwhile */
	if (r < 0) {
		*err = why;
		return r;
	}
	p->bytes += bytes;
	told_pruned(p, "container", c->id);
	return 0;
}

static int prune_volumes(struct pruning *p, struct err *err)
{
	volume_list l = {0};
	int r = engine_volume_list(p->e, true, &l, err);

	for (size_t i = 0; r == 0 && i < l.n; i++) {
		const struct engine_volume *v = &l.v[i];
		struct err why = {0};
		if (v->users || (!v->anonymous && !p->q->all_volumes) ||
		    !engine_filter_labels(&p->filters, v->labels.v, v->labels.n))
			continue;
		if (engine_volume_remove(p->e, v->name, true, &why) < 0)
			continue; /* used again */
		p->bytes += v->size;
		told_pruned(p, "volume", v->name);
	}
	engine_volume_list_free(&l);
	return r;
}

static void told_image_line(void *data, const char *line)
{
	const struct pruning *p = data;

	told_pruned(p, "image", line);
}

static int pruned_image_use(void *data, const char *image_id, char ret_container[static 65])
{
	struct pruning *p = data;

	return uses_image(&p->use, image_id, ret_container);
}

static int64_t image_time(const struct image *i)
{
	return (int64_t)i->created.tv_sec * ENGINE_NS_SECOND + i->created.tv_nsec;
}

static int prune_images(struct pruning *p, struct err *err)
{
	image_list l = {0};
	char container[65];
	int r = engine_each(p->e, note_use, &p->use, err);

	if (r == 0)
		r = engine_machine_images(add_machine_use, &p->use, err);
	if (r == 0)
		r = image_list_all(p->e->store, &l, err);
	for (size_t i = 0; r == 0 && i < l.n; i++) {
		const struct image *image = &l.v[i];
		struct err why = {0};
		if ((image->tags.n && !p->q->all_images) || uses_image(&p->use, image->id, container) ||
		    (p->until && image_time(image) >= p->until) ||
		    !engine_filter_labels(&p->filters, image->config.labels.v, image->config.labels.n))
			continue;
		struct image_remove q = {.name = image->id,
					 .force = true,
					 .in_use = pruned_image_use,
					 .told = told_image_line,
					 .data = p};
		if (image_remove(p->e->store, &q, &why) < 0 && why.code != ENOENT)
			engine_warn(p->e, "%s", why.msg);
	}
	image_list_free(&l);
	uint64_t bytes = 0;
	if (r == 0)
		r = engine_sweep(p->e, true, &bytes, err);
	p->bytes += bytes;
	return r;
}

static void told_network(void *data, const char *name)
{
	const struct pruning *p = data;

	told_pruned(p, "network", name);
}

static int prune_networks(struct pruning *p, struct err *err)
{
	struct net *n;
	int r = engine_net_get(p->e, &n, err);

	return r < 0 ? r : net_prune(n, told_network, p, err);
}

int engine_prune(struct engine *e, const struct engine_prune *q, uint64_t *ret_bytes, struct err *err)
{
	struct pruning p = {.e = e, .q = q};
	int r = engine_filters_parse(&q->filters, prune_filters, &p.filters, err);
	const char *until = engine_filter_first(&p.filters, "until");

	if (r == 0 && until)
		r = engine_time_parse(until, &p.until, err);
	if (r == 0 && q->containers)
		r = engine_each(e, prune_one_container, &p, err);
	if (r == 0 && q->networks)
		r = prune_networks(&p, err);
	if (r == 0 && (q->volumes || q->all_volumes))
		r = prune_volumes(&p, err);
	if (r == 0 && (q->images || q->all_images))
		r = prune_images(&p, err);
	engine_filters_free(&p.filters);
	in_use_free(&p.use);
	if (r == 0)
		*ret_bytes = p.bytes;
	return r;
}

/* ---- system df ---- */

struct counting {
	struct engine *e;
	struct engine_usage *u;
	struct in_use use;
};

static int count_container(void *data, struct engine_container *c, struct err *err)
{
	struct counting *k = data;
	struct snapshot s autosnapshot = {0};
	struct engine_maps maps;
	uint64_t bytes = 0, inodes;
	bool runs = engine_is_live(c);
	int r = add_use(&k->use, c, err);

	engine_maps_of(k->e, c, &maps);
	if (r == 0)
		r = engine_snapshot_of(k->e, c, &maps, &s, err);
	if (r == 0)
		r = snapshot_usage(&s, &bytes, &inodes, err);
	if (r < 0)
		return r;
	k->u->containers++;
	k->u->containers_active += runs;
	k->u->containers_size += bytes;
	k->u->containers_reclaimable += runs ? 0 : bytes;
	return 0;
}

static int count_volumes(struct engine *e, struct engine_usage *u, struct err *err)
{
	volume_list l = {0};
	int r = engine_volume_list(e, true, &l, err);

	for (size_t i = 0; r == 0 && i < l.n; i++) {
		u->volumes++;
		u->volumes_active += l.v[i].users > 0;
		u->volumes_size += l.v[i].size;
		u->volumes_reclaimable += l.v[i].users ? 0 : l.v[i].size;
	}
	engine_volume_list_free(&l);
	return r;
}

static int count_images(struct engine *e, const struct in_use *use, struct engine_usage *u, struct err *err)
{
	image_list l = {0};
	char container[65];
	int r = image_list_all(e->store, &l, err);

	for (size_t i = 0; r == 0 && i < l.n; i++) {
		bool used = uses_image((void *)(uintptr_t)use, l.v[i].id, container);
		u->images++;
		u->images_active += used;
		u->images_size += l.v[i].size;
		u->images_reclaimable += used ? 0 : l.v[i].size;
	}
	image_list_free(&l);
	return r;
}

int engine_usage(struct engine *e, struct engine_usage *ret, struct err *err)
{
	struct engine_usage u = {0};
	struct counting k = {.e = e, .u = &u};
	int r = engine_each(e, count_container, &k, err);

	if (r == 0)
		r = count_volumes(e, &u, err);
	if (r == 0)
		r = engine_machine_images(add_machine_use, &k.use, err);
	if (r == 0)
		r = count_images(e, &k.use, &u, err);
	in_use_free(&k.use);
	if (r == 0)
		*ret = u;
	return r;
}

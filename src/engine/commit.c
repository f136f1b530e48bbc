/* SPDX-License-Identifier: Apache-2.0 */
/* `commit`: an image of what a container has changed. */
#include "engine/engine_int.h"

static char *commit_command_line(const struct oci_image_config *c)
{
	struct str s autostr = {0};

	for (size_t i = 0; i < c->entrypoint.n; i++)
		str_putf(&s, "%s%s", s.len ? " " : "", c->entrypoint.v[i]);
	for (size_t i = 0; i < c->cmd.n; i++)
		str_putf(&s, "%s%s", s.len ? " " : "", c->cmd.v[i]);
	if (!s.s)
		str_put(&s, "");
	return str_take(&s);
}

int engine_commit_image(struct engine *e, struct engine_container *c, const struct image_make *what,
			const str_list *changes, char **ret, struct err *err)
{
	struct image base autoimage = {0};
	struct snapshot s autosnapshot = {0};
	struct engine_maps maps;
	struct image_make q = *what;
	int r = image_find(e->store, c->record.image_id, NULL, &base, err);

	if (r < 0)
		return r;
	engine_maps_of(e, c, &maps);
	r = engine_snapshot_of(e, c, &maps, &s, err);
	if (r == 0)
		r = snapshot_prepare(e->store, &s, err);
	if (r < 0)
		return r;
	autofree char *by = commit_command_line(&c->record.config);
	q.store = e->store;
	q.base = &base;
	q.changes = &s;
	q.tar_fd = -1;
	q.created_by = by;
	q.config = c->record.config;
	q.config.architecture = base.config.architecture;
	q.config.os = base.config.os;
	q.config.variant = base.config.variant;
	r = engine_changes_apply(&c->doc, &q.config, changes, err);
	return r < 0 ? r : image_make(&q, ret, err);
}

int engine_commit(struct engine *e, const char *id, const char *reference, const char *author,
		  const char *message, const str_list *changes, bool pause, char **ret_image_id,
		  struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	struct image_make q = {
		.name = reference && *reference ? reference : NULL, .author = author, .comment = message};
	int r = engine_load_locked(e, id, &c, err);
	bool paused = false;

	if (r < 0)
		return r;
	if (pause && streq(c.state, "running")) {
		/* Known to who comes after a kill -9: `ps` tells, `unpause` mends. */
		r = engine_freeze(e, &c, err);
		/* Without root there is mostly no cgroup, and then no pause: as with --pause=false. */
		if (r < 0 && !e->o.rootless)
			return r;
		paused = r == 0;
		r = 0;
	}
	if (r == 0)
		r = engine_commit_image(e, &c, &q, changes, ret_image_id, err);
	if (paused) {
		struct err why = {0};
		int back = engine_thaw(e, &c, &why);
		if (back < 0 && r == 0) {
			*err = why;
			r = back;
		}
	}
	if (r == 0)
		engine_tell_container(e, &c, "commit", "imageID", *ret_image_id);
	return r;
}

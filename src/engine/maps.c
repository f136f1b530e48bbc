/* SPDX-License-Identifier: Apache-2.0 */
/* Whose ids a container's are, and what its root file system is made of. */
#include "engine/engine_int.h"

#include "host/caps.h"
#include "host/userns.h"
#include "host/userns_self.h"

#include <sys/fsuid.h>
#include <sys/stat.h>

void engine_maps_of(const struct engine *e, const struct engine_container *c, struct engine_maps *ret)
{
	*ret = (struct engine_maps){0};
	if (e->o.rootless) {
		/* Root of the container is who calls; the rest are the caller's subordinate ids. */
		struct userns_self own;
		userns_self_maps(&own);
		memcpy(ret->uid_maps, own.uid_maps, sizeof(own.uid_maps));
		memcpy(ret->gid_maps, own.gid_maps, sizeof(own.gid_maps));
		ret->uids = (idmap_list){.v = ret->uid_maps, .n = own.uids.n};
		ret->gids = (idmap_list){.v = ret->gid_maps, .n = own.gids.n};
		return;
	}
	if (c->record.user_base == 0)
		return;
	ret->uid_maps[0] = ret->gid_maps[0] =
		(struct oci_idmap){.host = c->record.user_base, .size = ENGINE_SLOT_IDS};
	ret->uids = (idmap_list){.v = ret->uid_maps, .n = 1};
	ret->gids = (idmap_list){.v = ret->gid_maps, .n = 1};
}

uint32_t engine_maps_host(const idmap_list *map, uint32_t id)
{
	uint32_t host;

	if (map->n == 0)
		return id;
	return userns_host_id(map, id, &host) == 0 ? host : UINT32_MAX;
}

int engine_as_root_of(const struct engine_maps *maps, int (*fn)(void *data, struct err *err), void *data,
		      struct err *err)
{
	struct caps mine;
	int r = caps_mine(&mine, err);

	if (r < 0)
		return r;
	mode_t old = umask(0);
	/* These two tell nothing; what they fail to do `fn` does. */
	(void)setfsgid(engine_maps_host(&maps->gids, 0));
	(void)setfsuid(engine_maps_host(&maps->uids, 0));
	/* With that the kernel took the capabilities over files. */
	mine.set = true;
	r = caps_apply(&mine, 0, err);
	if (r == 0)
		r = fn(data, err);
	(void)setfsuid(geteuid());
	(void)setfsgid(getegid());
	(void)umask(old); /* cannot fail */
	return r;
}

/* What the engine mounts something on in every container, and the directories of that. */
static const char *const scaffold[] = {"dev",  "etc", "etc/hostname",	 "etc/hosts", "etc/resolv.conf",
				       "proc", "run", "run/coffer-init", "sys",	      NULL};

int engine_snapshot_of(struct engine *e, const struct engine_container *c, const struct engine_maps *maps,
		       struct snapshot *ret, struct err *err)
{
	autofree char *dir = engine_data_path(e, c->id, NULL);
	char *places;
	int r = dir ? engine_places_path(e, &places, err) : err_oom(err);

	if (r < 0)
		return r;
	*ret = (struct snapshot){
		.dir = take_ptr(&dir),
		.diff_ids = &c->record.diff_ids,
		.uids = &maps->uids,
		.gids = &maps->gids,
		/* Mount points of volumes must be made in it: read-only is the mount, not the snapshot. */
		.is_volatile = c->record.q.auto_remove,
		.rootless = e->o.rootless,
		.scaffold = scaffold,
		.places = places,
	};
	return 0;
}

void engine_snapshot_free(struct snapshot *s)
{
	free((void *)(uintptr_t)s->dir); /* engine_snapshot_of() made both */
	free((void *)(uintptr_t)s->places);
	s->dir = s->places = NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `delete`: takes away what the store names, in whatever state a command
 * that was killed has left it.
 */
#include "runtime/runtime.h"

#include "base/str.h"
#include "host/intelrdt.h"
#include "runtime/container.h"
#include "runtime/destroy.h"
#include "runtime/hooks.h"

#include <signal.h>

static int remove_groups(const struct container *c, struct err *err)
{
	struct intelrdt rdt;
	int r = cgroup_remove(&c->cgroup, err);

	if (r < 0)
		return err_prefix(err, "unable to remove container's cgroup");
	record_intel_rdt(&c->record, &rdt);
	r = intelrdt_remove(&rdt, err);
	return r < 0 ? err_prefix(err, "unable to remove container's IntelRDT group") : 0;
}

int destroy_container(const struct container *c, struct err *err)
{
	const struct hook_call poststop = {
		.rt = c->rt,
		.kind = "poststop",
		.list = &c->config.hooks.poststop,
		.id = c->id,
		.bundle = c->record.bundle,
		.status = "stopped",
		.annotations = &c->config.annotations,
		.forgive = true,
	};
	int r;

	r = c->level->destroy(&c->sandbox, err);
	if (r == 0)
		r = remove_groups(c, err);
	if (r == 0)
		r = store_remove(c->rt->root, c->id, c->dirfd, err);
	if (r < 0)
		return err_prefix(err, "unable to destroy container");
	return hooks_run(&poststop, err);
}

/*
 * The record cannot be read.  The copy of the configuration tells where the
 * cgroup must be, and `init` who is in it.
 */
static int destroy_broken(const struct container *c, struct err *err)
{
	const struct runtime *rt = c->rt;
	struct cgroup cgroup = {.none = true};
	struct oci_config config = {0};
	struct store_init init = {0};
	struct err ignored = {0};
	int r = 0;

	if (oci_config_load(c->dirfd, rt->root, &config, NULL, NULL, &ignored) == 0) {
		struct cgroup_request q = {.id = c->id,
					   .cgroups_path = config.linux.cgroups_path,
					   .systemd = rt->systemd_cgroup,
					   .rootless = rt->rootless_cgroup,
					   .annotations = config.annotations};
		if (cgroup_plan(&q, &cgroup, &ignored) < 0)
			cgroup = (struct cgroup){.none = true};
	}
	if (store_read_init(c->dirfd, &init) == 0) {
		struct sandbox s = {.pid = init.pid,
				    .start_time = init.start_time,
				    .cgroup = &cgroup,
				    .config = &config,
				    .id = c->id,
				    .bundle = "",
				    .state_dirfd = c->dirfd,
				    .cache_dirfd = -1,
				    .start_fd = -1};
		r = isolate_levels[0]->destroy(&s, err);
	}
	if (r == 0)
		r = cgroup_remove(&cgroup, err);
	if (r == 0)
		r = store_remove(rt->root, c->id, c->dirfd, err);
	cgroup_free(&cgroup);
	oci_config_free(&config);
	return r;
}

/* An id without a record: at most a claim whose owner is gone. */
static int remove_claim(const struct runtime *rt, const char *id, bool force, struct err *err)
{
	struct err none = {0};
	autoclose int fd = store_open(rt->root, id, &none);

	if (fd >= 0 && store_lock(fd, &none) == 0) {
		/* Its maker was there, and is done: it is a container by now. */
		if (faccessat(fd, "state.json", F_OK, 0) == 0) {
			fd_drop(&fd); /* and with it the lock */
			return runtime_delete(rt, id, force, err);
		}
		int r = store_remove(rt->root, id, fd, err);
		if (r < 0)
			return r;
	}
	return force ? 0 : err_set(err, ENOENT, "container does not exist");
}

/* The directory is a command's at this moment.  `force` ends what it is making, then takes its turn. */
static int wait_turn(struct container *c, bool force, struct err *err)
{
	const struct runtime *rt = c->rt;
	const char *id = c->id;
	struct err ignored = {0};
	int r = container_may(c, force ? LIFE_DELETE_FORCE : LIFE_DELETE, NULL, err);

	if (r < 0)
		return r;
	if (force && c->has_init)
		ignore_result(
			c->level->signal(&c->sandbox, SIGKILL, false, &ignored)); /* tried again below */
	container_close(c);
	return container_load(rt, id, CONTAINER_CONFIG | CONTAINER_LOCK | CONTAINER_SALVAGE, c, err);
}

bool runtime_knows(const struct runtime *rt, const char *id)
{
	autofree char *path = str_format("%s/%s/state.json", rt->root, id);

	return path && access(path, F_OK) == 0;
}

int runtime_delete(const struct runtime *rt, const char *id, bool force, struct err *err)
{
	autocontainer struct container c;
	int r = store_check_id(id, err);

	if (r < 0) {
		c = (struct container){.dirfd = -1};
		return r;
	}
	r = container_load(rt, id, CONTAINER_CONFIG | CONTAINER_TRY_LOCK | CONTAINER_SALVAGE, &c, err);
	if (r == 0 && !c.locked)
		r = wait_turn(&c, force, err);
	if (r == -ENOENT) {
		fd_drop(&c.dirfd); /* and with it the lock */
		return remove_claim(rt, id, force, err);
	}
	if (r < 0 && force && c.dirfd >= 0) {
		runtime_warn(rt, "%s", err->msg);
		return destroy_broken(&c, err);
	}
	if (r == 0)
		r = container_may(&c, force ? LIFE_DELETE_FORCE : LIFE_DELETE, NULL, err);
	return r < 0 ? r : destroy_container(&c, err);
}

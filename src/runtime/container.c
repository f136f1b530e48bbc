/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/container.h"

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"

#include <signal.h>
#include <sys/stat.h>

static int load_config(struct container *c, struct err *err)
{
	char where[PATH_MAX];

	(void)snprintf(where, sizeof(where), "%s/%s", c->rt->root, c->id); /* cutting is fine: for messages */
	return oci_config_load(c->dirfd, where, &c->config, NULL, NULL, err);
}

static void make_sandbox(struct container *c)
{
	c->sandbox = (struct sandbox){
		.pid = c->has_init ? c->init.pid : 0,
		.start_time = c->has_init ? c->init.start_time : 0,
		.cgroup = &c->cgroup,
		.config = &c->config,
		.id = c->id,
		.bundle = c->record.bundle,
		.state_dirfd = c->dirfd,
		.start_fd = -1,
		.warn = c->rt->warn,
		.warn_data = c->rt->warn_data,
		.cache_dirfd = -1,
	};
}

int container_load(const struct runtime *rt, const char *id, int flags, struct container *c, struct err *err)
{
	struct err ignored = {0};
	bool salvage = flags & CONTAINER_SALVAGE;
	int r;

	*c = (struct container){.rt = rt, .id = id, .dirfd = -1};
	c->dirfd = store_open(rt->root, id, err);
	if (c->dirfd < 0)
		return c->dirfd;
	r = flags & CONTAINER_LOCK ? store_lock(c->dirfd, err) : 0;
	if (r < 0)
		return r;
	c->locked = (flags & CONTAINER_LOCK) || ((flags & CONTAINER_TRY_LOCK) && store_try_lock(c->dirfd));
	r = record_read(c->dirfd, &c->record, err);
	if (r == -ENOENT)
		return err_set(err, ENOENT, "container does not exist");
	if (r < 0)
		return r;
	record_cgroup(&c->record, &c->cgroup);
	r = isolate_find(c->record.isolation, &c->level, salvage ? &ignored : err);
	if (r < 0 && !salvage)
		return r;
	if (r < 0)
		c->level = isolate_levels[0];
	r = flags & CONTAINER_CONFIG ? load_config(c, salvage ? &ignored : err) : 0;
	if (r < 0 && !salvage)
		return r;
	c->has_init = store_read_init(c->dirfd, &c->init) == 0;
	make_sandbox(c);
	return 0;
}

void container_close(struct container *c)
{
	oci_config_free(&c->config);
	record_free(&c->record);
	fd_drop(&c->dirfd);
}

/* A command is changing the container's life, and it is not this one. */
static bool in_progress(const struct container *c)
{
	return !c->locked && store_busy(c->dirfd);
}

static enum life_state alive_state(const struct container *c)
{
	switch (c->init.phase) {
	case STORE_CREATING:
		/* Whoever made it is at it, or was killed after the start. */
		return in_progress(c) ? LIFE_CREATING : LIFE_RUNNING;
	case STORE_CREATED:
		return LIFE_CREATED;
	case STORE_STARTING:
		return in_progress(c) ? LIFE_CREATED : LIFE_RUNNING;
	case STORE_STARTED:
		break;
	}
	return LIFE_RUNNING;
}

int container_state(const struct container *c, enum life_state *ret, struct err *err)
{
	if (!c->has_init) {
		*ret = in_progress(c) ? LIFE_CREATING : LIFE_STOPPED;
		return 0;
	}
	if (!proc_alive(c->init.pid, c->init.start_time)) {
		*ret = LIFE_STOPPED;
		return 0;
	}
	enum life_state state = alive_state(c);
	int paused = c->level->paused ? c->level->paused(&c->sandbox, err) : 0;
	/* The group is gone or closed to us: then nobody has frozen it by our hand. */
	if (paused < 0 && paused != -ENOENT && paused != -EACCES && paused != -EPERM)
		return paused;
	*ret = paused > 0 ? LIFE_PAUSED : state;
	return 0;
}

int container_may(const struct container *c, enum life_event event, enum life_state *ret_state,
		  struct err *err)
{
	enum life_state state;
	int r = container_state(c, &state, err);

	if (r < 0)
		return r;
	if (ret_state)
		*ret_state = state;
	return life_check(state, event, c->id, NULL, err);
}

bool container_has_own_pids(const struct oci_config *config)
{
	return config->linux.ns[OCI_NS_PID].wanted && !config->linux.ns[OCI_NS_PID].path;
}

void container_kill_frozen(const struct container *c)
{
	struct err ignored = {0};

	if (!c->has_init || c->level->paused(&c->sandbox, &ignored) <= 0)
		return;
	ignore_result(
		c->level->signal(&c->sandbox, SIGKILL, true, &ignored)); /* the caller looks who is left */
	ignore_result(c->level->resume(&c->sandbox, &ignored));		 /* as above */
}

/* '@' is in no id, so no container can be of that name. */
int container_cache_dir(const struct runtime *rt)
{
	autofree char *path = str_format("%s/@cache", rt->root);

	if (!path)
		return -1;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && mkdir(path, 0700) == 0)
		fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd;
}

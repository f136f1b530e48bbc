/* SPDX-License-Identifier: Apache-2.0 */
/* A container that exists: what the store says about it, put together. */
#pragma once

#include "isolate/isolate.h"
#include "runtime/life.h"
#include "runtime/record.h"
#include "runtime/runtime.h"
#include "runtime/store.h"

struct container {
	const struct runtime *rt;
	const char *id; /* borrowed */
	int dirfd;	/* state directory; owned */
	bool locked;	/* by us */
	struct record record;
	struct cgroup cgroup;	  /* its strings are the record's: no cgroup_free() */
	struct oci_config config; /* zeros where it was not loaded */
	const struct isolate_level *level;
	bool has_init;
	struct store_init init;
	struct sandbox sandbox;
};
#define autocontainer __attribute__((cleanup(container_close)))

enum container_load {
	CONTAINER_CONFIG = 1,	/* the configuration too */
	CONTAINER_LOCK = 2,	/* waits for a command that changes the container's life */
	CONTAINER_TRY_LOCK = 8, /* takes the lock if it is free: see container.locked */
	CONTAINER_SALVAGE =
		4, /* a configuration or level that cannot be had is no error: what is there will do */
};

/* -ENOENT: "container does not exist".  *c is to be closed in any case. */
must_use int container_load(const struct runtime *rt, const char *id, int flags, struct container *c,
			    struct err *err);
void container_close(struct container *c);

must_use int container_state(const struct container *c, enum life_state *ret, struct err *err);
/* container_state() and life_check(). */
must_use int container_may(const struct container *c, enum life_event event, enum life_state *ret_state,
			   struct err *err);
/* A pid namespace of its own: all processes end with the first one. */
bool container_has_own_pids(const struct oci_config *config);
/* Kills all of a paused container: a frozen v1 group does not die of a signal before it is thawed. */
void container_kill_frozen(const struct container *c);
/* ROOT/@cache, for compiled filters; -1 where it cannot be had. */
int container_cache_dir(const struct runtime *rt);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a container's record to the runtime's config.json.
 *
 * Pure: what must be looked up (users in the image, pids to join, what is
 * where on the host) comes in struct engine_spec; nothing is made.
 */
#pragma once

#include "base/json_write.h"
#include "engine/engine_int.h"

/* A mount on the host, settled: binds.c. */
struct engine_bind {
	char *source; /* owned */
	int fd;	      /* that `source` may name; -1 = none; owned */
	const struct engine_record_mount *mount;
	bool idmap, idmap_recursive;
};
struct engine_binds {
	struct engine_bind *v;
	size_t n;
};
void engine_binds_free(struct engine_binds *b);
#define autobinds __attribute__((cleanup(engine_binds_free)))
/*
 * Sources of binds and volumes: made where they are missing and may be,
 * volumes filled from the image (`root_fd`) at their first use.
 */
must_use int engine_binds_settle(struct engine *e, const struct engine_container *c,
				 const struct engine_maps *maps, int root_fd, struct engine_binds *ret,
				 struct err *err);
/*
 * Mounts all of these below `root_fd`, a mount in the caller's own mount namespace.  Mount points are made
 * where they are missing.
 */
must_use int engine_binds_attach(struct engine *e, const struct engine_container *c,
				 const struct engine_maps *maps, int root_fd, struct err *err);

struct engine_spec {
	const struct engine_container *c;
	const struct engine_maps *maps;
	const struct engine_user *user;
	const struct engine_binds *binds;
	const char *rootfs;		       /* an empty directory */
	const char *hosts, *hostname, *resolv; /* files of the host to be mounted; NULL = none */
	const char *shm;		       /* directory that is /dev/shm; NULL = a tmpfs */
	const char *init;		       /* coffer-init on the host; NULL = none */
	const char *apparmor;		       /* of engine_apparmor_start() */
	/* Namespaces to join, "/proc/PID/ns/net"; NULL = as the modes say. */
	const char *join_user, *join_net, *join_pid, *join_ipc;
	bool host_mqueue;    /* the host has /dev/mqueue */
	bool cgroup2;	     /* the machine has the unified hierarchy alone */
	bool systemd_cgroup; /* cgroupsPath is slice:prefix:name */
	bool rootless;
	void (*warn)(void *data, const char *text);
	void *warn_data;
};
/* The text; the caller frees. */
must_use int engine_spec_write(const struct engine_spec *s, char **ret, struct err *err);

/* What --security-opt said. */
struct engine_security {
	const char *seccomp;  /* NULL = the default profile; "unconfined"; else a file */
	const char *apparmor; /* NULL = the default profile; "unconfined"; else a profile's name */
	const char *label;
	bool no_new_privileges, unmasked;
	const char *landlock; /* JSON */
};
must_use int engine_security_parse(const struct engine_create *q, struct engine_security *ret,
				   struct err *err);
/*
 * apparmor.c: the AppArmor profile, NULL = none: of a container that is to start, for which the default one
 * is loaded where that can be done; of a further process of the one whose first process is `pid`.  What
 * `inspect` shows, never NULL (pid 0: of the next start).
 */
const char *engine_apparmor_start(const struct engine *e, const struct engine_record *r,
				  const struct engine_security *sec);
const char *engine_apparmor_exec(const struct engine *e, const struct engine_record *r,
				 const struct engine_security *sec, pid_t pid);
const char *engine_apparmor_shown(const struct engine *e, const struct engine_record *r,
				  const struct engine_security *sec, pid_t pid);

/* spec_mounts.c, spec_linux.c: the parts. */
void engine_spec_mounts(struct json_out *out, const struct engine_spec *s);
must_use int engine_spec_linux(struct json_out *out, const struct engine_spec *s, uint64_t caps,
			       const struct engine_security *sec, struct err *err);
/* The object linux.resources, and --device's nodes. */
must_use int engine_spec_resources(struct json_out *out, const char *key, const struct engine_create *q,
				   struct err *err);
must_use int engine_spec_devices(struct json_out *out, const char *key, const struct engine_create *q,
				 struct err *err);
/* Limits alone, as `update` writes them; `ulimit` names and sizes checked. */
void engine_spec_memory(struct json_out *out, const struct engine_create *q);
void engine_spec_cpu(struct json_out *out, const struct engine_create *q);

/* groups.c: config.json's cgroupsPath; NULL = the runtime's own choice.  False: out of memory. */
must_use bool engine_group_path(const struct engine_container *c, bool systemd, bool rootless, char **ret);
/* Starts make the directories beside the maker. */
bool engine_makes_groups(const struct engine *e);
struct cgroup;
/* Of a container of an engine that does; the caller frees. */
must_use int engine_group_plan(const struct engine *e, const struct engine_container *c, struct cgroup *ret,
			       struct err *err);
/* After a start that was cut short before the runtime knew of them: those that are empty. */
void engine_groups_forget(const struct engine *e, const struct engine_container *c);

/* The lists of paths that are hidden and that are not to be written, by these names. */
void engine_spec_masks(struct json_out *out, const char *masked_key, const char *read_only_key);
bool engine_mode_is(const char *mode, const char *want); /* NULL-safe */

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the engine share.
 *
 * Theory of operation.  A container is a row.  Its record (record.h) says how
 * it was made and does not change with its life; the row's columns say what
 * was last known of its life, and what `ps` prints, so that `ps` is one
 * query.  Beside the row there are
 *
 *   DATA_ROOT/containers/ID/   upper/, work/ (the snapshot), hosts, hostname, resolv.conf, ID-json.log
 *   RUN_ROOT/containers/ID/    of a container that was started: the monitor's files and the bundle;
 *                              there from just before the start until the end has been settled
 *
 * Who changes a container's life holds flock on DATA_ROOT/containers/ID.  A
 * start makes the run directory before anything else, an end removes it last
 * of all, and a removal takes the row last of all: whatever instant a command
 * is killed at, the row or the run directory is left to tell the next one
 * what to finish (settle.c).
 */
#pragma once

#include "base/fd.h"
#include "base/str.h"
#include "engine/engine.h"
#include "engine/record.h"

#include <stdarg.h>

struct engine {
	struct engine_options o;
	char *data_root, *run_root;
	struct image_store *store;
	struct db *db; /* the store's */
	struct net *net;
	struct runtime rt; /* its root: RUN_ROOT/oci */
	int data_fd;	   /* DATA_ROOT/containers */
	int run_fd;	   /* RUN_ROOT/containers */
	int events_fd;	   /* -1 until something is told */
	char run_dir[PATH_MAX];
	struct engine_lent *lent; /* what engine_snapshot()'s callers hold */
};

enum {
	ENGINE_ID_LEN = 64,
	ENGINE_SHORT_ID = 12,
	ENGINE_SLOT_IDS = 65536, /* ids of a container's user namespace */
	ENGINE_STOP_SECONDS = 10,
};
#define ENGINE_FIRST_ID	 UINT32_C(524288) /* of the slots; below are people's subordinate ids */
#define ENGINE_LAST_ID	 UINT32_C(1879048191)
#define ENGINE_NS_SECOND INT64_C(1000000000)

enum engine_flag {
	ENGINE_AUTO_REMOVE = 1,
	ENGINE_RESTARTS = 2, /* has a restart policy */
	ENGINE_HEALTH = 4,   /* has a health check */
	ENGINE_TTY = 8,
};

/* A row with its record. */
struct engine_container {
	char *id, *name, *state, *error;
	char *image;  /* as it was named */
	int64_t slot; /* -1 = none */
	int64_t flags, created, started, finished, restarts;
	int exit_code;
	bool oom, stopped; /* stopped: by hand, which "unless-stopped" minds */
	struct engine_record record;
	struct json_doc doc;
	bool monitored; /* by a monitor that waits for this command to have cleaned up */
	int lock;	/* of DATA_ROOT/containers/ID; -1 = not held */
};
void engine_container_free(struct engine_container *c);
#define autocontainer_row __attribute__((cleanup(engine_container_free)))
/* -ENOENT, "No such container: ID". */
must_use int engine_load(struct engine *e, const char *id, struct engine_container *ret, struct err *err);
/* The same under the lock, settled. */
must_use int engine_load_locked(struct engine *e, const char *id, struct engine_container *ret,
				struct err *err);
/* Waits for the lock of the container (`wait` false: -EAGAIN without a message); a descriptor. */
must_use int engine_lock(struct engine *e, const char *id, bool wait, struct err *err);
/* Where nothing is of that id: takes away what engine_lock() has made, while it is empty. */
void engine_lock_undo(const struct engine *e, const char *id);
/* Writes the record and the columns that come from it. */
must_use int engine_store_record(struct engine *e, const struct engine_container *c, struct err *err);
/* A new row, within the caller's transaction.  -EEXIST: the name or the slot is taken. */
must_use int engine_insert(struct engine *e, const struct engine_container *c, struct err *err);
/* life.c: the processes and the row of one that is locked and runs, or is paused. */
must_use int engine_freeze(struct engine *e, struct engine_container *c, struct err *err);
must_use int engine_thaw(struct engine *e, struct engine_container *c, struct err *err);
/* In the row and in `c`; in `c` alone. */
must_use int engine_set_state(struct engine *e, struct engine_container *c, const char *state,
			      struct err *err);
must_use int engine_note_state(struct engine_container *c, const char *state, struct err *err);

/* Running, paused, or between two runs. */
bool engine_is_live(const struct engine_container *c);

/* settle.c: what is so, made known. `c` is locked. */
must_use int engine_settle(struct engine *e, struct engine_container *c, struct err *err);
/* The row of a running container that has ended, or whose start was cut short; may remove it (c->state
 * becomes "removed"). */
must_use int engine_end_locked(struct engine *e, struct engine_container *c, struct err *err);
/* What the kernel and the other rooms hold of a container that does not run; idempotent. engine_end_failed():
 * the run directory too. */
must_use int engine_release(struct engine *e, const struct engine_container *c, struct err *err);
must_use int engine_end_failed(struct engine *e, const struct engine_container *c, struct err *err);
/* True where the container's first process is there; `st` may be NULL. */
bool engine_runs(struct engine *e, const char *id, struct monitor_status *st);
/* settle.c: that it ends by SIGKILL is wanted, and no accident of its kernel's. */
void engine_asked_note(const struct engine *e, const char *id);
/* console.c: what who keeps its machine has said last; "" where there is none.  The caller frees. */
must_use char *engine_console_reason(const struct engine *e, const char *id);
/* copy.c: the root of one that engine_runs() has told of; O_PATH. */
must_use int engine_running_root(const struct engine_container *c, const struct monitor_status *st,
				 struct err *err);
/*
 * running.c: the running container of that name or whole id, as a row that was kept outside of the database
 * has it; -ENOENT (no message) where there is none or it does not run.
 */
must_use int engine_running_find(struct engine *e, const char *word, struct engine_container *ret,
				 struct monitor_status *st);
/* Keeps such a row, where it runs and nobody is changing it. */
void engine_running_keep(struct engine *e, const char *id);
/* Before the row in the database changes; `c` is locked. */
void engine_running_withdraw(const struct engine *e, const struct engine_container *c);
/* Before a container with the host's ids starts, and after it has ended; whether there may be one. */
must_use int engine_host_ids_note(const struct engine *e, const char *id, struct err *err);
void engine_host_ids_forget(const struct engine *e, const char *id);
bool engine_host_ids_used(struct engine *e);

/* True where somebody holds the lock on RUN_ROOT/containers/ID/monitor. */
bool engine_monitored(const struct engine *e, const char *id);
bool engine_has_run_dir(const struct engine *e, const char *id);
/* Removes everything of a container that does not run.  `c` is locked. */
must_use int engine_erase(struct engine *e, struct engine_container *c, bool volumes, struct err *err);

/* paths; the caller frees, NULL for lack of memory */
/* Before the runtime forgets the container: its machine's console stays for who asks later. */
void engine_console_keep(const struct engine *e, const char *id);
must_use char *engine_data_path(const struct engine *e, const char *id, const char *file);
must_use char *engine_run_path(const struct engine *e, const char *id, const char *file);
/* Where a removed container's directory is moved to for its monitor to remove; the store sweeps what stays.
 */
must_use char *engine_trash_path(const struct engine *e);

void engine_warn(const struct engine *e, const char *fmt, ...) printf_like(2, 3);
int64_t engine_now(void); /* ns of the wall clock */
/* RFC 3339 with nanoseconds, in UTC; 0 = "0001-01-01T00:00:00Z" as Go has it. */
void engine_time_text(int64_t ns, char ret[static 40]);
/* "2024-01-02T…", seconds since 1970 ("1700000000.5") or an age ("10m", "1h30m"); *ret in ns. */
must_use int engine_time_parse(const char *text, int64_t *ret, struct err *err);
void engine_random_id(char ret[static ENGINE_ID_LEN + 1]);

/* names.c */
void engine_random_name(char *buf, size_t len);
must_use int engine_name_check(const char *name, struct err *err);

/* status.c */
/* "5 minutes", "About an hour", as Docker has it. */
void engine_duration_text(int64_t ns, char *buf, size_t len);
struct engine_status_in {
	const char *state, *health;
	int exit_code;
	int64_t now, created, started, finished;
};
void engine_status_text(const struct engine_status_in *in, char *buf, size_t len);

/* ports.c */
/* "0.0.0.0:8080->80/tcp, :::8080->80/tcp, 443/tcp"; the caller frees. */
must_use char *engine_ports_text(const struct net_port *ports, size_t n, const str_list *exposed);

/* filters.c */
struct engine_filters {
	struct engine_filter {
		char *key, *value;
	} * v;
	size_t n;
};
/* "key=value" each, of the keys in `known` (NULL-terminated). */
must_use int engine_filters_parse(const str_list *texts, const char *const *known, struct engine_filters *ret,
				  struct err *err);
void engine_filters_free(struct engine_filters *f);
#define autofilters __attribute__((cleanup(engine_filters_free)))
/* No filter of that key, or one that `value` equals. */
bool engine_filter_match(const struct engine_filters *f, const char *key, const char *value);
/* label=K, label=K=V and label!=…: all must hold. */
bool engine_filter_labels(const struct engine_filters *f, const struct oci_pair *labels, size_t n);
const char *engine_filter_first(const struct engine_filters *f, const char *key);

/* users.c: names of a container's own passwd and group, read below `root`. */
struct engine_user {
	uint32_t uid, gid;
	uint32_t groups[256];
	size_t n_groups;
};
must_use int engine_user_find(int root, const char *user, const str_list *group_add, struct engine_user *ret,
			      struct err *err);

/* slots.c */
/* In a transaction: a free slot. */
must_use int engine_slot_find(struct engine *e, int64_t *ret, struct err *err);
static inline uint32_t engine_slot_base(int64_t slot)
{
	return ENGINE_FIRST_ID + (uint32_t)slot * ENGINE_SLOT_IDS;
}

/* maps.c: the container's ids on the host. */
struct engine_maps {
	struct oci_idmap uid_maps[2], gid_maps[2];
	idmap_list uids, gids; /* into the above; empty: the host's user namespace */
};
/* `ret` must stay where it is. */
void engine_maps_of(const struct engine *e, const struct engine_container *c, struct engine_maps *ret);
/* guard.c: of one that is there already. */
must_use int engine_guard_container(struct engine *e, const struct engine_container *c, struct err *err);
/* Its ids are the host's: asked for, implied or configured. */
bool engine_users_host(const struct engine *e, const struct engine_create *q);
/* The host's id of a container's; UINT32_MAX where it has none. */
uint32_t engine_maps_host(const idmap_list *map, uint32_t id);
/*
 * Calls `fn` while the files that it makes are the container's root's, with the modes that it gives (no
 * umask): through a mapped mount nobody who is not mapped makes any (EOVERFLOW).
 */
must_use int engine_as_root_of(const struct engine_maps *maps, int (*fn)(void *data, struct err *err),
			       void *data, struct err *err);
/* places.c: makes what every container's mounts stand on, where it is not there yet. */
void engine_places_make(const struct engine *e);
/* *ret (the caller frees): that directory, NULL where there is none. */
must_use int engine_places_path(const struct engine *e, char **ret, struct err *err);
/* Borrows from all of them; -> engine_snapshot_free(). */
must_use int engine_snapshot_of(struct engine *e, const struct engine_container *c,
				const struct engine_maps *maps, struct snapshot *ret, struct err *err);
void engine_snapshot_free(struct snapshot *s);
#define autosnapshot __attribute__((cleanup(engine_snapshot_free)))

/* commit.c: an image of what a container that is locked has changed; name, author and comment are `what`'s.
 * The caller frees *ret. */
must_use int engine_commit_image(struct engine *e, struct engine_container *c, const struct image_make *what,
				 const str_list *changes, char **ret, struct err *err);

/* machine.c: the snapshot that it begins with, where there is one, is the one that it was made of.  By the
 * name alone it would be another container's machine, on the files of this one. */
must_use int engine_machine_check(const struct engine_container *c, struct err *err);

/* Images with the files of snapshots, and the snapshots' names. */
must_use int engine_machine_images(int (*note)(void *data, const char *image, const char *name,
					       struct err *err),
				   void *data, struct err *err);

/* What a caller outside borrows until engine_close(); zeroed, NULL for lack of memory. */
struct engine_lent {
	struct engine_lent *next;
	struct engine_container c;
	struct engine_maps maps;
	struct snapshot snapshot;
};
struct engine_lent *engine_lend(struct engine *e);
/* Networks, images and the database are not needed any more: only what lives without them may follow. */
void engine_settle_down(struct engine *e);

/* Every container, the oldest first, unlocked and as its row has it. */
must_use int engine_each(struct engine *e,
			 int (*each)(void *data, struct engine_container *c, struct err *err), void *data,
			 struct err *err);

/* volumes.c */
must_use char *engine_volume_path(const struct engine *e, const char *name);
/* Makes it where it is not there; within a transaction or not. */
must_use int engine_volume_ensure(struct engine *e, const struct engine_volume *v, struct err *err);
/* volumes_mount.c: `options` as of the local driver; the file system is there from the first start on that
 * has the volume to the last end (before the container's run directory goes).  `json`: NULL = none. */
must_use int engine_volume_options_check(const struct engine *e, const pair_list *options, struct err *err);
must_use int engine_volume_options_write(const struct engine *e, const char *name, const char *json,
					 struct err *err);
must_use int engine_volume_mount(const struct engine *e, const char *name, const char *path, struct err *err);
must_use int engine_volume_unmount(const struct engine *e, const char *name, struct err *err);
must_use int engine_volumes_leave(struct engine *e, const struct engine_container *c, struct err *err);
/* The container uses its volumes no more; anonymous ones go with it where `remove` says so. */
must_use int engine_volume_release(struct engine *e, const struct engine_container *c, bool remove,
				   struct err *err);
must_use int engine_volume_name_check(const char *name, struct err *err);
/* Bytes on disk below a directory; `depth` 0. */
uint64_t engine_tree_bytes(int dirfd_, const char *name, int depth);
/* A JSON object of strings ("" = none); what it points to lives in `doc`. */
must_use int engine_pairs_read(struct json_doc *doc, const char *text, pair_list *ret, struct err *err);

/* tell.c */
must_use char *engine_events_path(const struct engine *e, const char *suffix);
void engine_tell_container(struct engine *e, const struct engine_container *c, const char *action,
			   const char *key, const char *value);
/* The same with any number of attributes beside the container's own. */
void engine_tell_of(struct engine *e, const struct engine_container *c, const char *action,
		    const struct oci_pair *pairs, size_t n);
/* Of its volumes: "mount" when it has started, "unmount" when it has ended. */
void engine_tell_volumes(struct engine *e, const struct engine_container *c, bool mounted);
/* "connect" and "disconnect" of a network. */
void engine_tell_network(struct engine *e, const struct net_told *network, const char *action);

/* start.c, finish.c */
must_use int engine_make_plan_argv(struct engine *e, const char *verb, const char *id, str_list *ret,
				   struct err *err);
void engine_argv_free(str_list *l);

/* A list that grows; elements are fresh strings. */
must_use int engine_strs_add(str_list *l, const char *text, struct err *err);
void engine_strs_free(str_list *l);

/* The database and the images, where engine_open() has left them closed (options.running_only). */
must_use int engine_open_all(struct engine *e, struct err *err);
must_use int engine_no_such(const char *name, struct err *err);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is so, made known.
 *
 * A row may say that a container runs when its process has ended, its monitor
 * was killed or the machine was started anew; it may say "created" when the
 * command that started it was killed half-way.  The run directory tells: it
 * is there from before the start until after the end was written down.  All
 * of this happens under the container's lock, so that nobody is in the middle
 * of a start or a finish.
 */
#include "engine/engine_int.h"
#include "engine/rootless.h"
#include "engine/spec.h"

#include "base/file.h"
#include "image/remove_tree.h"

#include <sys/stat.h>

enum { EXIT_UNKNOWN = 255, EXIT_KILLED = 137 };

bool engine_has_run_dir(const struct engine *e, const char *id)
{
	return faccessat(e->run_fd, id, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool engine_monitored(const struct engine *e, const char *id)
{
	char path[ENGINE_ID_LEN + 16];

	if (snprintf(path, sizeof(path), "%s/monitor", id) < 0)
		return false;
	/* Asking for the lock does not take it: nobody is kept out meanwhile. */
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	autoclose int fd = openat(e->run_fd, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool engine_runs(struct engine *e, const char *id, struct monitor_status *st)
{
	struct monitor_status own = {0};
	struct err ignored = {0};
	const char *dir;

	st = st ? st : &own;
	if (engine_run_dir(e, id, &dir, &ignored) < 0 || monitor_status(dir, st, &ignored) < 0)
		return false;
	return st->running;
}

int engine_status(struct engine *e, const char *id, struct monitor_status *ret, struct err *err)
{
	const char *dir;
	int r = engine_run_dir(e, id, &dir, err);

	if (r < 0)
		return r;
	if (!engine_has_run_dir(e, id)) {
		struct engine_container c autocontainer_row = {.lock = -1};
		r = engine_load(e, id, &c, err);
		if (r < 0)
			return r;
		*ret = (struct monitor_status){.ended = c.finished > 0,
					       .exit_code = c.exit_code,
					       .oom_killed = c.oom,
					       .started_at = c.started,
					       .finished_at = c.finished,
					       .restarts = (uint32_t)c.restarts};
		return 0;
	}
	return monitor_status(dir, ret, err);
}

bool engine_is_live(const struct engine_container *c)
{
	return streq(c->state, "running") || streq(c->state, "paused") || streq(c->state, "restarting");
}

static bool has_network(const struct engine_record *r)
{
	const char *mode = r->q.network_mode;

	return !mode || !*mode ||
	       !(streq(mode, "none") || streq(mode, "host") || str_starts(mode, "container:"));
}

/* What the kernel and the other rooms still hold.  Idempotent. */
int engine_release(struct engine *e, const struct engine_container *c, struct err *err)
{
	struct net *net;
	engine_console_keep(e, c->id);
	if (!runtime_knows(&e->rt, c->id))
		engine_groups_forget(e, c);
	int r = runtime_delete(&e->rt, c->id, true, err);

	if (r == -ENOENT)
		r = 0;
	if (r < 0 || !has_network(&c->record))
		return r;
	r = engine_net_get(e, &net, err);
	return r < 0 ? r : net_detach(net, c->id, NULL, err);
}

/* `c`: NULL where its row is gone. */
static int drop_run_dir(struct engine *e, const char *id, const struct engine_container *c, struct err *err)
{
	if (c)
		engine_running_withdraw(e, c);
	engine_host_ids_forget(e, id);
	int r = c ? engine_volumes_leave(e, c, err) : 0;

	if (r < 0)
		return r;
	r = engine_remove_tree(e, e->run_fd, id);
	return r < 0 ? err_num(err, r, "cannot remove \"%s/containers/%s\"", e->run_root, id) : 0;
}

int engine_end_failed(struct engine *e, const struct engine_container *c, struct err *err)
{
	int r = engine_release(e, c, err);

	return r < 0 ? r : drop_run_dir(e, c->id, c, err);
}

static bool asked_path(const char *id, char ret[static ENGINE_ID_LEN + 8])
{
	return snprintf(ret, ENGINE_ID_LEN + 8, "%s/asked", id) < ENGINE_ID_LEN + 8;
}

void engine_asked_note(const struct engine *e, const char *id)
{
	char path[ENGINE_ID_LEN + 8];

	/* Without it `inspect` tells of a signal that was asked for: no more than that. */
	autoclose int fd = asked_path(id, path) ? openat(e->run_fd, path,
							 O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)
						: -1;
}

/*
 * Of a container with a kernel of its own that ended by SIGKILL, or as if by it, which nobody of us has sent:
 * its sentry, keeper or hypervisor was killed.  The keeper has told of the latter.
 */
static char *learn_kernel_end(const struct engine *e, const struct engine_container *c, const char *told)
{
	char path[ENGINE_ID_LEN + 8];
	bool by_signal = str_starts(told, MONITOR_KERNEL_ENDED), killed = c->exit_code == EXIT_KILLED;

	if (killed &&
	    (!asked_path(c->id, path) || faccessat(e->run_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0))
		return strdup(by_signal ? "" : told);
	if (killed && !*told && !c->oom && engine_mode_is(c->record.isolation, "vm"))
		return engine_console_reason(e, c->id);
	return strdup(c->oom && by_signal ? "" : told);
}

/* How it ended, as far as somebody knows. */
static void learn_end(const struct engine *e, struct engine_container *c, const struct monitor_status *st)
{
	const char *why = "";

	if (st->started_at)
		c->started = st->started_at;
	if (st->restarts)
		c->restarts = st->restarts;
	if (st->ended) {
		c->exit_code = st->exit_code;
		c->oom = st->oom_killed;
		c->finished = st->finished_at;
		why = st->error;
	} else if (st->started_at) {
		c->exit_code = EXIT_KILLED;
		why = "its monitor was killed";
	} else {
		c->exit_code = EXIT_UNKNOWN;
		why = engine_is_live(c) ? "the machine was restarted" : "its start was cut short";
	}
	if (c->finished < c->started || c->finished == 0)
		c->finished = engine_now();
	char *text = learn_kernel_end(e, c, why);
	if (text) {
		free(c->error);
		c->error = text;
	}
}

/* A start that was cut short before anything ran leaves the row as it was. */
static bool never_ran(const struct engine_container *c)
{
	return streq(c->state, "created") && c->started == 0;
}

static int open_trash(const struct engine *e)
{
	autofree char *path = engine_trash_path(e);

	return path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

/*
 * Removing a few directories on a disk takes milliseconds.  The monitor that is about to end does it when
 * nobody waits any more; it gets what is its own by a rename, so that nothing of the container is left here.
 */
static int remove_data(struct engine *e, const struct engine_container *c, struct err *err)
{
	autoclose int trash = open_trash(e);

	if (c->monitored && trash >= 0 && renameat(e->data_fd, c->id, trash, c->id) == 0)
		return 0;
	int r = image_remove_tree_at(e->data_fd, c->id);
	if (r == 0 && trash >= 0) /* mostly it is not there: its monitor was killed */
		r = image_remove_tree_at(trash, c->id);
	return r < 0 ? err_num(err, r, "cannot remove \"%s/containers/%s\"", e->data_root, c->id) : 0;
}

/* All that is left when nothing runs and nothing is held; the row goes last. */
static int erase_rest(struct engine *e, struct engine_container *c, bool volumes, struct err *err)
{
	int r = 0;

	if (e->o.rootless) {
		struct engine_maps maps;
		struct snapshot s autosnapshot = {0};
		engine_maps_of(e, c, &maps);
		r = engine_snapshot_of(e, c, &maps, &s, err);
		if (r == 0)
			r = engine_holder_remove(e, &s, err);
	}
	if (r == 0)
		r = remove_data(e, c, err);
	if (r == 0 && c->record.mounts.n)
		r = engine_volume_release(e, c, volumes, err);
	if (r == 0)
		r = MIN_OF(db_exec(e->db, err, "DELETE FROM container WHERE id = ?", "s", c->id), 0);
	if (r < 0)
		return r;
	engine_tell_container(e, c, "destroy", NULL, NULL);
	return engine_note_state(c, "removed", err);
}

/* `st`: what the run directory says of it. */
static int end_as(struct engine *e, struct engine_container *c, const struct monitor_status *st,
		  struct err *err)
{
	char code[16];
	int r;

	learn_end(e, c, st);
	r = engine_release(e, c, err);
	if (r < 0)
		return r;
	if (!never_ran(c)) {
		engine_tell_volumes(e, c, false);
		if (snprintf(code, sizeof(code), "%d", c->exit_code) < 0)
			code[0] = '\0';
		engine_tell_container(e, c, "die", "exitCode", code);
	}
	/* One that ended and is to go is removed by whoever meets it: the row need not say so first. */
	if ((c->flags & ENGINE_AUTO_REMOVE) && !never_ran(c)) {
		r = drop_run_dir(e, c->id, c, err);
		return r < 0 ? r : erase_rest(e, c, true, err);
	}
	const char *state = never_ran(c) ? "created" : "exited";
	r = db_exec(e->db, err,
		    "UPDATE container SET state = ?, exit_code = ?, oom = ?, error = ?, started = ?, "
		    "finished = ?, "
		    "restarts = ?, ports = NULL WHERE id = ?",
		    "siisiiis", state, (int64_t)(never_ran(c) ? 0 : c->exit_code), (int64_t)c->oom, c->error,
		    c->started, never_ran(c) ? (int64_t)0 : c->finished, c->restarts, c->id);
	if (r >= 0)
		r = engine_note_state(c, state, err);
	return r < 0 ? r : drop_run_dir(e, c->id, c, err);
}

int engine_end_locked(struct engine *e, struct engine_container *c, struct err *err)
{
	struct monitor_status st = {0};

	(void)engine_runs(e, c->id, &st); /* what cannot be read is not known */
	return end_as(e, c, &st, err);
}

int engine_erase(struct engine *e, struct engine_container *c, bool volumes, struct err *err)
{
	int r = engine_set_state(e, c, "removing", err);

	if (r == 0 && engine_has_run_dir(e, c->id)) {
		r = engine_release(e, c, err);
		if (r == 0)
			r = drop_run_dir(e, c->id, c, err);
	}
	return r < 0 ? r : erase_rest(e, c, volumes, err);
}

/* The command that started it was killed before it could say so. */
static int note_running(struct engine *e, struct engine_container *c, const struct monitor_status *st,
			struct err *err)
{
	c->started = st->started_at;
	int r = db_exec(e->db, err, "UPDATE container SET state = 'running', started = ? WHERE id = ?", "is",
			c->started, c->id);
	return r < 0 ? r : engine_note_state(c, "running", err);
}

int engine_settle(struct engine *e, struct engine_container *c, struct err *err)
{
	struct monitor_status st = {0};
	const char *dir;
	int r;

	if (streq(c->state, "removing"))
		return engine_erase(e, c, false, err);
	if (!engine_has_run_dir(e, c->id))
		return engine_is_live(c) ? engine_end_locked(e, c, err) : 0;
	r = engine_run_dir(e, c->id, &dir, err);
	if (r == 0)
		r = monitor_status(dir, &st, err);
	if (r < 0)
		return r;
	if (st.monitor_alive && (st.running || st.restarting)) {
		if (!engine_is_live(c))
			return note_running(e, c, &st, err);
		if (st.restarting != streq(c->state, "restarting") && !streq(c->state, "paused"))
			return engine_note_state(c, st.restarting ? "restarting" : "running", err);
		return 0;
	}
	if (st.running && !st.monitor_alive)
		engine_warn(
			e,
			"the monitor of container %s was killed: nobody reads its output or waits for its "
			"end; the container is stopped",
			c->name);
	return end_as(e, c, &st, err);
}

int engine_finish(struct engine *e, const char *id, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	struct monitor_status st = {0};
	autoclose int lock = engine_lock(e, id, true, err);
	int r;

	if (lock < 0)
		return lock;
	r = engine_load(e, id, &c, err);
	if (r == -ENOENT) {
		/* Done by somebody else, as far as it came; what stands below the name of a row that is gone
		 * is nobody's. */
		autoclose int trash = open_trash(e);
		engine_lock_undo(e, id);
		if (trash >= 0)
			ignore_result(image_remove_tree_at(trash, id) < 0); /* the store sweeps it */
		return drop_run_dir(e, id, NULL, err);
	}
	if (r < 0)
		return r;
	c.lock = take_fd(&lock);
	if (!engine_has_run_dir(e, id))
		return engine_is_live(&c) ? engine_end_locked(e, &c, err) : 0;
	if (engine_runs(e, id, &st) || st.restarting)
		return 0; /* started again meanwhile, or about to be */
	c.monitored = st.monitor_alive && !e->o.rootless;
	return end_as(e, &c, &st, err);
}

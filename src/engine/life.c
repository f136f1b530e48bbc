/* SPDX-License-Identifier: Apache-2.0 */
/* Stop, kill, pause, wait, remove, rename. */
#include "engine/engine_int.h"
#include "engine/rootless.h"

#include "base/clock.h"
#include "base/proc.h"
#include "base/sys.h"
#include "engine/spec.h"

#include <poll.h>
#include <signal.h>
#include <time.h>

static int not_running(const struct engine_container *c, struct err *err)
{
	return err_set(err, EINVAL, "Container %s is not running", c->id);
}

/* Loaded, settled, and the lock let go: for what waits. */
static int load_settled(struct engine *e, const char *id, struct engine_container *c, struct err *err)
{
	int r = engine_load_locked(e, id, c, err);

	if (r == 0) {
		(void)close(c->lock); /* lets it go */
		c->lock = -1;
	}
	return r;
}

/* ---- the end of a container that somebody else is the parent of ---- */

/*
 * A connection that hears of the end, and a pidfd for where the monitor is
 * gone.  This caller says that it cleans up: the monitor need not start a
 * program for it.
 */
struct end_watch {
	struct monitor_conn conn;
	int pidfd;
};

static void end_watch_close(struct end_watch *w)
{
	if (w->conn.fd >= 0)
		monitor_close(&w->conn);
	fd_drop(&w->pidfd);
}
#define autowatch __attribute__((cleanup(end_watch_close)))

/* -ENOENT without a message: nothing runs. */
static int end_watch_open(struct engine *e, const char *id, bool finishes, struct end_watch *w)
{
	struct err ignored = {0};
	struct monitor_status st;
	const char *dir;

	w->conn.fd = w->pidfd = -1;
	if (engine_run_dir(e, id, &dir, &ignored) < 0)
		return -ENAMETOOLONG;
	if (monitor_connect(dir, false, false, false, finishes, &w->conn, &ignored) < 0)
		w->conn.fd = -1;
	if (w->conn.fd < 0 && engine_runs(e, id, &st))
		w->pidfd = sys_pidfd_open(st.pid, 0);
	return w->conn.fd < 0 && w->pidfd < 0 ? -ENOENT : 0;
}

/* 1: it ended; 0: not within the time (ms; -1: no limit). */
static int end_watch_wait(struct end_watch *w, int timeout_ms, int *ret_status, struct err *err)
{
	struct pollfd p = {.fd = w->conn.fd >= 0 ? w->conn.fd : w->pidfd, .events = POLLIN};
	int64_t begin = clock_ms();
	int left = timeout_ms;

	for (;;) {
		int n = poll(&p, 1, left);
		if (n > 0)
			break;
		if (n < 0 && errno != EINTR)
			return err_sys(err, "cannot wait for the container");
		if (n == 0)
			return 0;
		int64_t gone = clock_ms() - begin;
		if (timeout_ms >= 0)
			left = gone >= timeout_ms ? 0 : (int)(timeout_ms - gone);
	}
	*ret_status = 137;
	if (w->conn.fd >= 0) {
		int r = monitor_wait(&w->conn, ret_status, err);
		return r < 0 ? r : 1;
	}
	return 1;
}

/* After the end: cleaned up by whoever is first. */
static int finish_watched(struct engine *e, const char *id, struct end_watch *w, struct err *err)
{
	int r = w->conn.fd >= 0 && w->conn.another_follows ? 0 : engine_finish(e, id, err);

	if (w->conn.fd >= 0)
		monitor_finished(&w->conn);
	return r;
}

/* ---- signals ---- */

static int send_signal(struct engine *e, const struct engine_container *c, const char *signal,
		       struct err *err)
{
	struct err kill_err = {0};
	if (runtime_signal_number(signal, &kill_err) == SIGKILL)
		engine_asked_note(e, c->id);
	int r = runtime_kill(&e->rt, c->id, signal, false, &kill_err);

	if (r < 0 && engine_runs(e, c->id, NULL)) {
		*err = kill_err;
		return err_prefix(err, "Cannot kill container: %s", c->name);
	}
	return 0; /* gone meanwhile */
}

static void forbid_restart(struct engine *e, struct engine_container *c)
{
	struct err err = {0};
	const char *dir;

	if (!(c->flags & ENGINE_RESTARTS))
		return;
	/* "unless-stopped" minds it after the next boot too. */
	if (db_exec(e->db, &err, "UPDATE container SET stopped = 1 WHERE id = ?", "s", c->id) < 0)
		engine_warn(e, "%s", err.msg);
	if (engine_run_dir(e, c->id, &dir, &err) == 0)
		ignore_result(monitor_no_restart(dir, &err)); /* gone, or it ends before it hears */
}

static const char *stop_signal_of(const struct engine_container *c, const char *given)
{
	if (given && *given)
		return given;
	return c->record.config.stop_signal && *c->record.config.stop_signal ? c->record.config.stop_signal
									     : "TERM";
}

int engine_stop(struct engine *e, const char *id, const char *signal, int timeout_s, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	struct end_watch w autowatch = {.conn = {.fd = -1}, .pidfd = -1};
	int status, r = load_settled(e, id, &c, err);
	char text[16];

	if (r < 0)
		return r;
	if (!engine_is_live(&c))
		return 0; /* stopped is what was asked for */
	const char *how = stop_signal_of(&c, signal);
	r = runtime_signal_number(how, err);
	if (r < 0)
		return r;
	int number = r;
	if (timeout_s < 0)
		timeout_s = c.record.q.stop_timeout >= 0 ? c.record.q.stop_timeout : ENGINE_STOP_SECONDS;
	forbid_restart(e, &c);
	if (end_watch_open(e, id, true, &w) < 0)
		return engine_finish(e, id, err);
	/* A frozen process hears nothing before it is thawed. */
	if (streq(c.state, "paused")) {
		r = engine_unpause(e, id, err);
		if (r < 0)
			return r;
	}
	r = send_signal(e, &c, how, err);
	if (snprintf(text, sizeof(text), "%d", number) > 0)
		engine_tell_container(e, &c, "kill", "signal", text);
	if (r == 0)
		r = end_watch_wait(&w, timeout_s > INT_MAX / 1000 ? -1 : timeout_s * 1000, &status, err);
	if (r == 0) {
		r = send_signal(e, &c, "KILL", err);
		if (r == 0)
			engine_tell_container(e, &c, "kill", "signal", "9");
		if (r == 0)
			r = end_watch_wait(&w, -1, &status, err);
	}
	if (r < 0)
		return r;
	r = finish_watched(e, id, &w, err);
	if (r == 0)
		engine_tell_container(e, &c, "stop", NULL, NULL);
	return r;
}

static int set_auto_remove(struct engine *e, const char *id, bool on, struct err *err)
{
	return MIN_OF(db_exec(e->db, err,
			      on ? "UPDATE container SET flags = flags | ? WHERE id = ?"
				 : "UPDATE container SET flags = flags & ~? WHERE id = ?",
			      "is", (int64_t)ENGINE_AUTO_REMOVE, id),
		      0);
}

int engine_restart(struct engine *e, const char *id, const char *signal, int timeout_s, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	const struct engine_start start = {0};
	int r = load_settled(e, id, &c, err);

	if (r < 0)
		return r;
	/* Its end is none for `--rm`, or there would be nothing to start, and no anonymous volume. */
	bool keep = (c.flags & ENGINE_AUTO_REMOVE) && engine_is_live(&c);
	if (keep)
		r = set_auto_remove(e, id, false, err);
	if (r == 0)
		r = engine_stop(e, id, signal, timeout_s, err);
	if (keep) {
		struct err why = {0};
		int back = set_auto_remove(e, id, true, &why);
		if (back < 0 && r == 0) {
			*err = why;
			r = back;
		}
	}
	return r < 0 ? r : engine_start(e, id, &start, NULL, err);
}

int engine_kill(struct engine *e, const char *id, const char *signal, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	struct end_watch w autowatch = {.conn = {.fd = -1}, .pidfd = -1};
	int number, status, r = load_settled(e, id, &c, err);
	char text[16];

	if (r < 0)
		return r;
	const char *how = signal && *signal ? signal : "KILL";
	number = runtime_signal_number(how, err);
	if (number <= 0) /* 0 asks whether somebody is there, which `ps` answers */
		return err_set(err, EINVAL, "Invalid signal: %.32s", how);
	if (!engine_is_live(&c))
		return err_set(err, EINVAL, "Cannot kill container: %s: Container %s is not running", c.name,
			       c.id);
	bool ends = number == SIGKILL;
	if (ends || number == SIGTERM || number == SIGINT)
		forbid_restart(e, &c);
	if (ends)
		r = end_watch_open(e, id, true, &w);
	r = send_signal(e, &c, how, err);
	if (r < 0)
		return r;
	if (snprintf(text, sizeof(text), "%d", number) > 0)
		engine_tell_container(e, &c, "kill", "signal", text);
	if (!ends || (w.conn.fd < 0 && w.pidfd < 0))
		return 0;
	r = end_watch_wait(&w, -1, &status, err);
	return r < 0 ? r : finish_watched(e, id, &w, err);
}

/* ---- pause ---- */

/*
 * The row first, then the kernel; the other way round at the end.  Who is killed between the two leaves a row
 * that says "paused", which `unpause` mends; not a frozen container that is said to run.
 */
int engine_freeze(struct engine *e, struct engine_container *c, struct err *err)
{
	struct err ignored = {0};
	int r = engine_set_state(e, c, "paused", err);

	if (r < 0)
		return r;
	r = runtime_pause(&e->rt, c->id, err);
	if (r < 0)
		ignore_result(engine_set_state(e, c, "running", &ignored) < 0); /* `unpause` mends it */
	return r;
}

int engine_thaw(struct engine *e, struct engine_container *c, struct err *err)
{
	int r = runtime_resume(&e->rt, c->id, err);

	if (r == -EINVAL && engine_runs(e, c->id, NULL)) {
		*err = (struct err){0}; /* it was never frozen */
		r = 0;
	}
	return r < 0 ? r : engine_set_state(e, c, "running", err);
}

int engine_check_health(struct engine *e, const char *id, int *ret_code, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	const char *dir;
	int r = load_settled(e, id, &c, err);

	if (r < 0)
		return r;
	if (!(c.flags & ENGINE_HEALTH))
		return err_set(err, EINVAL, "container %s has no defined healthcheck", c.id);
	if (streq(c.state, "paused"))
		return err_set(err, EINVAL, "Container %s is paused, unpause the container first", c.name);
	if (!engine_is_live(&c))
		return err_set(err, EINVAL, "container %s is not running", c.id);
	r = engine_run_dir(e, c.id, &dir, err);
	return r < 0 ? r : monitor_check_health(dir, ret_code, err);
}

int engine_pause(struct engine *e, const char *id, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	int r = engine_load_locked(e, id, &c, err);

	if (r < 0)
		return r;
	if (streq(c.state, "paused"))
		return err_set(err, EINVAL, "Container %s is already paused", c.name);
	if (streq(c.state, "restarting"))
		return err_set(err, EINVAL, "Container %s is restarting, wait until the container is running",
			       c.name);
	if (!engine_is_live(&c))
		return not_running(&c, err);
	r = engine_freeze(e, &c, err);
	if (r == 0)
		engine_tell_container(e, &c, "pause", NULL, NULL);
	return r;
}

int engine_unpause(struct engine *e, const char *id, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	int r = engine_load_locked(e, id, &c, err);

	if (r < 0)
		return r;
	if (!streq(c.state, "paused"))
		return err_set(err, EINVAL, "Container %s is not paused", c.name);
	r = engine_thaw(e, &c, err);
	if (r == 0)
		engine_tell_container(e, &c, "unpause", NULL, NULL);
	return r;
}

/* ---- remove, rename ---- */

int engine_remove(struct engine *e, const char *id, bool force, bool volumes, struct err *err)
{
	int r;

	for (int tries = 0; tries < 3; tries++) {
		struct engine_container c autocontainer_row = {.lock = -1};
		r = engine_load_locked(e, id, &c, err);
		if (r < 0)
			return r;
		if (!engine_is_live(&c))
			return engine_erase(e, &c, volumes, err);
		if (!force && streq(c.state, "paused"))
			return err_set(err, EBUSY,
				       "You cannot remove a paused container %s. Unpause and then stop the "
				       "container "
				       "before attempting removal or force remove",
				       c.id);
		if (!force)
			return err_set(err, EBUSY,
				       "You cannot remove a running container %s. Stop the container before "
				       "attempting "
				       "removal or force remove",
				       c.id);
		bool gone = c.flags & ENGINE_AUTO_REMOVE;
		engine_container_free(&c);
		r = engine_kill(e, id, "KILL", err);
		if (r == -ENOENT || (r == 0 && gone && !engine_has_run_dir(e, id)))
			return 0;
		/* It may have ended by itself meanwhile. */
	}
	return r < 0 ? r : err_set(err, EBUSY, "container %.12s keeps being started again", id);
}

int engine_rename(struct engine *e, const char *id, const char *name, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	autofree char *other = NULL;
	int r;

	name += name[0] == '/';
	r = engine_name_check(name, err);
	if (r == 0)
		r = engine_load_locked(e, id, &c, err);
	if (r < 0)
		return r;
	if (streq(c.name, name))
		return err_set(err, EINVAL, "Renaming a container with the same name as its current name");
	engine_running_withdraw(e, &c);
	r = db_exec(e->db, err, "UPDATE container SET name = ? WHERE id = ?", "ss", name, id);
	if (r == -EEXIST) {
		struct err ignored = {0};
		ignore_result(engine_resolve(e, name, &other, &ignored)); /* for the text alone */
		return err_set(err, EEXIST,
			       "Error when allocating new name: Conflict. The container name \"/%s\" is "
			       "already in use "
			       "by container \"%s\". You have to remove (or rename) that container to be "
			       "able to reuse "
			       "that name.",
			       name, other ? other : "");
	}
	if (r < 0)
		return r;
	autofree char *old = take_ptr(&c.name), *old_name = str_format("/%s", old);
	c.name = strdup(name);
	if (!c.name)
		return err_oom(err);
	engine_tell_container(e, &c, "rename", "oldName", old_name ? old_name : "");
	return 0;
}

/* ---- wait ---- */

static int wait_removed(struct engine *e, const char *id, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};

	for (;;) {
		int r = engine_load(e, id, &c, err);
		engine_container_free(&c);
		if (r == -ENOENT)
			return 0;
		if (r < 0)
			return r;
		(void)nanosleep(&pause, NULL); /* woken early is as well */
	}
}

int engine_wait(struct engine *e, const char *id, const char *condition, int *ret_status, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	struct end_watch w autowatch = {.conn = {.fd = -1}, .pidfd = -1};
	bool next = condition && streq(condition, "next-exit"),
	     removed = condition && streq(condition, "removed");
	int status = 0, r;

	if (condition && *condition && !next && !removed && !streq(condition, "not-running"))
		return err_set(err, EINVAL, "invalid condition: \"%.64s\"", condition);
	r = load_settled(e, id, &c, err);
	if (r < 0)
		return r;
	status = c.exit_code;
	if (next && !engine_is_live(&c))
		return err_set(err, EINVAL,
			       "Container %s is not running, and nothing would tell when it is started",
			       c.name);
	if (engine_is_live(&c)) {
		do {
			end_watch_close(&w);
			r = end_watch_open(e, id, false, &w);
			if (r == 0)
				r = end_watch_wait(&w, -1, &status, err);
		} while (r > 0 && w.conn.fd >= 0 && w.conn.another_follows && !next);
		if (r < 0 && r != -ENOENT)
			return r;
		/* What is asked next must know of the end: settled by us, or by who is at it already. */
		struct engine_container ended autocontainer_row = {.lock = -1};
		struct err ignored = {0};
		/* One that ended just before we could listen has told its row alone.  Gone: that is settled
		 * too. */
		if ((!next || r == -ENOENT) && engine_load_locked(e, id, &ended, &ignored) == 0 &&
		    r == -ENOENT)
			status = ended.exit_code;
	}
	if (removed) {
		r = wait_removed(e, id, err);
		if (r < 0)
			return r;
	}
	*ret_status = status;
	return 0;
}

/* ---- looking inside ---- */

int engine_processes(struct engine *e, const char *id, pid_t **ret, size_t *ret_n, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	int r = load_settled(e, id, &c, err);

	if (r < 0)
		return r;
	if (!engine_is_live(&c))
		return not_running(&c, err);
	r = runtime_processes(&e->rt, id, ret, ret_n, err);
	struct monitor_status st;
	if (r == 0 && *ret_n == 0 && e->o.rootless && engine_runs(e, id, &st)) {
		free(*ret);
		r = engine_rootless_processes(st.pid, ret, ret_n, err);
	}
	if (r == 0)
		engine_tell_container(e, &c, "top", NULL, NULL);
	return r;
}

int engine_inner_processes(struct engine *e, const char *id, struct isolate_process **ret, size_t *ret_n,
			   struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	int r = load_settled(e, id, &c, err);

	if (r < 0)
		return r;
	if (!engine_is_live(&c))
		return not_running(&c, err);
	r = runtime_inner_processes(&e->rt, id, ret, ret_n, err);
	if (r == 0)
		engine_tell_container(e, &c, "top", NULL, NULL);
	return r;
}

int engine_logs(struct engine *e, const char *id, struct monitor_log_query *q, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	int r = engine_load(e, id, &c, err);

	if (r < 0)
		return r;
	const char *driver = c.record.q.log_driver;
	if (engine_mode_is(driver, "none"))
		return err_set(
			err, EINVAL,
			"configured logging driver does not support reading: the container logs to none");
	autofree char *log = str_format("%s-json.log", c.id),
		      *path = log ? engine_data_path(e, id, log) : NULL, *run = engine_run_path(e, id, NULL);
	if (!path || !run)
		return err_oom(err);
	q->path = path;
	q->journal_id = engine_mode_is(driver, "journald") ? c.id : NULL;
	q->run_dir = run;
	q->tty = c.record.q.tty;
	r = monitor_logs(q, err);
	q->path = q->journal_id = q->run_dir = NULL;
	return r;
}

int engine_attach(struct engine *e, const char *id, bool no_stdin, struct monitor_conn *ret, bool *ret_tty,
		  struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	const char *dir;
	int r = load_settled(e, id, &c, err);

	if (r < 0)
		return r;
	if (streq(c.state, "paused"))
		return err_set(err, EINVAL, "You cannot attach to a paused container, unpause it first");
	if (streq(c.state, "restarting"))
		return err_set(err, EINVAL,
			       "You cannot attach to a restarting container, wait until it is running");
	if (!engine_is_live(&c))
		return err_set(err, EINVAL, "You cannot attach to a stopped container, start it first");
	r = engine_run_dir(e, id, &dir, err);
	if (r == 0)
		r = monitor_connect(dir, c.record.q.interactive && !no_stdin, true, true, true, ret, err);
	if (r < 0)
		return r;
	*ret_tty = c.record.q.tty;
	engine_tell_container(e, &c, "attach", NULL, NULL);
	return 0;
}

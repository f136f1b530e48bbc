/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `start`.
 *
 * The caller takes the lock, the leases and the names' files, then asks for a
 * monitor.  The maker beside it, a fork of the caller, mounts the root,
 * looks up the user in it, fills volumes, writes config.json and lets the
 * runtime make and start the container.  It works on what the caller prepared and
 * keeps its hands off the database, whose connection does not survive a fork.
 */
#include "engine/rootless.h"
#include "engine/start.h"

#include "base/proc.h"
#include "host/cgroup.h"

#include <sys/socket.h>
#include <sys/stat.h>

static void keep_warning(void *data, const char *text)
{
	char *all = data;
	size_t have = strnlen(all, START_WARNINGS_MAX), n = strlen(text);

	if (have + n + 2 > START_WARNINGS_MAX)
		return;
	memcpy(all + have, text, n);
	all[have + n] = '\n';
	all[have + n + 1] = '\0';
}

static void tell_warnings(const struct engine_starting *s)
{
	char *p = s->warnings;

	while (p && *p) {
		char *nl = strchr(p, '\n');
		if (nl)
			*nl = '\0';
		engine_warn(s->e, "%s", p);
		p = nl ? nl + 1 : NULL;
	}
}

/* ---- the maker ---- */

struct making_now {
	struct engine_starting *s;
	struct monitor_made *made;
	struct held_mounts held;
};

static int plug_network(void *data, pid_t pid, struct err *err)
{
	struct making_now *m = data;
	struct engine_starting *s = m->s;
	char path[64];

	if (snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid) < 0)
		return err_set(err, EINVAL, "cannot name the network namespace");
	autoclose int ns = open(path, O_RDONLY | O_CLOEXEC);
	if (ns < 0)
		return err_sys(err, "cannot open the container's network namespace");
	s->attach.netns_fd = ns;
	int r = net_plug(s->net, &s->attach, &s->result, err);
	s->attach.netns_fd = -1;
	if (r == 0) {
		m->made->n_held = MIN_OF(s->result.held.n, (size_t)MONITOR_HELD_MAX);
		if (m->made->n_held)
			memcpy(m->made->held, s->result.held.v, m->made->n_held * sizeof(int));
		m->made->dns_udp = take_fd(&s->result.dns_udp);
		m->made->dns_tcp = take_fd(&s->result.dns_tcp);
	}
	return r;
}

static int write_config(struct engine_starting *s, int root, struct err *err)
{
	const struct engine_record *rec = &s->c->record;
	struct engine_user user;
	struct engine_binds binds autobinds = {0};
	autofree char *text = NULL, *path = str_format("%s/config.json", s->run_dir);
	int r = path ? engine_user_find(root, rec->config.user, &rec->q.group_add, &user, err) : err_oom(err);

	if (r == 0)
		r = engine_rootless_user(s->e, &s->maps, &user, err);
	if (r == 0)
		r = engine_binds_settle(s->e, s->c, &s->maps, root, &binds, err);
	if (r < 0)
		return r;
	struct engine_spec spec = {
		.c = s->c,
		.maps = &s->maps,
		.user = &user,
		.binds = &binds,
		.rootfs = s->rootfs,
		.hosts = s->hosts,
		.hostname = s->hostname,
		.resolv = s->resolv,
		.shm = s->shm,
		.init = s->init,
		.apparmor = s->apparmor,
		.join_user = s->join_user,
		.join_net = s->join_net,
		.join_pid = s->join_pid,
		.join_ipc = s->join_ipc,
		.host_mqueue = access("/dev/mqueue", F_OK) == 0,
		.cgroup2 = cgroup_is_unified(),
		.systemd_cgroup = s->e->o.systemd_cgroup,
		.rootless = s->e->o.rootless,
	};
	r = engine_spec_write(&spec, &text, err);
	if (r < 0)
		return r;
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(err, "cannot make \"%s\"", path);
	r = fd_write_all(fd, text, strlen(text));
	if (r < 0)
		return err_num(err, r, "cannot write \"%s\"", path);
	/* Volumes by descriptor are named by it: they stay open until the runtime has them. */
	for (size_t i = 0; i < binds.n; i++)
		binds.v[i].fd = -1;
	return 0;
}

/* The root, mounted; rootless, the namespace that it was mounted in is the container's. */
static int root_of(struct engine_starting *s, const struct snapshot *snapshot, struct engine_holder *holder,
		   struct err *err)
{
	if (!s->e->o.rootless) {
		int r = snapshot_prepare(s->e->store, snapshot, err);
		return r < 0 ? r : snapshot_mount(s->e->store, snapshot, err);
	}
	autoclose int root = engine_holder_mount(s->e, snapshot, s->join_user, holder, err);
	if (root < 0)
		return root;
	if (!s->join_user) {
		s->join_user = str_format("/proc/%d/ns/user", (int)holder->pid);
		if (!s->join_user)
			return err_oom(err);
	}
	return take_fd(&root);
}

static void keep_console(void *data)
{
	const struct making_now *now = data;

	engine_console_keep(now->s->e, now->s->c->id);
}

/*
 * What the monitor of a --rm container holds until its end has been told: its mount namespace, or else the
 * first process waits in its own end until the kernel has taken that down.  Where file systems of the host's
 * may be among the mounts it is the root alone: who has waited for the container may want to unmount those.
 */
static int kept_root(const struct engine_starting *s, pid_t pid, int *root)
{
	const struct engine_record *rec = &s->c->record;
	char path[64];
	int all = -1;

	if (rec->mounts.n == 0 && !rec->q.privileged &&
	    snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid) > 0)
		all = open(path, O_RDONLY | O_CLOEXEC);
	return all >= 0 ? all : take_fd(root); /* it has ended already */
}

static int make_container(struct making_now *now, struct err *err)
{
	struct engine_starting *s = now->s;
	struct monitor_made *made = now->made;
	struct snapshot snapshot autosnapshot = {0};
	struct runtime rt = s->e->rt;
	struct proc_stat stat;

	engine_places_make(s->e);
	int r = engine_snapshot_of(s->e, s->c, &s->maps, &snapshot, err);
	if (r < 0)
		return r;
	struct engine_holder holder autoholder = {.sock = -1};
	snapshot.held = &now->held;
	autoclose int root = root_of(s, &snapshot, &holder, err);
	if (root < 0)
		return root;
	r = engine_names_bounded(s, &now->held, err);
	if (r == 0)
		r = write_config(s, root, err);
	if (r < 0)
		return r;
	struct create_host host = {.rootfs_tree = root,
				   .groups = s->groups[0],
				   .network = s->has_net ? plug_network : NULL,
				   .undoing = keep_console,
				   .data = now,
				   .ret_master = s->c->record.q.tty ? &made->master : NULL,
				   .ret_pid = &made->pid};
	struct create_options o = {.id = s->c->id, .bundle = s->run_dir, .host = &host, .detach = true};
	int status = 0;
	rt.isolation = s->c->record.isolation;
	rt.warn = keep_warning;
	rt.warn_data = s->warnings;
	r = runtime_run(&rt, &o, &status, err);
	if (r == 0 && proc_stat(made->pid, &stat) == 0)
		made->start_time = stat.start_time;
	if (r == 0 && (s->c->flags & ENGINE_AUTO_REMOVE) && !s->e->o.rootless)
		made->root = kept_root(s, made->pid, &root);
	return r;
}

void engine_start_make(void *starting)
{
	struct engine_starting *s = starting;
	struct monitor_made made = {MONITOR_MADE_NOTHING};
	struct making_now now = {.s = s, .made = &made};
	struct err err = {0};

	s->e->o.warn = keep_warning;
	s->e->o.warn_data = s->warnings;
	if (s->groups[1] > 0)
		fd_drop(&s->groups[1]); /* or the caller's end would never be seen */
	if (make_container(&now, &err) < 0) {
		made.error = err.code;
		made.exit_status = err.exit_status ? err.exit_status : 125;
		memcpy(made.message, err.msg, sizeof(made.message));
	}
	/* Without a report the monitor sees the maker end, which tells as much. */
	ignore_result(monitor_report(&made, &err));
	if (!made.error)
		monitor_report_layers(&now.held);
}

/* ---- the caller ---- */

int engine_start_note(struct engine_starting *s, struct err *err)
{
	struct engine_container *c = s->c;
	autofree char *ports =
		s->has_net ? engine_ports_text(s->result.ports.v, s->result.ports.n, NULL) : strdup("");

	if (!ports)
		return err_oom(err);
	c->started = engine_now();
	int r = db_exec(
		s->e->db, err,
		"UPDATE container SET state = 'running', started = ?, finished = 0, exit_code = 0, oom = 0, "
		"error = NULL, stopped = 0, restarts = ?, ports = ? WHERE id = ?",
		"iiss", c->started, c->restarts, ports, c->id);
	return r < 0 ? r : engine_note_state(c, "running", err);
}

/* What a failed start leaves is taken away; the row remembers why. */
static void undo_start(struct engine_starting *s, const struct err *why)
{
	struct engine_container *c = s->c;
	struct err err = {0};
	int status = why->exit_status ? why->exit_status : 125, r;

	r = engine_end_failed(s->e, c, &err);
	if (r == 0 && (c->flags & ENGINE_AUTO_REMOVE))
		r = engine_erase(s->e, c, true, &err);
	else if (r == 0)
		r = MIN_OF(db_exec(s->e->db, &err,
				   "UPDATE container SET exit_code = ?, error = ? WHERE id = ?", "iss",
				   (int64_t)status, why->msg, c->id),
			   0);
	if (r < 0)
		engine_warn(s->e, "%s", err.msg);
}

static int may_start(const struct engine_container *c, struct err *err)
{
	if (streq(c->state, "paused"))
		return err_set(err, EINVAL, "cannot start a paused container, try unpause instead");
	return streq(c->state, "running") || streq(c->state, "restarting");
}

/*
 * Beside the maker, which mounts the layers meanwhile, and before the monitor's own start, which nobody waits
 * for yet.  What fails here the maker does again, and tells.
 */
static void make_groups(void *starting)
{
	struct engine_starting *s = starting;
	struct cgroup group;
	struct err ignored = {0};

	if (s->groups[1] <= 0 || engine_group_plan(s->e, s->c, &group, &ignored) < 0)
		return;
	cgroup_make_dirs(&group, s->groups[1]);
	cgroup_free(&group);
}

static int start_start_locked(struct engine_starting *s, const struct engine_start *q,
			      struct monitor_conn *ret, struct err *err)
{
	struct monitor_plan plan;
	autofree char *events = engine_events_path(s->e, "");
	int r = events ? engine_start_prepare(s, err) : err_oom(err);

	if (r == 0)
		r = engine_start_plan(s, &plan, err);
	if (r == 0 && engine_makes_groups(s->e) &&
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s->groups) < 0)
		r = err_sys(err, "cannot make a pair of sockets for the container's maker");
	if (r < 0)
		return r;
	plan.events_path = events;
	struct monitor_spawn spawn = {.plan = &plan,
				      .make = engine_start_make,
				      .beside = make_groups,
				      .beside_fd = s->groups[1] > 0 ? &s->groups[1] : NULL,
				      .data = s,
				      .attach_stdin = q->attach_stdin,
				      .attach_stdout = q->attach_stdout,
				      .attach_stderr = q->attach_stderr,
				      .client_finishes = q->client_finishes};
	r = monitor_spawn(&spawn, ret, err);
	tell_warnings(s);
	return r;
}

int engine_start(struct engine *e, const char *id, const struct engine_start *q,
		 struct monitor_conn *ret_conn, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	struct monitor_conn conn = {.fd = -1, .in = -1, .out = -1, .err = -1, .terminal = -1};
	struct engine_starting s autostarting = {.e = e, .c = &c};
	int r = engine_load_locked(e, id, &c, err);

	if (r == 0)
		r = may_start(&c, err);
	if (r != 0) {
		if (r > 0 && ret_conn)
			*ret_conn = conn;
		return MIN_OF(r, 0); /* it runs already, which is what was wanted */
	}
	c.restarts = 0;
	r = engine_guard_container(e, &c, err);
	if (r < 0)
		return r;
	r = start_start_locked(&s, q, &conn, err);
	if (r < 0) {
		if (!err->exit_status)
			err->exit_status = 125;
		undo_start(&s, err);
		return r;
	}
	r = engine_start_note(&s, err);
	if (r < 0) {
		monitor_close(&conn);
		return r;
	}
	if (q->attach_stdout || q->attach_stderr || q->attach_stdin)
		engine_tell_container(e, &c, "attach", NULL, NULL);
	engine_tell_volumes(e, &c, true);
	engine_tell_container(e, &c, "start", NULL, NULL);
	if (ret_conn)
		*ret_conn = conn;
	else
		monitor_close(&conn);
	return 0;
}

int engine_make_again(struct engine *e, const char *id, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	struct engine_starting s autostarting = {.e = e, .c = &c};
	struct monitor_made failed = {MONITOR_MADE_NOTHING};
	struct monitor_status st;
	int r = engine_lock(e, id, true, err);

	if (r >= 0) {
		int lock = r;
		r = engine_load(e, id, &c, err);
		c.lock = lock;
	}
	if (r == 0)
		r = engine_guard_container(e, &c, err);
	if (r == 0)
		r = engine_release(e, &c, err);
	if (r == 0)
		r = engine_start_prepare(&s, err);
	if (r < 0) {
		failed.error = err->code;
		failed.exit_status = 125;
		memcpy(failed.message, err->msg, sizeof(failed.message));
		struct err ignored = {0};
		ignore_result(monitor_report(&failed, &ignored)); /* the reason is returned */
		return r;
	}
	if (engine_runs(e, id, &st) || st.restarts)
		c.restarts = st.restarts + 1;
	engine_start_make(&s);
	return engine_start_note(&s, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* `create`, `run` and `start`. */
#include "runtime/runtime.h"

#include "base/file.h"
#include "base/sys.h"
#include "host/sdnotify.h"
#include "runtime/container.h"
#include "runtime/foreground.h"
#include "runtime/hooks.h"
#include "runtime/making.h"

#include <sys/stat.h>

static int make(struct making *m, struct err *err)
{
	int r = making_prepare(m, err);

	if (r == 0 && !m->detached && m->config.process && m->config.process->terminal)
		foreground_size(&m->config.process->console_height, &m->config.process->console_width);
	if (r == 0)
		r = making_claim(m, err);
	if (r == 0)
		r = making_build(m, err);
	return r;
}

int runtime_create(const struct runtime *rt, const struct create_options *o, struct err *err)
{
	automaking struct making m;

	making_begin(&m, rt, o);
	m.detached = m.separate_start = true;
	int r = make(&m, err);
	if (r == 0)
		r = making_settle(&m, err);
	if (r < 0)
		making_undo(&m);
	return r;
}

/* Hands READY= on to the service manager: at once where we go away, else beside us. */
static int forward_ready(const struct making *m, struct err *err)
{
	const char *host = getenv("NOTIFY_SOCKET");
	int status = 0;

	if (m->notify_socket < 0 || !host)
		return 0;
	autoclose int pidfd = sys_pidfd_open(m->sandbox.pid, 0);
	if (m->detached)
		return sdnotify_forward(m->notify_socket, host, m->sandbox.pid, pidfd, err);
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(err, "cannot fork to pass on sd_notify messages");
	if (pid == 0) {
		if (sdnotify_forward(m->notify_socket, host, getppid(), pidfd, err) < 0)
			status = 1;
		_exit(status);
	}
	return 0;
}

static int run_to_end(struct making *m, int *ret_status, struct err *err)
{
	int r = foreground_wait(m->sandbox.pid, m->master, ret_status, err);

	if (r < 0)
		return r;
	m->ended = container_has_own_pids(&m->config);
	if (!m->o->keep)
		making_undo(m);
	return 0;
}

static int go(struct making *m, struct err *err)
{
	int r = m->level->start(&m->sandbox, err);

	if (r < 0)
		return err_prefix(err, "unable to start container process");
	fd_drop(&m->sandbox.start_fd);
	r = making_settle(m, err);
	if (r < 0)
		return r;
	return making_hooks(m, "poststart", &m->config.hooks.poststart, "running",
			    poststart_forgives(m->config.oci_version), err);
}

/* What the caller in the same program asked for. */
static void hand_over(struct making *m)
{
	const struct create_host *host = m->o->host;

	if (host->ret_pid)
		*host->ret_pid = m->sandbox.pid;
	if (host->ret_master)
		*host->ret_master = take_fd(&m->master);
}

int runtime_run(const struct runtime *rt, const struct create_options *o, int *ret_status, struct err *err)
{
	automaking struct making m;
	int r;

	making_begin(&m, rt, o);
	m.detached = o->detach;
	r = o->detach ? 0 : foreground_begin(!o->no_subreaper, err);
	if (r == 0)
		r = make(&m, err);
	if (r == 0)
		r = go(&m, err);
	if (r == 0)
		r = forward_ready(&m, err);
	if (r == 0 && o->host)
		hand_over(&m);
	if (r == 0 && !o->detach)
		r = run_to_end(&m, ret_status, err);
	if (r < 0)
		making_undo(&m);
	return r;
}

/* ---- start ---- */

static int poststart(const struct container *c, struct err *err)
{
	struct hook_call call = {
		.rt = c->rt,
		.kind = "poststart",
		.list = &c->config.hooks.poststart,
		.id = c->id,
		.bundle = c->record.bundle,
		.status = "running",
		.annotations = &c->config.annotations,
		.pid = c->init.pid,
		.forgive = poststart_forgives(c->config.oci_version),
	};
	struct err ignored = {0};
	int r = hooks_run(&call, err);

	if (r < 0)
		ignore_result(c->level->signal(&c->sandbox, SIGKILL, false,
					       &ignored)); /* the hook's error is told */
	return r;
}

/* What `create` listened on has gone with it: a fresh socket takes its place in the mounted directory. */
static int listen_for_ready(const struct container *c, int *ret, struct err *err)
{
	const char *host = getenv("NOTIFY_SOCKET");

	if (!host || !*host || faccessat(c->dirfd, SDNOTIFY_STATE_DIR, F_OK, 0) < 0)
		return 0;
	int fd = sdnotify_listen(c->dirfd, err);
	if (fd < 0)
		return fd;
	*ret = fd;
	return 0;
}

static int start_locked(struct container *c, struct err *err)
{
	struct err ignored = {0};
	int r = store_set_phase(c->dirfd, STORE_STARTING, err);

	if (r < 0)
		return r;
	r = c->level->start(&c->sandbox, err);
	/* On failure init has ended, mostly; if not, it still waits. */
	int p = store_set_phase(c->dirfd, r < 0 ? STORE_CREATED : STORE_STARTED, r < 0 ? &ignored : err);
	return r < 0 ? r : p;
}

int runtime_start(const struct runtime *rt, const char *id, struct err *err)
{
	autocontainer struct container c;
	autoclose int notify = -1;
	int r;

	r = container_load(rt, id, CONTAINER_CONFIG | CONTAINER_LOCK, &c, err);
	if (r == 0)
		r = container_may(&c, LIFE_START, NULL, err);
	if (r == 0)
		r = listen_for_ready(&c, &notify, err);
	if (r == 0)
		r = start_locked(&c, err);
	if (r < 0)
		return r;
	r = poststart(&c, err);
	store_unlock(c.dirfd);
	if (r == 0 && notify >= 0) {
		autoclose int pidfd = sys_pidfd_open(c.init.pid, 0);
		r = sdnotify_forward(notify, getenv("NOTIFY_SOCKET"), c.init.pid, pidfd, err);
	}
	return r;
}

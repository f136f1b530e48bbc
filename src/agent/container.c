/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of jobs that change something.  The container is one of level `ns`,
 * made by the runtime as on a host; the keeper has left out of its
 * configuration what the host does for it.
 */
#include "agent/agent.h"
#include "agent/job.h"

#include "base/file.h"
#include "base/str.h"
#include "host/creds.h"
#include "host/resolve.h"
#include "host/tty.h"
#include "runtime/making.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#define BUNDLE "/run/coffer/bundle"

/* The keeper's side puts this before what a level says. */
static void strip_prefix(struct err *err)
{
	static const char prefix[] = "unable to start container process: ";

	if (str_starts(err->msg, prefix))
		memmove(err->msg, err->msg + sizeof(prefix) - 1, strlen(err->msg) - sizeof(prefix) + 2);
}

static int write_bundle(const struct job_order *o, struct err *err)
{
	int r = file_mkdir_all(BUNDLE, 0700);

	if (r == 0)
		r = file_replace_at(AT_FDCWD, BUNDLE "/config.json", o->json, o->json_len, 0600, false);
	return r < 0 ? err_num(err, r, "cannot write the container's configuration") : 0;
}

static void put_size(struct oci_process *p, const struct guest_process *size)
{
	if (size->rows == 0 || size->columns == 0)
		return;
	p->console_height = size->rows;
	p->console_width = size->columns;
}

/*
 * The carrier has followed symbolic links of a destination within the container's root, and so must we; what
 * a link says would mean another place here.  A path that is not there is told by who mounts it.  The strings
 * end with the job.
 */
static int follow_sources(struct oci_config *config, struct err *err)
{
	static const char share[] = GUEST_SHARE_AT "/";
	autoclose int root = open(GUEST_SHARE_AT, O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < config->mounts.n && root >= 0; i++) {
		struct oci_mount *m = &config->mounts.v[i];
		autofree char *real = NULL, *path = NULL;
		if (!m->source || !str_starts(m->source, share))
			continue;
		path = resolve_clean(m->source + sizeof(share) - 2);
		if (!path)
			return err_oom(err);
		autoclose int fd = resolve_in_root(root, path, RESOLVE_EXISTING, &real);
		if (fd < 0 || !real)
			continue;
		m->source = str_format("%s%s", GUEST_SHARE_AT, real);
		if (!m->source)
			return err_oom(err);
	}
	return 0;
}

static bool mount_says(const struct oci_mount *m, const char *option)
{
	for (size_t i = 0; i < m->options.n; i++)
		if (streq(m->options.v[i], option))
			return true;
	return false;
}

/* A word takes back the one before it: with both of them it is taken to be written to. */
static bool is_read_only(const struct oci_mount *m)
{
	return (mount_says(m, "ro") || mount_says(m, "rro")) && !mount_says(m, "rw") && !mount_says(m, "rrw");
}

static bool writes_to_share(const struct oci_config *config)
{
	bool any = !config->root_readonly;

	for (size_t i = 0; i < config->mounts.n && !any; i++) {
		const struct oci_mount *m = &config->mounts.v[i];
		any = m->source && str_starts(m->source, GUEST_SHARE_AT) && !is_read_only(m);
	}
	return any;
}

/*
 * A file system that may be written to asks for the time of access of each file that was read; of one that
 * may not nothing is asked twice.  Everything that was to be made in the root is there by now.
 */
static void close_share(const struct agent *a, const struct oci_config *config)
{
	const unsigned long kept = ST_NOSUID | ST_NODEV | ST_NOEXEC; /* the same bits as MS_* */
	struct statvfs fs;

	if (a->shared && a->relay > 0 && !writes_to_share(config) && statvfs(a->shared, &fs) == 0)
		(void)mount(NULL, a->shared, NULL, MS_REMOUNT | MS_RDONLY | (fs.f_flag & kept),
			    NULL); /* else it is only slower */
}

static int build_container(const struct agent *a, struct making *m, const struct job_order *o,
			   struct err *err)
{
	int r = making_prepare(m, err);

	if (r == 0)
		r = follow_sources(&m->config, err);
	if (r == 0 && m->config.process)
		put_size(m->config.process, &o->process);
	if (r == 0 && m->config.process &&
	    m->config.process->terminal != !!(o->process.flags & GUEST_TERMINAL))
		r = err_set(err, EINVAL, "RUN and process.terminal do not agree about a terminal");
	if (r == 0)
		r = making_claim(m, err);
	if (r == 0)
		r = making_build(m, err);
	if (r == 0)
		close_share(a, &m->config);
	if (r == 0)
		r = m->level->start(&m->sandbox, err);
	if (r < 0)
		return r;
	fd_drop(&m->sandbox.start_fd);
	return making_settle(m, err);
}

int job_run(struct agent *a, const struct job_order *o, struct job_answer *ret, struct err *err)
{
	const struct create_host host = {.rootfs_tree = -1, .ret_master = &ret->master};
	const struct create_options options = {.id = a->id, .bundle = BUNDLE, .host = &host, .detach = true};
	automaking struct making m;

	making_begin(&m, &a->rt, &options);
	m.detached = true;
	int r = write_bundle(o, err);
	if (r == 0)
		r = build_container(a, &m, o, err);
	if (r < 0) {
		making_undo(&m);
		strip_prefix(err);
		return r;
	}
	ret->pid = m.sandbox.pid;
	ret->master = take_fd(&m.master);
	return 0;
}

static int exec_in(struct container *c, struct oci_process *process, const struct job_order *o,
		   struct job_answer *ret, struct err *err)
{
	autoclose int cache = c->config.linux.seccomp ? container_cache_dir(c->rt) : -1;
	struct isolate_exec x = {
		.sandbox = c->sandbox,
		.process = process,
		.seccomp = c->config.linux.seccomp,
		.stdio = {.console_socket = -1,
			  .ret_master = &ret->master,
			  .cooked = true,
			  .notify_socket = -1,
			  .pidfd_socket = -1},
	};

	x.sandbox.cache_dirfd = cache;
	put_size(process, &o->process);
	if (process->terminal != !!(o->process.flags & GUEST_TERMINAL))
		return err_set(err, EINVAL, "EXEC and its process do not agree about a terminal");
	return c->level->exec(&x, &ret->pid, err);
}

int job_exec(struct agent *a, const struct job_order *o, struct job_answer *ret, struct err *err)
{
	struct oci_process process;
	struct oci_document *doc = NULL;
	autocontainer struct container c;
	int r = container_load(&a->rt, a->id, CONTAINER_CONFIG, &c, err);

	if (r == 0) /* whether it is paused is the host's business */
		r = container_may(&c, LIFE_EXEC_PAUSED, NULL, err);
	if (r == 0)
		r = oci_process_parse(o->json, o->json_len, "process", &process, &doc, err);
	if (r == 0)
		r = exec_in(&c, &process, o, ret, err);
	oci_document_free(doc);
	return r;
}

int job_update(struct agent *a, const struct job_order *o, struct job_answer *ret unused, struct err *err)
{
	struct oci_resources resources;
	struct oci_document *doc = NULL;
	autocontainer struct container c;
	int r = container_load(&a->rt, a->id, CONTAINER_CONFIG, &c, err);

	if (r == 0)
		r = container_may(&c, LIFE_UPDATE, NULL, err);
	if (r == 0)
		r = oci_resources_parse(o->json, o->json_len, "resources", &resources, &doc, err);
	if (r == 0)
		r = c.level->update(&c.sandbox, &resources, err);
	oci_document_free(doc);
	return r;
}

int job_signal_all(struct agent *a, const struct job_order *o, struct job_answer *ret unused, struct err *err)
{
	char number[16];

	(void)snprintf(number, sizeof(number), "%u", o->signal.signal); /* fits */
	return runtime_kill(&a->rt, a->id, number, true, err);
}

/*
 * ---- beside the container ----
 *
 * The machine itself has no program but the agent.  So who looks at it brings the container's: its root is
 * that of the process, with the machine's own /proc, /sys and /dev where the root has places for them, in a
 * mount namespace that ends with it.  All else is the machine's: pids, network, privileges; /proc/1/root is
 * the machine's root.
 */

static int take_terminal(const struct oci_process *process, int *ret_master, struct err *err)
{
	struct tty_pair tty;
	autoclose int pts = open("/dev/pts", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = pts < 0 ? err_sys(err, "cannot open /dev/pts") : tty_open(pts, &tty, err);

	if (r < 0)
		return r;
	*ret_master = tty.master;
	autoclose int slave = tty.slave;
	r = tty_set_size(slave, process->console_height, process->console_width, err);
	return r < 0 ? r : tty_dup_stdio(slave, err);
}

/* A place of the image, which may be a link to anywhere: then it is left as it is. */
static int show_own(int root, const char *name, struct err *err)
{
	autofree char *from = str_format("/%s", name);
	autoclose int at = openat(root, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (at < 0)
		return 0;
	struct fd_path to = fd_path(at);
	if (!from)
		return err_oom(err);
	return mount(from, to.s, NULL, MS_BIND | MS_REC, NULL) < 0
		       ? err_sys(err, "cannot show the machine's %s", from)
		       : 0;
}

static int enter_view(const char *path, struct err *err)
{
	static const char *const own[] = {"proc", "sys", "dev"};
	int r = 0;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(err, "cannot make a view of the machine");
	/* Now, for a descriptor is of the namespace that it was opened in. */
	autoclose int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(err, "cannot open the container's root");
	for (size_t i = 0; i < ARRAY_LEN(own) && r == 0; i++)
		r = show_own(root, own[i], err);
	if (r == 0 && (fchdir(root) < 0 || chroot(".") < 0))
		r = err_sys(err, "cannot enter the container's root");
	return r;
}

static int become(const struct oci_process *p, struct err *err)
{
	const struct creds c = {.uid = p->user.uid,
				.gid = p->user.gid,
				.groups = p->user.additional_gids.v,
				.ngroups = p->user.additional_gids.n,
				.set_groups = true,
				.umask = p->user.umask};

	if (p->terminal && (setsid() < 0 || tty_take(0, err) < 0))
		return err->code ? -err->code : err_sys(err, "cannot begin a session");
	if (chdir(p->cwd && *p->cwd ? p->cwd : "/") < 0)
		return err_sys(err, "cannot go to \"%s\"", p->cwd);
	return creds_apply(&c, err);
}

/* The kernel's and the library's search, by the process's own PATH.  Returns why not. */
static int become_program(const struct oci_process *p, struct err *err)
{
	autofree char **argv = calloc(p->args.n + 1, sizeof(*argv));
	autofree char **env = calloc(p->env.n + 1, sizeof(*env));

	if (!argv || !env)
		return err_oom(err);
	for (size_t i = 0; i < p->args.n; i++)
		argv[i] = (char *)(uintptr_t)p->args.v[i];
	for (size_t i = 0; i < p->env.n; i++)
		env[i] = (char *)(uintptr_t)p->env.v[i];
	environ = env;
	(void)execvp(argv[0], argv);
	int r = errno == ENOENT
			? err_set(err, ENOENT, "exec: \"%s\": no such program in the machine", argv[0])
			: err_sys(err, "exec: \"%s\"", argv[0]);
	err->exit_status = err->code == ENOENT ? 127 : 126;
	return r;
}

/* The pipe is closed by the exec, or brings why there was none. */
static int start_outside(const struct agent *a, const struct oci_process *process, struct job_answer *ret,
			 struct err *err)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe");
	autoclose int ours = p[0], theirs = p[1];
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(err, "cannot fork");
	if (pid == 0) {
		int r = a->shared ? enter_view(a->shared, err) : 0;
		if (r == 0)
			r = become(process, err);
		if (r == 0)
			r = become_program(process, err);
		ignore_result(fd_write_all(theirs, err, sizeof(*err))); /* nobody listens: nobody asks */
		_exit(-r ? 127 : 0);
	}
	fd_drop(&theirs);
	struct err told;
	if (fd_read_full(ours, &told, sizeof(told)) == (ssize_t)sizeof(told)) {
		ignore_result(waitpid(pid, NULL, 0)); /* it has ended by itself */
		*err = told;
		return -told.code;
	}
	ret->pid = pid;
	return 0;
}

int job_outside(struct agent *a, const struct job_order *o, struct job_answer *ret, struct err *err)
{
	struct oci_process process;
	struct oci_document *doc = NULL;
	int r = oci_process_parse(o->json, o->json_len, "process", &process, &doc, err);

	if (r == 0 && process.args.n == 0)
		r = err_set(err, EINVAL, "args must not be empty");
	if (r == 0)
		put_size(&process, &o->process);
	if (r == 0 && process.terminal != !!(o->process.flags & GUEST_TERMINAL))
		r = err_set(err, EINVAL, "EXEC and its process do not agree about a terminal");
	if (r == 0 && process.terminal)
		r = take_terminal(&process, &ret->master, err);
	if (r == 0)
		r = start_outside(a, &process, ret, err);
	oci_document_free(doc);
	return r;
}

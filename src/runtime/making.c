/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/making.h"

#include "base/file.h"
#include "base/str.h"
#include "host/intelrdt.h"
#include "host/sdnotify.h"
#include "host/tty.h"
#include "runtime/container.h"
#include "runtime/hooks.h"
#include "runtime/lacks.h"
#include "runtime/record.h"
#include "runtime/store.h"

#include <sys/stat.h>
#include <time.h>

void making_begin(struct making *m, const struct runtime *rt, const struct create_options *o)
{
	*m = (struct making){.rt = rt,
			     .o = o,
			     .bundle_fd = -1,
			     .rootfs_fd = -1,
			     .state_dirfd = -1,
			     .cache_dirfd = -1,
			     .console_socket = -1,
			     .pidfd_socket = -1,
			     .notify_socket = -1,
			     .master = -1,
			     .sandbox = {.start_fd = -1}};
}

void making_close(struct making *m)
{
	fd_drop(&m->bundle_fd);
	fd_drop(&m->rootfs_fd);
	fd_drop(&m->state_dirfd);
	fd_drop(&m->cache_dirfd);
	fd_drop(&m->console_socket);
	fd_drop(&m->pidfd_socket);
	fd_drop(&m->notify_socket);
	fd_drop(&m->master);
	fd_drop(&m->sandbox.start_fd);
	oci_config_free(&m->config);
	cgroup_free(&m->cgroup);
	intelrdt_free(&m->intel_rdt);
	free(m->bundle);
	free(m->rootfs);
	free(m->config_text);
	free(m->extra_mounts);
	free(m->extra_env);
	free(m->notify_dir);
}

/* ---- looking ---- */

/* Opens a directory and asks the kernel for its true path. */
static int open_directory(int dirfd, const char *path, char **ret_path, struct err *err)
{
	char real[PATH_MAX];

	autoclose int fd = openat(dirfd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = readlink(fd_path(fd).s, real, sizeof(real) - 1);
	if (n < 0)
		return -errno;
	real[n] = '\0';
	*ret_path = strdup(real);
	return *ret_path ? take_fd(&fd) : err_oom(err);
}

static int open_bundle(struct making *m, struct err *err)
{
	const char *path = m->o->bundle && *m->o->bundle ? m->o->bundle : ".";
	char text[64];

	m->bundle_fd = open_directory(AT_FDCWD, path, &m->bundle, err);
	if (m->bundle_fd < 0)
		return err_set(err, -m->bundle_fd, "cannot open the bundle: chdir %s: %s", path,
			       err_text_lower(m->bundle_fd, text));
	if (!m->o->config)
		return oci_config_load(m->bundle_fd, m->bundle, &m->config, &m->config_text, &m->config_len,
				       err);
	/* --config FILE, as crun has it. */
	int r = file_read_at(m->bundle_fd, m->o->config, OCI_CONFIG_MAX, &m->config_text, &m->config_len);
	if (r < 0)
		return err_num(err, r, "cannot read \"%s\"", m->o->config);
	return oci_config_parse(m->config_text, m->config_len, m->o->config, &m->config, err);
}

static int open_rootfs(struct making *m, struct err *err)
{
	const char *path = m->config.root_path;
	struct stat st;
	char text[64];

	if (!path || !*path)
		return err_set(err, EINVAL, "%s/config.json: root.path: must not be empty", m->bundle);
	/* As runc: what is mounted below must not depend on where a link points today. */
	if (fstatat(m->bundle_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
		return err_set(err, EINVAL, "invalid rootfs: not an absolute path, or a symlink");
	m->rootfs_fd = open_directory(m->bundle_fd, path, &m->rootfs, err);
	if (m->rootfs_fd < 0)
		return err_set(err, -m->rootfs_fd, "invalid rootfs: cannot open \"%s%s%s\": %s",
			       path[0] == '/' ? "" : m->bundle, path[0] == '/' ? "" : "/", path,
			       err_text_lower(m->rootfs_fd, text));
	return 0;
}

int check_terminal(bool terminal, bool detached, const char *console_socket, struct err *err)
{
	bool socket = console_socket && *console_socket;

	if (detached && terminal && !socket)
		return err_set(
			err, EINVAL,
			"cannot allocate tty if coffer-oci will detach without setting console socket");
	if ((!detached || !terminal) && socket)
		return err_set(err, EINVAL,
			       "cannot use console socket if coffer-oci will not detach or allocate tty");
	return 0;
}

int check_preserve_fds(int listen_fds, int n, struct err *err)
{
	if (n < 0)
		return err_set(err, EINVAL, "invalid value %d for --preserve-fds", n);
	for (int i = 3; i < 3 + listen_fds + n; i++) {
		int flags = fcntl(i, F_GETFD);
		/* A descriptor that was handed to us survived an exec: close-on-exec is one of our own. */
		if (flags < 0 || (flags & FD_CLOEXEC))
			return err_set(err, EBADF,
				       "unable to stat preserved-fd %d (of %d): no such file or directory",
				       i - 3 - listen_fds, n);
	}
	return 0;
}

/* sd_listen_fds(3): ours only where LISTEN_PID names us. */
static int count_listen_fds(void)
{
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
	uint64_t v;

	if (!pid || !n || str_to_u64(pid, 10, &v) < 0 || v != (uint64_t)getpid())
		return 0;
	return str_to_u64(n, 10, &v) == 0 && v < 1024 ? (int)v : 0;
}

int connect_socket(const char *path, int *ret, struct err *err)
{
	if (!path || !*path)
		return 0;
	int fd = tty_connect_socket(path, err);
	if (fd < 0)
		return fd;
	*ret = fd;
	return 0;
}

/* sd_notify(3) from inside: the socket's directory is mounted, and named in the environment. */
static int add_notify_socket(struct making *m, struct err *err)
{
	static const char *options[] = {"bind", "nosuid", "noexec", "nodev", "ro"};
	static const char variable[] = "NOTIFY_SOCKET=" SDNOTIFY_CONTAINER_SOCK;
	const char *host = getenv("NOTIFY_SOCKET");
	struct oci_config *c = &m->config;

	if (!host || !*host || !c->process)
		return 0;
	struct oci_mount *mounts = m->extra_mounts = calloc(c->mounts.n + 1, sizeof(*mounts));
	const char **env = m->extra_env = calloc(c->process->env.n + 1, sizeof(*env));
	m->notify_dir = str_format("%s/%s/" SDNOTIFY_STATE_DIR, m->rt->root, m->o->id);
	if (!mounts || !env || !m->notify_dir)
		return err_oom(err);
	if (c->mounts.n)
		memcpy(mounts, c->mounts.v, c->mounts.n * sizeof(*mounts));
	mounts[c->mounts.n] = (struct oci_mount){.destination = SDNOTIFY_CONTAINER_DIR,
						 .type = "bind",
						 .source = m->notify_dir,
						 .options = {.v = options, .n = ARRAY_LEN(options)}};
	c->mounts.v = mounts;
	c->mounts.n++;
	if (c->process->env.n)
		memcpy(env, c->process->env.v, c->process->env.n * sizeof(*env));
	env[c->process->env.n] = variable;
	c->process->env.v = env;
	c->process->env.n++;
	return 0;
}

/*
 * The flag is the engine's word, the annotation the user's.  Where they
 * differ nobody can be given what they asked for.
 */
static int find_level(struct making *m, struct err *err)
{
	const char *flag = m->rt->isolation, *wish = oci_annotation(&m->config, "dev.coffer.isolation");
	int r = isolate_find(wish ? wish : flag, &m->level, err);

	if (r < 0)
		return r;
	if (wish && flag && !streq(wish, flag))
		return err_set(
			err, EINVAL,
			"annotation dev.coffer.isolation asks for level \"%s\", --isolation for \"%s\"", wish,
			flag);
	return lacks_check(m->level, &m->config, err);
}

int making_prepare(struct making *m, struct err *err)
{
	const struct oci_process *process;
	int r;

	r = store_check_id(m->o->id, err);
	if (r < 0)
		return r;
	m->listen_fds = count_listen_fds();
	r = check_preserve_fds(m->listen_fds, m->o->preserve_fds, err);
	if (r < 0)
		return r;
	r = open_bundle(m, err);
	if (r < 0)
		return r;
	process = m->config.process;
	if (!process && !m->separate_start)
		return err_set(err, EINVAL, "%s/config.json: process property must not be empty", m->bundle);
	r = m->o->host && m->o->host->ret_master
		    ? 0
		    : check_terminal(process && process->terminal, m->detached, m->o->console_socket, err);
	if (r < 0)
		return r;
	if (m->rt->rootless && process && process->user.additional_gids.n > 0)
		return err_set(err, EPERM, "cannot set any additional groups in a rootless container");
	r = find_level(m, err);
	if (r < 0)
		return r;
	r = intelrdt_check(m->config.linux.intel_rdt, err);
	if (r < 0)
		return r;
	r = open_rootfs(m, err);
	if (r < 0)
		return r;
	r = connect_socket(m->o->console_socket, &m->console_socket, err);
	if (r < 0)
		return r;
	r = connect_socket(m->o->pidfd_socket, &m->pidfd_socket, err);
	if (r < 0)
		return r;
	return add_notify_socket(m, err);
}

/* ---- claiming ---- */

static int write_record(const struct making *m, struct err *err)
{
	/* intelrdt_apply() comes later; what it makes without a closID of its own will be ours to remove. */
	const struct oci_intel_rdt *wanted = m->config.linux.intel_rdt;
	struct intelrdt planned = m->intel_rdt;
	planned.made = wanted && !wanted->clos_id;
	struct record_new record = {
		.id = m->o->id,
		.bundle = m->bundle,
		.rootfs = m->rootfs,
		.isolation = m->level->name,
		.created = m->created,
		.rootless = m->rt->rootless,
		.config = &m->config,
		.cgroup = &m->cgroup,
		.intel_rdt = &planned,
	};

	return record_write(m->state_dirfd, &record, err);
}

static int write_records(struct making *m, struct err *err)
{
	/* No rename for this one: it counts from when state.json is there. */
	autoclose int fd =
		openat(m->state_dirfd, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(err, "cannot make the copy of config.json");
	int r = fd_write_all(fd, m->config_text, m->config_len);
	if (r < 0)
		return err_num(err, r, "cannot write the copy of config.json");
	(void)clock_gettime(CLOCK_REALTIME, &m->created); /* cannot fail */
	return write_record(m, err);
}

int making_claim(struct making *m, struct err *err)
{
	const struct oci_linux *linux = &m->config.linux;
	int r;

	m->request = (struct cgroup_request){
		.id = m->o->id,
		.cgroups_path = linux->cgroups_path,
		.systemd = m->rt->systemd_cgroup,
		.rootless = m->rt->rootless_cgroup,
		.needs_limits = lacks_limits(&linux->resources),
		.annotations = m->config.annotations,
		.promise = m->o->host ? m->o->host->groups : 0,
	};
	r = cgroup_plan(&m->request, &m->cgroup, err);
	if (r < 0)
		return r;
	r = intelrdt_plan(linux->intel_rdt, m->o->id, &m->intel_rdt, err);
	if (r < 0)
		return r;
	m->state_dirfd = store_claim(m->rt->root, m->o->id, err);
	if (m->state_dirfd < 0)
		return m->state_dirfd;
	r = write_records(m, err);
	if (r == 0 && m->extra_mounts && m->notify_socket < 0) {
		m->notify_socket = sdnotify_listen(m->state_dirfd, err);
		r = MIN_OF(m->notify_socket, 0);
	}
	if (linux->seccomp)
		m->cache_dirfd = container_cache_dir(m->rt);
	return r;
}

/* ---- building ---- */

static int on_spawned(void *data, const struct sandbox *s, struct err *err)
{
	struct making *m = data;
	struct store_init init = {.pid = s->pid, .start_time = s->start_time, .phase = STORE_CREATING};

	m->sandbox.pid = s->pid;
	m->sandbox.start_time = s->start_time;
	int r = store_write_init(m->state_dirfd, &init, err);
	if (r == 0 && m->config.linux.intel_rdt)
		r = intelrdt_apply(&m->intel_rdt, m->config.linux.intel_rdt, s->pid, err);
	return r;
}

static int call_hooks(const struct making *m, const char *kind, const hook_list *list, const char *status,
		      pid_t pid, bool inside, bool forgive, struct err *err)
{
	struct hook_call call = {
		.rt = m->rt,
		.kind = kind,
		.list = list,
		.id = m->o->id,
		.bundle = m->bundle,
		.status = status,
		.annotations = &m->config.annotations,
		.pid = pid,
		.inside = inside,
		.forgive = forgive,
	};

	return hooks_run(&call, err);
}

int making_hooks(const struct making *m, const char *kind, const hook_list *list, const char *status,
		 bool forgive, struct err *err)
{
	return call_hooks(m, kind, list, status, m->sandbox.pid, false, forgive, err);
}

static int on_network(void *data, const struct sandbox *s, struct err *err)
{
	const struct making *m = data;

	return m->o->host->network(m->o->host->data, s->pid, err);
}

static int on_create_runtime(void *data, const struct sandbox *s unused, struct err *err)
{
	const struct making *m = data;
	/* Prestart hooks are older than the state "creating": what is theirs to see is a created container.
	 */
	int r = making_hooks(m, "prestart", &m->config.hooks.prestart, "created", false, err);

	return r < 0 ? r
		     : making_hooks(m, "createRuntime", &m->config.hooks.create_runtime, "creating", false,
				    err);
}

static int on_create_container(void *data, pid_t pid, struct err *err)
{
	const struct making *m = data;

	return call_hooks(m, "createContainer", &m->config.hooks.create_container, "creating", pid, true,
			  false, err);
}

static int on_start_container(void *data, pid_t pid, struct err *err)
{
	const struct making *m = data;

	return call_hooks(m, "startContainer", &m->config.hooks.start_container, "created", pid, true, false,
			  err);
}

void making_name(struct making *m)
{
	m->sandbox = (struct sandbox){
		.cgroup = &m->cgroup,
		.config = &m->config,
		.id = m->o->id,
		.bundle = m->bundle,
		.state_dirfd = m->state_dirfd,
		.cache_dirfd = m->cache_dirfd,
		.start_fd = -1,
		.warn = m->rt->warn,
		.warn_data = m->rt->warn_data,
	};
}

int making_build(struct making *m, struct err *err)
{
	const struct oci_hooks *hooks = &m->config.hooks;
	const struct create_host *host = m->o->host;

	making_name(m);
	struct isolate_create c = {
		.sandbox = m->sandbox,
		.config = &m->config,
		.cgroup = &m->cgroup,
		.cgroup_request = &m->request,
		.rootfs_fd = m->rootfs_fd,
		.rootfs_tree = host ? host->rootfs_tree : -1,
		.rootfs = m->rootfs,
		.stdio = {.console_socket = m->console_socket,
			  .ret_master = m->detached && !(host && host->ret_master) ? NULL : &m->master,
			  .cooked = host && host->ret_master,
			  .preserve_fds = m->o->preserve_fds,
			  .listen_fds = m->listen_fds,
			  .notify_socket = -1,
			  .pidfd_socket = m->pidfd_socket},
		.events = {.data = m,
			   .spawned = on_spawned,
			   .network = host && host->network ? on_network : NULL,
			   .create_runtime =
				   hooks->prestart.n + hooks->create_runtime.n ? on_create_runtime : NULL,
			   .create_container_inside = hooks->create_container.n ? on_create_container : NULL,
			   .start_container_inside = hooks->start_container.n ? on_start_container : NULL},
		.rootless = m->rt->rootless,
		.no_pivot = m->o->no_pivot,
		.no_new_keyring = m->o->no_new_keyring,
		.detached_start = m->separate_start,
	};
	int r = m->level->create(&c, &m->sandbox, err);
	if (r < 0)
		return err_prefix(err, "unable to start container process");
	/* Who may not make groups has got fewer than planned, or none. */
	return m->rt->rootless_cgroup ? write_record(m, err) : 0;
}

int write_pid_file(const char *path, pid_t pid, struct err *err)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", pid);

	if (!path || !*path)
		return 0;
	int r = file_replace_at(AT_FDCWD, path, text, (size_t)len, 0644, false);
	return r < 0 ? err_num(err, r, "cannot write the pid file \"%s\"", path) : 0;
}

int making_settle(struct making *m, struct err *err)
{
	int r = write_pid_file(m->o->pid_file, m->sandbox.pid, err);

	if (r == 0)
		r = store_set_phase(m->state_dirfd, m->separate_start ? STORE_CREATED : STORE_STARTED, err);
	if (r == 0)
		store_unlock(m->state_dirfd);
	return r;
}

/* ---- undoing ---- */

/* Nothing that runs, then nothing that it ran in. */
static int undo_processes(const struct making *m, struct err *err)
{
	/* After an orderly end there is nobody to kill, unless somebody else joined the group. */
	if (m->ended && cgroup_remove(&m->cgroup, err) == 0)
		return 0;
	/* Also where nothing was recorded: somebody may have come as far as the cgroup. */
	if (m->sandbox.cgroup && m->level->destroy(&m->sandbox, err) < 0)
		runtime_warn(m->rt, "%s", err->msg);
	return cgroup_remove(&m->cgroup, err);
}

void making_undo(struct making *m)
{
	struct err err = {0};
	bool had_process = m->sandbox.pid > 0;

	if (m->state_dirfd < 0)
		return;
	/* Since making_settle() another command may have deleted it, and the name, its group and its
	 * directory be another container's by now. */
	if (store_lock(m->state_dirfd, &err) == -ENOENT) {
		fd_drop(&m->state_dirfd);
		return;
	}
	err = (struct err){0};
	if (undo_processes(m, &err) < 0)
		runtime_warn(m->rt, "%s", err.msg);
	if (intelrdt_remove(&m->intel_rdt, &err) < 0)
		runtime_warn(m->rt, "%s", err.msg);
	if (m->o->host && m->o->host->undoing)
		m->o->host->undoing(m->o->host->data);
	if (store_remove(m->rt->root, m->o->id, m->state_dirfd, &err) < 0)
		runtime_warn(m->rt, "%s", err.msg);
	m->sandbox.pid = 0;
	if (had_process && making_hooks(m, "poststop", &m->config.hooks.poststop, "stopped", true, &err) < 0)
		runtime_warn(m->rt, "%s", err.msg);
	fd_drop(&m->state_dirfd);
}

bool poststart_forgives(const char *oci_version)
{
	unsigned major = 0, minor = 0;

	if (!oci_version || sscanf(oci_version, "%u.%u", &major, &minor) != 2)
		return false;
	return major == 1 && minor < 3;
}

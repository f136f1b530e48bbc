/* SPDX-License-Identifier: Apache-2.0 */
#include "isolate/supervised.h"

#include "base/fd.h"
#include "base/str.h"
#include "base/sys.h"
#include "host/helper.h"
#include "isolate/carrier.h"

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

int supervised_open(const char *program, struct err *err)
{
	autofree char *path = NULL;
	int r = helper_path(program, &path, err);

	if (r < 0)
		return r;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "cannot open %s", path) : fd;
}

int supervised_open_log(const char *variable, struct err *err)
{
	const char *path = getenv(variable);

	if (!path || path[0] != '/')
		return -1;
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
	return fd < 0 ? err_sys(err, "cannot open %s (%s)", path, variable) : fd;
}

void supervised_close(struct supervised *l)
{
	for (size_t i = 0; i < l->nfds; i++)
		fd_drop(&l->fds[i]);
	fd_drop(&l->exe);
	l->nfds = 0;
}

int supervised_add_number(struct supervised *l, const char *key, uint64_t n, struct err *err)
{
	if (l->nargs == SUPERVISED_ARGS_MAX)
		return err_set(err, E2BIG, "too many arguments for %s", l->argv[0]);
	char *text = l->args[l->nargs];
	(void)snprintf(text, sizeof(l->args[0]), "%s=%llu", key,
		       (unsigned long long)n); /* keys are short: fits */
	l->argv[2 + l->nargs++] = text;
	return 0;
}

int supervised_add_fd(struct supervised *l, const char *key, int fd, struct err *err)
{
	autoclose int owned = fd;

	if (fd < 0)
		return 0;
	if (l->nfds == ISOLATE_SUPERVISOR_FDS)
		return err_set(err, EMFILE, "too many descriptors for %s", l->argv[0]);
	int r = supervised_add_number(l, key, (uint64_t)fd, err);
	if (r == 0)
		l->fds[l->nfds++] = take_fd(&owned);
	return r;
}

int supervised_prepare(const struct isolate_create *c, char *program, int config_fd, struct supervised *l,
		       struct err *err)
{
	static char verb[] = "run";
	int keep = c->stdio.listen_fds + c->stdio.preserve_fds;

	*l = (struct supervised){.exe = -1, .proc = -1, .argv = {program, verb}};
	l->exe = supervised_open(program, err);
	if (l->exe < 0)
		return l->exe;
	if (config_fd < 0)
		config_fd = openat(c->sandbox.state_dirfd, "config.json", O_RDONLY | O_CLOEXEC);
	else
		config_fd = fcntl(config_fd, F_DUPFD_CLOEXEC, 3);
	if (config_fd < 0)
		return err_sys(err, "cannot open the container's config.json");
	int r = supervised_add_fd(l, "config", config_fd, err);
	if (r < 0)
		return r;
	int control = supervisor_listen(c->sandbox.state_dirfd, err);
	if (control < 0)
		return control;
	r = supervised_add_fd(l, "control", control, err);
	if (r < 0)
		return r;
	int proc = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (proc < 0)
		return err_sys(err, "cannot open /dev/null");
	r = supervised_add_fd(l, "proc", proc, err);
	if (r == 0)
		l->proc = proc;
	return r < 0 ? r : supervised_add_number(l, "keep", keep > 0 ? (uint64_t)keep : 0, err);
}

/* They would confine the supervisor, not the guest, which reaches nothing that they guard. */
static void warn_of_labels(const struct sandbox *s, const struct oci_process *process)
{
	char text[ERR_MSG_MAX];
	const char *what = !process		       ? NULL
			   : process->apparmor_profile ? "AppArmor profile"
			   : process->selinux_label    ? "SELinux label"
						       : NULL;

	if (!what || !s->warn)
		return;
	(void)snprintf(text, sizeof(text), "the %s \"%s\" is not applied: the level's own confinement is",
		       what,
		       process->apparmor_profile ? process->apparmor_profile
						 : process->selinux_label); /* cut if long */
	s->warn(s->warn_data, text);
}

int supervised_create(const struct isolate_create *c, const struct supervised_plan *plan,
		      const struct supervised *l, struct sandbox *ret, struct err *err)
{
	static char end[] = "--";
	struct isolate_create carried = *c;
	char *argv[ARRAY_LEN(l->argv)];

	memcpy(argv, l->argv, sizeof(argv));
	argv[2 + l->nargs] = end;
	argv[3 + l->nargs] = NULL;
	const struct isolate_supervisor supervisor = {.exe = l->exe,
						      .argv = argv,
						      .user = c->config->process,
						      .fds = l->fds,
						      .nfds = l->nfds,
						      .proc_fd = l->proc};
	warn_of_labels(&c->sandbox, c->config->process);
	carried.config = carried.sandbox.config = &plan->config;
	carried.supervisor = &supervisor;
	int r = isolate_carrier->create(&carried, ret, err);
	if (r == 0)
		ret->config = c->config;
	return r;
}

/* The cgroup exists by now: the supervisor reads limits and usage there, for what its guest is told. */
static int send_begin(const struct sandbox *s, int sock, const int *tuns, size_t ntuns, struct err *err)
{
	const struct cgroup *cg = s->cgroup;
	const char *memory = cg->none ? NULL : cg->v2 ? cg->v2_dir : cg->v1_dir[CG_MEMORY];
	const char *cpu = cg->none ? NULL : cg->v2 ? cg->v2_dir : cg->v1_dir[CG_CPU];
	struct supervisor_request q = {.kind = SUPERVISOR_BEGIN, .flags = cg->v2 ? SUPERVISOR_CGROUP2 : 0};
	autoclose int memory_fd = memory ? open(memory, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	autoclose int cpu_fd = cpu ? open(cpu, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	int fds[2 + SUPERVISOR_TUNS_MAX];
	size_t n = 0;

	if (memory_fd >= 0) {
		q.flags |= SUPERVISOR_HAS_MEMORY;
		fds[n++] = memory_fd;
	}
	if (cpu_fd >= 0) {
		q.flags |= SUPERVISOR_HAS_CPU;
		fds[n++] = cpu_fd;
	}
	for (size_t i = 0; i < ntuns && n < ARRAY_LEN(fds); i++)
		fds[n++] = tuns[i];
	return supervisor_send(sock, &q, fds, n, err);
}

int supervised_start_with(const struct sandbox *s, const int *tuns, size_t ntuns, struct err *err)
{
	struct supervisor_reply reply;
	/* Before the supervisor runs: it waits for what we say before it does anything. */
	autoclose int sock = supervisor_connect(s->state_dirfd, err);
	struct err told = {0};
	int r = sock < 0 ? sock : send_begin(s, sock, tuns, ntuns, &told);

	/* Of `run`, it may have ended by now: for a hook's sake, say, which the carrier knows. */
	if (sock < 0)
		told = *err;
	int started = isolate_carrier->start(s, err);
	if (started == 0 && r < 0)
		*err = told;
	if (r == 0 || started < 0)
		r = started;
	if (r < 0 || !s->config->process)
		return r;
	r = supervisor_receive(sock, &reply, NULL, err);
	if (r < 0)
		return r;
	return reply.kind == SUPERVISOR_STARTED ? 0 : supervisor_refused(&reply, err);
}

int supervised_start(const struct sandbox *s, struct err *err)
{
	return supervised_start_with(s, NULL, 0, err);
}

bool supervised_waits(const struct sandbox *s)
{
	struct stat st;

	return fstatat(s->state_dirfd, "start.sock", &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int supervised_ask(const struct sandbox *s, const struct supervisor_request *q, int fd, int *ret_fd,
		   int timeout_ms, struct err *err)
{
	struct supervisor_reply reply;
	autoclose int sock = supervisor_connect(s->state_dirfd, err);
	int r = sock < 0 ? sock : supervisor_send(sock, q, &fd, fd >= 0, err);
	struct pollfd p = {.fd = sock, .events = POLLIN};

	if (r == 0 && timeout_ms >= 0 && poll(&p, 1, timeout_ms) == 0)
		r = err_set(err, ETIMEDOUT, "the container's kernel did not answer within %d s",
			    timeout_ms / 1000);
	if (r == 0)
		r = supervisor_receive(sock, &reply, ret_fd, err);
	if (r < 0)
		return r;
	if (reply.kind != SUPERVISOR_DONE)
		return supervisor_refused(&reply, err);
	return reply.status < 0 ? reply.status : 0;
}

/* What ends the container need not be heard by anybody in it, and a container that waits for its start has no
 * guest. */
int supervised_signal(const struct sandbox *s, int sig, bool all, struct err *err)
{
	const struct supervisor_request q = {.kind = SUPERVISOR_SIGNAL, .signal = (uint32_t)sig};

	if (all || sig == SIGKILL || sig == 0 || supervised_waits(s))
		return isolate_carrier->signal(s, sig, all, err);
	struct err ignored = {0};
	/* Frozen, it hears of it when it runs again, as any process does. */
	if (isolate_carrier->paused(s, &ignored) > 0) {
		autoclose int sock = supervisor_connect(s->state_dirfd, err);
		return sock < 0 ? sock : supervisor_send(sock, &q, NULL, 0, err);
	}
	int r = supervised_ask(s, &q, -1, NULL, -1, err);
	return r < 0 && err->code == 0 ? err_num(err, r, "cannot send signal %d to the container's init", sig)
				       : r;
}

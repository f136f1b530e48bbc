/* SPDX-License-Identifier: Apache-2.0 */
#include "isolate/kernel/kernel.h"

#include "base/fd.h"
#include "base/str.h"
#include "base/sys.h"
#include "host/cgroup_stats.h"
#include "host/helper.h"
#include "isolate/carrier.h"
#include "wire/sentry.h"

#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

static int kernel_probe(struct err *err)
{
	struct seccomp_notif_sizes sizes;
	uint32_t action = SECCOMP_RET_USER_NOTIF;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
		return err_sys(
			err, "this kernel lacks seccomp's user notification (Linux 5.14 or later is needed)");
#ifndef __x86_64__
	return err_set(err, ENOTSUP, "isolation level \"kernel\" is built for x86-64 only");
#endif
	autoclose int fd = kernel_open_sentry(err);
	return fd < 0 ? fd : isolate_carrier->probe(err);
}

int kernel_open_sentry(struct err *err)
{
	autofree char *path = NULL;
	int r = helper_path("coffer-sentry", &path, err);

	if (r < 0)
		return r;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "cannot open %s", path) : fd;
}

/* Debug log and trace go where the runtime's caller says by environment; a container cannot set ours. */
static int open_log(const char *variable, struct err *err)
{
	const char *path = getenv(variable);

	if (!path || path[0] != '/')
		return -1;
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
	return fd < 0 ? err_sys(err, "cannot open %s (%s)", path, variable) : fd;
}

/* Everything that one start of a sentry needs open. */
struct launch {
	int exe, config, control, proc, log, trace;
	int fds[5];
	size_t nfds;
	char args[6][32];
	char *argv[10];
};

static void launch_close(struct launch *l)
{
	fd_drop(&l->exe);
	fd_drop(&l->config);
	fd_drop(&l->control);
	fd_drop(&l->proc);
	fd_drop(&l->log);
	fd_drop(&l->trace);
}
#define autolaunch __attribute__((cleanup(launch_close)))

static void launch_add(struct launch *l, const char *key, int fd)
{
	if (fd < 0)
		return;
	(void)snprintf(l->args[l->nfds], sizeof(l->args[0]), "%s=%d", key, fd); /* fits */
	l->argv[2 + l->nfds] = l->args[l->nfds];
	l->fds[l->nfds++] = fd;
}

static int launch_prepare(const struct isolate_create *c, struct launch *l, struct err *err)
{
	static char name[] = "coffer-sentry", verb[] = "run", end[] = "--";

	l->exe = kernel_open_sentry(err);
	if (l->exe < 0)
		return l->exe;
	l->config = openat(c->sandbox.state_dirfd, "config.json", O_RDONLY | O_CLOEXEC);
	if (l->config < 0)
		return err_sys(err, "cannot open the container's config.json");
	l->control = sentry_listen(c->sandbox.state_dirfd, err);
	if (l->control < 0)
		return l->control;
	l->proc = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (l->proc < 0)
		return err_sys(err, "cannot open /dev/null");
	l->log = open_log("COFFER_SENTRY_LOG", err);
	if (l->log < -1)
		return l->log;
	l->trace = open_log("COFFER_SENTRY_TRACE", err);
	if (l->trace < -1)
		return l->trace;
	l->argv[0] = name;
	l->argv[1] = verb;
	launch_add(l, "config", l->config);
	launch_add(l, "control", l->control);
	launch_add(l, "proc", l->proc);
	launch_add(l, "log", l->log);
	launch_add(l, "trace", l->trace);
	(void)snprintf(l->args[5], sizeof(l->args[0]), "keep=%d",
		       c->stdio.listen_fds + c->stdio.preserve_fds); /* fits */
	l->argv[2 + l->nfds] = l->args[5];
	l->argv[3 + l->nfds] = end;
	return 0;
}

/* They would confine the sentry, not the guest, which reaches nothing that they guard. */
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

static int kernel_create(const struct isolate_create *c, struct sandbox *ret, struct err *err)
{
	autoplan struct kernel_plan plan = {0};
	autolaunch struct launch l = {
		.exe = -1, .config = -1, .control = -1, .proc = -1, .log = -1, .trace = -1};
	struct isolate_create carried = *c;
	int r = kernel_plan(c->config, &plan, err);

	if (r == 0)
		r = launch_prepare(c, &l, err);
	if (r < 0)
		return r;
	warn_of_labels(&c->sandbox, c->config->process);
	const struct isolate_supervisor supervisor = {.exe = l.exe,
						      .argv = l.argv,
						      .user = c->config->process,
						      .fds = l.fds,
						      .nfds = l.nfds,
						      .proc_fd = l.proc};
	carried.config = carried.sandbox.config = &plan.config;
	carried.supervisor = &supervisor;
	r = isolate_carrier->create(&carried, ret, err);
	if (r == 0)
		ret->config = c->config;
	return r;
}

/* The cgroup exists by now: the sentry reads limits and usage there, for what its guest is told. */
static int send_begin(const struct sandbox *s, int sock, struct err *err)
{
	const struct cgroup *cg = s->cgroup;
	const char *memory = cg->none ? NULL : cg->v2 ? cg->v2_dir : cg->v1_dir[CG_MEMORY];
	const char *cpu = cg->none ? NULL : cg->v2 ? cg->v2_dir : cg->v1_dir[CG_CPU];
	struct sentry_request q = {.kind = SENTRY_BEGIN, .flags = cg->v2 ? SENTRY_CGROUP2 : 0};
	autoclose int memory_fd = memory ? open(memory, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	autoclose int cpu_fd = cpu ? open(cpu, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	int fds[2];
	size_t n = 0;

	if (memory_fd >= 0) {
		q.flags |= SENTRY_HAS_MEMORY;
		fds[n++] = memory_fd;
	}
	if (cpu_fd >= 0) {
		q.flags |= SENTRY_HAS_CPU;
		fds[n++] = cpu_fd;
	}
	return sentry_send(sock, &q, fds, n, err);
}

int kernel_reply(int sock, struct err *err)
{
	struct sentry_reply reply;
	int r = sentry_receive(sock, &reply, err);

	if (r < 0)
		return r;
	if (reply.kind == SENTRY_STARTED)
		return 0;
	if (reply.kind != SENTRY_FAILED)
		return err_set(err, EBADMSG, "the container's kernel sent message %u", reply.kind);
	r = err_set(err, reply.code > 0 ? reply.code : EIO, "%s", reply.text);
	err->exit_status = reply.status;
	return r;
}

static int kernel_start(const struct sandbox *s, struct err *err)
{
	/* Before the sentry runs: it waits for what we say before it does anything. */
	autoclose int sock = sentry_connect(s->state_dirfd, err);
	int r = sock < 0 ? sock : send_begin(s, sock, err);

	if (r == 0)
		r = isolate_carrier->start(s, err);
	if (r < 0 || !s->config->process)
		return r;
	return kernel_reply(sock, err);
}

static int signal_guest(const struct sandbox *s, int sig, struct err *err)
{
	const struct sentry_request q = {.kind = SENTRY_SIGNAL, .signal = (uint32_t)sig};
	struct sentry_reply reply;
	autoclose int sock = sentry_connect(s->state_dirfd, err);
	int r = sock < 0 ? sock : sentry_send(sock, &q, NULL, 0, err);

	if (r == 0)
		r = sentry_receive(sock, &reply, err);
	if (r < 0)
		return r;
	return reply.status < 0
		       ? err_num(err, reply.status, "cannot send signal %d to the container's init", sig)
		       : 0;
}

/* What ends the container need not be heard by anybody in it, and a container that waits for its start has no
 * guest. */
static int kernel_signal(const struct sandbox *s, int sig, bool all, struct err *err)
{
	struct stat st;
	bool waits = fstatat(s->state_dirfd, "start.sock", &st, AT_SYMLINK_NOFOLLOW) == 0;

	if (all || sig == SIGKILL || sig == 0 || waits)
		return isolate_carrier->signal(s, sig, all, err);
	return signal_guest(s, sig, err);
}

/* How many pid namespaces, from the caller's inwards, know the process; 0 = it has ended. */
static unsigned pid_depth(pid_t pid)
{
	char path[40], line[512];
	unsigned depth = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid); /* fits */
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (str_starts(line, "NSpid:"))
			for (const char *p = line; (p = strchr(p, '\t')); p++)
				depth++;
	if (f)
		(void)fclose(f); /* read only */
	return depth;
}

/* The guest's: one pid namespace further in than the sentry, its zygote, and proxies. */
static int kernel_processes(const struct sandbox *s, pid_t **ret, size_t *ret_n, struct err *err)
{
	struct stat st;
	int r = isolate_carrier->processes(s, ret, ret_n, err);
	size_t kept = 0;

	if (r < 0 || fstatat(s->state_dirfd, "start.sock", &st, AT_SYMLINK_NOFOLLOW) == 0)
		return r; /* it waits for its start: there is no guest yet */
	unsigned own = pid_depth(s->pid);
	for (size_t i = 0; i < *ret_n; i++)
		if (pid_depth((*ret)[i]) > own)
			(*ret)[kept++] = (*ret)[i];
	*ret_n = kept;
	return 0;
}

static int kernel_pause(const struct sandbox *s, struct err *err)
{
	return isolate_carrier->pause(s, err);
}

static int kernel_resume(const struct sandbox *s, struct err *err)
{
	return isolate_carrier->resume(s, err);
}

static int kernel_paused(const struct sandbox *s, struct err *err)
{
	return isolate_carrier->paused(s, err);
}

static int kernel_update(const struct sandbox *s, const struct oci_resources *r, struct err *err)
{
	struct oci_resources more = *r;

	kernel_plan_pids(&more.pids_limit);
	return isolate_carrier->update(s, &more, err);
}

static int kernel_stats(const struct sandbox *s, struct cgroup_stats *ret, struct err *err)
{
	int r = isolate_carrier->stats(s, ret, err);

	if (r == 0 && ret->pids.current > sentry_own_tasks())
		ret->pids.current -= sentry_own_tasks();
	if (r == 0 && ret->pids.limit > sentry_own_tasks())
		ret->pids.limit -= sentry_own_tasks();
	return r;
}

static int kernel_destroy(const struct sandbox *s, struct err *err)
{
	return isolate_carrier->destroy(s, err);
}

const struct isolate_level kernel_level = {
	.name = "kernel",
	.summary = "a kernel in user space answers the system calls, as gVisor does",
	.lacks =
		{
			[ISOLATE_CHECKPOINT] = "the sentry's state cannot be saved",
			[ISOLATE_LANDLOCK] = "the sentry opens files, and needs them all; level ns has it",
		},
	.probe = kernel_probe,
	.create = kernel_create,
	.start = kernel_start,
	.exec = kernel_exec,
	.signal = kernel_signal,
	.processes = kernel_processes,
	.pause = kernel_pause,
	.resume = kernel_resume,
	.paused = kernel_paused,
	.update = kernel_update,
	.stats = kernel_stats,
	.destroy = kernel_destroy,
};

/* SPDX-License-Identifier: Apache-2.0 */
#include "isolate/kernel/kernel.h"

#include "base/fd.h"
#include "base/str.h"
#include "host/cgroup_stats.h"
#include "host/seccomp.h"
#include "isolate/carrier.h"
#include "wire/sentry.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static char sentry_program[] = "coffer-sentry";

static int check_processor(struct err *err)
{
#ifdef __x86_64__
	(void)err;
	return 0;
#else
	return err_set(
		err, ENOTSUP,
		"isolation level \"kernel\" is built for x86-64 only: this machine has the levels \"ns\" "
		"and \"vm\"");
#endif
}

static int kernel_probe(struct err *err)
{
	struct seccomp_notif_sizes sizes;
	uint32_t action = SECCOMP_RET_USER_NOTIF;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
		return err_sys(
			err, "this kernel lacks seccomp's user notification (Linux 5.14 or later is needed)");
	int r = check_processor(err);
	if (r < 0)
		return r;
	autoclose int fd = supervised_open(sentry_program, err);
	return fd < 0 ? fd : isolate_carrier->probe(err);
}

/*
 * The configuration's seccomp profile as a program for the sentry, which
 * judges the guest's calls by it (sentry/sys/profile.c).
 */
static int add_profile(struct supervised *l, const struct isolate_create *c, struct err *err)
{
	struct seccomp_filter filter = {0};
	int r = seccomp_prepare(c->config->linux.seccomp, false, c->sandbox.cache_dirfd, &filter, err);

	if (r < 0 || !filter.prog)
		return r;
	if (filter.notify) {
		seccomp_filter_free(&filter);
		return err_set(
			err, ENOTSUP,
			"isolation level \"kernel\" cannot apply SCMP_ACT_NOTIFY: the agent would be asked "
			"about calls that the host never gets");
	}
	autoclose int fd = memfd_create("profile", MFD_CLOEXEC);
	if (fd < 0 || fd_write_all(fd, filter.prog, filter.len * sizeof(*filter.prog)) < 0 ||
	    lseek(fd, 0, SEEK_SET) < 0)
		r = err_sys(err, "cannot hand on the seccomp profile");
	seccomp_filter_free(&filter);
	return r < 0 ? r : supervised_add_fd(l, "profile", take_fd(&fd), err);
}

static int kernel_create(const struct isolate_create *c, struct sandbox *ret, struct err *err)
{
	static const char *const logs[][2] = {{"log", "COFFER_SENTRY_LOG"}, {"trace", "COFFER_SENTRY_TRACE"}};
	autosupervisedplan struct supervised_plan plan = {0};
	autosupervised struct supervised l = {.exe = -1};
	int r = check_processor(err);

	if (r == 0)
		r = kernel_plan(c->config, &plan, err);
	if (r == 0)
		r = supervised_prepare(c, sentry_program, -1, &l, err);
	if (r == 0)
		r = add_profile(&l, c, err);
	for (size_t i = 0; i < ARRAY_LEN(logs) && r == 0; i++) {
		int fd = supervised_open_log(logs[i][1], err);
		r = fd < -1 ? fd : supervised_add_fd(&l, logs[i][0], fd, err);
	}
	return r < 0 ? r : supervised_create(c, &plan, &l, ret, err);
}

static int kernel_exec(const struct isolate_exec *x, pid_t *ret_pid, struct err *err)
{
	return supervised_exec(x, sentry_program, &kernel_caps, false, ret_pid, err);
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
	int r = isolate_carrier->processes(s, ret, ret_n, err);
	size_t kept = 0;

	if (r < 0 || supervised_waits(s))
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
			[ISOLATE_MACHINE] = "its kernel is a process of the host",
		},
	.probe = kernel_probe,
	.create = kernel_create,
	.start = supervised_start,
	.exec = kernel_exec,
	.signal = supervised_signal,
	.processes = kernel_processes,
	.pause = kernel_pause,
	.resume = kernel_resume,
	.paused = kernel_paused,
	.update = kernel_update,
	.stats = kernel_stats,
	.destroy = kernel_destroy,
};

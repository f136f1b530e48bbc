/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coffer-sentry: the kernel in user space of isolation level `kernel`.  The
 * runtime starts it inside of the container's namespaces (isolate/kernel);
 * wire/sentry.h and wire/supervisor.h say how.
 */
#include "base/fd.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/sys.h"
#include "sentry/boot.h"
#include "sentry/call.h"
#include "sentry/control.h"
#include "sentry/fs/asked.h"
#include "sentry/fs/guard.h"
#include "sentry/kernel.h"
#include "sentry/platform/platform.h"
#include "sentry/start.h"
#include "sentry/sys/profile.h"
#include "wire/supervisor.h"

#include <sched.h>
#include <sys/stat.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <time.h>

struct arguments {
	int config, control, proc, log, trace, request, profile;
	struct supervisor_args given; /* keep: descriptors behind the standard ones that are the guest's */
	char cwd[PATH_MAX];	      /* the guest's: the carrier went there, and made it where it lacked */
};

static int parse(int argc, char **argv, struct arguments *a, struct err *err)
{
	const struct supervisor_key keys[] = {{"config=", &a->config},	{"control=", &a->control},
					      {"proc=", &a->proc},	{"log=", &a->log},
					      {"trace=", &a->trace},	{"request=", &a->request},
					      {"profile=", &a->profile}};
	int r = supervisor_parse(argc, argv, keys, ARRAY_LEN(keys), &a->given, err);

	if (r < 0)
		return r;
	if (a->given.argc == 0 || a->control < 0)
		return err_set(err, EINVAL,
			       "coffer-sentry is started by coffer, with descriptors that nobody else has; "
			       "type `coffer run --isolation=kernel IMAGE`");
	return getcwd(a->cwd, sizeof(a->cwd)) ? 0 : err_sys(err, "cannot read the current working directory");
}

/* Neither devices nor set-id programs of the image shall mean anything to the host: the sentry answers for
 * them. */
static int tame_mounts(struct err *err)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID};

	int r = mounts_remember(err);

	if (r < 0)
		return r;
	/* What is to be passed through to the guest is opened here (io/devices.c). */
	kernel.dev_fd = sys_open_tree(AT_FDCWD, "/dev", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (sys_mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &attr) < 0)
		return err_sys(err, "cannot make the container's mounts nodev");
	/* A further process's terminal is opened there by the runtime, as at any level. */
	attr = (struct mount_attr){.attr_clr = MOUNT_ATTR_NODEV};
	(void)sys_mount_setattr(AT_FDCWD, "/dev/pts", 0, &attr); /* none: no terminals */
	return 0;
}

static unsigned count_cpus(const struct oci_config *config)
{
	const struct oci_cpu *cpu = &config->linux.resources.cpu;
	cpu_set_t set;
	unsigned n = 1;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = (unsigned)CPU_COUNT(&set);
	if (cpu->quota.set && cpu->quota.v > 0) {
		int64_t period = cpu->period.set && cpu->period.v > 0 && cpu->period.v < INT64_MAX
					 ? (int64_t)cpu->period.v
					 : 100000;
		int64_t whole = cpu->quota.v / period + (cpu->quota.v % period != 0);
		if (whole < n)
			n = (unsigned)whole;
	}
	return n ? n : 1;
}

static int set_up(const struct arguments *a, struct boot *boot, struct err *err)
{
	struct timespec now;

	(void)umask(0); /* each guest has its own, and we apply it */
	kernel.boot = boot;
	kernel.memory_fd = boot->memory_fd;
	kernel.cpu_fd = boot->cpu_fd;
	kernel.cgroup_version = boot->cgroup_version;
	kernel.cpus = count_cpus(boot->config);
	(void)clock_gettime(CLOCK_BOOTTIME, &now); /* a clock that is always there */
	kernel.boot_ns = (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
	kernel.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	kernel.self_fd_fd = openat(kernel.proc_fd, "self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (kernel.root_fd < 0 || kernel.self_fd_fd < 0 || fchdir(kernel.self_fd_fd) < 0)
		return err_sys(err, "cannot open the container's root and the sentry's procfs");
	(void)umask(0); /* the guest's is in its fs_context */
	int r = tame_mounts(err);
	if (r == 0)
		r = guard_mounts(err);
	if (r == 0)
		r = profile_load(a->profile, err);
	return r < 0 ? r : start_synth_mounts(boot->config, err);
}

/* The first process takes over our standard streams and what else the runtime handed on. */
static int start_first(const struct arguments *a, const struct boot *boot, struct err *err)
{
	struct oci_process process = *boot->config->process;
	struct task *first;
	size_t envc = 0, nfds = 3 + (size_t)a->given.keep;

	while (environ[envc])
		envc++;
	process.cwd = a->cwd;
	process.args = (str_list){.v = (const char **)a->given.argv, .n = (size_t)a->given.argc};
	process.env = (str_list){.v = (const char **)environ, .n = envc};
	autofree int *fds = calloc(nfds, sizeof(*fds));
	if (!fds)
		return err_oom(err);
	for (size_t i = 0; i < nfds; i++) {
		fds[i] = fcntl((int)i, F_DUPFD_CLOEXEC, (int)nfds);
		if (fds[i] < 0)
			return err_sys(err, "cannot duplicate descriptor %zu", i);
		if (i >= 3)
			(void)close((int)i);
	}
	const struct start_request q = {.process = &process, .fds = fds, .nfds = nfds};
	kernel_lock();
	int r = start_process(&q, &first, err);
	kernel_unlock();
	return r;
}

/* Our own standard streams must not keep open what the guest closes. */
static int leave_streams(struct err *err)
{
	autoclose int null =
		openat(kernel.dev_fd >= 0 ? kernel.dev_fd : AT_FDCWD, "null", O_RDWR | O_CLOEXEC);

	for (int i = 0; i < 3; i++)
		if (null < 0 ? close(i) < 0 : dup2(null, i) < 0)
			return err_sys(err, "cannot let go of standard stream %d", i);
	return 0;
}

static int run_main(const struct arguments *a, struct err *err)
{
	struct oci_config config;
	struct boot boot = {
		.config = &config, .control_fd = a->control, .log_fd = a->log, .trace_fd = a->trace};
	autofree char *text = NULL;
	size_t len = 0;
	int begun = -1, r;

	/* If we lead the terminal's session: the hang-up of giving it up is not for us. */
	(void)signal(SIGHUP, SIG_IGN);
	(void)ioctl(0, TIOCNOTTY);
	(void)signal(SIGHUP, SIG_DFL);
	kernel.proc_fd = a->proc;
	r = platform_begin(err);
	if (r == 0)
		r = control_begin(&boot, &begun, err);
	if (r < 0)
		return r;
	r = fd_read_all(a->config, OCI_CONFIG_MAX, &text, &len);
	if (r < 0)
		(void)err_num(err, r, "cannot read the container's config.json"); /* r tells */
	if (r == 0)
		r = oci_config_parse(text, len, "config.json", &config, err);
	if (r == 0)
		r = set_up(a, &boot, err);
	if (r == 0)
		r = platform_init(&boot, err);
	if (r == 0)
		r = control_serve(&boot, err);
	if (r == 0)
		r = start_first(a, &boot, err);
	if (r == 0)
		r = leave_streams(err);
	if (r == 0)
		r = platform_run(err);
	control_begun(begun, r < 0 ? err : NULL);
	if (r < 0)
		err->msg[0] = '\0'; /* the runtime says it */
	return r < 0 ? r : platform_loop();
}

int main(int argc, char **argv)
{
	struct arguments a = {.config = -1,
			      .control = -1,
			      .proc = -1,
			      .log = -1,
			      .trace = -1,
			      .request = -1,
			      .profile = -1};
	struct err err = {0};

	if (argc == 2 && streq(argv[1], "--table"))
		return call_table_print(stdout) < 0;
	int r = parse(argc, argv, &a, &err);
	if (r == 0 && streq(argv[1], "run")) {
		r = run_main(&a, &err);
		if (r >= 0)
			return proc_exit_code(r);
	} else if (r == 0 && streq(argv[1], "join")) {
		r = supervisor_join(a.control, a.request, &a.given, false, &err);
		if (r >= 0)
			return r;
	} else if (r == 0) {
		(void)err_set(&err, EINVAL, "coffer-sentry: unknown verb \"%s\"", argv[1]); /* told below */
	}
	if (err.msg[0])
		(void)fprintf(stderr, "%s\n", err.msg);
	return err.exit_status ? err.exit_status : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The zygote: the process that has made the guest's pid and user namespaces
 * but stands outside of the former, so that its children are born in it: the
 * first is the guest's process 1, and those of `exec` have no parent inside.
 *
 * It is a fork of the sentry that takes everything off (ids but one,
 * capabilities, root directory, descriptors), puts on the filter, and becomes
 * the stub.  It begins before the configuration is read, so that a second
 * processor does the one beside the other; the filter, which is the
 * configuration's, is given to it last.  The stub's question is never answered; when a process is wanted,
 * the tracer makes it call clone.
 */
#include "sentry/platform/platform_int.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/sys.h"
#include "sentry/boot.h"
#include "sentry/platform/stub_x86_64.h"

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS	   SECCOMP_IOW(4, __u64)
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#ifndef NS_GET_TGID_IN_PIDNS
#define NS_GET_PID_IN_PIDNS _IOR(0xb7, 0x8, int)
#endif

enum { OOM_SCORE_ABOVE = 100, OOM_SCORE_MAX = 1000, REPORT_FD = STUB_FD - 1 };

struct zygote zygote = {.pid = -1, .pidns_fd = -1};

static const unsigned long ptrace_options = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE |
					    PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC |
					    PTRACE_O_TRACESECCOMP;

/* ---- in the zygote ---- */

static int write_proc(const char *file, const char *text, struct err *err)
{
	autoclose int fd = openat(kernel.proc_fd, file, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return err_sys(err, "cannot write \"%s\" to /proc/%s of the guest's first process", text,
			       file);
	return 0;
}

/* One id, which has no rights at all outside, and none inside either. */
static int make_guest_namespaces(bool with_root, struct err *err)
{
	char map[64];
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWPID | (with_root ? CLONE_NEWNS : 0)) < 0)
		return err_sys(err, "cannot make the guest's user and pid namespaces");
	(void)prctl(PR_SET_DUMPABLE, 1); /* else our own files in /proc are not ours */
	int r = write_proc("self/setgroups", "deny", err);
	(void)snprintf(map, sizeof(map), "0 %u 1", uid);
	if (!r)
		r = write_proc("self/uid_map", map, err);
	(void)snprintf(map, sizeof(map), "0 %u 1", gid);
	return r ? r : write_proc("self/gid_map", map, err);
}

static int empty_root(void)
{
	autoclose int fs = sys_fsopen("tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0 || sys_fsconfig(fs, FSCONFIG_SET_STRING, "size", "4096", 0) < 0 ||
	    sys_fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0555", 0) < 0 ||
	    sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return sys_fsmount(fs, FSMOUNT_CLOEXEC,
			   MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

/* Who lets go of the file system last waits for the host: here, beside the sentry's own beginning. */
static int leave_root(int fd, struct err *err)
{
	autoclose int root = fd < 0 ? empty_root() : fd;
	if (root < 0 || fchdir(root) < 0 || chroot(".") < 0)
		return err_sys(err, "cannot give the guest's processes an empty root directory");
	return 0;
}

static int drop_rights(struct err *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};
	struct rlimit no_core = {0};

	for (int cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_DROP, cap) < 0 && errno != EINVAL)
			return err_sys(err, "cannot drop capability %d", cap);
	if (prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
					     SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED) < 0)
		return err_sys(err, "cannot lock the securebits");
	if (syscall(SYS_capset, &head, none) < 0)
		return err_sys(err, "cannot drop all capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "cannot set no_new_privs");
	/* A guest's core must not go to the host's core handler. */
	if (setrlimit(RLIMIT_CORE, &no_core) < 0)
		return err_sys(err, "cannot limit core dumps");
	return 0;
}

/* The first to be killed where memory is short shall be a process of the guest, not its kernel. */
static int raise_oom_score(struct err *err)
{
	char text[32] = {0};
	autoclose int fd = openat(kernel.proc_fd, "self/oom_score_adj", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return err_sys(err, "cannot read oom_score_adj");
	long score = strtol(text, NULL, 10) + OOM_SCORE_ABOVE;
	(void)snprintf(text, sizeof(text), "%ld", MIN_OF(score, (long)OOM_SCORE_MAX));
	return write_proc("self/oom_score_adj", text, err);
}

/* What is known only when the configuration has been read. */
struct order {
	unsigned short len; /* instructions of the filter, which follow */
	bool counted;
};

struct plan {
	int stub_fd, root_fd, report_fd, orders_fd, orders_end;
	struct order order;
	struct sock_filter filter[FILTER_PROGRAM_MAX];
};

static int hear(const struct plan *x, void *ret, size_t n, struct err *err)
{
	return fd_read_full(x->orders_fd, ret, n) == (ssize_t)n
		       ? 0
		       : err_set(err, ECANCELED, "the sentry has gone");
}

static int undress(const struct plan *x, struct err *err)
{
	char go;
	(void)close(x->orders_end); /* the sentry's */
	int r = hear(x, &go, 1, err);
	if (!r)
		r = raise_oom_score(err);
	if (!r)
		r = make_guest_namespaces(x->root_fd < 0, err);
	if (!r)
		r = leave_root(x->root_fd, err);
	if (!r)
		r = drop_rights(err);
	if (r)
		return r;
	if (setsid() < 0 && errno != EPERM)
		return err_sys(err, "cannot make a session");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_sys(err, "cannot bind the guest's life to the sentry's");
	return 0;
}

/* Whom we fork is nobody's to wait for. */
static void reap_nobody(void)
{
	struct sigaction act = {.sa_handler = SIG_IGN, .sa_flags = SA_NOCLDWAIT};
	sigset_t none;
	sigemptyset(&none);
	for (int sig = 1; sig < 32; sig++)
		(void)signal(sig, SIG_DFL);
	(void)sigaction(SIGCHLD, &act, NULL);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int hear_order(struct plan *x, struct err *err)
{
	int r = hear(x, &x->order, sizeof(x->order), err);
	return r ? r : hear(x, x->filter, x->order.len * sizeof(x->filter[0]), err);
}

static _Noreturn void become_zygote(struct plan *x)
{
	static const char *const argv[] = {"coffer-guest", NULL}, *const envp[] = {NULL};
	struct err err = {0};
	const int keep[] = {REPORT_FD, STUB_FD};
	int r = undress(x, &err);
	reap_nobody();
	if (!r)
		r = hear_order(x, &err);
	/* Above what is open yet: neither number is the other's source. */
	if (!r && (dup3(x->report_fd, REPORT_FD, O_CLOEXEC) < 0 || dup2(x->stub_fd, STUB_FD) < 0))
		r = err_sys(&err, "cannot move a descriptor");
	if (!r)
		r = fd_close_from(0, keep, 2, false);
	if (!r && x->order.counted && birth_filter_install() < 0)
		r = err_sys(&err, "cannot have the guest's processes counted");
	if (!r) {
		const struct sock_fprog filter = {.len = x->order.len, .filter = x->filter};
		long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
					SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
		if (listener < 0)
			(void)err_sys(&err, "cannot install the guest's filter");
		else /* the tracer reads the listener's number there */
			(void)syscall(SYS_execveat, STUB_FD, "", argv, envp, AT_EMPTY_PATH, listener);
	}
	if (!err.code)
		(void)err_sys(&err, "cannot execute the stub");
	ignore_result(write(r ? x->report_fd : REPORT_FD, &err, sizeof(err)));
	_exit(1);
}

/* ---- in the sentry ---- */

static int make_stub(struct err *err)
{
	size_t size = (size_t)(stub_image_end - stub_image);
	autoclose int fd = memfd_create("program", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (fd < 0)
		fd = memfd_create("program", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || fd_write_all(fd, stub_image, size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return err_sys(err, "cannot make the stub's file");
	return take_fd(&fd);
}

/* Waits for this process's next stop, which must be this event: 0 for the wanted one. */
static int wait_event(pid_t pid, int event)
{
	int status;
	while (waitpid(pid, &status, __WALL) == pid) {
		if (WIFEXITED(status) || WIFSIGNALED(status))
			return -ESRCH;
		if (status >> 16 == event)
			return 0;
		trace_ptrace(PTRACE_CONT, pid, 0);
	}
	return -errno;
}

static int take_listener(pid_t pid, struct err *err)
{
	struct arch_regs regs;
	__u64 flags = SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP;
	uint64_t args[6];
	autoclose int pidfd = sys_pidfd_open(pid, 0);
	if (pidfd < 0 || arch_get(pid, &regs) < 0)
		return err_sys(err, "cannot read the state of the guest's zygote");
	arch_call_args(&regs, args);
	kernel.notify_fd = (int)syscall(SYS_pidfd_getfd, pidfd, (int)args[5], 0);
	if (kernel.notify_fd < 0)
		return err_sys(err, "cannot take over the listener for the guest's system calls");
	/* Answers faster where there is such a thing (Linux 6.6). */
	(void)ioctl(kernel.notify_fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags);
	return 0;
}

static int see_it_through(pid_t pid, int report, struct err *err)
{
	struct arch_regs regs;
	struct err theirs;

	if (wait_event(pid, PTRACE_EVENT_SECCOMP) < 0) {
		if (fd_read_full(report, &theirs, sizeof(theirs)) == (ssize_t)sizeof(theirs) && theirs.code)
			*err = theirs;
		else
			return err_set(err, ECHILD, "the guest's zygote ended before it had begun");
		return -err->code;
	}
	int r = take_listener(pid, err);
	if (r)
		return r;
	trace_ptrace(PTRACE_CONT, pid, 0);
	if (wait_event(pid, PTRACE_EVENT_EXEC) < 0 || arch_get(pid, &regs) < 0)
		return err_set(err, ECHILD, "the guest's zygote cannot execute the stub");
	zygote.stub_base = arch_pc(&regs) - (uint64_t)(stub_start - stub_image);
	trace_ptrace(PTRACE_CONT, pid, 0);
	return 0;
}

/* Where it has ended, it has told why. */
static void give_zygote(int fd, const void *what, size_t n)
{
	ignore_result(send(fd, what, n, MSG_NOSIGNAL));
}

/* The ends that are ours, from its beginning to its first stop. */
static struct {
	int report_in, orders_out;
} begun = {-1, -1};

static int fork_zygote(struct plan *x, struct err *err)
{
	int report[2], orders[2];
	if (pipe2(report, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe");
	autoclose int report_out = x->report_fd = report[1];
	begun.report_in = report[0];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, orders) < 0)
		return err_sys(err, "cannot make a pair of sockets");
	autoclose int orders_in = x->orders_fd = orders[0];
	begun.orders_out = x->orders_end = orders[1];
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(err, "cannot fork");
	if (pid == 0)
		become_zygote(x);
	if (ptrace(PTRACE_SEIZE, pid, NULL, ptrace_options) < 0)
		return err_sys(err, "cannot trace the guest's processes");
	give_zygote(begun.orders_out, "", 1);
	zygote.pid = pid;
	return 0;
}

int zygote_begin(struct err *err)
{
	autoclose int stub = make_stub(err), root = empty_root();
	autofree struct plan *x = calloc(1, sizeof(*x));
	if (stub < 0)
		return stub;
	if (!x)
		return err_oom(err);
	x->stub_fd = stub;
	x->root_fd = root;
	return fork_zygote(x, err);
}

int zygote_finish(struct err *err)
{
	autoclose int report_in = take_fd(&begun.report_in), orders_out = take_fd(&begun.orders_out);
	struct sock_fprog filter;
	if (filter_build(kernel.boot->trace_fd >= 0, patch_wants_files(), &filter, err) < 0)
		return -err->code;
	autofree struct sock_filter *insns = filter.filter;
	const struct order order = {.len = filter.len, .counted = birth_counted_from_start()};
	give_zygote(orders_out, &order, sizeof(order));
	give_zygote(orders_out, insns, filter.len * sizeof(*insns));
	return see_it_through(zygote.pid, report_in, err);
}

static void open_pidns(pid_t pid)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "%d/ns/pid", pid);
	zygote.pidns_fd = openat(kernel.proc_fd, path, O_RDONLY | O_CLOEXEC);
}

/* Its registers are the stub's question; the clone is made by the same instruction. */
pid_t zygote_fork(struct err *err)
{
	struct arch_regs regs;
	unsigned long child = 0;

	zygote.waits = false;
	trace_ptrace(PTRACE_INTERRUPT, zygote.pid, 0);
	if (wait_event(zygote.pid, PTRACE_EVENT_STOP) < 0 || arch_get(zygote.pid, &regs) < 0)
		return err_set(err, ECHILD, "the guest's zygote has ended");
	arch_make_call(&regs, zygote.stub_base + (uint64_t)(stub_syscall - stub_image), SYS_clone,
		       (const uint64_t[6]){SIGCHLD});
	if (arch_set(zygote.pid, &regs) < 0 || trace_ptrace(PTRACE_CONT, zygote.pid, 0) < 0 ||
	    wait_event(zygote.pid, PTRACE_EVENT_FORK) < 0 ||
	    ptrace(PTRACE_GETEVENTMSG, zygote.pid, NULL, &child) < 0)
		return err_set(err, EAGAIN, "cannot make a process of the guest");
	trace_ptrace(PTRACE_CONT, zygote.pid, 0);
	if (wait_event((pid_t)child, PTRACE_EVENT_STOP) < 0)
		return err_set(err, ECHILD, "a process of the guest was killed at its birth");
	if (zygote.pidns_fd < 0)
		open_pidns((pid_t)child);
	return (pid_t)child;
}

/* Linux before 6.11 cannot be asked but by text. */
static pid_t pid_by_status(pid_t host_pid)
{
	char path[64], text[4096];
	(void)snprintf(path, sizeof(path), "%d/status", host_pid);
	autoclose int fd = openat(kernel.proc_fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : fd_read_full(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -ESRCH;
	text[n] = '\0';
	const char *line = strstr(text, "\nNSpid:");
	if (!line)
		return -ENOSYS;
	line += strlen("\nNSpid:");
	pid_t pid = -ESRCH;
	for (char *end; *line && *line != '\n'; line = end) {
		pid = (pid_t)strtol(line, &end, 10);
		if (end == line)
			break;
	}
	return pid;
}

pid_t guest_pid(pid_t host_pid)
{
	int r = ioctl(zygote.pidns_fd, NS_GET_PID_IN_PIDNS, host_pid);
	return r > 0 ? r : pid_by_status(host_pid);
}

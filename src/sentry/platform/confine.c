/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sentry takes off before the guest runs: capabilities but those that
 * its files, sockets and processes need, and every system call that is not on
 * the list below.  Above all it cannot execute a program, make a process, or
 * mount.
 *
 * The filter is the same for all arguments but those of clone (threads only)
 * and unshare (CLONE_FS only), so that the host answers from its bitmap.
 */
#include "sentry/platform/platform_int.h"

#include "base/err.h"

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define CAP(name) (UINT64_C(1) << CAP_##name)

/* Files of any owner, low ports and pings, the guest's processes and their limits. */
static const uint64_t keep = CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(DAC_READ_SEARCH) | CAP(FOWNER) |
			     CAP(FSETID) | CAP(SETUID) | CAP(SETGID) | CAP(MKNOD) | CAP(KILL) |
			     CAP(SYS_PTRACE) | CAP(NET_BIND_SERVICE) | CAP(NET_RAW) | CAP(SETFCAP) |
			     CAP(SYS_RESOURCE);

/* clang-format off */
static const uint16_t allowed[] = {
	/* files */
	SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_preadv, SYS_pwritev, SYS_preadv2,
	SYS_pwritev2, SYS_openat, SYS_openat2, SYS_open, SYS_close, SYS_close_range, SYS_fstat, SYS_stat, SYS_lstat,
	SYS_newfstatat, SYS_statx, SYS_lseek, SYS_access, SYS_faccessat, SYS_faccessat2, SYS_dup, SYS_dup2, SYS_dup3,
	SYS_fcntl, SYS_flock, SYS_fsync, SYS_fdatasync, SYS_sync, SYS_syncfs, SYS_sync_file_range, SYS_truncate,
	SYS_ftruncate, SYS_fallocate, SYS_getdents64, SYS_getcwd, SYS_chdir, SYS_fchdir, SYS_rename, SYS_renameat,
	SYS_renameat2, SYS_mkdir, SYS_mkdirat, SYS_rmdir, SYS_unlink, SYS_unlinkat, SYS_link, SYS_linkat, SYS_symlink,
	SYS_symlinkat, SYS_readlink, SYS_readlinkat, SYS_chmod, SYS_fchmod, SYS_fchmodat, 452 /* fchmodat2 */, SYS_chown,
	SYS_fchown, SYS_lchown, SYS_fchownat, SYS_utimensat, SYS_utimes, SYS_futimesat, SYS_mknod, SYS_mknodat, SYS_umask,
	SYS_statfs, SYS_fstatfs, SYS_fadvise64, SYS_readahead, SYS_copy_file_range, SYS_sendfile, SYS_splice, SYS_tee,
	451 /* cachestat */,
	SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr, SYS_getxattr, SYS_lgetxattr, SYS_fgetxattr, SYS_listxattr,
	SYS_llistxattr, SYS_flistxattr, SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr,
	463 /* setxattrat */, 464 /* getxattrat */, 465 /* listxattrat */, 466 /* removexattrat */,
	SYS_inotify_init1, SYS_inotify_add_watch, SYS_inotify_rm_watch, SYS_memfd_create, SYS_ioctl,
	/* events */
	SYS_pipe2, SYS_poll, SYS_ppoll, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_wait, SYS_epoll_pwait, SYS_eventfd2,
	SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime, SYS_signalfd4,
	/* sockets */
	SYS_socket, SYS_socketpair, SYS_bind, SYS_listen, SYS_accept, SYS_accept4, SYS_connect, SYS_shutdown,
	SYS_getsockname, SYS_getpeername, SYS_setsockopt, SYS_getsockopt, SYS_sendto, SYS_recvfrom, SYS_sendmsg,
	SYS_recvmsg, SYS_sendmmsg, SYS_recvmmsg,
	/* its own memory and threads */
	SYS_mmap, SYS_munmap, SYS_mprotect, SYS_mremap, SYS_madvise, SYS_brk, SYS_futex, SYS_set_robust_list, SYS_rseq,
	SYS_set_tid_address, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigtimedwait, SYS_sigaltstack,
	SYS_restart_syscall, SYS_exit, SYS_exit_group, SYS_sched_yield, SYS_getcpu, SYS_membarrier, SYS_arch_prctl,
	SYS_prctl, SYS_getrandom, SYS_msync,
	/* whose rights it acts with */
	SYS_setfsuid, SYS_setfsgid, SYS_setgroups, SYS_getgroups, SYS_capget, SYS_capset, SYS_getuid, SYS_geteuid,
	SYS_getgid, SYS_getegid, SYS_getresuid, SYS_getresgid, SYS_getpid, SYS_gettid, SYS_getppid, SYS_getpgid, SYS_getsid,
	SYS_getpgrp,
	/* the guest's processes */
	SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_wait4, SYS_waitid, SYS_kill, SYS_tkill, SYS_tgkill,
	SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_pidfd_open, SYS_pidfd_send_signal, SYS_prlimit64, SYS_getrlimit,
	SYS_setrlimit, SYS_sched_getaffinity, SYS_sched_setaffinity, SYS_sched_getscheduler, SYS_sched_setscheduler,
	SYS_sched_getparam, SYS_sched_setparam, SYS_sched_getattr, SYS_sched_setattr, SYS_getpriority, SYS_setpriority,
	SYS_ioprio_get, SYS_ioprio_set, SYS_kcmp,
	/* the machine and its clocks */
	SYS_uname, SYS_sysinfo, SYS_sethostname, SYS_setdomainname, SYS_getrusage, SYS_times, SYS_clock_gettime,
	SYS_clock_getres, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday, SYS_time, SYS_adjtimex, SYS_clock_adjtime,
};
/* clang-format on */

static int drop_capabilities(struct err *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* none is no failure */
	if (syscall(SYS_capget, &head, data) < 0)
		return err_sys(err, "cannot read the sentry's capabilities");
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(keep >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &head, data) < 0 ? err_sys(err, "cannot drop the sentry's capabilities")
						    : 0;
}

#define LOAD(field)		     BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF(test, k, then, otherwise) BPF_JUMP(BPF_JMP | (test) | BPF_K, k, then, otherwise)
#define RETURN(action)		     BPF_STMT(BPF_RET | BPF_K, action)

static int install_filter(struct err *err)
{
	static const struct sock_filter head[] = {
		LOAD(arch),
		IF(BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0),
		RETURN(SECCOMP_RET_KILL_PROCESS),
		LOAD(nr),
		/* Threads, which share everything; no process. */
		IF(BPF_JEQ, SYS_clone, 0, 4),
		LOAD(args[0]),
		IF(BPF_JSET, CLONE_THREAD, 0, 1),
		RETURN(SECCOMP_RET_ALLOW),
		RETURN(SECCOMP_RET_ERRNO | EPERM),
		IF(BPF_JEQ, SYS_unshare, 0, 4),
		LOAD(args[0]),
		IF(BPF_JEQ, CLONE_FS, 0, 1),
		RETURN(SECCOMP_RET_ALLOW),
		RETURN(SECCOMP_RET_ERRNO | EPERM),
	};
	enum { NUMBERS = 512 }; /* the last one stands for all above */
	uint32_t actions[NUMBERS];
	autofree struct filter_program *p = calloc(1, sizeof(*p));
	if (!p)
		return err_oom(err);
	memcpy(p->insns, head, sizeof(head));
	p->n = ARRAY_LEN(head);
	for (size_t i = 0; i < NUMBERS; i++)
		actions[i] = SECCOMP_RET_ERRNO | ENOSYS;
	for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
		actions[allowed[i] % NUMBERS] = SECCOMP_RET_ALLOW; /* all are below */
	if (filter_search(p, actions, NUMBERS) < 0)
		return err_oom(err);
	struct sock_fprog program = {.len = (unsigned short)p->n, .filter = p->insns};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return err_sys(err, "cannot install the sentry's own filter of system calls");
	return 0;
}

int confine_self(struct err *err)
{
	int r = drop_capabilities(err);
	return r ? r : install_filter(err);
}

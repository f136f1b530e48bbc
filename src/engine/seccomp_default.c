/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The default seccomp profile.
 *
 * An allow-list: what ordinary programs call, and what acts upon the calling
 * process and its own descriptors alone.  Left out are the calls that reach
 * the kernel as a whole (modules, clocks, swap, reboot, keyrings, bpf,
 * userfaultfd, io_uring), that name other namespaces, or that are old and
 * hardly used, each with the capability that opens it where there is one.
 * A call that is denied gives EPERM; one that the profile's author could not
 * know gives ENOSYS (host/seccomp.h), so that C libraries fall back.
 */
#include "engine/caps.h"

#include "host/caps.h"

static const char *const always[] = {
	/* files and descriptors */
	"access",
	"cachestat",
	"chdir",
	"chmod",
	"chown",
	"chown32",
	"close",
	"close_range",
	"copy_file_range",
	"creat",
	"dup",
	"dup2",
	"dup3",
	"faccessat",
	"faccessat2",
	"fadvise64",
	"fadvise64_64",
	"fallocate",
	"fchdir",
	"fchmod",
	"fchmodat",
	"fchmodat2",
	"fchown",
	"fchown32",
	"fchownat",
	"fcntl",
	"fcntl64",
	"fdatasync",
	"fgetxattr",
	"flistxattr",
	"flock",
	"fremovexattr",
	"fsetxattr",
	"fstat",
	"fstat64",
	"fstatat64",
	"fstatfs",
	"fstatfs64",
	"fsync",
	"ftruncate",
	"ftruncate64",
	"futimesat",
	"getcwd",
	"getdents",
	"getdents64",
	"getxattr",
	"getxattrat",
	"inotify_add_watch",
	"inotify_init",
	"inotify_init1",
	"inotify_rm_watch",
	"fanotify_mark",
	"ioctl",
	"lchown",
	"lchown32",
	"lgetxattr",
	"link",
	"linkat",
	"listxattr",
	"listxattrat",
	"llistxattr",
	"_llseek",
	"lremovexattr",
	"lseek",
	"lsetxattr",
	"lstat",
	"lstat64",
	"mkdir",
	"mkdirat",
	"mknod",
	"mknodat",
	"name_to_handle_at",
	"newfstatat",
	"_newselect",
	"open",
	"openat",
	"openat2",
	"pipe",
	"pipe2",
	"pread64",
	"preadv",
	"preadv2",
	"pwrite64",
	"pwritev",
	"pwritev2",
	"read",
	"readahead",
	"readlink",
	"readlinkat",
	"readv",
	"removexattr",
	"removexattrat",
	"rename",
	"renameat",
	"renameat2",
	"rmdir",
	"sendfile",
	"sendfile64",
	"setxattr",
	"setxattrat",
	"splice",
	"stat",
	"stat64",
	"statfs",
	"statfs64",
	"statmount",
	"listmount",
	"statx",
	"symlink",
	"symlinkat",
	"sync",
	"sync_file_range",
	"sync_file_range2",
	"arm_sync_file_range",
	"arm_fadvise64_64",
	"syncfs",
	"tee",
	"truncate",
	"truncate64",
	"umask",
	"unlink",
	"unlinkat",
	"utime",
	"utimensat",
	"utimensat_time64",
	"utimes",
	"vmsplice",
	"write",
	"writev",
	"file_getattr",
	"file_setattr",
	/* waiting for descriptors */
	"epoll_create",
	"epoll_create1",
	"epoll_ctl",
	"epoll_ctl_old",
	"epoll_pwait",
	"epoll_pwait2",
	"epoll_wait",
	"epoll_wait_old",
	"eventfd",
	"eventfd2",
	"poll",
	"ppoll",
	"ppoll_time64",
	"pselect6",
	"pselect6_time64",
	"select",
	"signalfd",
	"signalfd4",
	"timerfd_create",
	"timerfd_gettime",
	"timerfd_gettime64",
	"timerfd_settime",
	"timerfd_settime64",
	"io_cancel",
	"io_destroy",
	"io_getevents",
	"io_pgetevents",
	"io_pgetevents_time64",
	"io_setup",
	"io_submit",
	/* memory */
	"brk",
	"fork",
	"madvise",
	"map_shadow_stack",
	"membarrier",
	"memfd_create",
	"memfd_secret",
	"mincore",
	"mlock",
	"mlock2",
	"mlockall",
	"mmap",
	"mmap2",
	"mprotect",
	"mremap",
	"mseal",
	"msync",
	"munlock",
	"munlockall",
	"munmap",
	"pkey_alloc",
	"pkey_free",
	"pkey_mprotect",
	"process_madvise",
	"process_mrelease",
	"remap_file_pages",
	"riscv_flush_icache",
	"riscv_hwprobe",
	/* processes and threads */
	"alarm",
	"arch_prctl",
	"breakpoint",
	"cacheflush",
	"capget",
	"capset",
	"execve",
	"execveat",
	"exit",
	"exit_group",
	"futex",
	"futex_requeue",
	"futex_time64",
	"futex_wait",
	"futex_waitv",
	"futex_wake",
	"get_robust_list",
	"get_thread_area",
	"getcpu",
	"getegid",
	"getegid32",
	"geteuid",
	"geteuid32",
	"getgid",
	"getgid32",
	"getgroups",
	"getgroups32",
	"getpgid",
	"getpgrp",
	"getpid",
	"getppid",
	"getpriority",
	"getresgid",
	"getresgid32",
	"getresuid",
	"getresuid32",
	"getrlimit",
	"getrusage",
	"getsid",
	"gettid",
	"getuid",
	"getuid32",
	"ioprio_get",
	"ioprio_set",
	"kill",
	"landlock_add_rule",
	"landlock_create_ruleset",
	"landlock_restrict_self",
	"modify_ldt",
	"nanosleep",
	"pause",
	"pidfd_open",
	"pidfd_send_signal",
	"prctl",
	"prlimit64",
	"process_vm_readv",
	"process_vm_writev",
	"ptrace",
	"restart_syscall",
	"rseq",
	"sched_getaffinity",
	"sched_getattr",
	"sched_getparam",
	"sched_get_priority_max",
	"sched_get_priority_min",
	"sched_getscheduler",
	"sched_rr_get_interval",
	"sched_rr_get_interval_time64",
	"sched_setaffinity",
	"sched_setattr",
	"sched_setparam",
	"sched_setscheduler",
	"sched_yield",
	"seccomp",
	"set_robust_list",
	"set_thread_area",
	"set_tid_address",
	"set_tls",
	"setfsgid",
	"setfsgid32",
	"setfsuid",
	"setfsuid32",
	"setgid",
	"setgid32",
	"setgroups",
	"setgroups32",
	"setpgid",
	"setpriority",
	"setregid",
	"setregid32",
	"setresgid",
	"setresgid32",
	"setresuid",
	"setresuid32",
	"setreuid",
	"setreuid32",
	"setrlimit",
	"setsid",
	"setuid",
	"setuid32",
	"sysinfo",
	"tgkill",
	"times",
	"tkill",
	"ugetrlimit",
	"uname",
	"uretprobe",
	"vfork",
	"wait4",
	"waitid",
	"waitpid",
	/* signals and time */
	"adjtimex",
	"clock_adjtime",
	"clock_adjtime64",
	"clock_getres",
	"clock_getres_time64",
	"clock_gettime",
	"clock_gettime64",
	"clock_nanosleep",
	"clock_nanosleep_time64",
	"getitimer",
	"gettimeofday",
	"rt_sigaction",
	"rt_sigpending",
	"rt_sigprocmask",
	"rt_sigqueueinfo",
	"rt_sigreturn",
	"rt_sigsuspend",
	"rt_sigtimedwait",
	"rt_sigtimedwait_time64",
	"rt_tgsigqueueinfo",
	"setitimer",
	"sigaltstack",
	"sigprocmask",
	"sigreturn",
	"time",
	"timer_create",
	"timer_delete",
	"timer_getoverrun",
	"timer_gettime",
	"timer_gettime64",
	"timer_settime",
	"timer_settime64",
	/* sockets */
	"accept",
	"accept4",
	"bind",
	"connect",
	"getpeername",
	"getsockname",
	"getsockopt",
	"listen",
	"recv",
	"recvfrom",
	"recvmmsg",
	"recvmmsg_time64",
	"recvmsg",
	"send",
	"sendmmsg",
	"sendmsg",
	"sendto",
	"setsockopt",
	"shutdown",
	"socketcall",
	"socketpair",
	/* between processes of the container */
	"ipc",
	"mq_getsetattr",
	"mq_notify",
	"mq_open",
	"mq_timedreceive",
	"mq_timedreceive_time64",
	"mq_timedsend",
	"mq_timedsend_time64",
	"mq_unlink",
	"msgctl",
	"msgget",
	"msgrcv",
	"msgsnd",
	"semctl",
	"semget",
	"semop",
	"semtimedop",
	"semtimedop_time64",
	"shmat",
	"shmctl",
	"shmdt",
	"shmget",
	/* the rest */
	"getrandom",
};

/* By capability. */
static const char *const with_dac_read_search[] = {"open_by_handle_at"};
static const char *const with_sys_admin[] = {
	"bpf",
	"clone",
	"clone3",
	"fanotify_init",
	"fsconfig",
	"fsmount",
	"fsopen",
	"fspick",
	"lookup_dcookie",
	"lsm_get_self_attr",
	"lsm_list_modules",
	"lsm_set_self_attr",
	"mount",
	"mount_setattr",
	"move_mount",
	"open_tree",
	"open_tree_attr",
	"perf_event_open",
	"quotactl",
	"quotactl_fd",
	"setdomainname",
	"sethostname",
	"setns",
	"syslog",
	"umount",
	"umount2",
	"unshare",
};
static const char *const with_sys_boot[] = {"reboot"};
static const char *const with_sys_chroot[] = {"chroot"};
static const char *const with_sys_module[] = {"delete_module", "init_module", "finit_module"};
static const char *const with_sys_pacct[] = {"acct"};
static const char *const with_sys_ptrace[] = {"kcmp", "pidfd_getfd"};
static const char *const with_sys_rawio[] = {"iopl", "ioperm"};
static const char *const with_sys_time[] = {"settimeofday", "stime", "clock_settime", "clock_settime64"};
static const char *const with_sys_tty_config[] = {"vhangup"};
static const char *const with_sys_nice[] = {"get_mempolicy",	       "mbind",		"set_mempolicy",
					    "set_mempolicy_home_node", "migrate_pages", "move_pages"};
static const char *const with_syslog[] = {"syslog"};
static const char *const with_bpf[] = {"bpf"};
static const char *const with_perfmon[] = {"perf_event_open"};

enum {
	NR_DAC_READ_SEARCH = 2,
	NR_SYS_MODULE = 16,
	NR_SYS_RAWIO = 17,
	NR_SYS_CHROOT = 18,
	NR_SYS_PTRACE = 19,
	NR_SYS_PACCT = 20,
	NR_SYS_BOOT = 22,
	NR_SYS_NICE = 23,
	NR_SYS_TIME = 25,
	NR_SYS_TTY_CONFIG = 26,
	NR_SYSLOG = 34,
	NR_PERFMON = 38,
	NR_BPF = 39,
};

#define BY_CAP(nr, list)                                                                                     \
	{                                                                                                    \
		nr, list, ARRAY_LEN(list)                                                                    \
	}
static const struct {
	unsigned cap;
	const char *const *names;
	size_t n;
} by_cap[] = {
	BY_CAP(NR_DAC_READ_SEARCH, with_dac_read_search),
	BY_CAP(CAP_NR_SYS_ADMIN, with_sys_admin),
	BY_CAP(NR_SYS_BOOT, with_sys_boot),
	BY_CAP(NR_SYS_CHROOT, with_sys_chroot),
	BY_CAP(NR_SYS_MODULE, with_sys_module),
	BY_CAP(NR_SYS_PACCT, with_sys_pacct),
	BY_CAP(NR_SYS_PTRACE, with_sys_ptrace),
	BY_CAP(NR_SYS_RAWIO, with_sys_rawio),
	BY_CAP(NR_SYS_TIME, with_sys_time),
	BY_CAP(NR_SYS_TTY_CONFIG, with_sys_tty_config),
	BY_CAP(NR_SYS_NICE, with_sys_nice),
	BY_CAP(NR_SYSLOG, with_syslog),
	BY_CAP(NR_BPF, with_bpf),
	BY_CAP(NR_PERFMON, with_perfmon),
};

/* Flags of clone() that make namespaces: all but CLONE_NEWTIME, whose bit is the exit signal's. */
#define CLONE_NAMESPACES UINT64_C(0x7E020000)
#define UNAME26		 UINT64_C(0x0020000)
#define PER_LINUX32	 UINT64_C(0x0008)

/* s390 has the new stack first. */
#ifdef __s390x__
enum { CLONE_FLAGS_ARG = 1 };
#else
enum { CLONE_FLAGS_ARG = 0 };
#endif

struct one_arg {
	unsigned index;
	const char *op;
	uint64_t value, value_two;
};

static void begin_rule(struct json_out *out, const char *const *names, size_t n)
{
	json_begin_object(out, NULL);
	json_put_strs(out, "names", names, n);
	json_put_str(out, "action", "SCMP_ACT_ALLOW");
}

static void rule_with_arg(struct json_out *out, const char *name, const struct one_arg *arg)
{
	begin_rule(out, &name, 1);
	json_begin_list(out, "args");
	json_begin_object(out, NULL);
	json_put_u64(out, "index", arg->index);
	json_put_u64(out, "value", arg->value);
	if (arg->value_two)
		json_put_u64(out, "valueTwo", arg->value_two);
	json_put_str(out, "op", arg->op);
	json_end(out);
	json_end(out);
	json_end(out);
}

static void architectures(struct json_out *out)
{
#if defined(__x86_64__)
	static const char *const archs[] = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
#elif defined(__aarch64__)
	static const char *const archs[] = {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
#elif defined(__riscv)
	static const char *const archs[] = {"SCMP_ARCH_RISCV64"};
#elif defined(__s390x__)
	static const char *const archs[] = {"SCMP_ARCH_S390X", "SCMP_ARCH_S390"};
#elif defined(__powerpc64__)
	static const char *const archs[] = {"SCMP_ARCH_PPC64LE"};
#else
#error "no architectures for the default seccomp profile"
#endif
	json_put_strs(out, "architectures", archs, ARRAY_LEN(archs));
}

static void rules_with_args(struct json_out *out, uint64_t caps)
{
	static const uint64_t personalities[] = {0, PER_LINUX32, UNAME26, UNAME26 | PER_LINUX32, 0xffffffff};

	for (size_t i = 0; i < ARRAY_LEN(personalities); i++)
		rule_with_arg(out, "personality",
			      &(struct one_arg){.op = "SCMP_CMP_EQ", .value = personalities[i]});
	/* AF_VSOCK (40) reaches the hypervisor; AF_ALG (38) the kernel's crypto code, which few need. */
	rule_with_arg(out, "socket", &(struct one_arg){.op = "SCMP_CMP_LT", .value = 38});
	rule_with_arg(out, "socket", &(struct one_arg){.op = "SCMP_CMP_EQ", .value = 39});
	rule_with_arg(out, "socket", &(struct one_arg){.op = "SCMP_CMP_GT", .value = 40});
	if (!(caps & CAP_BIT(CAP_NR_SYS_ADMIN)))
		rule_with_arg(out, "clone",
			      &(struct one_arg){.index = CLONE_FLAGS_ARG,
						.op = "SCMP_CMP_MASKED_EQ",
						.value = CLONE_NAMESPACES});
}

void engine_seccomp_default(struct json_out *out, const char *key, uint64_t caps)
{
	static const char *const clone3[] = {"clone3"};
	enum { NO_SUCH_CALL = 38 };

	json_begin_object(out, key);
	json_put_str(out, "defaultAction", "SCMP_ACT_ERRNO");
	json_put_u64(out, "defaultErrnoRet", 1);
	architectures(out);
	json_begin_list(out, "syscalls");
	begin_rule(out, always, ARRAY_LEN(always));
	json_end(out);
	rules_with_args(out, caps);
	for (size_t i = 0; i < ARRAY_LEN(by_cap); i++) {
		if (!(caps & CAP_BIT(by_cap[i].cap)))
			continue;
		begin_rule(out, by_cap[i].names, by_cap[i].n);
		json_end(out);
	}
	if (!(caps & CAP_BIT(CAP_NR_SYS_ADMIN))) {
		/* Its flags are in memory, out of a filter's sight: C libraries fall back to clone. */
		json_begin_object(out, NULL);
		json_put_strs(out, "names", clone3, 1);
		json_put_str(out, "action", "SCMP_ACT_ERRNO");
		json_put_u64(out, "errnoRet", NO_SUCH_CALL);
		json_end(out);
	}
	json_end(out);
	json_end(out);
}

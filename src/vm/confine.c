/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the keeper may still ask of the host's kernel once its machine runs.
 * From then on it reads what a guest says: streams, frames, the console, the
 * hypervisor's answers.  All that it has executed, forked, mounted or joined
 * is behind it.  What is left is to move bytes, to keep templates and
 * snapshots in descriptors and one directory, and to end its hypervisor.
 *
 * What is not in the list is answered ENOSYS, as to the file share: a call
 * that the C library would like to make and can do without must not end a
 * container.  Another architecture's calls, and x32's, kill.
 */
#include "vm/keeper.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define KEEPER_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define KEEPER_ARCH AUDIT_ARCH_AARCH64
#endif

/* clang-format off */
static const uint16_t calls[] = {
	/* bytes from here to there; the only sockets that are made are pairs */
	SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_sendmsg, SYS_recvmsg, SYS_sendto,
	SYS_recvfrom, SYS_accept4, SYS_shutdown, SYS_socketpair, SYS_getsockopt, SYS_ppoll, SYS_close, SYS_fcntl,
	SYS_dup, SYS_dup3, SYS_pipe2, SYS_memfd_create,
	/* what is kept of machines */
	SYS_openat, SYS_linkat, SYS_unlinkat, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_getdents64, SYS_lseek,
	SYS_ftruncate, SYS_fallocate, SYS_fsync, SYS_fdatasync, SYS_sendfile, SYS_copy_file_range, SYS_flock,
	/* children that there are */
	SYS_kill, SYS_rt_sigqueueinfo, SYS_wait4, SYS_waitid,
	/* its own memory, the time, and its end */
	SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_brk, SYS_futex, SYS_clock_gettime,
	SYS_clock_nanosleep, SYS_nanosleep, SYS_getrandom, SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_rt_sigaction,
	SYS_restart_syscall, SYS_exit, SYS_exit_group, SYS_getpid, SYS_gettid, SYS_getuid, SYS_geteuid, SYS_tgkill,
#ifdef __x86_64__
	SYS_poll, /* without: ppoll */
#endif
#ifdef __SANITIZE_ADDRESS__
	SYS_sigaltstack, SYS_sched_yield, SYS_readlink, SYS_getppid, SYS_prctl, SYS_clone, SYS_ptrace,
	SYS_sched_getaffinity, SYS_prlimit64,
#endif
};
/* clang-format on */

/* Of a terminal its size and mode.  The latter ones are TCGETS2 and TCSETS2, which C libraries of late ask.
 */
static const uint32_t ioctls[] = {TIOCGWINSZ, TIOCSWINSZ, TCGETS, TCSETS, 0x802c542a, 0x402c542b};

enum { FILTER_MAX = 160, X32_CALLS = 0x40000000 };

struct keeper_filter {
	struct sock_filter v[FILTER_MAX];
	unsigned short n;
};

static void keeper_insn(struct keeper_filter *f, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
	f->v[f->n++] = (struct sock_filter){code, yes, no, k};
}

static void keeper_answer(struct keeper_filter *f, uint32_t action)
{
	keeper_insn(f, BPF_RET | BPF_K, action, 0, 0);
}

/* One of the values: allowed. */
static void keeper_allow(struct keeper_filter *f, uint32_t value)
{
	keeper_insn(f, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
	keeper_answer(f, SECCOMP_RET_ALLOW);
}

static void build_keeper_filter(struct keeper_filter *f)
{
	_Static_assert(16 + 2 * (ARRAY_LEN(calls) + ARRAY_LEN(ioctls)) <= FILTER_MAX, "room for the filter");

	keeper_insn(f, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
	keeper_insn(f, BPF_JMP | BPF_JEQ | BPF_K, KEEPER_ARCH, 1, 0);
	keeper_answer(f, SECCOMP_RET_KILL_PROCESS);
	keeper_insn(f, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
	keeper_insn(f, BPF_JMP | BPF_JGE | BPF_K, X32_CALLS, 0, 1);
	keeper_answer(f, SECCOMP_RET_KILL_PROCESS);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		keeper_allow(f, calls[i]);
	keeper_insn(f, BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 1, 0);
	keeper_answer(f, SECCOMP_RET_ERRNO | ENOSYS);
	keeper_insn(f, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1]), 0, 0);
	for (size_t i = 0; i < ARRAY_LEN(ioctls); i++)
		keeper_allow(f, ioctls[i]);
	keeper_answer(f, SECCOMP_RET_ERRNO | ENOTTY);
}

int keeper_confine(struct err *err)
{
	struct keeper_filter f = {.n = 0};

	build_keeper_filter(&f);
	const struct sock_fprog program = {.len = f.n, .filter = f.v};
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return err_sys(err, "cannot install the keeper's filter of system calls");
	return 0;
}

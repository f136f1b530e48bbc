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

#include "host/allowlist.h"

#include <asm/termbits.h>
#include <asm/ioctls.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

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

/* Of a terminal its size and mode.  TCGETS2 and TCSETS2 are what C libraries of late ask. */
static const uint32_t ioctls[] = {TIOCGWINSZ, TIOCSWINSZ, TCGETS, TCSETS, TCGETS2, TCSETS2};

int keeper_confine(struct err *err)
{
	const struct allowlist a = {
		.calls = calls,
		.ncalls = ARRAY_LEN(calls),
		.ioctls = ioctls,
		.nioctls = ARRAY_LEN(ioctls),
		.otherwise = SECCOMP_RET_ERRNO | ENOSYS,
		.other_ioctl = SECCOMP_RET_ERRNO | ENOTTY,
	};
	int r = allowlist_install(&a, err);

	return r < 0 ? err_prefix(err, "cannot confine the container's keeper") : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server takes off before the first request, and whose rights it has
 * for each: it acts with the requester's ids where they become an owner, and
 * with the capabilities of the container's root otherwise, for whether the
 * requester may do it the guest's kernel has decided (default_permissions).
 */
#include "vm/share/share_int.h"

#include "host/allowlist.h"

#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define RIGHT(name) (UINT64_C(1) << CAP_##name)
static const uint64_t rights = RIGHT(CHOWN) | RIGHT(DAC_OVERRIDE) | RIGHT(DAC_READ_SEARCH) | RIGHT(FOWNER) |
			       RIGHT(FSETID) | RIGHT(SETUID) | RIGHT(SETGID) | RIGHT(MKNOD) | RIGHT(SETFCAP);

/* clang-format off */
static const uint16_t needed[] = {
	/* the stream */
	SYS_read, SYS_write, SYS_recvfrom, SYS_sendto, SYS_recvmsg, SYS_sendmsg, SYS_ppoll, SYS_shutdown,
	/* files; none is made or taken away but beneath a descriptor */
	SYS_openat, SYS_openat2, SYS_close, SYS_statx, SYS_fstat, SYS_newfstatat, SYS_getdents64, SYS_lseek,
	SYS_pread64, SYS_pwrite64, SYS_preadv2, SYS_pwritev2, SYS_fsync, SYS_fdatasync, SYS_fallocate,
	SYS_copy_file_range, SYS_truncate, SYS_ftruncate, SYS_readlinkat, SYS_symlinkat, SYS_mknodat, SYS_mkdirat,
	SYS_unlinkat, SYS_linkat, SYS_renameat, SYS_renameat2, SYS_fchmodat, SYS_fchownat, SYS_utimensat, SYS_fstatfs,
	SYS_setxattr, SYS_getxattr, SYS_listxattr, SYS_removexattr, SYS_umask, SYS_fcntl,
	SYS_inotify_add_watch, SYS_inotify_rm_watch,
	/* whose they are */
	SYS_setfsuid, SYS_setfsgid, SYS_capset,
	/* its own memory, and its end */
	SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_brk, SYS_futex, SYS_clock_gettime,
	SYS_getrandom, SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_restart_syscall, SYS_exit, SYS_exit_group,
	SYS_gettid, SYS_getpid, SYS_tgkill,
#ifdef __SANITIZE_ADDRESS__
	SYS_sigaltstack, SYS_sched_yield, SYS_readlink, SYS_getppid, SYS_prctl, SYS_clone, SYS_wait4, SYS_ptrace,
	SYS_rt_sigaction, SYS_sched_getaffinity, SYS_prlimit64,
#endif
};
/* clang-format on */

static int set_caps(const struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

static int shed_rights(struct share_server *s, struct err *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	/* Else a change of fsuid from 0 takes the rights over files, and back to it gives them. */
	s->fixup = prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) < 0;
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* none is no failure */
	if (syscall(SYS_capget, &head, s->caps) < 0)
		return err_sys(err, "cannot read the file share's capabilities");
	for (int i = 0; i < 2; i++) {
		s->caps[i].permitted &= (uint32_t)(rights >> (32 * i));
		s->caps[i].effective = s->caps[i].permitted;
		s->caps[i].inheritable = 0;
	}
	int r = set_caps(s->caps);
	return r < 0 ? err_num(err, r, "cannot drop the file share's capabilities") : 0;
}

static int filter_calls(struct err *err)
{
	const struct allowlist a = {
		.calls = needed, .ncalls = ARRAY_LEN(needed), .otherwise = SECCOMP_RET_ERRNO | ENOSYS};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "cannot confine the file share");
	int r = allowlist_install(&a, err);
	return r < 0 ? err_prefix(err, "cannot confine the file share") : 0;
}

int share_confine(struct share_server *s, bool filter, struct err *err)
{
	int r = shed_rights(s, err);
	return r < 0 || !filter ? r : filter_calls(err);
}

int become(struct share_server *s, const struct fuse_in_header *h, uint32_t mask)
{
	if (s->umask != mask) {
		(void)umask(mask & 0777); /* always succeeds */
		s->umask = mask;
	}
	if (s->fsuid == h->uid && s->fsgid == h->gid)
		return 0;
	/* They say the id that was; what is in effect now a second call tells. */
	(void)setfsgid(h->gid);
	(void)setfsuid(h->uid);
	bool done = setfsgid((gid_t)-1) == (int)h->gid && setfsuid((uid_t)-1) == (int)h->uid;
	s->fsuid = done ? h->uid : UINT32_MAX;
	s->fsgid = done ? h->gid : UINT32_MAX;
	int r = s->fixup ? set_caps(s->caps) : 0;
	return done ? r : -EPERM; /* an id that the container has not */
}

static void set_fsetid(struct share_server *s, bool on)
{
	struct __user_cap_data_struct data[2] = {s->caps[0], s->caps[1]};
	if (!on)
		data[0].effective &= ~(uint32_t)RIGHT(FSETID);
	/* Less than is permitted: it cannot fail. */
	(void)set_caps(data);
}

void fsetid_off(struct share_server *s)
{
	set_fsetid(s, false);
}

void fsetid_on(struct share_server *s)
{
	set_fsetid(s, true);
}

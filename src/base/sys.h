/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls that Debian 12's C library lacks, or wraps in a way that does
 * not fit (clone3), as thin as they come: the kernel's arguments, -1 and
 * errno on failure.  Constants are given where older headers lack them.
 */
#pragma once

#include "base/base.h"

#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>

#define SYS_CLOSE_RANGE_CLOEXEC (1U << 2)

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif
#ifndef MOUNT_ATTR_IDMAP
#define MOUNT_ATTR_IDMAP 0x00100000
#endif
#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

/* glibc 2.36 declares the mount API in <sys/mount.h>, which collides with <linux/mount.h>: ours stand apart.
 */
int sys_open_tree(int dirfd, const char *path, unsigned flags);
int sys_move_mount(int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags);
int sys_fsopen(const char *fstype, unsigned flags);
int sys_fsconfig(int fd, unsigned cmd, const char *key, const void *value, int aux);
int sys_fsmount(int fd, unsigned flags, unsigned attr);
int sys_mount_setattr(int dirfd, const char *path, unsigned flags, const struct mount_attr *attr);
int sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
int sys_close_range(unsigned first, unsigned last, unsigned flags);
int sys_pidfd_open(pid_t pid, unsigned flags);
int sys_pidfd_getfd(int pidfd, int fd);
int sys_pidfd_send_signal(int pidfd, int sig);
int sys_pivot_root(const char *new_root, const char *put_old);
int sys_keyctl_join(const char *name);
pid_t sys_gettid(void);
/* fork-like: the child returns 0 on the same stack, copied.  Only from a single-threaded process. */
pid_t sys_clone3(struct clone_args *args);

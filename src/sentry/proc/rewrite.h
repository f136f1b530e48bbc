/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's texts about a process, made the guest's: pure functions from
 * text to text, for each of /proc's formats (proc(5)).  The host's text is
 * trusted to be the kernel's, the values are a guest's (names, paths).
 */
#pragma once

#include "base/str.h"
#include "sentry/fs/asked.h"
#include "sentry/task.h"

/* What the sentry knows better than the host. */
struct process_view {
	pid_t pid, tid, parent, pgrp, session, foreground;
	const char *comm;
	char state; /* 0 = as the host says */
	const struct creds *creds;
	mode_t umask;
	size_t fd_size;
	bool filtered; /* it has seccomp filters of its own */
	unsigned threads;
	unsigned filters_below; /* the sandbox's seccomp filters, which are not the guest's business */
};

/* /proc/PID/stat; -EINVAL where the text is none. */
int rewrite_stat(const char *host, const struct process_view *v, struct str *out);
/* /proc/PID/status */
int rewrite_status(const char *host, const struct process_view *v, struct str *out);

/*
 * A line of maps or smaps' heads: false = it is the sandbox's own and not shown.  What stands behind the
 * addresses is copied; names of memory files that stand for System V segments become "/SYSV…".
 */
bool rewrite_map_line(const char *line, size_t n, struct str *out);
/* Is it such a head ("start-end perms …"), rather than one of smaps' figures? */
bool is_map_line(const char *line, size_t n);

/* A mount of a synthetic file system, where the host has its placeholder. */
struct mount_view {
	const char *dest, *fstype;
	bool read_only;
};
/* mountinfo (proc(5)) to itself, with synthetic mounts named as what they are, and the options that were
 * asked for. `mounts` ends with dest = NULL. */
int rewrite_mountinfo(const char *host, const struct mount_view *mounts, const struct mount_asked *asked,
		      struct str *out);
/* mountinfo to the format of /proc/mounts, or of mountstats. */
int mountinfo_to_mounts(const char *mountinfo, struct str *out);
int mountinfo_to_mountstats(const char *mountinfo, struct str *out);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Talking to criu(8): `criu swrk 3` serves one request over a SEQPACKET
 * socket, and asks back (notifications) while it works.  The numbers are
 * those of CRIU's rpc.proto, a published interface.
 */
#pragma once

#include "base/fd.h"
#include "base/str.h"

enum criu_request {
	CRIU_DUMP = 1,
	CRIU_RESTORE = 2,
	CRIU_PRE_DUMP = 4,
	CRIU_NOTIFY = 6,
	CRIU_FEATURE_CHECK = 9,
};

/* Field numbers of CriuOpts. */
enum criu_opt {
	CRIU_IMAGES_DIR_FD = 1,
	CRIU_PID = 2,
	CRIU_LEAVE_RUNNING = 3,
	CRIU_EXT_UNIX_SK = 4,
	CRIU_TCP_ESTABLISHED = 5,
	CRIU_EVASIVE_DEVICES = 6,
	CRIU_SHELL_JOB = 7,
	CRIU_FILE_LOCKS = 8,
	CRIU_LOG_LEVEL = 9,
	CRIU_LOG_FILE = 10,
	CRIU_PAGE_SERVER = 11, /* {1: address, 2: port} */
	CRIU_NOTIFY_SCRIPTS = 12,
	CRIU_ROOT = 13,
	CRIU_PARENT_IMG = 14,
	CRIU_TRACK_MEM = 15,
	CRIU_AUTO_DEDUP = 16,
	CRIU_WORK_DIR_FD = 17,
	CRIU_LINK_REMAP = 18,
	CRIU_EXT_MNT = 23, /* {1: key, 2: val} */
	CRIU_MANAGE_CGROUPS = 24,
	CRIU_CG_ROOT = 25, /* {1: controller, 2: path} */
	CRIU_RST_SIBLING = 26,
	CRIU_INHERIT_FD = 27, /* {1: key, 2: fd} */
	CRIU_MANAGE_CGROUPS_MODE = 34,
	CRIU_EXTERNAL = 37,
	CRIU_EMPTY_NS = 38,
	CRIU_JOIN_NS = 39, /* {1: ns, 2: file} */
	CRIU_FREEZE_CGROUP = 44,
	CRIU_TCP_SKIP_IN_FLIGHT = 46,
	CRIU_LAZY_PAGES = 48,
	CRIU_ORPHAN_PTS_MASTER = 50,
	CRIU_CONFIG_FILE = 51,
	CRIU_LSM_PROFILE = 53,
	CRIU_LSM_MOUNT_CONTEXT = 63,
};

struct criu_call {
	enum criu_request type;
	struct str *opts;     /* CriuOpts, encoded; more may be put in by `ready` */
	struct str *features; /* CriuFeatures, encoded; NULL = none */
	const int *fds;	      /* criu sees them as 4, 5, …; borrowed */
	size_t nfds;
	int mount_ns; /* criu runs in this mount namespace; -1 = ours */
	/* criu runs, and has not got the request yet.  May be NULL. */
	int (*ready)(void *data, pid_t criu, struct err *err);
	/* "setup-namespaces", "post-restore", …; `fd` is -1 or a descriptor that the callee takes.  May be
	 * NULL. */
	int (*notify)(void *data, const char *script, pid_t pid, int fd, struct err *err);
	void *data;
	const char *log_dir, *log_file; /* for messages */
	uint32_t ret_features;		/* out, of CRIU_FEATURE_CHECK: bit N = field N is true */
};

/* Starts criu, makes the call, waits for criu's end. */
must_use int criu_run(struct criu_call *call, struct err *err);

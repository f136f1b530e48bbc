/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups, versions 1, 2 and both at once, by the cgroup file system
 * or by systemd.
 *
 * A `struct cgroup` is a plan first (cgroup_plan touches nothing) and a set
 * of directories after cgroup_create().  It is plain data: the runtime keeps
 * it on disk and comes back with it from another process.
 */
#pragma once

#include "base/err.h"
#include "oci/config.h"

enum cgroup_v1 {
	CG_CPU,
	CG_CPUACCT,
	CG_CPUSET,
	CG_MEMORY,
	CG_DEVICES,
	CG_FREEZER,
	CG_BLKIO,
	CG_PIDS,
	CG_HUGETLB,
	CG_NET_CLS,
	CG_NET_PRIO,
	CG_PERF_EVENT,
	CG_RDMA,
	CG_MISC,
	CG_NAMED_SYSTEMD, /* name=systemd */
	CG_V1_COUNT,
};

/* "cpu", "memory", …; "name=systemd". */
const char *cgroup_v1_name(enum cgroup_v1 c);

struct cgroup {
	bool none;    /* rootless without a writable tree: nothing is created, no limits were asked for */
	bool v2;      /* the unified hierarchy alone */
	bool systemd; /* made by systemd as a transient scope */
	bool user_manager; /* ... by the user's systemd */
	char *path;	   /* below the mount(s), "/docker/<id>"; owned */
	char *v2_dir; /* absolute directory in the unified tree; on hybrid machines too where it is mounted;
			 owned, may be NULL */
	char *v1_dir[CG_V1_COUNT]; /* absolute directories; NULL = controller not mounted; owned */
	char *slice, *scope;	   /* systemd's names; owned */
};

struct cgroup_request {
	const char *id;
	const char *cgroups_path; /* config's; NULL = none */
	bool systemd;
	bool rootless;
	bool needs_limits;     /* resources are asked for: a tree that cannot be written is an error */
	pair_list annotations; /* for org.systemd.property.* */
	int promise;	       /* > 0: somebody else is at cgroup_make_dirs(), and this socket tells */
};

/*
 * Decides where the cgroup will be, by runc's rules: an absolute
 * cgroupsPath is below the mount of each hierarchy, a relative one (or the
 * id, where there is none) below the caller's own group (v2: beside it).
 * Touches nothing.  `ret` is owned by the caller: cgroup_free().
 */
must_use int cgroup_plan(const struct cgroup_request *q, struct cgroup *ret, struct err *err);
void cgroup_free(struct cgroup *cg);

/*
 * Makes the directories and writes every limit but the device rules.  With
 * the systemd driver `first` (> 0) is the process that the scope starts
 * with; by the file system it may be 0.  -EEXIST is not an error for an empty
 * group; one with processes is.  On failure what was made is removed.
 * Rootless: a hierarchy that may not be written is dropped from `cg` (all of
 * them: cg->none) where neither a path nor limits were asked for.
 */
must_use int cgroup_create(struct cgroup *cg, const struct oci_resources *r, const struct cgroup_request *q,
			   pid_t first, struct err *err);

/*
 * The directories alone, beside whoever prepares what cgroup_create() needs; half of what a group costs is
 * the directory of the memory controller.  When all of them are there and new, a byte is sent to `promise`;
 * its end without one says that this is not so, and that none was left.  cgroup_create() waits for either.
 */
void cgroup_make_dirs(const struct cgroup *cg, int promise);

/*
 * How a process gets in.  Writing another process's pid costs the kernel an
 * RCU grace period (10 ms and more); what costs microseconds is
 * clone3(CLONE_INTO_CGROUP) for the unified tree and a single-threaded
 * process that moves itself in the v1 hierarchies:
 *
 *   parent: cgroup_create(), cgroup_open_dir() -> clone3, cgroup_join_open(skip_v2)
 *   child:  cgroup_join_self()
 *
 * `sub` (NULL = the group itself) is what `exec --cgroup` takes,
 * [CONTROLLER[,CONTROLLER]:]PATH; more than one of them are separated by
 * newlines.  PATH is below the group and must exist.
 */
/* O_PATH directory in the unified tree (v2, and hybrid machines too) for CLONE_INTO_CGROUP; -ENOTSUP where
 * there is none. */
must_use int cgroup_open_dir(const struct cgroup *cg, const char *sub, struct err *err);
struct cgroup_join {
	size_t n;
	int fds[CG_V1_COUNT + 1]; /* close-on-exec; owned */
};
/* Opens what cgroup_join_self() writes to.  `skip_v2`: the process was or will be cloned into the unified
 * tree. */
must_use int cgroup_join_open(const struct cgroup *cg, const char *sub, bool skip_v2, struct cgroup_join *ret,
			      struct err *err);
/* Moves the calling process, which must have one thread.  Writes only: safe between fork and exec. */
must_use int cgroup_join_self(const struct cgroup_join *j, struct err *err);
void cgroup_join_close(struct cgroup_join *j);
/* Moves `pid` (with all its threads) into every hierarchy: slow, for processes that cannot do it themselves.
 */
must_use int cgroup_attach(const struct cgroup *cg, const char *sub, pid_t pid, bool skip_v2,
			   struct err *err);
/*
 * Moves `pid` into the unified group that `beside` is in: where a container has made sub-groups of its own,
 * the group itself takes no process (EBUSY), and a further one goes where its init is.  Where the caller may
 * not, since the kernel wants write access to what the two groups have in common, a user's manager does it.
 */
must_use int cgroup_attach_beside(const struct cgroup *cg, pid_t beside, pid_t pid, struct err *err);
/*
 * Gives the unified group (directory and the files of /sys/kernel/cgroup/delegate)
 * to `uid`, the host's number of the container's root: with a user and a
 * cgroup namespace and a writable cgroup mount the container manages it.
 */
must_use int cgroup_delegate(const struct cgroup *cg, uid_t uid, struct err *err);

/* v1 files or the v2 eBPF program; replaces the rules that were there. The runtime's defaults (null, zero, …)
 * are always allowed. */
must_use int cgroup_set_devices(const struct cgroup *cg, const struct oci_resources *r, bool rootless,
				struct err *err);
/* `update`: writes what is set in `r`, leaves the rest. */
must_use int cgroup_update(const struct cgroup *cg, const struct oci_resources *r, struct err *err);
must_use int cgroup_freeze(const struct cgroup *cg, bool frozen, struct err *err);
/* 1, 0 or -errno */
must_use int cgroup_is_frozen(const struct cgroup *cg, struct err *err);
/* Host pids in the group and below; the caller frees. */
must_use int cgroup_pids(const struct cgroup *cg, pid_t **ret, size_t *ret_n, struct err *err);
/* SIGKILL to everything in it, at once (cgroup.kill) or freeze-kill-thaw, until it is empty. */
must_use int cgroup_kill(const struct cgroup *cg, struct err *err);
must_use int cgroup_signal_all(const struct cgroup *cg, int sig, struct err *err);
/* Removes the directories (or stops the scope).  Missing is fine. */
must_use int cgroup_remove(const struct cgroup *cg, struct err *err);
/* Those of them that are empty, at once and without a word; not systemd's. */
void cgroup_remove_empty(const struct cgroup *cg);
bool cgroup_exists(const struct cgroup *cg);

/* How many times the kernel killed for want of memory; 0 where unknown. */
uint64_t cgroup_oom_kills(const struct cgroup *cg);
/*
 * A descriptor that polls readable (v1 eventfd) or with POLLPRI (v2) when the
 * group runs out of memory. The owner closes.  After each wake-up
 * cgroup_oom_seen() must be called, which arms it again.
 */
must_use int cgroup_oom_watch(const struct cgroup *cg, short *ret_poll_events, struct err *err);
/* 1: out of memory since the last call; 0: a false alarm; -ENODEV: the group is gone. */
must_use int cgroup_oom_seen(const struct cgroup *cg, int fd, uint64_t *kills_before);

struct cgroup_stats; /* host/cgroup_stats.h: everything that `events --stats` prints */
/* `ret` is owned by the caller: cgroup_stats_free(). */
must_use int cgroup_stats_read(const struct cgroup *cg, struct cgroup_stats *ret, struct err *err);

/* What the machine has: for `features`, `doctor` and tests. */
struct cgroup_machine {
	bool v1, v2, hybrid, systemd;
};
void cgroup_machine(struct cgroup_machine *ret);
/* The unified hierarchy alone; mostly answered by one or two system calls. */
bool cgroup_is_unified(void);

/* SPDX-License-Identifier: Apache-2.0 */
/* What the cgroup_*.c files share; nobody else includes it. */
#pragma once

#include "base/fd.h"
#include "base/str.h"
#include "host/cgroup.h"

#define CGROUP_TOP "/sys/fs/cgroup"

/* --- cgroup_files.c: the files of one group --- */

struct cgroup_dir {
	int fd;		  /* O_PATH directory */
	const char *path; /* for messages; borrowed */
};

static inline void cleanup_cgroup_dir(struct cgroup_dir *d)
{
	cleanup_close(&d->fd);
}
#define autodir __attribute__((cleanup(cleanup_cgroup_dir)))

must_use int cgroup_dir_open(const char *path, struct cgroup_dir *ret, struct err *err);
/* One write(2) of `text`.  The message has the value, the file and the reason. `file` is a plain name. */
must_use int cgroup_put(const struct cgroup_dir *d, const char *file, const char *text, struct err *err);
must_use int cgroup_put_i64(const struct cgroup_dir *d, const char *file, int64_t v, struct err *err);
must_use int cgroup_put_u64(const struct cgroup_dir *d, const char *file, uint64_t v, struct err *err);
/* The same without a message. */
must_use int cgroup_try_put(const struct cgroup_dir *d, const char *file, const char *text);
/* Whole file, NUL-terminated, a final newline cut off.  Returns its length or -errno. */
must_use int cgroup_get(const struct cgroup_dir *d, const char *file, char *buf, size_t size);
/* Whole file of any size; the caller frees. */
must_use int cgroup_get_all(const struct cgroup_dir *d, const char *file, char **ret);
/* A number; "max" is UINT64_MAX; negative ones are as the kernel means them: UINT64_MAX too. */
must_use int cgroup_get_u64(const struct cgroup_dir *d, const char *file, uint64_t *ret);
/* The number behind `key` in a file of "key value" lines; -ENODATA where the key is not there. */
must_use int cgroup_get_key(const struct cgroup_dir *d, const char *file, const char *key, uint64_t *ret);
bool cgroup_has_file(const struct cgroup_dir *d, const char *file);
/* True where the space-separated `list` has `word`. */
bool cgroup_list_has(const char *list, const char *word);
/* Cuts *s at the next newline (or other separator); NULL at the end.  Steps *s on. */
char *cgroup_next(char **s, char sep);
/* Monotonic time, and a pause that may be cut short. */
int64_t cgroup_now_us(void);
void cgroup_pause_us(int64_t us);
bool cgroup_is_denied(int code); /* EPERM, EACCES, EROFS: what a rootless caller may meet */

/* --- cgroup_mounts.c: which hierarchies the machine has --- */

struct cgroup_mounts {
	bool v2;		    /* the unified hierarchy alone */
	char *v2_root;		    /* mount point; NULL = none */
	char *v1_root[CG_V1_COUNT]; /* mount points; NULL = not mounted */
	char *v1_base[CG_V1_COUNT]; /* which group the mount shows as its root; NULL = "/" or not looked up */
};
must_use int cgroup_mounts_find(struct cgroup_mounts *ret, struct err *err);
/* Fills in v1_base from mountinfo. */
must_use int cgroup_mounts_bases(struct cgroup_mounts *m, struct err *err);
void cgroup_mounts_free(struct cgroup_mounts *m);
/* "cpu", … and "systemd": the usual directory below /sys/fs/cgroup. */
const char *cgroup_v1_dirname(enum cgroup_v1 c);
/* How many bytes of cg->v2_dir are the mount point. */
size_t cgroup_v2_root_len(const struct cgroup *cg);

/* --- cgroup_own.c: /proc/PID/cgroup --- */

struct cgroup_own {
	char *v2;
	char *v1[CG_V1_COUNT];
};
must_use int cgroup_own_read(pid_t pid, struct cgroup_own *ret, struct err *err);
void cgroup_own_free(struct cgroup_own *o);
/* Go's path cleaning: an absolute result with neither "." nor ".." nor double slashes; the caller frees. */
must_use char *cgroup_clean_path(const char *path);

/* --- cgroup_tree.c: groups below groups --- */

/* Called on every group of the tree, parents first. */
typedef int (*cgroup_visit)(const struct cgroup_dir *d, void *data);
/* -ENOENT where the top is not there; groups that vanish on the way are skipped. */
must_use int cgroup_walk(const char *top, cgroup_visit visit, void *data);
/* rmdir with everything below, waiting a bounded time for what is still dying. Missing is fine. */
must_use int cgroup_remove_tree(const char *top, int wait_ms, struct err *err);
/* The hierarchy whose cgroup.procs lists the container's processes. */
const char *cgroup_procs_dir(const struct cgroup *cg);

/* --- limits --- */

/* By the version of `cg`. */
must_use int cgroup_limits_write(const struct cgroup *cg, const struct oci_resources *r, struct err *err);
must_use int cgroup_limits_v1(const struct cgroup *cg, const struct oci_resources *r, struct err *err);
must_use int cgroup_limits_v2(const struct cgroup *cg, const struct oci_resources *r, struct err *err);
must_use int cgroup_v1_cpuset_inherit(const struct cgroup *cg, const struct oci_resources *r,
				      struct err *err);
must_use int cgroup_put_rdma(const struct cgroup_dir *d, const struct oci_resources *r, struct err *err);
/* "MAJOR:MINOR KEY=RATE" or, without a key, "MAJOR:MINOR RATE" for each entry. */
must_use int cgroup_put_throttle(const struct cgroup_dir *d, const char *file, const char *key,
				 const throttle_list *l, struct err *err);
/* "hugetlb.<size><suffix>" and its reservation for each page size. */
must_use int cgroup_put_hugetlb(const struct cgroup_dir *d, const char *suffix, const struct oci_resources *r,
				struct err *err);
must_use int cgroup_memory_check(const struct cgroup_dir *d, const char *file, const struct oci_memory *m,
				 struct err *err);
must_use int cgroup_put_pids(const struct cgroup_dir *d, int64_t limit, struct err *err);

/* Which controllers of cgroup v2 the limits need, as bits. */
enum {
	CGROUP_NEED_CPU = 1 << 0,
	CGROUP_NEED_CPUSET = 1 << 1,
	CGROUP_NEED_MEMORY = 1 << 2,
	CGROUP_NEED_IO = 1 << 3,
	CGROUP_NEED_PIDS = 1 << 4,
	CGROUP_NEED_HUGETLB = 1 << 5,
	CGROUP_NEED_RDMA = 1 << 6,
	CGROUP_NEED_OTHER = 1 << 7, /* `unified`: whatever it names */
};
unsigned cgroup_limits_need(const struct oci_resources *r);

/* cpu.shares (2..262144) as cpu.weight (1..10000); 0 is "unset" in both. */
uint64_t cgroup_shares_to_weight(uint64_t shares);
uint64_t cgroup_blkio_to_io_weight(uint64_t weight);
/* memory+swap to swap alone, with runc's rules and texts; *ret is -1 for "max" and 0 for "unset" unless
 * *ret_set. */
must_use int cgroup_swap_v2(const struct oci_memory *m, bool *ret_set, int64_t *ret, struct err *err);

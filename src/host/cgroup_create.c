/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  The usual case is one mkdir for each hierarchy,
 * whose parent is there.  Where it is not, parents are made on the way, and
 * all that was made is counted, so that a failure at any step takes it away
 * again.
 *
 * On v2 a controller works in a group only when each group above has it in
 * cgroup.subtree_control.  The new group's own cgroup.controllers tells in
 * one read whether that is so; only where something lacks, the path is walked
 * from the top, and each level gets what it has and does not hand down.
 */
#include "host/cgroup_int.h"
#include "host/systemd.h"

#include <sys/socket.h>
#include <sys/stat.h>

struct made {
	const char *dir[CG_V1_COUNT + 1];
	unsigned levels[CG_V1_COUNT + 1]; /* directories made at the end of dir */
	size_t n;
	bool scope;    /* systemd's unit was started */
	bool promised; /* directories that are there are ours */
};

static const char *const controllers[] = {"cpu", "cpuset", "memory", "io", "pids", "hugetlb", "rdma"};

/* --- directories --- */

static int make_parents(const char *dir, unsigned *levels)
{
	autofree char *p = strdup(dir);
	unsigned made = 0;

	if (!p)
		return -ENOMEM;
	for (char *s = p + 1;; s++) {
		if (*s && *s != '/')
			continue;
		char kept = *s;
		*s = '\0';
		int r = mkdir(p, 0755) == 0 ? 0 : -errno;
		*s = kept;
		made = r == 0 ? made + 1 : 0;
		*levels = made;
		if ((r < 0 && r != -EEXIST) || !kept)
			return r;
	}
}

/* 0 made, -EEXIST, or another error. *levels counts what was made, also on failure. */
static int make_group_dir(const char *dir, unsigned *levels)
{
	int r = -ENOENT;

	*levels = 0;
	/* Another container's end may take a parent away between two steps. */
	for (int tries = 0; r == -ENOENT && tries < 4; tries++) {
		if (mkdir(dir, 0755) == 0) {
			*levels = MAX_OF(*levels, 1U);
			return 0;
		}
		r = -errno;
		if (r == -ENOENT)
			r = make_parents(dir, levels);
	}
	return r;
}

static void note(struct made *m, const char *dir, unsigned levels)
{
	if (levels == 0)
		return;
	m->dir[m->n] = dir;
	m->levels[m->n++] = levels;
}

static void unmake(struct made *m, const struct cgroup *cg)
{
	struct err ignored = {0};

	if (m->scope)
		ignore_result(systemd_stop(cg, &ignored)); /* the error that led here is the one to tell */
	while (m->n > 0) {
		m->n--;
		autofree char *p = strdup(m->dir[m->n]);
		for (unsigned i = m->levels[m->n]; p && i > 0; i--) {
			char *slash = strrchr(p, '/');
			if (rmdir(p) < 0 || !slash)
				break;
			*slash = '\0';
		}
	}
}

/* A group that was there before may hold no process and must not be frozen. */
static int check_vacant(const char *dir, struct err *err)
{
	struct cgroup one = {.v2 = true, .v2_dir = (char *)dir};
	autofree pid_t *pids = NULL;
	autodir struct cgroup_dir d = {.fd = -1};
	char state[16];
	size_t n;
	int r = cgroup_pids(&one, &pids, &n, err);

	if (r < 0)
		return r;
	if (n > 0)
		return err_set(err, EBUSY, "container's cgroup is not empty: %zu process(es) found", n);
	r = cgroup_dir_open(dir, &d, err);
	if (r < 0)
		return r;
	if ((cgroup_get(&d, "freezer.state", state, sizeof(state)) > 0 && !streq(state, "THAWED")) ||
	    (cgroup_get(&d, "cgroup.freeze", state, sizeof(state)) > 0 && streq(state, "1")))
		return err_set(err, EBUSY, "container's cgroup unexpectedly frozen");
	return 0;
}

static int make_group(const char *dir, bool by_systemd, struct made *m, struct err *err)
{
	char text[64];
	unsigned levels;
	int r = make_group_dir(dir, &levels);

	note(m, dir, levels);
	if (r == -EEXIST && m->promised) {
		note(m, dir, 1);
		return 0;
	}
	if (r == -EEXIST)
		return by_systemd ? 0 : check_vacant(dir, err);
	if (r < 0)
		return err_set(err, -r, "unable to apply cgroup configuration: mkdir %s: %s", dir,
			       err_text_lower(-r, text));
	return 0;
}

/* --- v2 --- */

static bool has_all(const char *list, unsigned need)
{
	/* What runc enables wherever it can: limits may come later by `update`, and `stats` reads them. */
	need |= CGROUP_NEED_CPU | CGROUP_NEED_CPUSET | CGROUP_NEED_MEMORY | CGROUP_NEED_IO | CGROUP_NEED_PIDS;
	for (size_t i = 0; i < ARRAY_LEN(controllers); i++)
		if (need & 1U << i && !cgroup_list_has(list, controllers[i]))
			return false;
	return true;
}

/* Best effort: what cannot be enabled shows when a limit that needs it is written. */
static void enable_controllers(const struct cgroup_dir *d)
{
	char have[512], on[512];
	struct str all autostr = {0};
	char *s = have, *word;

	if (cgroup_get(d, "cgroup.controllers", have, sizeof(have)) <= 0 ||
	    cgroup_get(d, "cgroup.subtree_control", on, sizeof(on)) < 0)
		return;
	while ((word = cgroup_next(&s, ' ')))
		if (!cgroup_list_has(on, word))
			str_putf(&all, "%s+%s", all.len ? " " : "", word);
	if (!all.len || all.failed || cgroup_try_put(d, "cgroup.subtree_control", all.s) == 0)
		return;
	for (s = all.s; (word = cgroup_next(&s, ' '));)
		ignore_result(cgroup_try_put(d, "cgroup.subtree_control",
					     word)); /* one that fails must not keep the rest */
}

/* In a threaded subtree only some controllers work. */
static int check_type(const struct cgroup_dir *d, unsigned need, struct err *err)
{
	unsigned domain = CGROUP_NEED_MEMORY | CGROUP_NEED_IO | CGROUP_NEED_CPU | CGROUP_NEED_HUGETLB;
	char type[32];

	if (cgroup_get(d, "cgroup.type", type, sizeof(type)) < 0 || streq(type, "domain"))
		return 0;
	if (need & domain) {
		if (streq(type, "domain invalid"))
			return err_set(
				err, ENOTSUP,
				"cannot enter cgroupv2 \"%s\" with domain controllers -- it is in an invalid "
				"state",
				d->path);
		return err_set(err, ENOTSUP,
			       "cannot enter cgroupv2 \"%s\" with domain controllers -- it is in %s mode",
			       d->path, type);
	}
	if (streq(type, "domain invalid"))
		ignore_result(cgroup_try_put(d, "cgroup.type", "threaded")); /* attaching will tell */
	return 0;
}

/* Opens one level after the other from the mount point down, enabling on the way. */
static int walk_v2(const struct cgroup *cg, unsigned need, struct err *err)
{
	size_t root = cgroup_v2_root_len(cg);
	autofree char *p = strdup(cg->v2_dir);

	if (!p)
		return err_oom(err);
	for (char *s = p + root;; s++) {
		if (*s && *s != '/')
			continue;
		char kept = *s;
		*s = '\0';
		autodir struct cgroup_dir d = {.fd = -1};
		int r = cgroup_dir_open(p, &d, err);
		if (r == 0 && s > p + root)
			r = check_type(&d, need, err);
		if (r < 0 || !kept)
			return r;
		enable_controllers(&d);
		*s = kept;
	}
}

static int create_v2(struct cgroup *cg, unsigned need, struct made *m, struct err *err)
{
	autodir struct cgroup_dir d = {.fd = -1};
	char have[512];
	int r = make_group(cg->v2_dir, cg->systemd, m, err);

	if (r == 0)
		r = cgroup_dir_open(cg->v2_dir, &d, err);
	if (r < 0)
		return r;
	if (cgroup_get(&d, "cgroup.controllers", have, sizeof(have)) >= 0 && has_all(have, need))
		return 0;
	return walk_v2(cg, need, err);
}

/* --- v1 and hybrid --- */

static int drop_dir(char **dir)
{
	free(*dir);
	*dir = NULL;
	return 0;
}

static int create_v1(struct cgroup *cg, const struct cgroup_request *q, struct made *m, struct err *err)
{
	bool lenient = q->rootless && (!q->cgroups_path || !*q->cgroups_path);
	bool any = false;

	for (int c = 0; c <= CG_V1_COUNT; c++) {
		char **dir = c < CG_V1_COUNT ? &cg->v1_dir[c] : &cg->v2_dir;
		if (!*dir)
			continue;
		int r = make_group(*dir, cg->systemd, m, err);
		if (r < 0 && lenient && cgroup_is_denied(r))
			r = drop_dir(dir);
		if (r < 0)
			return r;
		any |= *dir != NULL;
	}
	cg->none = !any;
	return 0;
}

static int create_dirs(struct cgroup *cg, unsigned need, const struct cgroup_request *q, struct made *m,
		       struct err *err)
{
	if (!cg->v2)
		return create_v1(cg, q, m, err);
	int r = create_v2(cg, need, m, err);
	if (r == 0 || !q->rootless || (q->cgroups_path && *q->cgroups_path) || !cgroup_is_denied(r))
		return r;
	if (need)
		return err_prefix(
			err, "rootless needs no limits + no cgrouppath when no permission is granted for "
			     "cgroups");
	cg->none = true;
	return 0;
}

/* On a hybrid machine these may be left to the unified tree. */
static bool needs_unified(const struct cgroup *cg, unsigned need)
{
	return !cg->v2 && cg->v2_dir &&
	       ((need & CGROUP_NEED_HUGETLB && !cg->v1_dir[CG_HUGETLB]) ||
		(need & CGROUP_NEED_RDMA && !cg->v1_dir[CG_RDMA]));
}

static int create_group(struct cgroup *cg, const struct oci_resources *r, const struct cgroup_request *q,
			pid_t first, struct made *m, struct err *err)
{
	unsigned need = cgroup_limits_need(r);
	int ret = 0;
	char word;

	m->promised = q->promise > 0 && recv(q->promise, &word, 1, 0) == 1;
	if (cg->systemd) {
		const char *dir = cgroup_procs_dir(cg);
		if (dir && access(dir, F_OK) == 0)
			ret = check_vacant(dir, err);
		if (ret == 0)
			ret = systemd_start(cg, r, q, first, err);
		if (ret < 0)
			return ret;
		m->scope = true;
	}
	ret = create_dirs(cg, need, q, m, err);
	if (ret < 0 || (cg->v2 && cg->none))
		return ret;
	if (!cg->v2)
		ret = cgroup_v1_cpuset_inherit(cg, r, err);
	if (ret == 0 && needs_unified(cg, need))
		ret = walk_v2(cg, need, err);
	return ret < 0 ? ret : cgroup_limits_write(cg, r, err);
}

int cgroup_create(struct cgroup *cg, const struct oci_resources *r, const struct cgroup_request *q,
		  pid_t first, struct err *err)
{
	static const struct oci_resources no_limits;
	struct made m = {0};

	if (cg->none) {
		if (r && cgroup_limits_need(r))
			return err_set(err, EPERM, "cannot set limits: no cgroup is mounted");
		return 0;
	}
	int ret = create_group(cg, r ? r : &no_limits, q, first, &m, err);
	if (ret < 0) {
		unmake(&m, cg);
		cg->none = true; /* a later cgroup_remove() must not touch a group that is somebody else's */
	}
	return ret;
}

void cgroup_make_dirs(const struct cgroup *cg, int promise)
{
	struct made m = {0};
	bool all = true;

	for (int c = 0; all && c <= CG_V1_COUNT; c++) {
		const char *dir = c < CG_V1_COUNT ? cg->v1_dir[c] : cg->v2_dir;
		unsigned levels;
		if (!dir)
			continue;
		all = make_group_dir(dir, &levels) == 0;
		note(&m, dir, levels);
	}
	if (all)
		ignore_result(send(promise, "", 1, MSG_NOSIGNAL) <
			      0); /* nobody waits: somebody undoes it all */
	else
		unmake(&m, cg);
}

/* --- delegation --- */

int cgroup_delegate(const struct cgroup *cg, uid_t uid, struct err *err)
{
	char files[1024] = "cgroup.procs\ncgroup.threads\ncgroup.subtree_control";
	autodir struct cgroup_dir d = {.fd = -1};
	autoclose int fd = -1;
	char *s = files, *name;

	/* A v1 hierarchy is no place to let a container write. */
	if (cg->none || !cg->v2)
		return 0;
	int r = cgroup_dir_open(cg->v2_dir, &d, err);
	if (r < 0)
		return r;
	fd = open("/sys/kernel/cgroup/delegate", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t n = fd_read_full(fd, files, sizeof(files) - 1);
		if (n > 0)
			files[n] = '\0';
	}
	if (fchownat(d.fd, "", uid, (gid_t)-1, AT_EMPTY_PATH) < 0)
		return err_sys(err, "cannot give \"%s\" to user %u", cg->v2_dir, uid);
	while ((name = cgroup_next(&s, '\n')))
		if (!strchr(name, '/') && fchownat(d.fd, name, uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0 &&
		    errno != ENOENT)
			return err_sys(err, "cannot give \"%s/%s\" to user %u", cg->v2_dir, name, uid);
	return 0;
}

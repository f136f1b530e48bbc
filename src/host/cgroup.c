/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  cgroup_plan() turns config.json's cgroupsPath into
 * one directory for each hierarchy of the machine, by runc's rules, so that
 * a client that looks for its containers' groups finds them:
 *
 *   v1, absolute   MOUNT/PATH             v2, absolute   MOUNT/PATH
 *   v1, relative   MOUNT/OWN/PATH         v2, relative   MOUNT/dirname(OWN)/PATH
 *   none           as relative, PATH = id
 *   systemd        SLICE:PREFIX:NAME  ->  MOUNT/expanded SLICE/PREFIX-NAME.scope
 *
 * OWN is the group that the caller is in.  (On v2 a group that has processes
 * can have no sub-groups with controllers, therefore the neighbour.)  Every
 * PATH is cleaned first: ".." never leads out of the mount.
 */
#include "host/cgroup_int.h"
#include "host/systemd.h"

#include <libgen.h>

void cgroup_free(struct cgroup *cg)
{
	free(cg->path);
	free(cg->v2_dir);
	for (int c = 0; c < CG_V1_COUNT; c++)
		free(cg->v1_dir[c]);
	free(cg->slice);
	free(cg->scope);
	*cg = (struct cgroup){0};
}

/* "/" + "/a" is "/a"; the parts are clean and absolute. */
static char *join(const char *a, const char *b)
{
	if (streq(b, "/"))
		return strdup(a);
	return str_format("%s%s", streq(a, "/") ? "" : a, b);
}

/* --- systemd's names --- */

/* "a-b.slice" is "/a.slice/a-b.slice"; "-.slice" is "/". */
static int expand_slice(const char *slice, char **ret, struct err *err)
{
	size_t len = strlen(slice), stem = len - strlen(".slice");
	struct str b autostr = {0};

	if (!str_ends(slice, ".slice") || stem == 0 || strchr(slice, '/'))
		return err_set(err, EINVAL, "invalid slice name: %s", slice);
	if (stem == 1 && *slice == '-') {
		*ret = strdup("/");
		return *ret ? 0 : err_oom(err);
	}
	for (size_t i = 0; i <= stem; i++) {
		if (i < stem && slice[i] != '-')
			continue;
		if (i == 0 || slice[i - 1] == '-')
			return err_set(err, EINVAL, "invalid slice name: %s", slice);
		str_put(&b, "/");
		str_put_n(&b, slice, i);
		str_put(&b, ".slice");
	}
	*ret = str_take(&b);
	return *ret ? 0 : err_oom(err);
}

/* Splits "slice:prefix:name"; the parts are owned by the caller. */
static int split_systemd_path(const char *path, char *ret[static 3], struct err *err)
{
	const char *a = strchr(path, ':'), *b = a ? strchr(a + 1, ':') : NULL;

	if (!b || strchr(b + 1, ':'))
		return err_set(
			err, EINVAL,
			"expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got "
			"\"%s\" instead",
			path);
	ret[0] = strndup(path, (size_t)(a - path));
	ret[1] = strndup(a + 1, (size_t)(b - a - 1));
	ret[2] = strdup(b + 1);
	return ret[0] && ret[1] && ret[2] ? 0 : err_oom(err);
}

/* What systemd allows in names, so that no name can be more than that in a request to it. */
static bool is_unit_name(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len <= NAME_MAX &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@") == len;
}

static int name_unit(const struct cgroup_request *q, struct cgroup *cg, struct err *err)
{
	autofree char *slice = NULL, *prefix = NULL, *name = NULL;

	if (q->cgroups_path && *q->cgroups_path) {
		char *part[3] = {0};
		int r = split_systemd_path(q->cgroups_path, part, err);
		slice = part[0];
		prefix = part[1];
		name = part[2];
		if (r < 0)
			return r;
	} else {
		prefix = strdup("runc");
		name = strdup(q->id);
		if (!prefix || !name)
			return err_oom(err);
	}
	cg->slice = strdup(slice && *slice ? slice : q->rootless ? "user.slice" : "system.slice");
	cg->scope = str_ends(name, ".slice") ? strdup(name) : str_format("%s-%s.scope", prefix, name);
	if (!cg->slice || !cg->scope)
		return err_oom(err);
	if (!is_unit_name(cg->scope))
		return err_set(err, EINVAL, "invalid systemd unit name: %s", cg->scope);
	if (!is_unit_name(cg->slice))
		return err_set(err, EINVAL, "invalid slice name: %s", cg->slice);
	return 0;
}

/* cg->path for the systemd driver. */
static int plan_systemd(const struct cgroup_request *q, struct cgroup *cg, struct err *err)
{
	autofree char *slice = NULL, *manager = NULL, *full = NULL;
	int r;

	if (access("/run/systemd/system", F_OK) < 0)
		return err_set(err, EINVAL,
			       "systemd not running on this host, cannot use systemd cgroups manager");
	if (q->rootless && !cg->v2)
		return err_set(err, EINVAL, "cannot use rootless systemd cgroups manager on cgroup v1");
	cg->systemd = true;
	cg->user_manager = q->rootless;
	r = name_unit(q, cg, err);
	if (r == 0)
		r = expand_slice(cg->slice, &slice, err);
	/* The user's manager has its own place in the tree: ".../user@1000.service". */
	if (r == 0 && q->rootless)
		r = systemd_user_group(&manager, err);
	if (r < 0)
		return r;
	full = str_format("%s%s/%s", manager ? manager : "", streq(slice, "/") ? "" : slice, cg->scope);
	cg->path = full ? cgroup_clean_path(full) : NULL;
	return cg->path ? 0 : err_oom(err);
}

/* --- directories --- */

static bool is_there(const char *root, const char *own)
{
	autofree char *dir = join(root, own);

	return dir && access(dir, F_OK) == 0;
}

/* The caller's own group as it is seen below the mount of `c`. */
static int own_v1(struct cgroup_mounts *m, const struct cgroup_own *own, int c, char **ret, struct err *err)
{
	autofree char *clean = cgroup_clean_path(own->v1[c] ? own->v1[c] : "/");

	if (!clean)
		return err_oom(err);
	/*
	 * In a container without a cgroup namespace the mount shows a part of
	 * the host's tree as its root, but /proc has the host's paths.
	 */
	if (!streq(clean, "/") && !is_there(m->v1_root[c], clean)) {
		int r = m->v1_base[c] ? 0 : cgroup_mounts_bases(m, err);
		if (r < 0)
			return r;
		const char *base = m->v1_base[c];
		size_t len = base ? strlen(base) : 0;
		if (len > 1 && strncmp(clean, base, len) == 0 && (clean[len] == '/' || !clean[len])) {
			*ret = strdup(clean[len] ? clean + len : "/");
			return *ret ? 0 : err_oom(err);
		}
	}
	*ret = take_ptr(&clean);
	return 0;
}

static int plan_v1(struct cgroup_mounts *m, const char *inner, bool relative, struct cgroup *cg,
		   struct err *err)
{
	struct cgroup_own own = {0};
	int r = relative ? cgroup_own_read(0, &own, err) : 0;

	for (int c = 0; c < CG_V1_COUNT && r == 0; c++) {
		autofree char *base = NULL, *below = NULL;
		if (!m->v1_root[c])
			continue;
		if (relative)
			r = own_v1(m, &own, c, &base, err);
		if (r < 0)
			break;
		below = base ? join(base, inner) : strdup(inner);
		cg->v1_dir[c] = below ? join(m->v1_root[c], below) : NULL;
		if (!cg->v1_dir[c])
			r = err_oom(err);
		else if (c == CG_DEVICES)
			cg->path = take_ptr(&below);
	}
	cgroup_own_free(&own);
	if (r < 0)
		return r;
	if (!cg->path)
		cg->path = strdup(inner);
	if (m->v2_root)
		cg->v2_dir = join(m->v2_root, inner);
	return cg->path && (cg->v2_dir || !m->v2_root) ? 0 : err_oom(err);
}

static int plan_v2(const struct cgroup_mounts *m, const char *inner, bool relative, struct cgroup *cg,
		   struct err *err)
{
	if (relative) {
		struct cgroup_own own;
		int r = cgroup_own_read(0, &own, err);
		if (r < 0)
			return r;
		autofree char *clean = own.v2 ? cgroup_clean_path(own.v2) : NULL;
		cgroup_own_free(&own);
		if (!clean)
			return err_set(err, ENOENT, "cgroup path not found");
		cg->path = join(dirname(clean), inner);
	} else {
		cg->path = strdup(inner);
	}
	cg->v2_dir = cg->path ? join(m->v2_root, cg->path) : NULL;
	return cg->v2_dir ? 0 : err_oom(err);
}

static int plan(const struct cgroup_request *q, struct cgroup_mounts *m, struct cgroup *cg, struct err *err)
{
	const char *given = q->cgroups_path && *q->cgroups_path ? q->cgroups_path : NULL;
	autofree char *inner = NULL;
	bool relative = false;

	cg->v2 = m->v2;
	if (q->systemd) {
		int r = plan_systemd(q, cg, err);
		if (r < 0)
			return r;
		inner = take_ptr(&cg->path);
	} else {
		relative = !given || *given != '/';
		inner = cgroup_clean_path(given ? given : q->id);
		if (!inner)
			return err_oom(err);
		/* Limits for, and in the end the removal of, what is not the container's alone. */
		if (streq(inner, "/"))
			return err_set(err, EINVAL, "cgroupsPath \"%s\" is the root of the cgroup tree",
				       given);
	}
	if (m->v2)
		return plan_v2(m, inner, relative, cg, err);
	/* Without this one a container would reach every device of the host. */
	if (!m->v1_root[CG_DEVICES] && !q->rootless)
		return err_set(err, ENOENT, "mountpoint for devices not found");
	return plan_v1(m, inner, relative, cg, err);
}

int cgroup_plan(const struct cgroup_request *q, struct cgroup *ret, struct err *err)
{
	struct cgroup_mounts m;
	struct cgroup cg = {0};
	int r = cgroup_mounts_find(&m, err);

	if (r < 0)
		return r;
	r = plan(q, &m, &cg, err);
	cgroup_mounts_free(&m);
	if (r < 0) {
		cgroup_free(&cg);
		return r;
	}
	if (!cg.v2_dir && !cgroup_procs_dir(&cg))
		cg.none = true; /* rootless, and no hierarchy is mounted at all */
	*ret = cg;
	return 0;
}

bool cgroup_exists(const struct cgroup *cg)
{
	const char *dir = cgroup_procs_dir(cg);

	return dir && access(dir, F_OK) == 0;
}

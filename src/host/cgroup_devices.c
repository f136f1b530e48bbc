/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which devices a container may use.  On v1 only what changes is written, so
 * that an `update` does not shut a running container off from /dev/null for
 * a moment.
 */
#include "host/cgroup_device.h"

#include "base/file.h"

/* A rule is a write; its file is opened once for all of them. */
struct rule_files {
	const struct cgroup_dir *dir;
	int fd[2]; /* devices.deny, devices.allow; -1 = not opened yet */
};

static int put_device_text(struct rule_files *f, bool allow, const char *text, struct err *err)
{
	const char *name = allow ? "devices.allow" : "devices.deny";
	char reason[64];
	int *fd = &f->fd[allow];

	if (*fd < 0)
		*fd = openat(f->dir->fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	int r = *fd < 0 ? -errno : fd_write_all(*fd, text, strlen(text));
	return r < 0 ? err_set(err, -r, "failed to write \"%s\": write %s/%s: %s", text, f->dir->path, name,
			       err_text_lower(-r, reason))
		     : 0;
}

static int put_rule(struct rule_files *f, const struct device_rule *rule, unsigned access, bool allow,
		    struct err *err)
{
	struct device_rule part = *rule;
	char text[64];

	if (!access)
		return 0;
	part.access = access;
	device_rule_text(&part, text);
	return put_device_text(f, allow, text, err);
}

static int transition(struct rule_files *d, const struct device_state *from, const struct device_state *to,
		      struct err *err)
{
	static const struct device_state nothing;
	int r = 0;

	/* Nobody can tell what an allowing group excepts: begin anew. */
	if (from->allow || from->allow != to->allow) {
		r = put_device_text(d, to->allow, "a", err);
		from = &nothing;
	}
	for (size_t i = 0; i < from->but.n && r == 0; i++) {
		const struct device_rule *x = &from->but.v[i];
		r = put_rule(d, x, x->access & ~device_state_access(to, x), to->allow, err);
	}
	for (size_t i = 0; i < to->but.n && r == 0; i++) {
		const struct device_rule *x = &to->but.v[i];
		r = put_rule(d, x, x->access & ~device_state_access(from, x), !to->allow, err);
	}
	return r;
}

static int set_v1(const char *dir, const device_rule_list *rules, struct err *err)
{
	autodir struct cgroup_dir d = {.fd = -1};
	struct device_state now = {0}, target = {0};
	autofree char *list = NULL;
	int r = device_state_of(rules, &target, err);

	if (r == 0)
		r = cgroup_dir_open(dir, &d, err);
	if (r == 0) {
		r = cgroup_get_all(&d, "devices.list", &list);
		r = r < 0 ? err_num(err, r, "cannot read \"%s/devices.list\"", dir)
			  : device_state_read(list, &now, err);
	}
	struct rule_files files = {.dir = &d, .fd = {-1, -1}};
	if (r == 0)
		r = transition(&files, &now, &target, err);
	fd_drop(&files.fd[0]);
	fd_drop(&files.fd[1]);
	device_state_free(&now);
	device_state_free(&target);
	return r;
}

static int set_v2(const char *dir, const device_rule_list *rules, struct err *err)
{
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return err_sys(err, "cannot open \"%s\"", dir);
	return device_bpf_attach(fd, rules, err);
}

static bool has_mapped_users(void)
{
	autofree char *map = NULL;
	unsigned inside, outside, count;
	size_t len;

	if (file_read_at(AT_FDCWD, "/proc/self/uid_map", 4096, &map, &len) < 0)
		return false;
	return sscanf(map, "%u %u %u", &inside, &outside, &count) != 3 || inside != 0 || outside != 0 ||
	       count != UINT32_MAX;
}

int cgroup_set_devices(const struct cgroup *cg, const struct oci_resources *r, bool rootless, struct err *err)
{
	device_rule_list rules = {0};
	int ret;

	if (cg->none)
		return 0;
	ret = device_rules_make(r, &rules, err);
	if (ret < 0)
		return ret;
	autofree void *owned = rules.v;
	if (!cg->v2 && !cg->v1_dir[CG_DEVICES])
		return rootless ? 0 : err_set(err, ENOENT, "cgroup: subsystem does not exist");
	ret = cg->v2 ? set_v2(cg->v2_dir, &rules, err) : set_v1(cg->v1_dir[CG_DEVICES], &rules, err);
	/*
	 * In a user namespace the kernel lets nobody make device nodes, and
	 * nobody set these rules.
	 */
	if (ret < 0 && (rootless || has_mapped_users()))
		return 0;
	return ret;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "isolate/kernel/kernel.h"

#include "base/str.h"
#include "host/userns.h"
#include "wire/sentry.h"

/* Filled in by the sentry; the host's own would show it, and what surrounds it, to the guest. */
static bool is_synthetic(const struct oci_mount *m)
{
	static const char *const types[] = {"proc", "procfs", "sysfs", "cgroup", "cgroup2"};

	for (size_t i = 0; m->type && i < ARRAY_LEN(types); i++)
		if (streq(m->type, types[i]))
			return true;
	return false;
}

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static bool below_synthetic(const struct oci_config *config, const char *path)
{
	for (size_t i = 0; i < config->mounts.n; i++)
		if (is_synthetic(&config->mounts.v[i]) && is_below(path, config->mounts.v[i].destination))
			return true;
	return false;
}

static int keep_paths(const struct oci_config *config, const str_list *all, const char ***owned,
		      str_list *ret, struct err *err)
{
	const char **v = calloc(all->n + 1, sizeof(*v));

	if (!v)
		return err_oom(err);
	*owned = v;
	*ret = (str_list){.v = v};
	for (size_t i = 0; i < all->n; i++)
		if (!below_synthetic(config, all->v[i]))
			v[ret->n++] = all->v[i];
	return 0;
}

static int plan_mounts(const struct oci_config *config, struct kernel_plan *p, struct err *err)
{
	static const char *options[] = {"ro",	    "nosuid",  "nodev",	     "noexec",
					"mode=555", "size=4k", "nr_inodes=2"};
	size_t n = 0;

	p->mounts = calloc(config->mounts.n + 1, sizeof(*p->mounts));
	if (!p->mounts)
		return err_oom(err);
	for (size_t i = 0; i < config->mounts.n; i++) {
		struct oci_mount m = config->mounts.v[i];
		bool inside = false;

		/* A mount within a synthetic tree would have nowhere to be. */
		for (size_t k = 0; k < i && !inside; k++)
			inside = is_synthetic(&config->mounts.v[k]) &&
				 is_below(m.destination, config->mounts.v[k].destination);
		if (inside)
			continue;
		if (is_synthetic(&m))
			m = (struct oci_mount){.destination = m.destination,
					       .type = "tmpfs",
					       .source = "tmpfs",
					       .options = {.v = options, .n = ARRAY_LEN(options)}};
		p->mounts[n++] = m;
	}
	p->config.mounts.v = p->mounts;
	p->config.mounts.n = n;
	return 0;
}

void kernel_plan_process(const struct oci_process *process, struct oci_process *ret)
{
	/* SYS_ADMIN, SYS_CHROOT: to set itself up; it drops them before the first guest's instruction. */
	static const char *caps[] = {
		"CAP_CHOWN",	 "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH",
		"CAP_FOWNER",	 "CAP_FSETID",	     "CAP_KILL",
		"CAP_SETGID",	 "CAP_SETUID",	     "CAP_SETPCAP",
		"CAP_SETFCAP",	 "CAP_MKNOD",	     "CAP_SYS_CHROOT",
		"CAP_SYS_ADMIN", "CAP_SYS_PTRACE",   "CAP_NET_BIND_SERVICE",
		"CAP_NET_RAW",
	};
	const str_list all = {.v = caps, .n = ARRAY_LEN(caps)};

	*ret = *process;
	ret->user = (struct oci_user){.umask = process->user.umask};
	ret->caps = (struct oci_capabilities){
		.set = true, .bounding = all, .effective = all, .permitted = all, .inheritable = {0}};
	ret->rlimits.n = 0;
	ret->no_new_privileges = false;
	ret->apparmor_profile = NULL;
	ret->selinux_label = NULL;
}

void kernel_plan_pids(struct opt_i64 *limit)
{
	if (limit->set && limit->v > 0 && limit->v < INT64_MAX - (int64_t)sentry_own_tasks())
		limit->v += (int64_t)sentry_own_tasks();
}

static int check(const struct oci_config *config, struct err *err)
{
	const struct oci_linux *linux = &config->linux;
	uint32_t host;

	/* The sentry's "/" must hold nothing but the container. */
	if (!linux->ns[OCI_NS_MOUNT].wanted)
		return err_set(
			err, EINVAL,
			"isolation level \"kernel\" needs a mount namespace: linux.namespaces has none");
	if (config->process && linux->uid_mappings.n &&
	    userns_host_id(&linux->uid_mappings, config->process->user.uid, &host) < 0)
		return err_set(err, EINVAL, "cannot set uid to unmapped user %u in user namespace",
			       config->process->user.uid);
	return 0;
}

int kernel_plan(const struct oci_config *config, struct kernel_plan *p, struct err *err)
{
	int r = check(config, err);

	if (r < 0)
		return r;
	p->config = *config;
	if (config->process) {
		kernel_plan_process(config->process, &p->process);
		p->config.process = &p->process;
	}
	p->config.linux.seccomp = NULL;
	kernel_plan_pids(&p->config.linux.resources.pids_limit);
	r = plan_mounts(config, p, err);
	if (r == 0)
		r = keep_paths(config, &config->linux.masked_paths, &p->masked, &p->config.linux.masked_paths,
			       err);
	if (r == 0)
		r = keep_paths(config, &config->linux.readonly_paths, &p->readonly,
			       &p->config.linux.readonly_paths, err);
	return r;
}

void kernel_plan_free(struct kernel_plan *p)
{
	free(p->mounts);
	free(p->masked);
	free(p->readonly);
}

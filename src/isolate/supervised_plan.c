/* SPDX-License-Identifier: Apache-2.0 */
#include "isolate/supervised.h"

/* The host's own would show it, and what surrounds it, to the guest. */
bool supervised_is_synthetic(const struct oci_mount *m)
{
	static const char *const types[] = {"proc", "procfs", "sysfs", "cgroup", "cgroup2"};

	for (size_t i = 0; m->type && i < ARRAY_LEN(types); i++)
		if (streq(m->type, types[i]))
			return true;
	return false;
}

static bool is_at_or_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

bool supervised_below_synthetic(const struct oci_config *config, const char *path)
{
	for (size_t i = 0; i < config->mounts.n; i++)
		if (supervised_is_synthetic(&config->mounts.v[i]) &&
		    is_at_or_below(path, config->mounts.v[i].destination))
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
		if (!supervised_below_synthetic(config, all->v[i]))
			v[ret->n++] = all->v[i];
	return 0;
}

static int plan_mounts(const struct oci_config *config, struct supervised_plan *p, struct err *err)
{
	static const char *options[] = {"ro",	    "nosuid",  "nodev",	     "noexec",
					"mode=555", "size=4k", "nr_inodes=2"};
	size_t n = 0, nsynthetic = 0;
	autofree const char **synthetic = calloc(config->mounts.n + 1, sizeof(*synthetic));

	p->mounts = calloc(config->mounts.n + 1, sizeof(*p->mounts));
	if (!p->mounts || !synthetic)
		return err_oom(err);
	for (size_t i = 0; i < config->mounts.n; i++) {
		struct oci_mount m = config->mounts.v[i];
		bool inside = false;

		/* A mount within a synthetic tree would have nowhere to be. */
		for (size_t k = 0; k < nsynthetic && !inside; k++)
			inside = is_at_or_below(m.destination, synthetic[k]);
		if (inside)
			continue;
		if (supervised_is_synthetic(&m)) {
			synthetic[nsynthetic++] = m.destination;
			m = (struct oci_mount){.destination = m.destination,
					       .type = "tmpfs",
					       .source = "tmpfs",
					       .options = {.v = options, .n = ARRAY_LEN(options)}};
		}
		p->mounts[n++] = m;
	}
	p->config.mounts.v = p->mounts;
	p->config.mounts.n = n;
	return 0;
}

void supervised_plan_process(const struct oci_process *process, const str_list *caps, struct oci_process *ret)
{
	*ret = *process;
	ret->user = (struct oci_user){.umask = process->user.umask};
	ret->caps = (struct oci_capabilities){
		.set = true, .bounding = *caps, .effective = *caps, .permitted = *caps, .inheritable = {0}};
	ret->rlimits.n = 0;
	ret->no_new_privileges = false;
	ret->apparmor_profile = NULL;
	ret->selinux_label = NULL;
}

int supervised_plan(const struct oci_config *config, const str_list *caps, struct supervised_plan *p,
		    struct err *err)
{
	p->config = *config;
	if (config->process) {
		supervised_plan_process(config->process, caps, &p->process);
		p->config.process = &p->process;
	}
	p->config.linux.seccomp = NULL;
	int r = plan_mounts(config, p, err);
	if (r == 0)
		r = keep_paths(config, &config->linux.masked_paths, &p->masked, &p->config.linux.masked_paths,
			       err);
	if (r == 0)
		r = keep_paths(config, &config->linux.readonly_paths, &p->readonly,
			       &p->config.linux.readonly_paths, err);
	return r;
}

void supervised_plan_free(struct supervised_plan *p)
{
	free(p->mounts);
	free(p->masked);
	free(p->readonly);
	free(p->unified);
}

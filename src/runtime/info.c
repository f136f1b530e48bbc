/* SPDX-License-Identifier: Apache-2.0 */
/* `spec` and `features`: what can be asked for, what there is. */
#include "runtime/runtime.h"

#include "base/json_write.h"
#include "host/caps.h"
#include "host/cgroup.h"
#include "host/mount_options.h"
#include "host/seccomp.h"
#include "isolate/isolate.h"
#include "oci/features_doc.h"
#include "oci/names.h"
#include "oci/spec_default.h"
#include "oci/state.h"

int runtime_spec(bool rootless, char **ret_json, struct err *err)
{
	struct cgroup_machine machine;

	cgroup_machine(&machine);
	struct oci_spec_options o = {
		.rootless = rootless,
		.uid = geteuid(),
		.gid = getegid(),
		.cgroup_ns = machine.v2 && !machine.v1,
	};
	return oci_spec_default(&o, ret_json, err);
}

/* The capability table: one object a level, with what it lacks and why. */
static char *levels_json(void)
{
	struct json_out out autojsonout = {0};

	json_begin_object(&out, NULL);
	for (size_t i = 0; isolate_levels[i]; i++) {
		const struct isolate_level *level = isolate_levels[i];
		struct err why = {0};
		json_begin_object(&out, level->name);
		json_put_str(&out, "summary", level->summary);
		if (level->probe && level->probe(&why) < 0)
			json_put_str(&out, "unavailable", why.msg);
		json_begin_list(&out, "has");
		for (int f = 0; f < ISOLATE_FEATURE_COUNT; f++)
			if (!level->lacks[f])
				json_put_str(&out, NULL, isolate_feature_name((enum isolate_feature)f));
		json_end(&out);
		json_begin_object(&out, "lacks");
		for (int f = 0; f < ISOLATE_FEATURE_COUNT; f++)
			if (level->lacks[f])
				json_put_str(&out, isolate_feature_name((enum isolate_feature)f),
					     level->lacks[f]);
		json_end(&out);
		json_end(&out);
	}
	json_end(&out);
	return json_take(&out);
}

static const char **cap_names(void)
{
	const char **v = calloc(CAP_NR_KNOWN + 1, sizeof(*v));

	for (unsigned i = 0; v && i < CAP_NR_KNOWN; i++)
		v[i] = cap_name(i);
	return v;
}

/* Those of the kernel that runs. */
static const char **supported_flags(void)
{
	size_t n = 0, out = 0;

	while (seccomp_known_flags[n])
		n++;
	const char **v = calloc(n + 1, sizeof(*v));
	for (size_t i = 0; v && i < n; i++)
		if (seccomp_flag_supported(seccomp_known_flags[i]))
			v[out++] = seccomp_known_flags[i];
	return v;
}

static const char **mount_names(void)
{
	size_t n;
	const char *const *names = mount_option_names(&n);
	const char **v = calloc(n + 1, sizeof(*v));

	if (v)
		memcpy(v, names, n * sizeof(*v));
	return v;
}

int runtime_features(char **ret_json, struct err *err)
{
	static const char *const unsafe[] = {"dev.coffer.isolation", "org.systemd.property.",
					     "org.criu.config", NULL};
	autofree char *levels = levels_json();
	autofree const char **caps = cap_names(), **flags = supported_flags(), **options = mount_names();

	if (!levels || !caps || !flags || !options)
		return err_oom(err);
	struct oci_pair annotations[] = {
		{"dev.coffer.version", COFFER_VERSION},
		{"dev.coffer.isolation.levels", levels},
		{"dev.coffer.checkpoint.enabled", "true"},
		/* What engines look for before they offer checkpoints. */
		{"org.opencontainers.runc.checkpoint.enabled", "true"},
	};
	struct oci_features f = {
		.version_min = OCI_VERSION_MIN,
		.version_max = OCI_VERSION,
		.hooks = oci_hook_names,
		.mount_options = options,
		.namespaces = oci_namespace_names,
		.capabilities = caps,
		.cgroup = {.v1 = true, .v2 = true, .systemd = true, .systemd_user = true, .rdma = true},
		.seccomp = {.enabled = true,
			    .actions = seccomp_known_actions,
			    .operators = seccomp_known_operators,
			    .archs = seccomp_known_archs,
			    .known_flags = seccomp_known_flags,
			    .supported_flags = flags},
		.apparmor = true,
		.selinux = true,
		.intel_rdt = {.enabled = true, .schemata = true, .monitoring = true},
		.memory_policy = {.modes = oci_memory_policy_modes, .flags = oci_memory_policy_flags},
		.idmap_mounts = true,
		.net_devices = true,
		.annotations = {.v = annotations, .n = ARRAY_LEN(annotations)},
		.unsafe_config_annotations = unsafe,
	};
	return oci_features_text(&f, ret_json, err);
}

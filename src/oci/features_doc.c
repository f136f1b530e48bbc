/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/features_doc.h"

static void feature_list(struct json_out *out, const char *key, const char *const *list)
{
	size_t n = 0;

	if (!list)
		return;
	while (list[n])
		n++;
	json_put_strs(out, key, list, n);
}

static void feature_enabled(struct json_out *out, const char *key, bool enabled)
{
	json_begin_object(out, key);
	json_put_bool(out, "enabled", enabled);
	json_end(out);
}

static void feature_cgroup(struct json_out *out, const struct oci_features *f)
{
	json_begin_object(out, "cgroup");
	json_put_bool(out, "v1", f->cgroup.v1);
	json_put_bool(out, "v2", f->cgroup.v2);
	json_put_bool(out, "systemd", f->cgroup.systemd);
	json_put_bool(out, "systemdUser", f->cgroup.systemd_user);
	json_put_bool(out, "rdma", f->cgroup.rdma);
	json_end(out);
}

static void feature_seccomp(struct json_out *out, const struct oci_features *f)
{
	json_begin_object(out, "seccomp");
	json_put_bool(out, "enabled", f->seccomp.enabled);
	feature_list(out, "actions", f->seccomp.actions);
	feature_list(out, "operators", f->seccomp.operators);
	feature_list(out, "archs", f->seccomp.archs);
	feature_list(out, "knownFlags", f->seccomp.known_flags);
	feature_list(out, "supportedFlags", f->seccomp.supported_flags);
	json_end(out);
}

static void feature_linux(struct json_out *out, const struct oci_features *f)
{
	json_begin_object(out, "linux");
	feature_list(out, "namespaces", f->namespaces);
	feature_list(out, "capabilities", f->capabilities);
	feature_cgroup(out, f);
	feature_seccomp(out, f);
	feature_enabled(out, "apparmor", f->apparmor);
	feature_enabled(out, "selinux", f->selinux);
	json_begin_object(out, "intelRdt");
	json_put_bool(out, "enabled", f->intel_rdt.enabled);
	json_put_bool(out, "schemata", f->intel_rdt.schemata);
	json_put_bool(out, "monitoring", f->intel_rdt.monitoring);
	json_end(out);
	json_begin_object(out, "memoryPolicy");
	feature_list(out, "modes", f->memory_policy.modes);
	feature_list(out, "flags", f->memory_policy.flags);
	json_end(out);
	json_begin_object(out, "mountExtensions");
	feature_enabled(out, "idmap", f->idmap_mounts);
	json_end(out);
	feature_enabled(out, "netDevices", f->net_devices);
	json_end(out);
}

int oci_features_text(const struct oci_features *f, char **ret_text, struct err *err)
{
	struct json_out out autojsonout = {.indent = "    "};

	json_begin_object(&out, NULL);
	json_put_str(&out, "ociVersionMin", f->version_min);
	json_put_str(&out, "ociVersionMax", f->version_max);
	feature_list(&out, "hooks", f->hooks);
	feature_list(&out, "mountOptions", f->mount_options);
	feature_linux(&out, f);
	if (f->annotations.n) {
		json_begin_object(&out, "annotations");
		for (size_t i = 0; i < f->annotations.n; i++)
			json_put_str(&out, f->annotations.v[i].key, f->annotations.v[i].value);
		json_end(&out);
	}
	feature_list(&out, "potentiallyUnsafeConfigAnnotations", f->unsafe_config_annotations);
	json_end(&out);
	char *text = json_take(&out);
	if (!text)
		return err_oom(err);
	*ret_text = text;
	return 0;
}

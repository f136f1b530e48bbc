/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The document that `features` prints (features.md, features-linux.md).  All
 * lists end with NULL and may be NULL themselves: "unknown", left out.  What
 * the specification defines is in oci/names.h; what this build and this host
 * can do comes from the caller.  (Not "features.h": a build that has this
 * directory in its search path would take it for the C library's.)
 */
#pragma once

#include "base/json_write.h"
#include "oci/config.h"

struct oci_features {
	const char *version_min, *version_max;
	const char *const *hooks;
	const char *const *mount_options;

	const char *const *namespaces;
	const char *const *capabilities;
	struct {
		bool v1, v2, systemd, systemd_user, rdma;
	} cgroup;
	struct {
		bool enabled;
		const char *const *actions, *const *operators, *const *archs;
		const char *const *known_flags, *const *supported_flags;
	} seccomp;
	bool apparmor, selinux;
	struct {
		bool enabled, schemata, monitoring;
	} intel_rdt;
	struct {
		const char *const *modes, *const *flags;
	} memory_policy;
	bool idmap_mounts, net_devices;

	pair_list annotations; /* "dev.coffer.*"; in the order given */
	const char *const
		*unsafe_config_annotations; /* a name that ends with "." stands for all that begin so */
};

/* JSON indented by four spaces, as runc's, without a newline at the end; the caller frees it. */
must_use int oci_features_text(const struct oci_features *f, char **ret_text, struct err *err);

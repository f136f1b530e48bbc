/* SPDX-License-Identifier: Apache-2.0 */
/* The config.json that `spec` writes for a start: field by field what `runc spec` of 1.3 gives. */
#pragma once

#include "base/err.h"

struct oci_spec_options {
	bool rootless;	   /* a user namespace that maps `uid` and `gid` to root; no network namespace, no
			      resources */
	uint32_t uid, gid; /* the caller's, where rootless */
	bool cgroup_ns;	   /* the host has cgroup v2 alone, where a cgroup namespace is part of the default */
};

/* JSON indented by tabs without a newline at the end, which the caller frees. */
must_use int oci_spec_default(const struct oci_spec_options *options, char **ret_text, struct err *err);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd's side of control groups: transient scopes.  The D-Bus library
 * lives in the helper program coffer-sdbus, which is run only when the
 * systemd driver was asked for.  Only host/cgroup_*.c calls these.
 */
#pragma once

#include "host/cgroup.h"

/* Starts the scope (or slice) of `cg` with process `first` and the limits of `r` as its properties; waits
 * until it runs. */
must_use int systemd_start(const struct cgroup *cg, const struct oci_resources *r,
			   const struct cgroup_request *q, pid_t first, struct err *err);
/* Sets the limits of `r` as properties of the unit, so that systemd does not write its own back. */
must_use int systemd_update(const struct cgroup *cg, const struct oci_resources *r, struct err *err);
/* Stops the unit and forgets its failure; one that is not there is fine. */
must_use int systemd_stop(const struct cgroup *cg, struct err *err);
/* Moves a process into the unit's group, or one below it ("" = none, "/sub"): the manager may where the
 * caller may not. */
must_use int systemd_attach(const struct cgroup *cg, const char *below, pid_t pid, struct err *err);
/* The group of the user's manager, "/user.slice/user-1000.slice/user@1000.service"; the caller frees. */
must_use int systemd_user_group(char **ret, struct err *err);
/* cpu.quota (us) as systemd will write it: a whole percent of a processor, rounded up. */
int64_t systemd_round_quota(int64_t quota, uint64_t period);

/*
 * The lines of a request to the helper that set the properties of `r`
 * (see host/sdbus/main.c for the form).  Separate for tests.
 */
struct str;
must_use int systemd_properties(const struct cgroup *cg, const struct oci_resources *r, bool start,
				struct str *out, struct err *err);

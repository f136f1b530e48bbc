/* SPDX-License-Identifier: Apache-2.0 */
/* User, groups, umask of the process to be (config.md, "process.user"). */
#pragma once

#include "base/err.h"
#include "oci/config.h"

struct creds {
	uid_t uid;
	gid_t gid;
	const uint32_t *groups; /* supplementary, borrowed */
	size_t ngroups;
	bool set_groups; /* false: leave them (creds_setgroups_allowed() said no) */
	bool keep_caps;	 /* keep the permitted capabilities through the change of user; cleared again after */
	struct opt_u32 umask;
};

/*
 * May this process set supplementary groups?  1, 0 or -errno.  Reads
 * self/setgroups: ask only in a user namespace; elsewhere it is always 1.
 * runc's rule adds: never where the runtime itself is not root.
 */
must_use int creds_setgroups_allowed(int procfs, struct err *err);
/*
 * setgroups, setresgid, setresuid, umask, in this order.  Errors have runc's
 * texts: `cannot setuid to unmapped uid 7 in user namespace`.  The effective
 * capabilities are gone after a change from 0 to another user (they stay
 * permitted with keep_caps): caps_apply() sets them.
 */
must_use int creds_apply(const struct creds *c, struct err *err);
/*
 * Gives descriptors 0, 1 and 2 to `uid` so that the process can open its own
 * /dev/stdout: but not /dev/null, and not what cannot be given (as runc).
 */
must_use int creds_own_stdio(uid_t uid, struct err *err);

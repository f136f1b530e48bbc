/* SPDX-License-Identifier: Apache-2.0 */
/* What must not be in the container's tree, whatever its configuration says. */
#pragma once

struct err;

/*
 * A procfs of the host's, bound somewhere: there "self" is the sentry, and its memory and descriptors are
 * files. Refused with the mount point.  0 or -errno.
 */
int guard_mounts(struct err *err);

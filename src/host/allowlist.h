/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of system calls that one of our own processes keeps, before it reads
 * what a guest says.  (A container's profile is host/seccomp.h's affair.)
 */
#pragma once

#include "base/base.h"

struct err;

enum { ALLOWLIST_MAX = 120 }; /* calls and ioctls together: a jump within the filter is a byte */

struct allowlist {
	const uint16_t *calls;
	size_t ncalls;
	const uint32_t *ioctls; /* ioctl() with one of these requests; none: ioctl is like any other call */
	size_t nioctls;
	/* What the kernel answers to another call, and to another ioctl: SECCOMP_RET_*. */
	uint32_t otherwise, other_ioctl;
	bool all_threads; /* those that run already as well */
};

/* Another architecture's calls, and x32's, kill.  The caller has CAP_SYS_ADMIN, or no_new_privs. */
must_use int allowlist_install(const struct allowlist *a, struct err *err);

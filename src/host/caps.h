/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capabilities (config.md, "process.capabilities").
 *
 * Order in the child:
 *   caps_drop_bounding()  while CAP_SETPCAP is still there
 *   creds_apply()         with keep_caps
 *   caps_apply()          with what seccomp still needs as keep_extra
 *   caps_set_ambient()
 *   seccomp_install(), execve()
 * keep_extra needs no taking away: execve computes the permitted set anew
 * from the ambient, inheritable and bounding sets, which it is not in (see
 * caps_apply).
 */
#pragma once

#include "base/err.h"
#include "oci/config.h"

#define CAP_BIT(n) (UINT64_C(1) << (n))
enum {
	CAP_NR_DAC_OVERRIDE = 1,
	CAP_NR_SETPCAP = 8,
	CAP_NR_NET_ADMIN = 12,
	CAP_NR_SYS_PTRACE = 19,
	CAP_NR_SYS_ADMIN = 21,
	CAP_NR_SYS_RESOURCE = 24,
	CAP_NR_KNOWN = 41, /* names known here: 0 .. CAP_NR_KNOWN - 1 */
};

struct caps {
	uint64_t bounding, effective, inheritable, permitted, ambient; /* bit N = capability number N */
	uint64_t all; /* what the kernel knows: bits 0 .. caps_last_cap() */
	bool set;     /* false: config.json has no capabilities object: nothing is touched */
};

/* "CAP_SYS_ADMIN"; NULL beyond those known. */
const char *cap_name(unsigned nr);
/* The number or -1.  Upper case with CAP_ before it, as runc insists. */
int cap_number(const char *name);

/* The highest capability that the kernel knows (a few prctl calls, no file); keep the result. */
int caps_last_cap(void);
/*
 * Translates.  Names that are unknown or that the kernel lacks are left out,
 * as runc does; *ret_ignored (may be NULL) is then "CAP_X CAP_Y", sorted, for the caller to free and to warn
 * about
 * ("ignoring unknown or unavailable capabilities: [CAP_X CAP_Y]"); else NULL.
 */
must_use int caps_from_config(const struct oci_capabilities *c, struct caps *ret, char **ret_ignored,
			      struct err *err);
/* The sets of the calling process (`all` and `ambient` included; bounding by one prctl a capability). */
must_use int caps_mine(struct caps *ret, struct err *err);
/* Permitted set of the calling process: one system call. 0 where it cannot be read. */
uint64_t caps_permitted(void);
/*
 * Drops from the bounding set what c->bounding lacks: one prctl for each that
 * is dropped.  Without CAP_SETPCAP it fails, unless those are gone already:
 * root regains its bounding set by execve, so that this cannot be let pass.
 */
must_use int caps_drop_bounding(const struct caps *c, struct err *err);
/*
 * Sets permitted, effective and inheritable in one system call.  `keep_extra`
 * is added to permitted and effective alone (CAP_BIT(CAP_NR_SYS_ADMIN) until
 * the seccomp filter is in, where no_new_privs is off), as far as the process
 * has it.
 */
must_use int caps_apply(const struct caps *c, uint64_t keep_extra, struct err *err);
/*
 * Clears the ambient set and raises those of `c`, after caps_apply().  One
 * that cannot be raised is not an error (runc warns): *ret_failed (may be
 * NULL) has its bit.
 */
must_use int caps_set_ambient(const struct caps *c, uint64_t *ret_failed, struct err *err);

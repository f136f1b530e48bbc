/* SPDX-License-Identifier: Apache-2.0 */
/* AppArmor and SELinux by their files; no library. */
#pragma once

#include "base/err.h"

bool lsm_apparmor_enabled(void);
bool lsm_selinux_enabled(void);

/*
 * Refuses what cannot be given, before anything is made: a profile that is
 * asked for where AppArmor is off is an error as in runc ("apparmor failed to
 * apply profile"), "" and "unconfined" are not; a label where SELinux is off:
 * "selinux label is specified in config, but selinux is disabled or not supported".
 * Either may be NULL.
 */
must_use int lsm_check(const char *apparmor_profile, const char *selinux_label, struct err *err);

/* The profile that the next execve of this process changes to.  NULL and "" do nothing. */
must_use int lsm_apparmor_on_exec(int procfs, const char *profile, struct err *err);
/* The label that the next execve changes to; NULL and "" do nothing. */
must_use int lsm_selinux_on_exec(int procfs, const char *label, struct err *err);
/* The label of keyrings that this process makes; NULL resets. */
must_use int lsm_selinux_key(int procfs, const char *label, struct err *err);
/*
 * Mount options with the label: `context="label"` behind `options` (may be
 * NULL or empty).  Where SELinux is off or the label is empty it is a copy of
 * the options.  The caller frees.
 */
must_use int lsm_mount_options(const char *options, const char *label, char **ret, struct err *err);

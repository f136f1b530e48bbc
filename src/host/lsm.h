/* SPDX-License-Identifier: Apache-2.0 */
/* AppArmor and SELinux by their files; no library. */
#pragma once

#include "base/err.h"

bool lsm_apparmor_enabled(void);
/* The same in one call: false where no profile can be loaded from here either. */
bool lsm_apparmor_there(void);
/* Would this process, or a child of its, get into that profile at an execve?  Where it is not loaded the
 * kernel logs the question. */
bool lsm_apparmor_loaded(const char *profile);
/* Is the process in that profile, in whatever mode? */
bool lsm_apparmor_confines(const char *profile, pid_t pid);
bool lsm_selinux_enabled(void);

/*
 * Refuses what cannot be given, before anything is made: a label (may be NULL) where SELinux is off: "selinux
 * label is specified in config, but selinux is disabled or not supported".
 */
must_use int lsm_check(const char *selinux_label, struct err *err);

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

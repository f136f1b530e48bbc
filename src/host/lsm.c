/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AppArmor takes "exec NAME" in attr/apparmor/exec (5.8 and later, or where
 * several LSMs are stacked) or attr/exec; SELinux a label in attr/exec and
 * attr/keycreate.  All go through the procfs descriptor, so that no mount
 * over these names catches the label (CVE-2019-16884, CVE-2025-52881).
 */
#include "host/lsm.h"

#include "base/fd.h"
#include "base/str.h"
#include "host/procfs.h"

#include <sys/vfs.h>

#define SELINUX_MAGIC 0xf97cff8c

bool lsm_apparmor_enabled(void)
{
	char flag = 0;

	if (access("/sys/kernel/security/apparmor", F_OK) < 0)
		return false;
	autoclose int fd = open("/sys/module/apparmor/parameters/enabled", O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, &flag, 1) == 1 && flag == 'Y';
}

bool lsm_selinux_enabled(void)
{
	struct statfs fs;

	return statfs("/sys/fs/selinux", &fs) == 0 && (unsigned long)fs.f_type == SELINUX_MAGIC;
}

static bool is_none(const char *s)
{
	return !s || !*s;
}

int lsm_check(const char *apparmor_profile, const char *selinux_label, struct err *err)
{
	if (!is_none(apparmor_profile) && !streq(apparmor_profile, "unconfined") && !lsm_apparmor_enabled())
		return err_set(err, ENOTSUP,
			       "apparmor failed to apply profile: profile \"%s\" is specified in config, but "
			       "apparmor is "
			       "disabled or not supported",
			       apparmor_profile);
	if (!is_none(selinux_label) && !lsm_selinux_enabled())
		return err_set(
			err, ENOTSUP,
			"selinux label is specified in config, but selinux is disabled or not supported");
	return 0;
}

int lsm_apparmor_on_exec(int procfs, const char *profile, struct err *err)
{
	if (is_none(profile))
		return 0;
	autofree char *text = str_format("exec %s", profile);
	if (!text)
		return err_oom(err);
	int r = procfs_write(procfs, "thread-self/attr/apparmor/exec", text, err);
	if (r == -ENOENT)
		r = procfs_write(procfs, "thread-self/attr/exec", text, err);
	/* Where AppArmor is off "unconfined" is what the process is anyway. */
	if (r < 0 && streq(profile, "unconfined") && !lsm_apparmor_enabled())
		return 0;
	return r < 0 ? err_prefix(err, "unable to apply apparmor profile: apparmor failed to apply profile")
		     : 0;
}

int lsm_selinux_on_exec(int procfs, const char *label, struct err *err)
{
	if (is_none(label))
		return 0;
	int r = procfs_write(procfs, "thread-self/attr/exec", label, err);
	return r < 0 ? err_prefix(err, "can't set process label") : 0;
}

int lsm_selinux_key(int procfs, const char *label, struct err *err)
{
	return procfs_write(procfs, "thread-self/attr/keycreate", label ? label : "", err);
}

int lsm_mount_options(const char *options, const char *label, char **ret, struct err *err)
{
	bool labelled = !is_none(label) && lsm_selinux_enabled();
	char *text;

	/* The quotes let the label's commas through the kernel's option parser; a quote in a label would end
	 * them. */
	if (labelled && strchr(label, '"'))
		return err_set(err, EINVAL, "mount label %s contains a quotation mark", label);
	if (labelled)
		text = str_format("%s%scontext=\"%s\"", is_none(options) ? "" : options,
				  is_none(options) ? "" : ",", label);
	else
		text = strdup(options ? options : "");
	if (!text)
		return err_oom(err);
	*ret = text;
	return 0;
}

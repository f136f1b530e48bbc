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

bool lsm_apparmor_there(void)
{
	return access("/sys/kernel/security/apparmor", F_OK) == 0;
}

bool lsm_apparmor_enabled(void)
{
	char flag = 0;

	if (!lsm_apparmor_there())
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

int lsm_check(const char *selinux_label, struct err *err)
{
	if (!is_none(selinux_label) && !lsm_selinux_enabled())
		return err_set(
			err, ENOTSUP,
			"selinux label is specified in config, but selinux is disabled or not supported");
	return 0;
}

/* Of the newer name, which other LSMs have no part in, or else of the older. */
static int open_current(const char *process, int flags)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%s/attr/apparmor/current", process); /* fits */
	int fd = open(path, flags | O_CLOEXEC);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	(void)snprintf(path, sizeof(path), "/proc/%s/attr/current", process); /* fits */
	return open(path, flags | O_CLOEXEC);
}

bool lsm_apparmor_loaded(const char *profile)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "permprofile %s", profile);
	autoclose int fd = lsm_apparmor_there() ? open_current("thread-self", O_WRONLY) : -1;

	return fd >= 0 && n > 0 && (size_t)n < sizeof(text) && write(fd, text, (size_t)n) == n;
}

bool lsm_apparmor_confines(const char *profile, pid_t pid)
{
	char process[16], text[256];
	size_t len = strlen(profile);

	(void)snprintf(process, sizeof(process), "%d", (int)pid); /* fits */
	autoclose int fd = open_current(process, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	/* "NAME (enforce)" */
	return n > (ssize_t)len && strncmp(text, profile, len) == 0 &&
	       (text[len] == ' ' || text[len] == '\n');
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

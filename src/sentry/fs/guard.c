/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must not be in the container's tree (fs/guard.h).
 *
 * Asked once, before the first process: the guest cannot mount, and what is
 * mounted outside later does not come in, as the sentry's mounts are private.
 */
#include "sentry/fs/guard.h"

#include "base/fd.h"
#include "sentry/kernel.h"

enum { MOUNTINFO_MAX = 16 << 20 };

/* The mount point of a line of mountinfo (its fifth field) whose file system is procfs; length, or 0. */
static size_t procfs_at(const char *line, const char **ret)
{
	const char *type = strstr(line, " - "), *at = line;

	if (!type || !str_starts(type, " - proc "))
		return 0;
	for (int field = 0; field < 4 && at; field++) {
		at = strchr(at, ' ');
		at += at != NULL;
	}
	*ret = at;
	return at ? strcspn(at, " ") : 0;
}

int guard_mounts(struct err *err)
{
	autoclose int fd = openat(kernel.proc_fd, "self/mountinfo", O_RDONLY | O_CLOEXEC);
	autofree char *text = NULL;
	size_t len;
	int r;

	if (fd < 0)
		return err_sys(err, "cannot open the sentry's own mountinfo");
	r = fd_read_all(fd, MOUNTINFO_MAX, &text, &len);
	if (r < 0)
		return err_num(err, r, "cannot read the sentry's own mountinfo");
	for (char *line = text, *end; *line; line = end) {
		const char *at;
		size_t n;

		end = line + strcspn(line, "\n");
		if (*end)
			*end++ = '\0';
		n = procfs_at(line, &at);
		if (n)
			return err_set(err, EPERM,
				       "a procfs of the host is mounted on %.*s: level kernel cannot keep it "
				       "apart; leave that "
				       "mount out, or use --isolation=ns",
				       (int)n, at);
	}
	return 0;
}

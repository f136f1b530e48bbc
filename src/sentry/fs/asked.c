/* SPDX-License-Identifier: Apache-2.0 */
/* What mounts are asked to be (fs/asked.h). */
#include "sentry/fs/asked.h"

#include "base/file.h"
#include "sentry/fs/host.h"
#include "sentry/kernel.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum { MOUNTINFO_MAX = 16 << 20, OPTIONS_FIELD = 5 };

#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000
#endif

const struct mount_asked *mounts_asked;

static bool option_given(const char *options, const char *name)
{
	const size_t n = strlen(name);

	for (const char *at = options; *at && *at != ' '; at += *at == ',') {
		size_t len = strcspn(at, ", \n");

		if (len == n && memcmp(at, name, n) == 0)
			return true;
		at += len;
		if (*at != ',')
			break;
	}
	return false;
}

/* "36 35 98:0 / /mnt rw,nosuid master:1 - ext3 /dev/root rw" */
static struct mount_asked asked_by_line(const char *line)
{
	const char *at = line;

	for (int field = 0; field < OPTIONS_FIELD && at; field++) {
		at = strchr(at, ' ');
		at += at != NULL;
	}
	return (struct mount_asked){strtoull(line, NULL, 10), at && option_given(at, "nosuid"),
				    at && option_given(at, "nodev")};
}

int mounts_remember(struct err *err)
{
	autofree char *text = NULL;
	struct mount_asked *list;
	size_t n = 0;
	int r = file_read_at(kernel.proc_fd, "self/mountinfo", MOUNTINFO_MAX, &text, NULL);

	if (r < 0)
		return err_num(err, r, "cannot read the sentry's own mountinfo");
	for (const char *at = text; *at; at++)
		n += *at == '\n';
	list = calloc(n + 1, sizeof(*list));
	if (!list)
		return err_oom(err);
	n = 0;
	for (const char *line = text, *end; (end = strchr(line, '\n')); line = end + 1)
		list[n++] = asked_by_line(line);
	mounts_asked = list;
	return 0;
}

/* Of the mount where the file was opened; what is in memory, so that no server is asked. */
static const struct mount_asked *asked_at(int fd)
{
	struct statx x;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &x) < 0 ||
	    !(x.stx_mask & STATX_MNT_ID))
		return NULL;
	return mount_asked(mounts_asked, x.stx_mnt_id);
}

long asked_statfs(int fd, struct statfs *ret)
{
	long r = host_call(fstatfs(fd, ret));
	const struct mount_asked *asked = r == 0 ? asked_at(fd) : NULL;

	if (asked) {
		ret->f_flags &= ~(__typeof__(ret->f_flags))(ST_NOSUID | ST_NODEV);
		ret->f_flags |= (asked->nosuid ? ST_NOSUID : 0) | (asked->nodev ? ST_NODEV : 0);
	}
	return r;
}

bool asked_nosuid(int fd)
{
	const struct mount_asked *asked = asked_at(fd);

	return !asked || asked->nosuid;
}

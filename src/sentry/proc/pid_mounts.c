/* SPDX-License-Identifier: Apache-2.0 */
/* PID/mounts, mountinfo, mountstats: the sentry's mount namespace is the container's; all processes share it.
 */
#include "base/file.h"
#include "sentry/proc/proc.h"
#include "sentry/proc/rewrite.h"

enum { MOUNTS_MAX = 16 << 20, WITHIN_ID = 1000000 /* above any id of the host's */ };

static int read_mountinfo(struct str *out)
{
	autofree struct mount_view *views = NULL;
	autofree char *text = NULL;
	size_t n = 0;
	int r = file_read_at(kernel.proc_fd, "self/mountinfo", MOUNTS_MAX, &text, NULL);

	if (r < 0)
		return r;
	while (synth_mounts && synth_mounts[n].dest)
		n++;
	views = calloc(n + 1, sizeof(*views));
	if (!views)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		views[i] = (struct mount_view){synth_mounts[i].dest, synth_mounts[i].fstype,
					       synth_mounts[i].read_only};
	r = rewrite_mountinfo(text, views, mounts_asked, out);
	/* Of these the host knows nothing. */
	for (size_t i = 0; i < n && r == 0; i++)
		if (synth_mounts[i].dev == SYNTH_WITHIN_DEV)
			str_putf(out, "%zu 1 0:%u / %s %s,nosuid,nodev,noexec,relatime - %s %s %s\n",
				 WITHIN_ID + i, minor(SYNTH_WITHIN_DEV), views[i].dest,
				 views[i].read_only ? "ro" : "rw", views[i].fstype, views[i].fstype,
				 views[i].read_only ? "ro" : "rw");
	return r < 0 ? r : out->failed ? -ENOMEM : 0;
}

static int show_mounts(int (*format)(const char *mountinfo, struct str *out), struct synth_text *text)
{
	struct str autostr info = {0};
	struct str out = {0};
	int r = read_mountinfo(&info);

	if (r == 0 && info.s)
		r = format(info.s, &out);
	if (r < 0) {
		str_free(&out);
		return r;
	}
	return proc_finish(&out, text);
}

int proc_show_mounts(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	(void)t;
	(void)node;
	return show_mounts(mountinfo_to_mounts, text);
}

int proc_show_mountstats(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	(void)t;
	(void)node;
	return show_mounts(mountinfo_to_mountstats, text);
}

int proc_show_mountinfo(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	struct str out = {0};
	int r = read_mountinfo(&out);

	(void)t;
	(void)node;
	if (r < 0) {
		str_free(&out);
		return r;
	}
	return proc_finish(&out, text);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PID/maps and smaps.  The host's paths are the guest's, as the sentry's root
 * is the container's; what is the sandbox's own is left out (rewrite.h).
 */
#include "sentry/proc/proc.h"
#include "sentry/proc/rewrite.h"
#include "sentry/sys/creds_int.h"

static int show_map_lines(struct task *t, const struct synth_node *node, const char *file,
			  struct synth_text *text)
{
	const struct task *of = proc_task(node);
	autofree char *maps = NULL;
	struct str out = {0};
	bool shown = true;
	int r;

	if (!of && proc_zombie(node->pid) && !streq(file, "smaps_rollup"))
		return 0; /* whoever asks: it has no memory any more */
	if (!of)
		return -ESRCH;
	if (!may_inspect(t, of))
		return -EACCES;
	r = proc_host_text(node, file, &maps, NULL);
	if (r < 0)
		return r;
	for (const char *at = maps; *at;) {
		size_t n = strcspn(at, "\n");

		if (is_map_line(at, n)) {
			shown = rewrite_map_line(at, n, &out);
		} else if (shown) {
			str_put_n(&out, at, n);
			str_put(&out, "\n");
		}
		at += n + (at[n] == '\n');
	}
	return proc_finish(&out, text);
}

int proc_show_maps(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	return show_map_lines(t, node, "maps", text);
}

int proc_show_smaps(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	return show_map_lines(t, node, "smaps", text);
}

int proc_show_smaps_rollup(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	return show_map_lines(t, node, "smaps_rollup", text);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* PID/net: texts of the sockets' room (net/proc_net.h), by index. */
#include "sentry/net/proc_net.h"
#include "sentry/proc/proc.h"

static int show_net(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	(void)t;
	return proc_net_show(proc_net_names[node->arg], text);
}

static const struct synth_type net_file = {.mode = S_IFREG | 0444, .show = show_net};

PROC_LOOKUP(proc_net_lookup)
{
	(void)t;
	for (uint64_t i = 0; proc_net_names[i]; i++)
		if (streq(proc_net_names[i], called)) {
			*ret = (struct synth_node){
				.type = &net_file, .pid = dir->pid, .tid = dir->tid, .arg = i};
			return 0;
		}
	return -ENOENT;
}

PROC_LIST(proc_net_list)
{
	(void)t;
	for (uint64_t i = 0; proc_net_names[i]; i++) {
		struct synth_node node = {.type = &net_file, .pid = dir->pid, .tid = dir->tid, .arg = i};

		if (i >= from && !each(data, proc_net_names[i], &node))
			break;
	}
	return 0;
}

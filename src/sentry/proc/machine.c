/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meminfo, cpuinfo, stat, loadavg: the machine as far as the container may use
 * it.  What programs size their heaps and pools by is the cgroup's limit, not
 * the host's memory.
 */
#include "base/file.h"
#include "sentry/platform/platform.h"
#include "sentry/proc/machine.h"
#include "sentry/proc/proc.h"
#include "sentry/sys/system.h"

static int read_host(const char *file, char **ret)
{
	return file_read_at(kernel.proc_fd, file, 16 << 20, ret, NULL);
}

/* ---- meminfo ---- */

PROC_SHOW(proc_show_meminfo)
{
	autofree char *host = NULL;
	struct memory_view memory;
	struct str out = {0};
	int r = read_host("meminfo", &host);

	(void)t;
	(void)node;
	if (r < 0)
		return r;
	memory_view(&memory);
	if (memory.limited)
		ignore_result(meminfo_limit(host, &memory, &out)); /* proc_finish tells */
	else
		str_put(&out, host);
	return proc_finish(&out, text);
}

/* ---- processors ---- */

PROC_SHOW(proc_show_cpuinfo)
{
	autofree char *host = NULL;
	struct str out = {0};
	cpu_set_t visible;
	int r = read_host("cpuinfo", &host);

	(void)t;
	(void)node;
	if (r < 0)
		return r;
	cpus_visible(&visible);
	ignore_result(cpuinfo_limit(host, &visible, &out));
	return proc_finish(&out, text);
}

PROC_SHOW(proc_show_machine_stat)
{
	autofree char *host = NULL;
	struct str out = {0};
	cpu_set_t visible;
	int r = read_host("stat", &host);

	(void)t;
	(void)node;
	if (r < 0)
		return r;
	cpus_visible(&visible);
	ignore_result(machine_stat_limit(host, &visible, &out));
	return proc_finish(&out, text);
}

static int newest_pid(struct process *p, void *data)
{
	pid_t *newest = data;

	*newest = MAX_OF(*newest, p->pid);
	return 0;
}

PROC_SHOW(proc_show_loadavg)
{
	autofree char *host = NULL;
	size_t processes, threads;
	double load[3];
	pid_t newest = 0;
	int r = read_host("loadavg", &host);

	(void)t;
	(void)node;
	if (r < 0)
		return r;
	if (sscanf(host, "%lf %lf %lf", &load[0], &load[1], &load[2]) != 3)
		return -EIO;
	platform_counts(&processes, &threads);
	process_each(newest_pid, &newest);
	synth_printf(text, "%.2f %.2f %.2f 1/%zu %d\n", load[0], load[1], load[2], threads, newest);
	return 0;
}

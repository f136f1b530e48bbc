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

int meminfo_limit(const char *host, const struct memory_view *m, struct str *out)
{
	uint64_t cached = m->cached - MIN_OF(m->cached, m->shmem);
	/* What can be had without swapping: what is free, and half of what files hold (as the host
	 * estimates). */
	uint64_t available = m->free + m->inactive_file + m->active_file / 2;
	const struct {
		const char *key;
		uint64_t value;
	} ours[] = {
		{"MemTotal", m->total},
		{"MemFree", m->free},
		{"MemAvailable", MIN_OF(available, m->total)},
		{"Buffers", 0},
		{"Cached", cached + m->shmem},
		{"SwapCached", 0},
		{"Active", m->active_anon + m->active_file},
		{"Inactive", m->inactive_anon + m->inactive_file},
		{"Active(anon)", m->active_anon},
		{"Inactive(anon)", m->inactive_anon},
		{"Active(file)", m->active_file},
		{"Inactive(file)", m->inactive_file},
		{"SwapTotal", m->swap_total},
		{"SwapFree", m->swap_free},
		{"AnonPages", m->active_anon + m->inactive_anon},
		{"Shmem", m->shmem},
		{"KReclaimable", m->slab},
		{"Slab", m->slab},
		{"SReclaimable", m->slab},
		{"SUnreclaim", 0},
		{"DirectMap4k", 0},
		{"DirectMap2M", 0},
		{"DirectMap1G", 0},
	};

	while (*host) {
		size_t n = strcspn(host, "\n"), key = strcspn(host, ":"), i;

		for (i = 0; i < ARRAY_LEN(ours); i++)
			if (key < n && strlen(ours[i].key) == key && memcmp(host, ours[i].key, key) == 0)
				break;
		if (i < ARRAY_LEN(ours))
			str_putf(out, "%s:%*llu kB", ours[i].key, (int)(24 - key - 1),
				 (unsigned long long)(ours[i].value / 1024));
		else
			str_put_n(out, host, n);
		str_put(out, "\n");
		host += n + (host[n] == '\n');
	}
	return out->failed ? -ENOMEM : 0;
}

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

/* Blocks of lines, each for one processor, which its first line names. */
int cpuinfo_limit(const char *host, const cpu_set_t *visible, struct str *out)
{
	bool shown = true;

	while (*host) {
		size_t n = strcspn(host, "\n");

		if (str_starts(host, "processor")) {
			const char *colon = memchr(host, ':', n);
			unsigned long cpu = colon ? strtoul(colon + 1, NULL, 10) : CPU_SETSIZE;

			shown = cpu < CPU_SETSIZE && CPU_ISSET(cpu, visible);
		}
		if (shown) {
			str_put_n(out, host, n);
			str_put(out, "\n");
		}
		host += n + (host[n] == '\n');
	}
	return out->failed ? -ENOMEM : 0;
}

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

enum { CPU_FIELDS = 10 };

/* The line of one CPU adds to the sum. */
static void add_cpu(const char *line, unsigned long long sum[CPU_FIELDS])
{
	char *at = strchr(line, ' ');

	for (int i = 0; at && i < CPU_FIELDS; i++)
		sum[i] += strtoull(at, &at, 10);
}

int machine_stat_limit(const char *host, const cpu_set_t *visible, struct str *out)
{
	unsigned long long sum[CPU_FIELDS] = {0};
	struct str autostr rest = {0};

	while (*host) {
		size_t n = strcspn(host, "\n");
		bool cpu = str_starts(host, "cpu");

		if (cpu && host[3] >= '0' && host[3] <= '9') {
			unsigned long nr = strtoul(host + 3, NULL, 10);

			cpu = nr >= CPU_SETSIZE || !CPU_ISSET(nr, visible);
			if (!cpu)
				add_cpu(host, sum);
		}
		/* Interrupts are the host's, and the line of them is long. */
		if (!cpu && !str_starts(host, "intr ")) {
			str_put_n(&rest, host, n);
			str_put(&rest, "\n");
		} else if (!cpu) {
			str_put(&rest, "intr 0\n");
		}
		host += n + (host[n] == '\n');
	}
	str_put(out, "cpu ");
	for (int i = 0; i < CPU_FIELDS; i++)
		str_putf(out, " %llu", sum[i]);
	str_putf(out, "\n%s", rest.s ? rest.s : "");
	return out->failed || rest.failed ? -ENOMEM : 0;
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

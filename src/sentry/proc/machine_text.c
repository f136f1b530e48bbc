/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting down meminfo, cpuinfo and stat (machine.h). */
#include "sentry/proc/machine.h"

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

/* SPDX-License-Identifier: Apache-2.0 */
/* What a running container uses: its cgroup's numbers and its network's. */
#include "engine/rootless.h"

#include "base/file.h"
#include "host/cgroup_stats.h"
#include "runtime/container.h"

#include <inttypes.h>

enum { PROC_FILE_MAX = 1 << 20 };

/* Sums of all interfaces but lo, in /proc/PID/net/dev: the process's own namespace. */
static void read_net(pid_t pid, struct engine_stats *s)
{
	char path[64];
	autofree char *text = NULL;
	size_t len;

	if (snprintf(path, sizeof(path), "/proc/%d/net/dev", (int)pid) < 0 ||
	    file_read_at(AT_FDCWD, path, PROC_FILE_MAX, &text, &len) < 0)
		return;
	for (char *p = text, *line; p && *p;) {
		line = p;
		p = strchr(p, '\n');
		if (p)
			*p++ = '\0';
		char *colon = strchr(line, ':');
		if (!colon)
			continue;
		*colon = '\0';
		line += strspn(line, " ");
		if (streq(line, "lo"))
			continue;
		uint64_t v[9] = {0};
		char *at = colon + 1;
		for (size_t i = 0; i < ARRAY_LEN(v); i++)
			v[i] = strtoull(at, &at, 10);
		s->net_rx += v[0];
		s->net_tx += v[8];
	}
}

/* The machine's own CPU time, for percentages. */
static void read_system(struct engine_stats *s)
{
	autofree char *text = NULL;
	size_t len;
	long ticks = sysconf(_SC_CLK_TCK), cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t total = 0;

	s->cpus = cpus > 0 ? (uint32_t)cpus : 1;
	if (file_read_at(AT_FDCWD, "/proc/stat", PROC_FILE_MAX, &text, &len) < 0 || !str_starts(text, "cpu "))
		return;
	char *at = text + 4;
	for (int i = 0; i < 8; i++)
		total += strtoull(at, &at, 10);
	s->system_ns = total * (1000000000ULL / (uint64_t)(ticks > 0 ? ticks : 100));
}

static uint64_t machine_memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

static uint64_t sum_ops(const cgroup_blkio_list *l, const char *op)
{
	uint64_t total = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (strcasecmp(l->v[i].op, op) == 0)
			total += l->v[i].value;
	}
	return total;
}

int engine_stats(struct engine *e, const char *id, struct engine_stats *ret, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	autocontainer struct container rc = {.dirfd = -1};
	struct cgroup_stats st __attribute__((cleanup(cgroup_stats_free))) = {0};
	struct monitor_status status;
	struct engine_stats s = {0};
	int r = engine_load(e, id, &c, err);

	if (r < 0)
		return r;
	if (snprintf(s.name, sizeof(s.name), "%s", c.name) < 0)
		s.name[0] = '\0';
	if (!engine_runs(e, id, &status)) {
		*ret = s; /* all zeros, as Docker */
		return 0;
	}
	r = container_load(&e->rt, id, CONTAINER_SALVAGE, &rc, err);
	if (r == 0)
		r = rc.level->stats(&rc.sandbox, &st, err);
	if (r < 0)
		return r;
	s.cpu_ns = st.cpu.total;
	/* As `docker stats` counts. */
	uint64_t cache = cgroup_stats_inactive_file(&st);
	s.memory = st.memory.usage.usage > cache ? st.memory.usage.usage - cache : st.memory.usage.usage;
	s.memory_limit = st.memory.usage.limit;
	uint64_t all = machine_memory();
	if (s.memory_limit == 0 || (all && s.memory_limit > all))
		s.memory_limit = all;
	s.pids = st.pids.current;
	s.block_read = sum_ops(&st.blkio.service_bytes, "read");
	s.block_write = sum_ops(&st.blkio.service_bytes, "write");
	if (e->o.rootless && s.pids == 0)
		engine_rootless_stats(status.pid, &s);
	read_net(status.pid, &s);
	read_system(&s);
	*ret = s;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of v2, in the terms of v1 that `events` prints them in. */
#include "host/cgroup_stats_int.h"

static int cpu_v2(const struct cgroup_dir *d, struct cgroup_stats *s)
{
	const struct {
		const char *key;
		uint64_t *to;
		unsigned times;
	} fields[] = {
		{"usage_usec", &s->cpu.total, 1000},
		{"user_usec", &s->cpu.user, 1000},
		{"system_usec", &s->cpu.kernel, 1000},
		{"nr_periods", &s->cpu.periods, 1},
		{"nr_throttled", &s->cpu.throttled_periods, 1},
		{"throttled_usec", &s->cpu.throttled_time, 1000},
	};
	char buf[2048], *rest = buf, *line;

	if (cgroup_get(d, "cpu.stat", buf, sizeof(buf)) < 0)
		return 0;
	while ((line = cgroup_next(&rest, '\n'))) {
		char *key = cgroup_next(&line, ' ');
		uint64_t v;
		if (!key || !line || str_to_u64(line, 10, &v) < 0)
			continue;
		for (size_t i = 0; i < ARRAY_LEN(fields); i++)
			if (streq(key, fields[i].key))
				*fields[i].to = v * fields[i].times;
	}
	return 0;
}

static int psi_v2(const struct cgroup_dir *d, const char *file, struct cgroup_psi *ret)
{
	char buf[512], *rest = buf, *line;

	if (cgroup_get(d, file, buf, sizeof(buf)) <= 0) /* not compiled in, or turned off */
		return 0;
	while ((line = cgroup_next(&rest, '\n'))) {
		struct cgroup_psi_line p = {0};
		char name[8], total[32];
		if (sscanf(line, "%7s avg10=%lf avg60=%lf avg300=%lf total=%31s", name, &p.avg10, &p.avg60,
			   &p.avg300, total) != 5 ||
		    str_to_u64(total, 10, &p.total) < 0)
			continue;
		if (streq(name, "some"))
			ret->some = p;
		else if (streq(name, "full"))
			ret->full = p;
		ret->set = true;
	}
	return 0;
}

static int memory_entry_v2(const struct cgroup_dir *d, const char *prefix, struct cgroup_memory_entry *e)
{
	char file[64];
	int r;

	(void)snprintf(file, sizeof(file), "%s.current", prefix); /* our own short names, here and below */
	if (cgroup_get_u64(d, file, &e->usage) < 0)
		return 0;
	(void)snprintf(file, sizeof(file), "%s.max", prefix);
	r = stats_u64(d, file, &e->limit);
	(void)snprintf(file, sizeof(file), "%s.peak", prefix);
	return r < 0 ? r : stats_u64(d, file, &e->max);
}

static int memory_v2(const struct cgroup_dir *d, struct cgroup_stats *s)
{
	struct cgroup_memory_entry *m = &s->memory.usage, *swap = &s->memory.swap;
	int r = stats_memory_raw(d, "file", s);

	if (r == 0)
		r = memory_entry_v2(d, "memory", m);
	if (r == 0)
		r = memory_entry_v2(d, "memory.swap", swap);
	if (r < 0)
		return r;
	/* v1's terms: memory and swap together; of the peaks there is no sum. */
	swap->usage += m->usage;
	if (swap->limit != UINT64_MAX && __builtin_add_overflow(swap->limit, m->limit, &swap->limit))
		swap->limit = UINT64_MAX;
	swap->max = 0;
	return psi_v2(d, "memory.pressure", &s->memory.psi);
}

static int io_word(struct cgroup_stats *s, struct cgroup_blkio_entry *e, char *word)
{
	static const struct {
		const char *key, *op;
		bool bytes;
	} kinds[] = {
		{"rbytes", "Read", true},
		{"wbytes", "Write", true},
		{"rios", "Read", false},
		{"wios", "Write", false},
	};
	char *key = cgroup_next(&word, '=');

	for (size_t i = 0; key && word && i < ARRAY_LEN(kinds); i++) {
		if (!streq(key, kinds[i].key) || str_to_u64(word, 10, &e->value) < 0)
			continue;
		(void)snprintf(e->op, sizeof(e->op), "%s", kinds[i].op); /* fits */
		return stats_add_blkio(kinds[i].bytes ? &s->blkio.service_bytes : &s->blkio.serviced, e);
	}
	return 0;
}

/* "8:0 rbytes=90430464 wbytes=299008000 rios=8950 wios=1252 dbytes=0 dios=0" */
static int io_v2(const struct cgroup_dir *d, struct cgroup_stats *s)
{
	autofree char *text = NULL;
	char *rest, *line, *word;
	int r = cgroup_get_all(d, "io.stat", &text);

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	for (rest = text; (line = cgroup_next(&rest, '\n'));) {
		struct cgroup_blkio_entry e = {0};
		char *major = cgroup_next(&line, ':'), *minor = cgroup_next(&line, ' ');
		if (!major || !minor || str_to_u64(major, 10, &e.major) < 0 ||
		    str_to_u64(minor, 10, &e.minor) < 0)
			continue;
		while ((word = cgroup_next(&line, ' '))) {
			r = io_word(s, &e, word);
			if (r < 0)
				return r;
		}
	}
	return psi_v2(d, "io.pressure", &s->blkio.psi);
}

static int hugetlb_v2(const struct cgroup_dir *d, struct cgroup_stats *s)
{
	char sizes[16][16];
	size_t n = stats_page_sizes(sizes, ARRAY_LEN(sizes));

	for (size_t i = 0; i < n; i++) {
		struct cgroup_hugetlb h = {0};
		char file[64];
		/* All of it fits, here and below; %.15s for compilers that take the rows for one string. */
		(void)snprintf(h.page_size, sizeof(h.page_size), "%.15s", sizes[i]);
		(void)snprintf(file, sizeof(file), "hugetlb.%.15s.rsvd.current", sizes[i]);
		if (cgroup_get_u64(d, file, &h.usage) < 0) {
			(void)snprintf(file, sizeof(file), "hugetlb.%.15s.current", sizes[i]);
			if (cgroup_get_u64(d, file, &h.usage) < 0)
				return 0; /* no such controller here */
		}
		(void)snprintf(file, sizeof(file), "hugetlb.%.15s.events", sizes[i]);
		ignore_result(cgroup_get_key(d, file, "max", &h.failcnt)); /* 0 where there is none */
		int r = stats_add_hugetlb(s, &h);
		if (r < 0)
			return r;
	}
	return 0;
}

int cgroup_stats_v2(const struct cgroup *cg, struct cgroup_stats *s, struct err *err)
{
	autodir struct cgroup_dir d = {.fd = -1};
	int r = cgroup_dir_open(cg->v2_dir, &d, err);

	if (r < 0)
		return r;
	r = stats_pids(&d, s);
	if (r == 0)
		r = memory_v2(&d, s);
	if (r == 0)
		r = io_v2(&d, s);
	if (r == 0)
		r = cpu_v2(&d, s);
	if (r == 0)
		r = psi_v2(&d, "cpu.pressure", &s->cpu.psi);
	if (r == 0)
		r = hugetlb_v2(&d, s);
	return r < 0 ? err_num(err, r, "cannot read the counters of \"%s\"", cg->v2_dir) : 0;
}

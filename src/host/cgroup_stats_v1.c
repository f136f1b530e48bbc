/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of v1: one directory for each controller. */
#include "host/cgroup_stats_int.h"

/* --- cpu --- */

static int cpu_v1(const struct cgroup_dir *d, struct cgroup_stats *s)
{
	ignore_result(cgroup_get_key(d, "cpu.stat", "nr_periods",
				     &s->cpu.periods)); /* stays 0, so do the next two */
	ignore_result(cgroup_get_key(d, "cpu.stat", "nr_throttled", &s->cpu.throttled_periods));
	ignore_result(cgroup_get_key(d, "cpu.stat", "throttled_time", &s->cpu.throttled_time));
	return 0;
}

static int percpu(const struct cgroup_dir *d, struct cgroup_stats *s)
{
	autofree char *text = NULL;
	char *rest, *word;
	int r = cgroup_get_all(d, "cpuacct.usage_percpu", &text);

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	text[strcspn(text, "\n")] = '\0';
	for (rest = text; r >= 0 && (word = cgroup_next(&rest, ' '));) {
		uint64_t v;
		if (str_to_u64(word, 10, &v) == 0)
			r = stats_add_u64(&s->cpu.percpu, v);
	}
	return r < 0 ? r : 0;
}

/* "cpu user system", then "0 1234 5678" for each processor */
static int percpu_modes(const struct cgroup_dir *d, struct cgroup_stats *s)
{
	autofree char *text = NULL;
	char *rest, *line;
	int r = cgroup_get_all(d, "cpuacct.usage_all", &text);

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	rest = text;
	line = cgroup_next(&rest, '\n');
	if (!line || !str_starts(line, "cpu user system"))
		return 0;
	while ((line = cgroup_next(&rest, '\n'))) {
		uint64_t user, kernel;
		char *a, *b;
		if (!cgroup_next(&line, ' ') || !(a = cgroup_next(&line, ' ')) ||
		    !(b = cgroup_next(&line, ' ')) || str_to_u64(a, 10, &user) < 0 ||
		    str_to_u64(b, 10, &kernel) < 0)
			continue;
		r = stats_add_u64(&s->cpu.percpu_user, user);
		if (r == 0)
			r = stats_add_u64(&s->cpu.percpu_kernel, kernel);
		if (r < 0)
			return r;
	}
	return 0;
}

static int cpuacct_v1(const struct cgroup_dir *d, struct cgroup_stats *s)
{
	enum { TICK_NS = 1000000000 / 100 }; /* USER_HZ is 100 everywhere */
	uint64_t user = 0, kernel = 0;
	int r = stats_u64(d, "cpuacct.usage", &s->cpu.total);

	ignore_result(cgroup_get_key(d, "cpuacct.stat", "user", &user)); /* stays 0, so does the next */
	ignore_result(cgroup_get_key(d, "cpuacct.stat", "system", &kernel));
	s->cpu.user = user * TICK_NS;
	s->cpu.kernel = kernel * TICK_NS;
	if (r == 0)
		r = percpu(d, s);
	return r < 0 ? r : percpu_modes(d, s);
}

/* --- cpuset --- */

static int add_u16(u16_list *l, uint16_t value)
{
	uint16_t *v = reallocarray(l->v, l->n + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v[l->n++] = value;
	l->v = v;
	return 0;
}

/* "0-3,7" */
static int number_list(const struct cgroup_dir *d, const char *file, u16_list *ret)
{
	autofree char *text = NULL;
	char *rest, *word;
	int r = cgroup_get_all(d, file, &text);

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	text[strcspn(text, "\n")] = '\0';
	for (rest = text; (word = cgroup_next(&rest, ','));) {
		char *dash = strchr(word, '-');
		uint64_t from, to;
		if (dash)
			*dash = '\0';
		if (str_to_u64(word, 10, &from) < 0 || str_to_u64(dash ? dash + 1 : word, 10, &to) < 0 ||
		    to > UINT16_MAX)
			return 0;
		for (; from <= to; from++) {
			r = add_u16(ret, (uint16_t)from);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int cpuset_v1(const struct cgroup_dir *d, struct cgroup_stats *s)
{
	const struct {
		const char *file;
		uint64_t *to;
	} numbers[] = {
		{"cpuset.cpu_exclusive", &s->cpuset.cpu_exclusive},
		{"cpuset.mem_hardwall", &s->cpuset.mem_hardwall},
		{"cpuset.mem_exclusive", &s->cpuset.mem_exclusive},
		{"cpuset.memory_migrate", &s->cpuset.memory_migrate},
		{"cpuset.memory_spread_page", &s->cpuset.memory_spread_page},
		{"cpuset.memory_spread_slab", &s->cpuset.memory_spread_slab},
		{"cpuset.memory_pressure", &s->cpuset.memory_pressure},
		{"cpuset.sched_load_balance", &s->cpuset.sched_load_balance},
	};
	char level[32];
	int r = number_list(d, "cpuset.cpus", &s->cpuset.cpus);

	if (r == 0)
		r = number_list(d, "cpuset.mems", &s->cpuset.mems);
	for (size_t i = 0; i < ARRAY_LEN(numbers) && r == 0; i++)
		r = stats_u64(d, numbers[i].file, numbers[i].to);
	if (r == 0 && cgroup_get(d, "cpuset.sched_relax_domain_level", level, sizeof(level)) > 0)
		ignore_result(str_to_i64(level, &s->cpuset.sched_relax_domain_level)); /* stays 0 */
	return r;
}

/* --- memory --- */

static int memory_entry_v1(const struct cgroup_dir *d, const char *prefix, struct cgroup_memory_entry *e)
{
	const struct {
		const char *name;
		uint64_t *to;
	} files[] = {
		{"max_usage_in_bytes", &e->max}, {"failcnt", &e->failcnt}, {"limit_in_bytes", &e->limit}};
	char file[64];
	int r = 0;

	(void)snprintf(file, sizeof(file), "%s.usage_in_bytes",
		       prefix); /* our own short names, here and below */
	if (cgroup_get_u64(d, file, &e->usage) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(files) && r == 0; i++) {
		(void)snprintf(file, sizeof(file), "%s.%s", prefix, files[i].name);
		r = stats_u64(d, file, files[i].to);
	}
	return r;
}

static int memory_v1(const struct cgroup_dir *d, struct cgroup_stats *s)
{
	int r = stats_memory_raw(d, "cache", s);

	if (r == 0)
		r = memory_entry_v1(d, "memory", &s->memory.usage);
	if (r == 0)
		r = memory_entry_v1(d, "memory.memsw", &s->memory.swap);
	if (r == 0)
		r = memory_entry_v1(d, "memory.kmem", &s->memory.kernel);
	return r < 0 ? r : memory_entry_v1(d, "memory.kmem.tcp", &s->memory.kernel_tcp);
}

/* --- blkio --- */

/* "8:0 Read 1282048", "8:0 6792", and a "Total N" behind. -ENOENT: no such file; 1: it has nothing. */
static int blkio_file(const struct cgroup_dir *d, const char *file, cgroup_blkio_list *ret)
{
	autofree char *text = NULL;
	char *rest, *line;
	int r = cgroup_get_all(d, file, &text);

	if (r < 0)
		return r == -ENOMEM ? r : -ENOENT;
	for (rest = text; (line = cgroup_next(&rest, '\n'));) {
		struct cgroup_blkio_entry e = {0};
		char *major = strchr(line, ':') ? cgroup_next(&line, ':') : NULL;
		char *minor = major ? cgroup_next(&line, ' ') : NULL;
		char *op = minor && line && strchr(line, ' ') ? cgroup_next(&line, ' ') : NULL;
		if (!minor || !line || str_to_u64(major, 10, &e.major) < 0 ||
		    str_to_u64(minor, 10, &e.minor) < 0 || str_to_u64(line, 10, &e.value) < 0)
			continue;
		(void)snprintf(e.op, sizeof(e.op), "%s", op ? op : ""); /* cut where unknown words are long */
		r = stats_add_blkio(ret, &e);
		if (r < 0)
			return r;
	}
	return ret->n ? 0 : 1;
}

/* The schedulers count under different names; the first family that has something is taken. */
static int blkio_v1(const struct cgroup_dir *d, struct cgroup_stats *s)
{
	static const char *const families[] = {"blkio.bfq.%s_recursive", "blkio.%s_recursive",
					       "blkio.throttle.%s_recursive", "blkio.throttle.%s"};
	const struct {
		const char *name;
		cgroup_blkio_list *to;
	} files[] = {
		{"io_serviced", &s->blkio.serviced},   {"io_service_bytes", &s->blkio.service_bytes},
		{"sectors", &s->blkio.sectors},	       {"io_service_time", &s->blkio.service_time},
		{"io_wait_time", &s->blkio.wait_time}, {"io_merged", &s->blkio.merged},
		{"io_queued", &s->blkio.queued},       {"time", &s->blkio.time},
	};

	for (size_t f = 0; f < ARRAY_LEN(families); f++) {
		for (size_t i = 0; i < ARRAY_LEN(files); i++) {
			autofree char *file = NULL;
			const char *percent = strchr(families[f], '%');
			file = str_format("%.*s%s%s", (int)(percent - families[f]), families[f],
					  files[i].name, percent + 2);
			int r = file ? blkio_file(d, file, files[i].to) : -ENOMEM;
			if (r < 0 && r != -ENOENT)
				return r;
			if (i == 0 && r != 0)
				break;
		}
		if (s->blkio.serviced.n)
			return 0;
	}
	return 0;
}

/* --- the rest --- */

static int hugetlb_v1(const struct cgroup_dir *d, struct cgroup_stats *s)
{
	char sizes[16][16];
	size_t n = stats_page_sizes(sizes, ARRAY_LEN(sizes));

	for (size_t i = 0; i < n; i++) {
		struct cgroup_hugetlb h = {0};
		char prefix[40], file[64];
		/* All of it fits, here and below; %.15s for compilers that take the rows for one string. */
		(void)snprintf(h.page_size, sizeof(h.page_size), "%.15s", sizes[i]);
		(void)snprintf(prefix, sizeof(prefix), "hugetlb.%.15s.rsvd", sizes[i]);
		(void)snprintf(file, sizeof(file), "%s.usage_in_bytes", prefix);
		if (!cgroup_has_file(d, file)) {
			(void)snprintf(prefix, sizeof(prefix), "hugetlb.%.15s", sizes[i]);
			(void)snprintf(file, sizeof(file), "%s.usage_in_bytes", prefix);
		}
		int r = stats_u64(d, file, &h.usage);
		(void)snprintf(file, sizeof(file), "%s.max_usage_in_bytes", prefix);
		if (r == 0)
			r = stats_u64(d, file, &h.max);
		(void)snprintf(file, sizeof(file), "%s.failcnt", prefix);
		if (r == 0)
			r = stats_u64(d, file, &h.failcnt);
		if (r == 0)
			r = stats_add_hugetlb(s, &h);
		if (r < 0)
			return r;
	}
	return 0;
}

int cgroup_stats_v1(const struct cgroup *cg, struct cgroup_stats *s, struct err *err)
{
	static const struct {
		enum cgroup_v1 controller;
		int (*read)(const struct cgroup_dir *d, struct cgroup_stats *s);
	} readers[] = {
		{CG_CPU, cpu_v1},	  {CG_CPUACCT, cpuacct_v1}, {CG_CPUSET, cpuset_v1},
		{CG_MEMORY, memory_v1},	  {CG_PIDS, stats_pids},    {CG_BLKIO, blkio_v1},
		{CG_HUGETLB, hugetlb_v1},
	};

	for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
		autodir struct cgroup_dir d = {.fd = -1};
		const char *dir = cg->v1_dir[readers[i].controller];
		struct err ignored = {0};
		if (!dir || cgroup_dir_open(dir, &d, &ignored) < 0)
			continue; /* dropped, or the container has just ended */
		int r = readers[i].read(&d, s);
		if (r < 0)
			return err_num(err, r, "cannot read the counters of \"%s\"", dir);
	}
	return 0;
}

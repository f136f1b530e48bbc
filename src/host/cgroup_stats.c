/* SPDX-License-Identifier: Apache-2.0 */
#include "host/cgroup_stats_int.h"

#include <dirent.h>
#include <inttypes.h>

uint64_t cgroup_stats_inactive_file(const struct cgroup_stats *s)
{
	for (size_t i = 0; i < s->memory.raw.n; i++) {
		const struct cgroup_raw *raw = &s->memory.raw.v[i];
		if (streq(raw->key, "total_inactive_file") || streq(raw->key, "inactive_file"))
			return raw->value;
	}
	return 0;
}

void cgroup_stats_free(struct cgroup_stats *s)
{
	free(s->cpu.percpu.v);
	free(s->cpu.percpu_kernel.v);
	free(s->cpu.percpu_user.v);
	free(s->cpuset.cpus.v);
	free(s->cpuset.mems.v);
	for (size_t i = 0; i < s->memory.raw.n; i++)
		free(s->memory.raw.v[i].key);
	free(s->memory.raw.v);
	free(s->blkio.service_bytes.v);
	free(s->blkio.serviced.v);
	free(s->blkio.queued.v);
	free(s->blkio.service_time.v);
	free(s->blkio.wait_time.v);
	free(s->blkio.merged.v);
	free(s->blkio.time.v);
	free(s->blkio.sectors.v);
	free(s->hugetlb.v);
	*s = (struct cgroup_stats){0};
}

/* Room for one more at the end of any of the lists, whose room doubles at each power of two. */
static void *grow(void *v, size_t n, size_t size)
{
	if (n == 0)
		return malloc(size);
	return n & (n - 1) ? v : reallocarray(v, n * 2, size);
}

int stats_add_blkio(cgroup_blkio_list *l, const struct cgroup_blkio_entry *e)
{
	struct cgroup_blkio_entry *v = grow(l->v, l->n, sizeof(*v));

	if (!v)
		return -ENOMEM;
	l->v = v;
	l->v[l->n++] = *e;
	return 0;
}

int stats_add_u64(u64_list *l, uint64_t value)
{
	uint64_t *v = grow(l->v, l->n, sizeof(*v));

	if (!v)
		return -ENOMEM;
	l->v = v;
	l->v[l->n++] = value;
	return 0;
}

int stats_add_hugetlb(struct cgroup_stats *s, const struct cgroup_hugetlb *h)
{
	struct cgroup_hugetlb *v = grow(s->hugetlb.v, s->hugetlb.n, sizeof(*v));

	if (!v)
		return -ENOMEM;
	s->hugetlb.v = v;
	s->hugetlb.v[s->hugetlb.n++] = *h;
	return 0;
}

static int add_raw(struct cgroup_stats *s, const char *key, uint64_t value)
{
	struct cgroup_raw *v = grow(s->memory.raw.v, s->memory.raw.n, sizeof(*v));

	if (!v)
		return -ENOMEM;
	s->memory.raw.v = v;
	v += s->memory.raw.n;
	v->key = strdup(key);
	v->value = value;
	if (!v->key)
		return -ENOMEM;
	s->memory.raw.n++;
	return 0;
}

int stats_u64(const struct cgroup_dir *d, const char *file, uint64_t *ret)
{
	int r = cgroup_get_u64(d, file, ret);

	return r == -ENOMEM ? r : 0; /* one counter that is not there keeps no other from being read */
}

int stats_memory_raw(const struct cgroup_dir *d, const char *cache_key, struct cgroup_stats *s)
{
	autofree char *text = NULL;
	char *rest, *line;
	int r = cgroup_get_all(d, "memory.stat", &text);

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	for (rest = text; (line = cgroup_next(&rest, '\n'));) {
		uint64_t v;
		char *key = cgroup_next(&line, ' ');
		if (!key || !line || str_to_u64(line, 10, &v) < 0)
			continue;
		if (streq(key, cache_key))
			s->memory.cache = v;
		r = add_raw(s, key, v);
		if (r < 0)
			return r;
	}
	return 0;
}

static int count_lines(const struct cgroup_dir *d, const char *file, uint64_t *ret)
{
	autofree char *text = NULL;
	int r = cgroup_get_all(d, file, &text);
	uint64_t n = 0;

	if (r < 0)
		return r;
	for (const char *s = text; (s = strchr(s, '\n')); s++)
		n++;
	*ret = n;
	return 0;
}

int stats_pids(const struct cgroup_dir *d, struct cgroup_stats *s)
{
	int r = cgroup_get_u64(d, "pids.current", &s->pids.current);

	if (r == -ENOENT) { /* a v2 group without the controller */
		r = count_lines(d, "cgroup.procs", &s->pids.current);
		if (r == -EOPNOTSUPP)
			r = count_lines(d, "cgroup.threads", &s->pids.current);
		return r == -ENOMEM ? r : 0;
	}
	r = stats_u64(d, "pids.max", &s->pids.limit);
	if (s->pids.limit == UINT64_MAX)
		s->pids.limit = 0;
	return r;
}

size_t stats_page_sizes(char (*ret)[16], size_t max)
{
	DIR *dir = opendir("/sys/kernel/mm/hugepages");
	struct dirent *e;
	size_t n = 0;

	while (dir && n < max && (e = readdir(dir))) {
		uint64_t kb;
		char number[24];
		/* "hugepages-2048kB" */
		if (sscanf(e->d_name, "hugepages-%23[0-9]kB", number) != 1 ||
		    str_to_u64(number, 10, &kb) < 0 || kb >= UINT64_C(1) << 40)
			continue;
		uint64_t v = kb >= 1 << 20 ? kb >> 20 : kb >= 1 << 10 ? kb >> 10 : kb;
		const char *unit = kb >= 1 << 20 ? "GB" : kb >= 1 << 10 ? "MB" : "KB";
		(void)snprintf(ret[n++], sizeof(*ret), "%" PRIu64 "%s", v, unit); /* 7 digits at most */
	}
	if (dir)
		(void)closedir(dir);
	return n;
}

int cgroup_stats_read(const struct cgroup *cg, struct cgroup_stats *ret, struct err *err)
{
	struct cgroup_stats s = {0};
	int r = 0;

	if (!cg->none)
		r = cg->v2 ? cgroup_stats_v2(cg, &s, err) : cgroup_stats_v1(cg, &s, err);
	if (r < 0) {
		cgroup_stats_free(&s);
		return r;
	}
	*ret = s;
	return 0;
}

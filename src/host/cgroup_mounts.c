/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  /proc/self/mountinfo of a busy host has thousands of
 * lines, and every start of a container would pay for them.  The places are
 * the same everywhere, so they are asked directly: the type of the file
 * system at /sys/fs/cgroup tells the unified machine (one system call), and
 * at /sys/fs/cgroup/CONTROLLER the others.  Mountinfo is read only where a
 * machine keeps them elsewhere, or shows a part of the tree as its root.
 */
#include "host/cgroup_int.h"

#include "base/file.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#define UNIFIED CGROUP_TOP "/unified"

static const char *const v1_names[CG_V1_COUNT] = {
	[CG_CPU] = "cpu",	  [CG_CPUACCT] = "cpuacct",   [CG_CPUSET] = "cpuset",
	[CG_MEMORY] = "memory",	  [CG_DEVICES] = "devices",   [CG_FREEZER] = "freezer",
	[CG_BLKIO] = "blkio",	  [CG_PIDS] = "pids",	      [CG_HUGETLB] = "hugetlb",
	[CG_NET_CLS] = "net_cls", [CG_NET_PRIO] = "net_prio", [CG_PERF_EVENT] = "perf_event",
	[CG_RDMA] = "rdma",	  [CG_MISC] = "misc",	      [CG_NAMED_SYSTEMD] = "name=systemd",
};

const char *cgroup_v1_name(enum cgroup_v1 c)
{
	return v1_names[c];
}

const char *cgroup_v1_dirname(enum cgroup_v1 c)
{
	return c == CG_NAMED_SYSTEMD ? "systemd" : v1_names[c];
}

static bool is_type(const char *path, long type)
{
	struct statfs st;

	return statfs(path, &st) == 0 && st.f_type == (__typeof__(st.f_type))type;
}

size_t cgroup_v2_root_len(const struct cgroup *cg)
{
	size_t len = strlen(cg->v2_dir), path = strlen(cg->path);

	if (cg->v2 && path <= len)
		return len - path;
	/* Hybrid: cg->path is that of a v1 hierarchy. */
	return str_starts(cg->v2_dir, UNIFIED "/") ? strlen(UNIFIED) : 0;
}

void cgroup_mounts_free(struct cgroup_mounts *m)
{
	free(m->v2_root);
	for (int c = 0; c < CG_V1_COUNT; c++) {
		free(m->v1_root[c]);
		free(m->v1_base[c]);
	}
	*m = (struct cgroup_mounts){0};
}

/* "\040" and its like in mountinfo, undone in place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' &&
		    s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

static int take_v1_line(struct cgroup_mounts *m, char *options, const char *root, const char *point)
{
	char *word;

	while ((word = cgroup_next(&options, ','))) {
		for (int c = 0; c < CG_V1_COUNT; c++) {
			if (!streq(word, v1_names[c]))
				continue;
			if (!m->v1_root[c] && !(m->v1_root[c] = strdup(point)))
				return -ENOMEM;
			if (streq(m->v1_root[c], point) && !m->v1_base[c] && !(m->v1_base[c] = strdup(root)))
				return -ENOMEM;
		}
	}
	return 0;
}

/* "36 35 98:0 /root /point options optional… - type source super-options" */
static int take_mount_line(struct cgroup_mounts *m, char *line)
{
	char *tail = strstr(line, " - ");
	char *field[5];

	if (!tail)
		return 0;
	*tail = '\0';
	tail += 3;
	for (size_t i = 0; i < ARRAY_LEN(field); i++)
		if (!(field[i] = cgroup_next(&line, ' ')))
			return 0;
	const char *type = cgroup_next(&tail, ' ');
	if (!type || !cgroup_next(&tail, ' '))
		return 0;
	unescape(field[3]);
	unescape(field[4]);
	if (streq(type, "cgroup") && tail)
		return take_v1_line(m, tail, field[3], field[4]);
	if (streq(type, "cgroup2") && !m->v2_root && !(m->v2_root = strdup(field[4])))
		return -ENOMEM;
	return 0;
}

static int from_mountinfo(struct cgroup_mounts *m, struct err *err)
{
	autofree char *text = NULL;
	size_t len;
	char *s, *line;
	int r = file_read_at(AT_FDCWD, "/proc/self/mountinfo", 64 << 20, &text, &len);

	if (r < 0)
		return err_num(err, r, "cannot read \"/proc/self/mountinfo\"");
	for (s = text; (line = cgroup_next(&s, '\n'));) {
		r = take_mount_line(m, line);
		if (r < 0)
			return err_oom(err);
	}
	return 0;
}

int cgroup_mounts_bases(struct cgroup_mounts *m, struct err *err)
{
	return m->v2 ? 0 : from_mountinfo(m, err);
}

static int find_usual(struct cgroup_mounts *m)
{
	for (int c = 0; c < CG_V1_COUNT; c++) {
		char path[64];

		(void)snprintf(path, sizeof(path), CGROUP_TOP "/%s",
			       cgroup_v1_dirname(c)); /* our own short names */
		if (is_type(path, CGROUP_SUPER_MAGIC) && !(m->v1_root[c] = strdup(path)))
			return -ENOMEM;
	}
	if (is_type(UNIFIED, CGROUP2_SUPER_MAGIC) && !(m->v2_root = strdup(UNIFIED)))
		return -ENOMEM;
	return 0;
}

static bool any_v1(const struct cgroup_mounts *m)
{
	for (int c = 0; c < CG_V1_COUNT; c++)
		if (m->v1_root[c])
			return true;
	return false;
}

static int find_hierarchies(struct cgroup_mounts *m, struct err *err)
{
	int r = 0;

	if (is_type(CGROUP_TOP, CGROUP2_SUPER_MAGIC)) {
		m->v2 = true;
		m->v2_root = strdup(CGROUP_TOP);
		return m->v2_root ? 0 : err_oom(err);
	}
	if (find_usual(m) < 0)
		return err_oom(err);
	/* These three are on every v1 machine: one that lacks here is somewhere else. */
	if (!m->v1_root[CG_DEVICES] || !m->v1_root[CG_MEMORY] || !m->v1_root[CG_CPU])
		r = from_mountinfo(m, err);
	if (r == 0 && m->v2_root && !any_v1(m))
		m->v2 = true;
	return r;
}

int cgroup_mounts_find(struct cgroup_mounts *ret, struct err *err)
{
	struct cgroup_mounts m = {0};
	int r = find_hierarchies(&m, err);

	if (r < 0) {
		cgroup_mounts_free(&m);
		return r;
	}
	*ret = m;
	return 0;
}

void cgroup_machine(struct cgroup_machine *ret)
{
	struct cgroup_mounts m;
	struct err err = {0};

	*ret = (struct cgroup_machine){.systemd = access("/run/systemd/system", F_OK) == 0};
	if (cgroup_mounts_find(&m, &err) < 0)
		return;
	ret->v2 = m.v2;
	ret->v1 = any_v1(&m);
	ret->hybrid = ret->v1 && m.v2_root;
	cgroup_mounts_free(&m);
}

bool cgroup_is_unified(void)
{
	struct cgroup_machine machine;

	if (is_type(CGROUP_TOP, CGROUP2_SUPER_MAGIC))
		return true;
	if (is_type(CGROUP_TOP "/memory", CGROUP_SUPER_MAGIC))
		return false;
	cgroup_machine(&machine);
	return machine.v2 && !machine.v1;
}

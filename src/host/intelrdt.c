/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group is a directory of the resctrl file system: `schemata` has its
 * shares of cache and memory bandwidth, `tasks` its processes, `mon_groups`
 * groups that are measured on their own.
 */
#include "host/intelrdt.h"

#include "base/file.h"
#include "base/str.h"

#include <strings.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define RESCTRL_MAGIC 0x7655821
static const char root[] = "/sys/fs/resctrl";

bool intelrdt_enabled(void)
{
	struct statfs fs;

	return statfs(root, &fs) == 0 && fs.f_type == RESCTRL_MAGIC;
}

static bool has_info(const char *name)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/info/%s", root, name); /* always fits */
	return intelrdt_enabled() && access(path, F_OK) == 0;
}

bool intelrdt_cat_enabled(void)
{
	return has_info("L3");
}

bool intelrdt_mba_enabled(void)
{
	return has_info("MB");
}

bool intelrdt_monitoring_enabled(void)
{
	return has_info("L3_MON");
}

static bool is_empty(const char *s)
{
	return !s || !*s;
}

/* The end of a word and its beginning, blanks and leading zeros of the value left out. */
static bool same_value(const char *a, const char *b)
{
	a += strspn(a, " \t0");
	b += strspn(b, " \t0");
	size_t n = strcspn(a, ";\n \t"), m = strcspn(b, ";\n \t");
	return n == m && strncasecmp(a, b, n) == 0;
}

/* The line of `text` for the resource that `line` begins with, behind its colon, or NULL. */
static const char *find_resource(const char *text, const char *line, size_t name_len)
{
	for (const char *p = text; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		const char *q = p + strspn(p, " \t");
		if (strncmp(q, line, name_len) == 0 && q[name_len] == ':')
			return q + name_len + 1;
	}
	return NULL;
}

bool intelrdt_schema_matches(const char *have, const char *line)
{
	size_t name_len = strcspn(line, ":");
	const char *there = line[name_len] ? find_resource(have, line, name_len) : NULL;

	if (!there)
		return false;
	for (const char *p = line + name_len + 1; *p; p += strcspn(p, ";"), p += *p == ';') {
		size_t id_len = strcspn(p, "=;");
		const char *q = there;

		if (p[id_len] != '=')
			return false;
		while (*q && *q != '\n' && (strncmp(q, p, id_len) != 0 || q[id_len] != '=')) {
			q += strcspn(q, ";\n");
			q += *q == ';';
		}
		if (!*q || *q == '\n' || !same_value(q + id_len + 1, p + id_len + 1))
			return false;
	}
	return true;
}

/* "/" is the root group and the only name with a slash. */
static bool bad_clos(const char *id)
{
	return streq(id, ".") || streq(id, "..") || (strchr(id, '/') && !streq(id, "/")) ||
	       strlen(id) > NAME_MAX;
}

/* Calls `each` with every line that is asked for, in the order of the specification. */
static int for_lines(const struct oci_intel_rdt *r,
		     int (*each)(void *data, const char *line, struct err *err), void *data, struct err *err)
{
	int e = 0;

	if (!is_empty(r->l3_cache_schema))
		e = each(data, r->l3_cache_schema, err);
	if (e == 0 && !is_empty(r->mem_bw_schema))
		e = each(data, r->mem_bw_schema, err);
	for (size_t i = 0; e == 0 && i < r->schemata.n; i++)
		if (!is_empty(r->schemata.v[i]))
			e = each(data, r->schemata.v[i], err);
	return e;
}

static int put_line(void *data, const char *line, struct err *err unused)
{
	str_putf(data, "%s\n", line);
	return 0;
}

static int check_line(void *data unused, const char *line, struct err *err)
{
	return strchr(line, '\n') ? err_set(err, EINVAL, "intelRdt: a schema must be one line") : 0;
}

static int compare_line(void *data, const char *line, struct err *err)
{
	if (intelrdt_schema_matches(data, line))
		return 0;
	return err_set(err, EEXIST, "intelrdt: schema \"%s\" does not match that of the group which exists",
		       line);
}

int intelrdt_check(const struct oci_intel_rdt *r, struct err *err)
{
	if (!r)
		return 0;
	if (!intelrdt_enabled())
		return err_set(err, ENOTSUP, "intelRdt is specified in config, but Intel RDT is not enabled");
	if (r->clos_id && bad_clos(r->clos_id))
		return err_set(err, EINVAL, "invalid intelRdt.ClosID \"%s\"", r->clos_id);
	if (!is_empty(r->l3_cache_schema) && !intelrdt_cat_enabled())
		return err_set(
			err, ENOTSUP,
			"intelRdt.l3CacheSchema is specified in config, but Intel RDT/CAT is not enabled");
	if (!is_empty(r->mem_bw_schema) && !intelrdt_mba_enabled())
		return err_set(
			err, ENOTSUP,
			"intelRdt.memBwSchema is specified in config, but Intel RDT/MBA is not enabled");
	if ((r->enable_monitoring || r->enable_cmt || r->enable_mbm) && !intelrdt_monitoring_enabled())
		return err_set(err, ENOTSUP,
			       "intelRdt.enableMonitoring is specified in config, but Intel RDT monitoring "
			       "is not enabled");
	return for_lines(r, check_line, NULL, err);
}

int intelrdt_plan(const struct oci_intel_rdt *r, const char *id, struct intelrdt *ret, struct err *err)
{
	struct intelrdt g = {0};

	if (r) {
		const char *clos = is_empty(r->clos_id) ? id : r->clos_id;
		bool measured = r->enable_monitoring || r->enable_cmt || r->enable_mbm;

		if (bad_clos(clos))
			return err_set(err, EINVAL, "invalid intelRdt.ClosID \"%s\"", clos);
		g.dir = streq(clos, "/") ? strdup(root) : str_format("%s/%s", root, clos);
		if (g.dir && measured)
			g.mon_dir = str_format("%s/mon_groups/%s", g.dir, id);
		if (!g.dir || (measured && !g.mon_dir)) {
			intelrdt_free(&g);
			return err_oom(err);
		}
	}
	*ret = g;
	return 0;
}

/* The kernel says in info/last_cmd_status what errno cannot. */
static int fail(struct err *err, const char *what, int code)
{
	char path[64];
	autofree char *status = NULL;

	(void)snprintf(path, sizeof(path), "%s/info/last_cmd_status", root); /* always fits */
	if (file_read_at(AT_FDCWD, path, 4096, &status, NULL) < 0)
		return err_num(err, code, "intelrdt: %s", what);
	status[strcspn(status, "\n")] = '\0';
	return err_set(err, code < 0 ? -code : code, "intelrdt: %s: %s, last_cmd_status: %s", what,
		       err_text(code), status);
}

static int add_task(const char *dir, pid_t pid, struct err *err)
{
	char text[16], what[64];
	autofree char *path = str_format("%s/tasks", dir);

	if (!path)
		return err_oom(err);
	(void)snprintf(text, sizeof(text), "%d", pid);			 /* always fits */
	(void)snprintf(what, sizeof(what), "unable to add pid %d", pid); /* always fits */
	int r = file_write_at(AT_FDCWD, path, text);
	return r < 0 ? fail(err, what, r) : 0;
}

int intelrdt_set(const struct intelrdt *g, const struct oci_intel_rdt *r, struct err *err)
{
	struct str text autostr = {0};

	if (!g->dir || !r)
		return 0;
	ignore_result(
		for_lines(r, put_line, &text, err)); /* cannot fail but for memory, which is asked below */
	if (text.failed)
		return err_oom(err);
	if (text.len == 0)
		return 0;
	autofree char *path = str_format("%s/schemata", g->dir);
	if (!path)
		return err_oom(err);
	int e = file_write_at(AT_FDCWD, path, text.s);
	return e < 0 ? fail(err, "unable to write schemata", e) : 0;
}

static int compare_schemata(const struct intelrdt *g, const struct oci_intel_rdt *r, struct err *err)
{
	autofree char *have = NULL, *path = str_format("%s/schemata", g->dir);

	if (!path)
		return err_oom(err);
	int e = file_read_at(AT_FDCWD, path, 1 << 16, &have, NULL);
	if (e < 0)
		return fail(err, "unable to read schemata", e);
	return for_lines(r, compare_line, have, err);
}

int intelrdt_apply(struct intelrdt *g, const struct oci_intel_rdt *r, pid_t pid, struct err *err)
{
	if (!g->dir || !r)
		return 0;
	bool no_schema = is_empty(r->l3_cache_schema) && is_empty(r->mem_bw_schema) && r->schemata.n == 0;
	if (!is_empty(r->clos_id) && no_schema && access(g->dir, F_OK) < 0)
		return err_sys(
			err, "clos dir not accessible (must be pre-created when schemata, l3CacheSchema and "
			     "memBwSchema are empty)");
	bool fresh = mkdir(g->dir, 0755) == 0;
	if (!fresh && errno != EEXIST)
		return fail(err, "unable to make the group's directory", errno);
	g->made = fresh && is_empty(r->clos_id);
	/* A group that was there is shared with others: it is as asked for, or an error, but not changed. */
	int e = fresh ? intelrdt_set(g, r, err) : compare_schemata(g, r, err);
	if (e == 0)
		e = add_task(g->dir, pid, err);
	if (e == 0 && g->mon_dir) {
		if (mkdir(g->mon_dir, 0755) < 0 && errno != EEXIST)
			return fail(err, "unable to make the monitoring group's directory", errno);
		e = add_task(g->mon_dir, pid, err);
	}
	return e;
}

int intelrdt_remove(const struct intelrdt *g, struct err *err)
{
	if (g->mon_dir && rmdir(g->mon_dir) < 0 && errno != ENOENT)
		return err_sys(err, "intelrdt: cannot remove %s", g->mon_dir);
	if (g->made && g->dir && rmdir(g->dir) < 0 && errno != ENOENT)
		return err_sys(err, "intelrdt: cannot remove %s", g->dir);
	return 0;
}

void intelrdt_free(struct intelrdt *g)
{
	free(g->dir);
	free(g->mon_dir);
	*g = (struct intelrdt){0};
}

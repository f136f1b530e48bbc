/* SPDX-License-Identifier: Apache-2.0 */
/* `system check`, and what is started with the machine. */
#include "engine/create.h"

#include "base/file.h"

#include <dirent.h>

struct checking {
	struct engine *e;
	bool repair;
	void (*finding)(void *data, const char *line);
	void *data;
	uint64_t found;
};

static void check_found(struct checking *k, const char *fmt, ...) printf_like(2, 3);
static void check_found(struct checking *k, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	k->found++;
	if (n >= 0 && k->finding)
		k->finding(k->data, text);
}

static bool row_exists(struct engine *e, const char *id)
{
	struct db_row q autodbrow;
	struct err ignored = {0};

	/* In doubt it is there, and nothing is removed. */
	return db_query(e->db, &q, &ignored, "SELECT 1 FROM container WHERE id = ?", "s", id) < 0 ||
	       db_next(&q, &ignored) != 0;
}

/* Rows against what runs. */
static int check_row(void *data, struct engine_container *c, struct err *err)
{
	struct checking *k = data;
	bool dir = engine_has_run_dir(k->e, c->id);
	bool live = engine_is_live(c);
	struct monitor_status st = {0};

	(void)err;
	if (!dir && !live && !streq(c->state, "removing"))
		return 0;
	bool runs = engine_runs(k->e, c->id, &st) || st.restarting;
	if (dir && live && runs && st.monitor_alive)
		return 0;
	struct err busy = {0};
	int lock = engine_lock(k->e, c->id, false, &busy);
	if (lock < 0)
		return 0; /* a command is at it */
	struct engine_container now autocontainer_row = {.lock = -1};
	struct err why = {0};
	if (engine_load(k->e, c->id, &now, &why) < 0) {
		(void)close(lock); /* lets it go */
		return 0;
	}
	now.lock = lock;
	check_found(k, "container %s (%.12s): its row says \"%s\", which is not so%s", c->name, c->id,
		    c->state, k->repair ? "; settled" : "");
	if (k->repair && engine_settle(k->e, &now, &why) < 0)
		check_found(k, "container %s (%.12s): %s", c->name, c->id, why.msg);
	return 0;
}

/* Directories of containers that are no more. */
static int check_dirs(struct checking *k, int dirfd_, const char *root, struct err *err)
{
	int fd = openat(dirfd_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		int r = err_sys(err, "cannot read \"%s/containers\"", root);
		if (fd >= 0)
			(void)close(fd); /* read only */
		return r;
	}
	for (const struct dirent *x; (x = readdir(d));) {
		if (x->d_name[0] == '.' ||
		    (strlen(x->d_name) == ENGINE_ID_LEN && row_exists(k->e, x->d_name)))
			continue;
		check_found(k, "\"%s/containers/%s\" belongs to no container%s", root, x->d_name,
			    k->repair ? "; removed" : "");
		if (!k->repair)
			continue;
		if (strlen(x->d_name) == ENGINE_ID_LEN) {
			struct err why = {0};
			int r = runtime_delete(&k->e->rt, x->d_name, true, &why);
			if (r < 0 && r != -ENOENT)
				check_found(k, "%s", why.msg);
		}
		int r = file_remove_tree_at(dirfd_, x->d_name);
		if (r < 0)
			check_found(k, "cannot remove \"%s/containers/%s\": %s", root, x->d_name,
				    err_text(r));
	}
	(void)closedir(d); /* read only */
	return 0;
}

static int check_runtime(struct checking *k, struct err *err)
{
	struct list_rows rows = {0};
	int r = access(k->e->rt.root, F_OK) < 0 ? 0 : runtime_list(&k->e->rt, &rows, err);

	for (size_t i = 0; r == 0 && i < rows.n; i++) {
		struct err why = {0};
		if (row_exists(k->e, rows.v[i].id))
			continue;
		check_found(k, "the runtime knows \"%s\", which is no container's%s", rows.v[i].id,
			    k->repair ? "; deleted" : "");
		if (k->repair && runtime_delete(&k->e->rt, rows.v[i].id, true, &why) < 0)
			check_found(k, "%s", why.msg);
	}
	runtime_list_free(&rows);
	return r;
}

static int check_volumes(struct checking *k, struct err *err)
{
	struct err ignored = {0};
	int r = 0;
	uint64_t stale = 0;
	{
		struct db_row q autodbrow;
		r = db_query(
			k->e->db, &q, err,
			"SELECT count(*) FROM volume_use WHERE container NOT IN (SELECT id FROM container)",
			"");
		if (r == 0 && (r = db_next(&q, err)) > 0)
			stale = (uint64_t)db_int(&q, 0);
	}
	if (r < 0)
		return r;
	if (stale) {
		check_found(k, "%llu uses of volumes by containers that are no more%s",
			    (unsigned long long)stale, k->repair ? "; removed" : "");
		if (k->repair)
			ignore_result(db_exec(k->e->db, &ignored,
					      "DELETE FROM volume_use WHERE container NOT IN (SELECT id FROM "
					      "container)",
					      "")); /* the next check finds it again */
	}
	return 0;
}

static bool net_alive(void *data, const char *id, pid_t *ret_pid)
{
	struct checking *k = data;
	struct monitor_status st;

	if (engine_runs(k->e, id, &st))
		*ret_pid = st.pid;
	return row_exists(k->e, id) && engine_has_run_dir(k->e, id);
}

static void net_finding(void *data, const char *line)
{
	struct checking *k = data;

	if (k->finding)
		k->finding(k->data, line);
}

int engine_check(struct engine *e, bool deep, bool repair, void (*finding)(void *data, const char *line),
		 void *data, uint64_t *ret_findings, struct err *err)
{
	struct checking k = {.e = e, .repair = repair, .finding = finding, .data = data};
	uint64_t images = 0, networks = 0;
	struct net *n;
	int r = engine_each(e, check_row, &k, err);

	if (r == 0)
		r = check_dirs(&k, e->data_fd, e->data_root, err);
	if (r == 0)
		r = check_dirs(&k, e->run_fd, e->run_root, err);
	if (r == 0)
		r = check_runtime(&k, err);
	if (r == 0)
		r = check_volumes(&k, err);
	if (r == 0)
		r = engine_net_get(e, &n, err);
	if (r == 0)
		r = net_check(n, net_alive, &k, repair, net_finding, &networks, err);
	if (r == 0)
		r = image_check(e->store, deep, repair, finding, data, &images, err);
	if (r == 0)
		*ret_findings = k.found + networks + images;
	return r;
}

/* ---- with the machine ---- */

struct starting_all {
	struct engine *e;
	void (*told)(void *data, const char *id, const struct err *err);
	void *data;
};

static int check_start_one(void *data, struct engine_container *c, struct err *err)
{
	struct starting_all *s = data;
	struct engine_start q = {0};
	enum monitor_restart policy;
	uint32_t max;
	struct err why = {0};

	(void)err;
	if (engine_restart_parse(c->record.q.restart, &policy, &max, &why) < 0)
		return 0;
	bool wanted =
		policy == MONITOR_RESTART_ALWAYS || (policy == MONITOR_RESTART_UNLESS_STOPPED && !c->stopped);
	/* One that was made and never started is not restarted either. */
	if (!wanted || c->started == 0)
		return 0;
	int r = engine_start(s->e, c->id, &q, NULL, &why);
	if (s->told)
		s->told(s->data, c->id, r < 0 ? &why : NULL);
	return 0;
}

int engine_start_all(struct engine *e, void (*told)(void *data, const char *id, const struct err *err),
		     void *data, struct err *err)
{
	struct starting_all s = {.e = e, .told = told, .data = data};

	return engine_each(e, check_start_one, &s, err);
}

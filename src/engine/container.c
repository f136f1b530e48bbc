/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of containers: loading, locking, writing. */
#include "engine/engine_int.h"

#include <sys/file.h>
#include <sys/stat.h>

void engine_container_free(struct engine_container *c)
{
	free(c->id);
	free(c->name);
	free(c->state);
	free(c->error);
	free(c->image);
	json_doc_free(&c->doc);
	/* Zero-initialised ones hold none; 0 is nobody's lock. */
	if (c->lock > 0)
		(void)close(c->lock); /* lets the lock go */
	*c = (struct engine_container){.lock = -1};
}

int engine_no_such(const char *name, struct err *err)
{
	return err_set(err, ENOENT, "No such container: %s", name);
}

static int take_row(const struct db_row *q, struct engine_container *c, struct err *err)
{
	c->id = strdup(db_text(q, 0));
	c->name = strdup(db_text(q, 1));
	c->slot = db_is_null(q, 2) ? -1 : db_int(q, 2);
	c->state = strdup(db_text(q, 3));
	c->flags = db_int(q, 4);
	c->exit_code = (int)db_int(q, 5);
	c->oom = db_int(q, 6) != 0;
	c->stopped = db_int(q, 7) != 0;
	c->created = db_int(q, 8);
	c->started = db_int(q, 9);
	c->finished = db_int(q, 10);
	c->restarts = db_int(q, 11);
	c->error = strdup(db_text(q, 12));
	c->image = strdup(db_text(q, 13));
	if (!c->id || !c->name || !c->state || !c->error || !c->image)
		return err_oom(err);
	const char *record = db_text(q, 14);
	return engine_record_read(record, strlen(record), c->id, &c->doc, &c->record, err);
}

int engine_load(struct engine *e, const char *id, struct engine_container *ret, struct err *err)
{
	struct engine_container c = {.lock = -1};
	struct db_row q autodbrow;
	int r = db_query(
		e->db, &q, err,
		"SELECT id, name, slot, state, flags, exit_code, oom, stopped, created, started, "
		"finished, restarts, error, image, record FROM container JOIN container_record USING (id) "
		"WHERE id = ?",
		"s", id);

	if (r == 0)
		r = db_next(&q, err);
	if (r == 0)
		return engine_no_such(id, err);
	if (r < 0)
		return r;
	r = take_row(&q, &c, err);
	if (r < 0)
		engine_container_free(&c);
	else
		*ret = c;
	return r;
}

int engine_lock(struct engine *e, const char *id, bool wait, struct err *err)
{
	for (;;) {
		struct stat own, now;
		autoclose int fd = openat(e->data_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT) {
			if (mkdirat(e->data_fd, id, 0710) < 0 && errno != EEXIST)
				return err_sys(err, "cannot make \"%s/containers/%s\"", e->data_root, id);
			continue;
		}
		if (fd < 0)
			return err_sys(err, "cannot open \"%s/containers/%s\"", e->data_root, id);
		int r = fd_flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB));
		if (r == -EWOULDBLOCK)
			return -EAGAIN;
		if (r < 0)
			return err_num(err, r, "cannot lock container %.12s", id);
		/* Whoever had it may have removed the directory. */
		if (fstat(fd, &own) == 0 && fstatat(e->data_fd, id, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
		    own.st_ino == now.st_ino)
			return take_fd(&fd);
	}
}

void engine_lock_undo(const struct engine *e, const char *id)
{
	(void)unlinkat(e->data_fd, id, AT_REMOVEDIR); /* not empty: somebody's */
}

int engine_load_locked(struct engine *e, const char *id, struct engine_container *ret, struct err *err)
{
	struct engine_container c = {.lock = -1};
	autoclose int lock = engine_lock(e, id, true, err);

	if (lock < 0)
		return lock;
	int r = engine_load(e, id, &c, err);
	if (r == -ENOENT)
		engine_lock_undo(e, id);
	if (r < 0)
		return r;
	c.lock = take_fd(&lock);
	r = engine_settle(e, &c, err);
	if (r == 0 && streq(c.state, "removed"))
		r = engine_no_such(id, err);
	if (r < 0)
		engine_container_free(&c);
	else
		*ret = c;
	return r;
}

int engine_set_state(struct engine *e, struct engine_container *c, const char *state, struct err *err)
{
	engine_running_withdraw(e, c);
	int r = db_exec(e->db, err, "UPDATE container SET state = ? WHERE id = ?", "ss", state, c->id);

	return r < 0 ? r : engine_note_state(c, state, err);
}

int engine_note_state(struct engine_container *c, const char *state, struct err *err)
{
	char *s = strdup(state);

	if (!s)
		return err_oom(err);
	free(c->state);
	c->state = s;
	return 0;
}

int engine_resolve(struct engine *e, const char *name, char **ret_id, struct err *err)
{
	struct db_row q autodbrow;
	autofree char *id = NULL;
	size_t len = strlen(name);
	bool hex = len <= ENGINE_ID_LEN && strspn(name, "0123456789abcdef") == len;
	int n = 0, r;

	name += name[0] == '/';
	if (!*name)
		return engine_no_such(name, err);
	/* An id, then a name, then the beginning of an id, if it is that of one alone. */
	if (hex)
		r = db_query(e->db, &q, err,
			     "SELECT id, id = ?1 OR name = ?1 FROM container WHERE name = ?1 OR "
			     "(id >= ?1 AND id < ?1 || 'g') ORDER BY id = ?1 DESC, name = ?1 DESC LIMIT 2",
			     "s", name);
	else
		r = db_query(e->db, &q, err, "SELECT id, 1 FROM container WHERE name = ?1", "s", name);
	bool exact = false;
	while (r == 0 && !exact && (r = db_next(&q, err)) > 0) {
		r = 0;
		if (n++)
			continue;
		exact = db_int(&q, 1) != 0;
		id = strdup(db_text(&q, 0));
		if (!id)
			return err_oom(err);
	}
	if (r < 0)
		return r;
	if (n == 0)
		return engine_no_such(name, err);
	if (n > 1)
		return err_set(err, EINVAL, "Multiple IDs found with provided prefix: %s", name);
	*ret_id = take_ptr(&id);
	return 0;
}

/* "a, b" of the networks, "x,y" of the mounts: what `ps` shows. */
static char *networks_text(const struct engine_record *r)
{
	struct str s autostr = {0};

	if (r->q.network_mode && *r->q.network_mode)
		str_put(&s, str_starts(r->q.network_mode, "container:") ? "" : r->q.network_mode);
	for (size_t i = 0; i < r->q.networks.n; i++)
		str_putf(&s, "%s%s", s.len ? "," : "", r->q.networks.v[i].network);
	if (!s.s)
		str_put(&s, "");
	return str_take(&s);
}

static char *mounts_text(const struct engine_record *r)
{
	struct str s autostr = {0};

	for (size_t i = 0; i < r->mounts.n; i++) {
		const struct engine_record_mount *m = &r->mounts.v[i];
		const char *what = m->name ? m->name : m->source;
		if (what)
			str_putf(&s, "%s%s", s.len ? "," : "", what);
	}
	if (!s.s)
		str_put(&s, "");
	return str_take(&s);
}

int engine_store_record(struct engine *e, const struct engine_container *c, struct err *err)
{
	autofree char *record = engine_record_write(&c->record), *networks = networks_text(&c->record);

	if (!record || !networks)
		return err_oom(err);
	engine_running_withdraw(e, c);
	int r = db_begin(e->db, err);
	if (r < 0)
		return r;
	r = MIN_OF(db_exec(e->db, err, "UPDATE container SET networks = ?, flags = ? WHERE id = ?", "sis",
			   networks, c->flags, c->id),
		   0);
	if (r == 0)
		r = MIN_OF(db_exec(e->db, err, "UPDATE container_record SET record = ? WHERE id = ?", "ss",
				   record, c->id),
			   0);
	if (r == 0)
		r = db_commit(e->db, err);
	if (r < 0)
		db_rollback(e->db);
	return r;
}

/* The command as `ps` shows it: arguments with blanks in them are quoted. */
static char *command_text(const struct oci_image_config *config)
{
	const str_list *lists[] = {&config->entrypoint, &config->cmd};
	struct str s autostr = {0};
	size_t words = 0;

	for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
		for (size_t i = 0; i < lists[k]->n; i++) {
			const char *word = lists[k]->v[i], *quote = words && strchr(word, ' ') ? "'" : "";
			str_putf(&s, "%s%s%s%s", words++ ? " " : "", quote, word, quote);
		}
	}
	if (!s.s)
		str_put(&s, "");
	return str_take(&s);
}

static char *labels_text(const pair_list *labels)
{
	struct json_out out autojsonout = {0};

	json_begin_object(&out, NULL);
	for (size_t i = 0; i < labels->n; i++)
		json_put_str(&out, labels->v[i].key, labels->v[i].value);
	json_end(&out);
	return json_take(&out);
}

static char *exposed_text(const str_list *ports)
{
	struct str s autostr = {0};

	for (size_t i = 0; i < ports->n; i++)
		str_putf(&s, "%s%s", s.len ? "," : "", ports->v[i]);
	if (!s.s)
		str_put(&s, "");
	return str_take(&s);
}

int engine_insert(struct engine *e, const struct engine_container *c, struct err *err)
{
	const struct engine_record *rec = &c->record;
	autofree char *record = engine_record_write(rec), *networks = networks_text(rec),
		      *mounts = mounts_text(rec), *command = command_text(&rec->config),
		      *labels = rec->config.labels.n ? labels_text(&rec->config.labels) : strdup(""),
		      *exposed = exposed_text(&rec->config.exposed_ports), *slot = NULL;

	if (c->slot >= 0)
		slot = str_format("%lld", (long long)c->slot);
	if (!record || !networks || !mounts || !command || !labels || !exposed || (c->slot >= 0 && !slot))
		return err_oom(err);
	int r = db_exec(
		e->db, err,
		"INSERT INTO container (id, name, slot, state, flags, created, image, image_id, command, "
		"labels, mounts, networks, exposed, isolation) "
		"VALUES (?, ?, ?, 'created', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"sssiissssssss", c->id, c->name, slot, c->flags, c->created, c->image, rec->image_id, command,
		labels, mounts, networks, exposed, rec->isolation);
	if (r >= 0)
		r = db_exec(e->db, err, "INSERT INTO container_record VALUES (?, ?)", "ss", c->id, record);
	return MIN_OF(r, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of running containers without the database.
 *
 * Theory of operation.  A third of what an `exec` took was SQLite: pages of its program, its log, its index.
 * So the first `exec` of a container leaves what it has read as RUN_ROOT/containers/ID/row, and
 * RUN_ROOT/names/NAME, a link whose text is the ID.  Both are a cache: whoever changes a row takes the file
 * away before it does so, under the container's lock, and who writes it holds that lock and has read the row
 * under it.  So whatever is killed at whatever moment, the file is not there or true; and the next `exec`
 * writes it again.  A link says nothing by itself: the row behind it must have that name.
 *
 * Which of them run is said by their monitors' files, as ever.  A row of another store, of another user's or
 * that others may write is not believed.
 *
 * The other thing that is asked at each `exec` is whether any container has the host's ids (guard.c): each of
 * those has a file in RUN_ROOT/hostids from before it starts until after it has ended.  Until that directory
 * is known to be whole, the database is asked once more.
 */
#include "engine/engine_int.h"

#include "base/file.h"

#include <dirent.h>
#include <sys/stat.h>

enum { ROW_VERSION = 1, ROW_MAX = 4 << 20, ROW_NAME_MAX = 255 };

#define R struct running_row
struct running_row {
	uint32_t version;
	const char *root, *id, *name, *image;
	struct engine_record record;
};
static const struct json_field running_fields[] = {
	F_U32(R, version, "version", .required = true),
	F_STR(R, root, "root", .required = true),
	F_STR(R, id, "id", .required = true),
	F_STR(R, name, "name", .required = true),
	F_STR(R, image, "image", .required = true),
	F_OBJECT(R, record, "record", struct engine_record, &engine_record_table),
};
#undef R
static const struct json_table running_table = JSON_TABLE(struct running_row, running_fields);

static bool is_whole_id(const char *text)
{
	return strlen(text) == ENGINE_ID_LEN && strspn(text, "0123456789abcdef") == ENGINE_ID_LEN;
}

static void row_path(const char *id, char ret[static ENGINE_ID_LEN + 8])
{
	(void)snprintf(ret, ENGINE_ID_LEN + 8, "%.*s/row", ENGINE_ID_LEN, id); /* fits */
}

static bool name_path(const char *name, char ret[static ROW_NAME_MAX + 16])
{
	int n = snprintf(ret, ROW_NAME_MAX + 16, "../names/%s", name);

	return *name && !strchr(name, '/') && *name != '.' && n > 0 && n < ROW_NAME_MAX + 16;
}

/* ---- reading ---- */

static bool find_id(int run_fd, const char *word, char ret[static ENGINE_ID_LEN + 1])
{
	char path[ROW_NAME_MAX + 16], id[ENGINE_ID_LEN + 2];

	if (is_whole_id(word)) {
		memcpy(ret, word, ENGINE_ID_LEN + 1);
		return true;
	}
	word += *word == '/';
	ssize_t n = name_path(word, path) ? readlinkat(run_fd, path, id, sizeof(id) - 1) : -1;
	if (n != ENGINE_ID_LEN)
		return false;
	id[n] = '\0';
	memcpy(ret, id, ENGINE_ID_LEN + 1);
	return is_whole_id(ret);
}

static bool row_is_ours(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	       (st.st_mode & (S_IWGRP | S_IWOTH)) == 0 && st.st_size <= ROW_MAX;
}

static int take_running(const struct engine *e, const char *word, const char *id,
			const struct running_row *row, struct engine_container *c)
{
	const char *name = word + (*word == '/');

	if (row->version != ROW_VERSION || row->record.version != ENGINE_RECORD_VERSION ||
	    !streq(row->root, e->data_root) || !streq(row->id, id) ||
	    !(streq(word, id) || streq(name, row->name)))
		return -ENOENT;
	c->id = strdup(row->id);
	c->name = strdup(row->name);
	c->state = strdup("running");
	c->image = strdup(row->image);
	c->record = row->record;
	return c->id && c->name && c->state && c->image ? 0 : -ENOMEM;
}

int engine_running_find(struct engine *e, const char *word, struct engine_container *ret,
			struct monitor_status *st)
{
	struct engine_container c = {.lock = -1};
	char id[ENGINE_ID_LEN + 1], path[ENGINE_ID_LEN + 8];
	struct running_row row = {0}; /* what the text has not stays as it is */
	struct err ignored = {0};
	autofree char *text = NULL;
	size_t len = 0;

	if (e->run_fd < 0 || !find_id(e->run_fd, word, id))
		return -ENOENT;
	row_path(id, path);
	autoclose int fd = openat(e->run_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || !row_is_ours(fd) || fd_read_all(fd, ROW_MAX, &text, &len) < 0 ||
	    json_decode(&c.doc, text, len, "row", &running_table, &row, &ignored) < 0 ||
	    take_running(e, word, id, &row, &c) < 0 || !engine_runs(e, id, st)) {
		engine_container_free(&c);
		return -ENOENT;
	}
	*ret = c;
	return 0;
}

/* ---- writing ---- */

static void write_link(const struct engine *e, const struct engine_container *c)
{
	char path[ROW_NAME_MAX + 16];

	if (!name_path(c->name, path) || (mkdirat(e->run_fd, "../names", 0700) < 0 && errno != EEXIST))
		return;
	/* Of another store's container, or of before a kill -9. */
	if (symlinkat(c->id, e->run_fd, path) < 0 && errno == EEXIST && unlinkat(e->run_fd, path, 0) == 0)
		ignore_result(symlinkat(c->id, e->run_fd, path) < 0);
}

static void write_row(const struct engine *e, const struct engine_container *c)
{
	const struct running_row row = {.version = ROW_VERSION,
					.root = e->data_root,
					.id = c->id,
					.name = c->name,
					.image = c->image,
					.record = c->record};
	struct json_out out autojsonout = {0};

	engine_table_write(&out, NULL, &running_table, &row);
	autofree char *text = json_take(&out);
	autoclose int dir = openat(e->run_fd, c->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* A cache: without it the next one asks the database.  The link comes after it and goes before it:
	 * none is left without a row behind it. */
	if (text && dir >= 0 && strlen(text) <= ROW_MAX &&
	    file_replace_at(dir, "row", text, strlen(text), 0600, false) == 0)
		write_link(e, c);
}

void engine_running_keep(struct engine *e, const char *id)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	struct err ignored = {0};
	autoclose int lock = engine_lock(e, id, false, &ignored); /* who has it may be about to change it */

	if (lock < 0)
		return;
	int r = engine_load(e, id, &c, &ignored);
	if (r == -ENOENT)
		engine_lock_undo(e, id);
	if (r == 0 && streq(c.state, "running") && engine_runs(e, id, NULL))
		write_row(e, &c);
}

void engine_running_withdraw(const struct engine *e, const struct engine_container *c)
{
	char path[ENGINE_ID_LEN + 8], link[ROW_NAME_MAX + 16];

	row_path(c->id, path);
	/* Mostly neither is there. */
	if (name_path(c->name, link))
		(void)unlinkat(e->run_fd, link, 0);
	(void)unlinkat(e->run_fd, path, 0);
}

/* ---- ids of the host's ---- */

static const char host_ids[] = "../hostids";
/* Stands among the marks once those are marked, too, that an earlier version of the program has started. */
static const char host_ids_counted[] = ".counted";

static void host_ids_path(const char *id, char ret[static ENGINE_ID_LEN + 16])
{
	(void)snprintf(ret, ENGINE_ID_LEN + 16, "%s/%.*s", host_ids, ENGINE_ID_LEN, id); /* fits */
}

static int host_ids_mark(const struct engine *e, const char *name, struct err *err)
{
	char path[ENGINE_ID_LEN + 16];

	host_ids_path(name, path);
	if (mkdirat(e->run_fd, host_ids, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "cannot make \"%s/hostids\"", e->run_root);
	autoclose int fd = openat(e->run_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? err_sys(err, "cannot make \"%s/hostids/%.12s\"", e->run_root, name) : 0;
}

int engine_host_ids_note(const struct engine *e, const char *id, struct err *err)
{
	return host_ids_mark(e, id, err);
}

void engine_host_ids_forget(const struct engine *e, const char *id)
{
	char path[ENGINE_ID_LEN + 16];

	host_ids_path(id, path);
	(void)unlinkat(e->run_fd, path, 0); /* mostly it is not there */
}

/* Who cannot be asked has some. */
static bool is_marked(const struct engine *e, bool *ret_counted)
{
	int fd = openat(e->run_fd, host_ids, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	bool found = false;

	*ret_counted = false;
	if (fd < 0)
		return errno != ENOENT;
	DIR *dir = fdopendir(fd);
	if (!dir) {
		(void)close(fd); /* nothing was written to it */
		return true;
	}
	for (struct dirent *d; (d = readdir(dir));) {
		*ret_counted |= streq(d->d_name, host_ids_counted);
		found |= *d->d_name != '.';
	}
	(void)closedir(dir); /* nothing was written to it */
	return found;
}

/* Under its lock: whose end is being settled is not marked behind that. */
static int host_ids_count_one(struct engine *e, const char *id, struct err *err)
{
	if (!engine_has_run_dir(e, id))
		return 0;
	autoclose int lock = engine_lock(e, id, false, err);
	if (lock < 0)
		return lock;
	if (engine_has_run_dir(e, id))
		return host_ids_mark(e, id, err);
	engine_lock_undo(e, id);
	return 0;
}

static int host_ids_count(struct engine *e, struct err *err)
{
	struct db_row q autodbrow;
	int r = db_query(e->db, &q, err, "SELECT id FROM container WHERE slot IS NULL", "");

	while (r == 0 && (r = db_next(&q, err)) > 0)
		r = host_ids_count_one(e, db_text(&q, 0), err);
	return r < 0 ? r : host_ids_mark(e, host_ids_counted, err);
}

bool engine_host_ids_used(struct engine *e)
{
	struct err ignored = {0};
	bool counted, used = is_marked(e, &counted);

	if (used || counted)
		return used;
	return engine_open_all(e, &ignored) < 0 || host_ids_count(e, &ignored) < 0 || is_marked(e, &counted);
}

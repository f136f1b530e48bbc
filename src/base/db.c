/* SPDX-License-Identifier: Apache-2.0 */
#include "base/db.h"

#include "base/clock.h"
#include "base/db_index.h"
#include "base/fd.h"
#include "base/str.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <sys/stat.h>

enum { BUSY_MS = 60000, WAL_PAGES = 400, DB_ROOMS_MAX = 8 };

struct db {
	sqlite3 *handle;
	char *path;    /* for messages */
	bool open;     /* a transaction */
	int log_pages; /* in the write-ahead log after our last commit */
	int index;     /* keeps the log's index from being made anew; -1 = it was */
	bool has_read; /* so that the index is there */
	struct {
		char *name;
		int version;
	} rooms[DB_ROOMS_MAX]; /* as they were at the first question */
	size_t n_rooms;
};

static int code_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_CONSTRAINT:
		return EEXIST;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return EBUSY;
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_CANTOPEN:
		return EACCES;
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return EUCLEAN;
	default:
		return EIO;
	}
}

static int db_fail(const struct db *db, struct err *err, const char *what)
{
	return err_set(err, code_of(sqlite3_extended_errcode(db->handle)),
		       "cannot %s the database \"%s\": %s", what, db->path, sqlite3_errmsg(db->handle));
}

static int simple(struct db *db, const char *sql, const char *what, struct err *err)
{
	return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_fail(db, err, what);
}

/*
 * Closing the last connection would copy the log into the database, with two
 * fsyncs, and remove the log and its index: 8 ms of a command that takes ten.
 * Both stay instead (db_index.h).  Who closes and leaves more than WAL_PAGES
 * behind copies the log and cuts it off.  (SQLite's own way, a checkpoint at the commit,
 * leaves the log as long as it is: only the next commit of the same
 * connection would begin it anew, and a command makes one or two.)
 */
static int on_commit(void *data, sqlite3 *handle, const char *name, int pages)
{
	struct db *db = data;

	db->log_pages = pages;
	/* A long life with many commits: here the next one does begin anew. */
	if (pages > 4 * WAL_PAGES)
		(void)sqlite3_wal_checkpoint_v2(handle, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	return SQLITE_OK;
}

static void cut_log(struct db *db)
{
	if (db->log_pages <= WAL_PAGES)
		return;
	/* Others are reading or writing: then one of them will do it. */
	(void)sqlite3_busy_timeout(db->handle, 0);
	(void)sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}

static int keep_log(struct db *db, enum db_durability d, struct err *err)
{
	int on = 1;

	(void)sqlite3_busy_timeout(db->handle, BUSY_MS);   /* cannot fail on an open handle */
	(void)sqlite3_wal_hook(db->handle, on_commit, db); /* returns what was there */
	if (sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL) != SQLITE_OK ||
	    sqlite3_file_control(db->handle, NULL, SQLITE_FCNTL_PERSIST_WAL, &on) != SQLITE_OK ||
	    (d == DB_FAST &&
	     sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) != SQLITE_OK))
		return db_fail(db, err, "open");
	return 0;
}

/* Makes the file where it is missing, for SQLite makes files 0644 less the umask.  1: it is empty. */
static int make_file(const struct db *db, int dirfd, const char *name, struct err *err)
{
	struct stat st;
	autoclose int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "cannot open the database \"%s\"", db->path);
	return st.st_size == 0;
}

/*
 * A command looks at a dozen pages and ends: none are made in advance (20 faults of an `exec`), nobody asks
 * how much memory they take.  Once; refused when a database is open already.
 */
static void settle_memory(void)
{
	(void)sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* Who finds another at it is told so at once: SQLite asks no busy handler here. */
static int enter_wal(struct db *db, struct err *err)
{
	const struct timespec nap = {.tv_nsec = 1000000};
	int64_t until = clock_ms() + BUSY_MS;
	int r;

	while ((r = simple(db, "PRAGMA journal_mode=WAL", "open", err)) < 0 &&
	       (sqlite3_errcode(db->handle) & 0xff) == SQLITE_BUSY && clock_ms() < until) {
		*err = (struct err){0};
		(void)nanosleep(&nap, NULL); /* a short nap is a short nap */
	}
	return r;
}

int db_open(int dirfd, const char *dir, const char *name, enum db_durability d, struct db **ret,
	    struct err *err)
{
	struct db *db = calloc(1, sizeof(*db));

	if (!db || !(db->path = str_format("%s/%s", dir, name))) {
		free(db);
		return err_oom(err);
	}
	settle_memory();
	int fresh = make_file(db, dirfd, name, err);
	int r = MIN_OF(fresh, 0);
	db->index = r == 0 ? db_index_hold(db->path) : -1;
	if (r == 0 && sqlite3_open_v2(db->path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
				      NULL) != SQLITE_OK)
		r = db_fail(db, err, "open");
	if (r == 0)
		r = keep_log(db, d, err);
	/* The mode stands in the file. */
	if (r == 0 && fresh)
		r = enter_wal(db, err);
	if (r == 0)
		r = simple(db, d == DB_SYNC ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", "open",
			   err);
	if (r < 0) {
		db_close(db);
		return r;
	}
	*ret = db;
	return 0;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	if (db->handle)
		cut_log(db);
	(void)sqlite3_close_v2(db->handle); /* an open transaction is rolled back */
	if (db->index < 0 && db->has_read)
		db_index_mark(db->path);
	fd_drop(&db->index);
	for (size_t i = 0; i < db->n_rooms; i++)
		free(db->rooms[i].name);
	free(db->path);
	free(db);
}

/* All at once: each room asks when it opens. */
static int read_rooms(struct db *db, struct err *err)
{
	struct db_row q autodbrow;
	int r;

	/* Fails where there is no such table yet. */
	if (db_query(db, &q, err, "SELECT name, version FROM room", "") < 0)
		return 0;
	while ((r = db_next(&q, err)) > 0 && db->n_rooms < DB_ROOMS_MAX) {
		char *name = strdup(db_text(&q, 0));
		if (!name)
			return err_oom(err);
		db->rooms[db->n_rooms].name = name;
		db->rooms[db->n_rooms++].version = (int)db_int(&q, 1);
	}
	db->has_read |= r >= 0;
	return MIN_OF(r, 0);
}

int db_schema(struct db *db, const char *room, int version, const char *sql, struct err *err)
{
	int have = 0;
	int r = db->n_rooms == 0 ? read_rooms(db, err) : 0;

	if (r < 0)
		return r;
	for (size_t i = 0; i < db->n_rooms; i++)
		if (streq(db->rooms[i].name, room))
			have = db->rooms[i].version;
	if (have == version)
		return 0;
	if (have > version)
		return err_set(err, EPROTO,
			       "the database \"%s\" was made by a newer coffer (%s %d, this one knows %d)",
			       db->path, room, have, version);
	r = db_begin(db, err);
	if (r < 0)
		return r;
	r = simple(db,
		   "CREATE TABLE IF NOT EXISTS room (name TEXT PRIMARY KEY, version INTEGER) WITHOUT ROWID",
		   "make tables in", err);
	if (r == 0)
		r = simple(db, sql, "make tables in", err);
	if (r == 0)
		r = db_exec(db, err, "REPLACE INTO room VALUES (?, ?)", "si", room, (int64_t)version);
	if (r >= 0)
		r = db_commit(db, err);
	if (r < 0)
		db_rollback(db);
	return r;
}

int db_begin(struct db *db, struct err *err)
{
	int r = simple(db, "BEGIN IMMEDIATE", "lock", err);

	db->open = r == 0;
	return r;
}

int db_commit(struct db *db, struct err *err)
{
	int r = simple(db, "COMMIT", "write", err);

	if (r == 0)
		db->open = false;
	return r;
}

void db_rollback(struct db *db)
{
	if (db->open)
		(void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL); /* what failed was told */
	db->open = false;
}

static int bind_all(sqlite3_stmt *stmt, const char *types, va_list ap)
{
	int rc = SQLITE_OK;

	for (int i = 1; *types && rc == SQLITE_OK; types++, i++) {
		if (*types == 's') {
			rc = sqlite3_bind_text(stmt, i, va_arg(ap, const char *), -1, SQLITE_TRANSIENT);
		} else if (*types == 'i') {
			rc = sqlite3_bind_int64(stmt, i, va_arg(ap, int64_t));
		} else {
			const void *data = va_arg(ap, const void *);
			rc = sqlite3_bind_blob64(stmt, i, data, va_arg(ap, size_t), SQLITE_TRANSIENT);
		}
	}
	return rc;
}

static int query(struct db *db, struct db_row *ret, struct err *err, const char *sql, const char *types,
		 va_list ap)
{
	*ret = (struct db_row){.db = db};
	if (sqlite3_prepare_v2(db->handle, sql, -1, &ret->stmt, NULL) != SQLITE_OK)
		return db_fail(db, err, "read");
	if (bind_all(ret->stmt, types, ap) == SQLITE_OK)
		return 0;
	int r = db_fail(db, err, "read");
	db_row_end(ret);
	return r;
}

int db_query(struct db *db, struct db_row *ret, struct err *err, const char *sql, const char *types, ...)
{
	va_list ap;

	va_start(ap, types);
	int r = query(db, ret, err, sql, types, ap);
	va_end(ap);
	return r;
}

int db_next(struct db_row *row, struct err *err)
{
	int rc = sqlite3_step(row->stmt);

	if (rc == SQLITE_ROW)
		return 1;
	return rc == SQLITE_DONE ? 0 : db_fail(row->db, err, "read");
}

const char *db_text(const struct db_row *row, int column)
{
	const char *text = (const char *)sqlite3_column_text(row->stmt, column);

	return text ? text : "";
}

int64_t db_int(const struct db_row *row, int column)
{
	return sqlite3_column_int64(row->stmt, column);
}

bool db_is_null(const struct db_row *row, int column)
{
	return sqlite3_column_type(row->stmt, column) == SQLITE_NULL;
}

const void *db_blob(const struct db_row *row, int column, size_t *ret_len)
{
	const void *data = sqlite3_column_blob(row->stmt, column);

	*ret_len = (size_t)sqlite3_column_bytes(row->stmt, column);
	return data;
}

void db_row_end(struct db_row *row)
{
	(void)sqlite3_finalize(row->stmt); /* repeats the error of the last step */
	row->stmt = NULL;
}

int db_exec(struct db *db, struct err *err, const char *sql, const char *types, ...)
{
	struct db_row q autodbrow;
	va_list ap;

	va_start(ap, types);
	int r = query(db, &q, err, sql, types, ap);
	va_end(ap);
	while (r == 0 && (r = db_next(&q, err)) > 0)
		r = 0;
	return r < 0 ? r : sqlite3_changes(db->handle);
}

int64_t db_last_rowid(struct db *db)
{
	return sqlite3_last_insert_rowid(db->handle);
}

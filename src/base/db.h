/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one SQLite database of a store, shared by any number of processes.
 *
 * Write-ahead log; writers wait for one another (busy time-out), readers wait
 * for nobody.  A writing transaction starts with BEGIN IMMEDIATE, so that it
 * never fails half-way for want of the lock.  Each room owns its tables and
 * names their version; the tables are made where they are missing.
 *
 * Durability is the connection's: DB_SYNC for what must survive a power
 * failure once reported done (images), DB_FAST for what need only be
 * consistent after one (containers): no process that is killed loses anything
 * in either.
 *
 * Only programs that include this header pay for SQLite: it is linked
 * statically and nothing of it is touched before db_open().
 */
#pragma once

#include "base/err.h"

struct db;
struct sqlite3_stmt;

enum db_durability { DB_SYNC, DB_FAST };

/* Opens or makes DIR/NAME (0600); a process has it open once at a time.  -> db_close() */
must_use int db_open(int dirfd, const char *dir, const char *name, enum db_durability d, struct db **ret,
		     struct err *err);
void db_close(struct db *db);
static inline void cleanup_db(struct db **db)
{
	db_close(*db);
}
#define autodb __attribute__((cleanup(cleanup_db)))

/*
 * The tables of a room: `sql` makes them (one or more statements, IF NOT
 * EXISTS).  A database of a newer version than ours is refused (-EPROTO).
 */
must_use int db_schema(struct db *db, const char *room, int version, const char *sql, struct err *err);

/* Transactions; they do not nest.  db_rollback() after a commit, or without a begin, does nothing. */
must_use int db_begin(struct db *db, struct err *err);
must_use int db_commit(struct db *db, struct err *err);
void db_rollback(struct db *db);

/*
 * A statement with its arguments.  `types` has a letter for each "?": s = const
 * char * (NULL is NULL), i = int64_t, b = const void *, size_t.
 *
 *	struct db_row q autodbrow;
 *	r = db_query(db, &q, err, "SELECT id FROM image WHERE name = ?", "s", name);
 *	while (r == 0 && (r = db_next(&q, err)) > 0)
 *		use(db_text(&q, 0));
 */
struct db_row {
	struct db *db;
	struct sqlite3_stmt *stmt;
};
must_use int db_query(struct db *db, struct db_row *ret, struct err *err, const char *sql, const char *types,
		      ...);
/* 1: there is a row; 0: no more; -errno. */
must_use int db_next(struct db_row *row, struct err *err);
/* Borrowed until the next db_next(); "" where NULL. */
const char *db_text(const struct db_row *row, int column);
int64_t db_int(const struct db_row *row, int column);
bool db_is_null(const struct db_row *row, int column);
const void *db_blob(const struct db_row *row, int column, size_t *ret_len);
void db_row_end(struct db_row *row);
#define autodbrow __attribute__((cleanup(db_row_end))) = {0}

/* Runs a statement without rows.  The number of rows that it changed, or -errno (-EEXIST: a UNIQUE
 * constraint). */
must_use int db_exec(struct db *db, struct err *err, const char *sql, const char *types, ...);
int64_t db_last_rowid(struct db *db);

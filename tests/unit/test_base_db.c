/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/db.h"
#include "base/file.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char root[] = "/tmp/db-XXXXXX";
static int dir = -1;
static struct err err;

static const char schema[] = "CREATE TABLE IF NOT EXISTS t (k TEXT PRIMARY KEY, v INTEGER, b BLOB)";

static struct db *must_open(enum db_durability d)
{
	struct db *db = NULL;

	if (db_open(dir, root, "x.db", d, &db, &err) < 0 || db_schema(db, "test", 1, schema, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		exit(1);
	}
	return db;
}

static int64_t value(struct db *db, const char *key)
{
	struct db_row q autodbrow;
	int r = db_query(db, &q, &err, "SELECT v FROM t WHERE k = ?", "s", key);

	return r == 0 && db_next(&q, &err) > 0 ? db_int(&q, 0) : -1;
}

static void test_rows(void)
{
	struct db *db autodb = must_open(DB_SYNC);
	struct stat st;
	size_t len;

	CHECK(fstatat(dir, "x.db", &st, 0) == 0 && (st.st_mode & 0777) == 0600);
	CHECK_INT(db_exec(db, &err, "INSERT INTO t VALUES (?, ?, ?)", "sib", "a", (int64_t)7, "x\0y",
			  (size_t)3),
		  1);
	CHECK_INT(db_exec(db, &err, "INSERT INTO t VALUES (?, 1, NULL)", "s", "a"), -EEXIST);
	struct db_row q autodbrow;
	CHECK_INT(db_query(db, &q, &err, "SELECT k, v, b, NULL FROM t", ""), 0);
	CHECK_INT(db_next(&q, &err), 1);
	CHECK_STR(db_text(&q, 0), "a");
	CHECK_INT(db_int(&q, 1), 7);
	CHECK(memcmp(db_blob(&q, 2, &len), "x\0y", 3) == 0 && len == 3);
	CHECK(db_is_null(&q, 3));
	CHECK_STR(db_text(&q, 3), "");
	CHECK_INT(db_next(&q, &err), 0);
	db_row_end(&q);
	CHECK(db_query(db, &q, &err, "SELECT nothing FROM t", "") < 0);
}

static void test_transactions(void)
{
	struct db *db autodb = must_open(DB_FAST);

	CHECK_INT(db_begin(db, &err), 0);
	CHECK_INT(db_exec(db, &err, "UPDATE t SET v = 8", ""), 1);
	db_rollback(db);
	CHECK_INT(value(db, "a"), 7);
	CHECK_INT(db_begin(db, &err), 0);
	CHECK_INT(db_exec(db, &err, "UPDATE t SET v = 8", ""), 1);
	CHECK_INT(db_commit(db, &err), 0);
	db_rollback(db);
	CHECK_INT(value(db, "a"), 8);
	CHECK_INT(db_schema(db, "test", 0, schema, &err), -EPROTO);
	CHECK(strstr(err.msg, "newer coffer") != NULL);
}

/* The log stays when the last one closes; what stands in it counts, and it is copied before it grows long. */
static void test_log(void)
{
	struct stat st;

	for (int i = 0; i < 200; i++) {
		struct db *db autodb = must_open(DB_FAST);
		CHECK_INT(value(db, "a"), i ? i : 8);
		CHECK_INT(db_exec(db, &err, "UPDATE t SET v = ? WHERE k = 'a'", "i", (int64_t)(i + 1)), 1);
		for (int n = 0; n < 4; n++)
			CHECK_INT(db_exec(db, &err, "INSERT OR REPLACE INTO t VALUES ('pad', ?, NULL)", "i",
					  (int64_t)n),
				  1);
	}
	CHECK_INT(fstatat(dir, "x.db-wal", &st, 0), 0);
	CHECK(st.st_size > 0 && st.st_size < 4 << 20);
	struct db *db autodb = must_open(DB_SYNC);
	CHECK_INT(value(db, "a"), 200);
}

/* Writers wait for one another, and one that is killed leaves nothing half done. */
static void test_many(void)
{
	enum { WRITERS = 4, ROUNDS = 50 };
	pid_t pids[WRITERS];

	{
		struct db *db autodb = must_open(DB_FAST);
		CHECK_INT(db_exec(db, &err, "UPDATE t SET v = 0", ""), 2);
	}
	for (int w = 0; w < WRITERS; w++) {
		pids[w] = fork();
		if (pids[w] > 0)
			continue;
		struct db *db = must_open(DB_FAST);
		for (int i = 0; i < ROUNDS; i++) {
			int r = db_begin(db, &err);
			int64_t v = value(db, "a");
			if (r == 0)
				r = db_exec(db, &err, "UPDATE t SET v = ? WHERE k = 'a'", "i", v + 1);
			if (r == 1)
				r = db_commit(db, &err);
			if (r < 0)
				_exit(1);
		}
		if (w == 0) {
			if (db_begin(db, &err) == 0 && db_exec(db, &err, "UPDATE t SET v = -7", "") > 0)
				(void)kill(getpid(), SIGKILL);
		}
		db_close(db);
		_exit(0);
	}
	for (int w = 0; w < WRITERS; w++) {
		int status = -1;
		CHECK(waitpid(pids[w], &status, 0) == pids[w]);
		CHECK(w == 0 ? WIFSIGNALED(status) : status == 0);
	}
	struct db *db autodb = must_open(DB_FAST);
	CHECK_INT(value(db, "a"), WRITERS * ROUNDS);
}

int main(void)
{
	if (!mkdtemp(root) || (dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return 1;
	test_rows();
	test_transactions();
	test_log();
	test_many();
	autoclose int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(file_remove_tree_at(tmp, root + 5), 0);
	return test_end();
}

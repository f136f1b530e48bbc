/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/db.h"
#include "base/db_index.h"
#include "base/fd.h"
#include "base/file.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

static char root[] = "/tmp/db-XXXXXX";
static int dir = -1;
static struct err err;

static const char *path_of(const char *name)
{
	static char paths[4][64];
	static int turn;
	char *ret = paths[turn++ % 4];

	(void)snprintf(ret, sizeof(paths[0]), "%s/%s", root, name);
	return ret;
}

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

static bool index_is_kept(void)
{
	autoclose int fd = db_index_hold(path_of("x.db"));

	return fd >= 0;
}

/* What makes the index doubtful: each time the next connection must make it anew, and find all that was
 * written. */
static void doubt(const char *what, int64_t *v)
{
	{
		struct db *db autodb = must_open(DB_FAST);
		CHECK_INT(value(db, "a"), *v);
		CHECK_INT(db_exec(db, &err, "UPDATE t SET v = ? WHERE k = 'a'", "i", ++*v), 1);
	}
	CHECK(index_is_kept());
	autoclose int index = openat(dir, "x.db-shm", O_RDWR | O_CLOEXEC);
	autoclose int log = openat(dir, "x.db-wal", O_RDWR | O_CLOEXEC);
	struct stat st;
	CHECK(index >= 0 && log >= 0 && fstat(log, &st) == 0);
	if (streq(what, "another boot")) {
		char mark[80] = "";
		ssize_t n = fgetxattr(index, "user.coffer.boot", mark, sizeof(mark));
		mark[0] = mark[0] == '0' ? '1' : '0';
		CHECK(n > 0 && fsetxattr(index, "user.coffer.boot", mark, (size_t)n, 0) == 0);
		/* And the index is as a power failure may leave it: of another time, but whole. */
		uint32_t h[24];
		CHECK(pread(index, h, sizeof(h), 0) == sizeof(h));
		h[4] = h[16] = 0;
		CHECK(pwrite(index, h, sizeof(h), 0) == sizeof(h));
	} else if (streq(what, "a copy")) {
		CHECK(rename(path_of("x.db-shm"), path_of("old")) == 0);
		autofree char *mark = calloc(1, 80), *data = NULL;
		size_t len;
		CHECK(fgetxattr(index, "user.coffer.boot", mark, 80) > 0);
		CHECK(file_read_at(dir, "old", 1 << 20, &data, &len) == 0);
		autoclose int copy = openat(dir, "x.db-shm", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		CHECK(fd_write_all(copy, data, len) == 0);
		CHECK(fsetxattr(copy, "user.coffer.boot", mark, strlen(mark), 0) == 0);
		CHECK(unlink(path_of("old")) == 0);
	} else if (streq(what, "a torn header")) {
		CHECK(pwrite(index, "\177", 1, 64) == 1);
	} else if (streq(what, "a longer log")) {
		/* The frames of the last commit, once more: as if the index had been rolled back. */
		autofree char *frame = malloc(24 + 4096);
		CHECK(pread(log, frame, 24 + 4096, 32) == 24 + 4096);
		uint32_t last;
		CHECK(pread(index, &last, 4, 16) == 4);
		CHECK(pwrite(log, frame, 24 + 4096, 32 + (off_t)last * (24 + 4096)) == 24 + 4096);
	}
	CHECK_INT(index_is_kept(), false);
}

/* The index of the log outlives its makers, killed ones too, but never the boot. */
static void test_index(void)
{
	int64_t v = 200;
	pid_t pid = fork();

	if (pid == 0) {
		struct db *db = must_open(DB_FAST);
		if (db_begin(db, &err) == 0 && db_exec(db, &err, "UPDATE t SET v = -7", "") > 0)
			(void)kill(getpid(), SIGKILL);
		_exit(1);
	}
	int status = -1;
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	CHECK(index_is_kept());
	doubt("another boot", &v);
	doubt("a copy", &v);
	doubt("a torn header", &v);
	doubt("a longer log", &v);
	{
		struct db *db autodb = must_open(DB_SYNC); /* copies the log at its end */
		CHECK_INT(value(db, "a"), v);
	}
	struct db *db autodb = must_open(DB_FAST);
	CHECK_INT(value(db, "a"), v);
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
	test_index();
	test_many();
	autoclose int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(file_remove_tree_at(tmp, root + 5), 0);
	return test_end();
}

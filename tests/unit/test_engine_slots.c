/* SPDX-License-Identifier: Apache-2.0 */
/* Rows and slots, taken by many processes at once. */
#include "engine/engine_int.h"

#include "base/file.h"
#include "base/proc.h"

#include <sys/wait.h>

#include "test.h"

enum { PROCESSES = 4, EACH = 25 };

static char root[] = "/tmp/test_engine_slots.XXXXXX", run[64];

static struct engine *open_it(void)
{
	struct engine_options o = {.data_root = root, .run_root = run};
	struct engine *e = NULL;
	struct err err = {0};

	if (engine_open(&o, &e, &err) < 0)
		fprintf(stderr, "%s\n", err.msg);
	return e;
}

static int take_one(struct engine *e, const char *name, char id[static 65], struct err *err)
{
	struct engine_container c = {
		.id = id, .name = (char *)(uintptr_t)name, .lock = -1, .created = engine_now()};
	int r;

	engine_random_id(id);
	c.image = (char *)(uintptr_t) "x";
	c.record.version = ENGINE_RECORD_VERSION;
	c.record.image_id = "sha256:x";
	c.record.isolation = "ns";
	r = db_begin(e->db, err);
	if (r == 0)
		r = engine_slot_find(e, &c.slot, err);
	c.record.user_base = engine_slot_base(c.slot);
	if (r == 0)
		r = engine_insert(e, &c, err);
	if (r == 0)
		r = db_commit(e->db, err);
	if (r < 0)
		db_rollback(e->db);
	return r;
}

static _Noreturn void child(int which)
{
	struct engine *e = open_it();
	struct err err = {0};
	char name[32], id[65];
	int bad = e ? 0 : 1;

	for (int i = 0; e && i < EACH; i++) {
		(void)snprintf(name, sizeof(name), "c%d-%d", which, i); /* fits */
		bad |= take_one(e, name, id, &err) < 0;
	}
	if (bad)
		fprintf(stderr, "%s\n", err.msg);
	engine_close(e);
	_exit(bad);
}

static int64_t number(struct engine *e, const char *sql)
{
	struct db_row q autodbrow;
	struct err err = {0};

	return db_query(e->db, &q, &err, sql, "") == 0 && db_next(&q, &err) > 0 ? db_int(&q, 0) : -1;
}

static void at_once(void)
{
	pid_t pids[PROCESSES];

	for (int i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			child(i);
	}
	for (int i = 0; i < PROCESSES; i++)
		CHECK_INT(proc_wait(pids[i]), 0);
	struct engine *e = open_it();
	CHECK(e != NULL);
	if (!e)
		return;
	CHECK_INT(number(e, "SELECT count(*) FROM container"), PROCESSES * EACH);
	CHECK_INT(number(e, "SELECT count(DISTINCT slot) FROM container"), PROCESSES * EACH);
	engine_close(e);
}

static void rows(void)
{
	struct engine *e = open_it();
	struct engine_container c autocontainer_row = {.lock = -1};
	struct engine_rows list;
	struct err err = {0};
	char id[65], other[65], *found = NULL, prefix[13];

	CHECK_INT(take_one(e, "web", id, &err), 0);
	CHECK_INT(take_one(e, "web", other, &err), -EEXIST);
	CHECK_INT(engine_resolve(e, "web", &found, &err), 0);
	CHECK_STR(found, id);
	free(take_ptr(&found));
	memcpy(prefix, id, 12);
	prefix[12] = '\0';
	CHECK_INT(engine_resolve(e, prefix, &found, &err), 0);
	CHECK_STR(found, id);
	free(take_ptr(&found));
	CHECK_INT(engine_resolve(e, "/web", &found, &err), 0);
	free(take_ptr(&found));
	CHECK_INT(engine_resolve(e, "nope", &found, &err), -ENOENT);
	CHECK_STR(err.msg, "No such container: nope");
	CHECK_INT(engine_load(e, id, &c, &err), 0);
	CHECK_STR(c.state, "created");
	CHECK_INT(c.record.user_base, engine_slot_base(c.slot));
	struct engine_list q = {.all = true};
	CHECK_INT(engine_list(e, &q, &list, &err), 0);
	CHECK_INT(list.rows.n, PROCESSES * EACH + 1);
	CHECK_STR(list.rows.v[0].name, "web");
	engine_rows_free(&list);
	q.all = false;
	CHECK_INT(engine_list(e, &q, &list, &err), 0);
	CHECK_INT(list.rows.n, 0);
	engine_rows_free(&list);
	/* A row that was half removed is removed by who lists. */
	CHECK_INT(engine_set_state(e, &c, "removing", &err), 0);
	q.all = true;
	CHECK_INT(engine_list(e, &q, &list, &err), 0);
	CHECK_INT(list.rows.n, PROCESSES * EACH);
	engine_rows_free(&list);
	/* A machine that was restarted: the row says "running", and there is nobody. */
	CHECK_INT(take_one(e, "lost", id, &err), 0);
	CHECK(db_exec(e->db, &err, "UPDATE container SET state = 'running', started = 5 WHERE id = ?", "s",
		      id) == 1);
	CHECK_INT(engine_list(e, &q, &list, &err), 0);
	CHECK_STR(list.rows.v[0].state, "exited");
	CHECK_INT(list.rows.v[0].exit_code, 255);
	engine_rows_free(&list);
	engine_close(e);
}

/* The top is reached: gaps are found. */
static void gaps(void)
{
	struct engine *e = open_it();
	struct err err = {0};
	int64_t slot = -1;
	int last = (int)((ENGINE_LAST_ID - ENGINE_FIRST_ID + 1) / ENGINE_SLOT_IDS) - 1;

	CHECK(db_exec(e->db, &err, "UPDATE container SET slot = ? WHERE name = 'c0-0'", "i", (int64_t)last) ==
	      1);
	CHECK_INT(engine_slot_find(e, &slot, &err), 0);
	CHECK(slot >= 0 && slot < last);
	CHECK_INT(number(e, "SELECT count(*) FROM container WHERE slot = 0") == 0 ? slot == 0 : 1, 1);
	CHECK((uint64_t)engine_slot_base(last) + ENGINE_SLOT_IDS - 1 <= ENGINE_LAST_ID);
	engine_close(e);
}

int main(void)
{
	CHECK(mkdtemp(root) != NULL);
	(void)snprintf(run, sizeof(run), "%s/run", root); /* fits */
	at_once();
	rows();
	gaps();
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(file_remove_tree_at(tmp, root + strlen("/tmp/")), 0);
	(void)close(tmp); /* read only */
	return test_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/life.h"
#include "test.h"

static const char *refusal(enum life_state s, enum life_event e)
{
	static struct err err;

	err = (struct err){0};
	return life_check(s, e, "web", NULL, &err) < 0 ? err.msg : "";
}

/* runc's texts, which clients compare. */
static void test_refusals(void)
{
	CHECK_STR(refusal(LIFE_RUNNING, LIFE_START), "cannot start an already running container");
	CHECK_STR(refusal(LIFE_STOPPED, LIFE_START), "cannot start a container that has stopped");
	CHECK_STR(refusal(LIFE_PAUSED, LIFE_START), "cannot start a container in the paused state");
	CHECK_STR(refusal(LIFE_STOPPED, LIFE_EXEC), "cannot exec in a stopped container");
	CHECK_STR(refusal(LIFE_PAUSED, LIFE_EXEC),
		  "cannot exec in a paused container (use --ignore-paused to override)");
	CHECK_STR(refusal(LIFE_STOPPED, LIFE_KILL), "container not running");
	CHECK_STR(refusal(LIFE_RUNNING, LIFE_DELETE),
		  "cannot delete container web that is not stopped: running");
	CHECK_STR(refusal(LIFE_PAUSED, LIFE_DELETE),
		  "cannot delete container web that is not stopped: paused");
	CHECK_STR(refusal(LIFE_RUNNING, LIFE_RESUME), "container not paused");
	CHECK_STR(refusal(LIFE_CREATED, LIFE_CHECKPOINT),
		  "Container cannot be checkpointed in created state");
	CHECK_STR(refusal(LIFE_STOPPED, LIFE_EVENTS), "container with id web is not running");
}

static void test_moves(void)
{
	struct err err = {0};
	enum life_state next;

	CHECK_INT(life_check(LIFE_CREATED, LIFE_START, "x", &next, &err), 0);
	CHECK_INT(next, LIFE_RUNNING);
	CHECK_INT(life_check(LIFE_RUNNING, LIFE_PAUSE, "x", &next, &err), 0);
	CHECK_INT(next, LIFE_PAUSED);
	CHECK_INT(life_check(LIFE_PAUSED, LIFE_RESUME, "x", &next, &err), 0);
	CHECK_INT(next, LIFE_RUNNING);
	CHECK_INT(life_check(LIFE_CREATED, LIFE_DELETE, "x", &next, &err), 0);
	CHECK_INT(life_check(LIFE_PAUSED, LIFE_EXEC_PAUSED, "x", &next, &err), 0);
	CHECK_INT(life_check(LIFE_STOPPED, LIFE_KILL_ALL, "x", &next, &err), 0);
}

/* Every pair has an answer: force deletes from anywhere, an exit always stops, texts are whole. */
static void test_all_pairs(void)
{
	for (int s = 0; s < LIFE_STATE_COUNT; s++) {
		struct err err = {0};
		enum life_state next = LIFE_STATE_COUNT;
		CHECK_INT(life_check((enum life_state)s, LIFE_DELETE_FORCE, "x", NULL, &err), 0);
		CHECK_INT(life_check((enum life_state)s, LIFE_EXIT, "x", &next, &err), 0);
		CHECK_INT(next, LIFE_STOPPED);
		for (int e = 0; e < LIFE_EVENT_COUNT; e++) {
			const char *text = refusal((enum life_state)s, (enum life_event)e);
			CHECK(!strchr(text, '@') && !strchr(text, '#'));
		}
	}
}

int main(void)
{
	test_refusals();
	test_moves();
	test_all_pairs();
	return test_end();
}

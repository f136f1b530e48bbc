/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/life.h"

#include "base/str.h"

struct answer {
	const char *refusal;  /* NULL: go on.  '@' stands for the id, '#' for the state */
	enum life_state next; /* the state after the event */
};

#define GO(state)                                                                                            \
	{                                                                                                    \
		.next = LIFE_##state                                                                         \
	}
#define NO(text)                                                                                             \
	{                                                                                                    \
		.refusal = (text)                                                                            \
	}

#define NOT_RUNNING "container not running"
#define NOT_PAUSED  "container not paused"
#define NOT_STOPPED "cannot delete container @ that is not stopped: #"
#define NO_IMAGE    "Container cannot be checkpointed in # state"
#define NO_START    "cannot start a container in the # state"

/*
 * `next` after delete has no meaning: the container is gone.  A created
 * container is deleted without --force, as runc does it: init only waits.
 */
static const struct answer answers[LIFE_STATE_COUNT][LIFE_EVENT_COUNT] =
	{
		[LIFE_CREATING] =
			{
				[LIFE_START] = NO(NO_START),
				[LIFE_EXEC] = NO("cannot exec in a container in the # state"),
				[LIFE_EXEC_PAUSED] = NO("cannot exec in a container in the # state"),
				[LIFE_KILL] = GO(CREATING),
				[LIFE_KILL_ALL] = GO(CREATING),
				[LIFE_PAUSE] = NO(NOT_RUNNING),
				[LIFE_RESUME] = NO(NOT_PAUSED),
				[LIFE_UPDATE] = GO(CREATING), /* a hook may adjust limits */
				[LIFE_EVENTS] = GO(CREATING),
				[LIFE_PS] = GO(CREATING),
				[LIFE_CHECKPOINT] = NO(NO_IMAGE),
				[LIFE_DELETE] = NO(NOT_STOPPED),
				[LIFE_DELETE_FORCE] = GO(STOPPED),
				[LIFE_EXIT] = GO(STOPPED),
			},
		[LIFE_CREATED] =
			{
				[LIFE_START] = GO(RUNNING),
				[LIFE_EXEC] = GO(CREATED),
				[LIFE_EXEC_PAUSED] = GO(CREATED),
				[LIFE_KILL] = GO(CREATED),
				[LIFE_KILL_ALL] = GO(CREATED),
				[LIFE_PAUSE] = GO(PAUSED),
				[LIFE_RESUME] = NO(NOT_PAUSED),
				[LIFE_UPDATE] = GO(CREATED),
				[LIFE_EVENTS] = GO(CREATED),
				[LIFE_PS] = GO(CREATED),
				[LIFE_CHECKPOINT] = NO(NO_IMAGE),
				[LIFE_DELETE] = GO(STOPPED),
				[LIFE_DELETE_FORCE] = GO(STOPPED),
				[LIFE_EXIT] = GO(STOPPED),
			},
		[LIFE_RUNNING] =
			{
				[LIFE_START] = NO("cannot start an already running container"),
				[LIFE_EXEC] = GO(RUNNING),
				[LIFE_EXEC_PAUSED] = GO(RUNNING),
				[LIFE_KILL] = GO(RUNNING),
				[LIFE_KILL_ALL] = GO(RUNNING),
				[LIFE_PAUSE] = GO(PAUSED),
				[LIFE_RESUME] = NO(NOT_PAUSED),
				[LIFE_UPDATE] = GO(RUNNING),
				[LIFE_EVENTS] = GO(RUNNING),
				[LIFE_PS] = GO(RUNNING),
				[LIFE_CHECKPOINT] = GO(STOPPED),
				[LIFE_DELETE] = NO(NOT_STOPPED),
				[LIFE_DELETE_FORCE] = GO(STOPPED),
				[LIFE_EXIT] = GO(STOPPED),
			},
		[LIFE_PAUSED] =
			{
				[LIFE_START] = NO(NO_START),
				[LIFE_EXEC] = NO("cannot exec in a paused container (use --ignore-paused to "
						 "override)"),
				[LIFE_EXEC_PAUSED] = GO(PAUSED),
				[LIFE_KILL] = GO(PAUSED),
				[LIFE_KILL_ALL] = GO(PAUSED),
				[LIFE_PAUSE] = NO(NOT_RUNNING),
				[LIFE_RESUME] = GO(RUNNING),
				[LIFE_UPDATE] = GO(PAUSED),
				[LIFE_EVENTS] = GO(PAUSED),
				[LIFE_PS] = GO(PAUSED),
				[LIFE_CHECKPOINT] = GO(STOPPED),
				[LIFE_DELETE] = NO(NOT_STOPPED),
				[LIFE_DELETE_FORCE] = GO(STOPPED),
				[LIFE_EXIT] = GO(STOPPED), /* killed: a frozen group is thawed for that */
			},
		[LIFE_STOPPED] =
			{
				[LIFE_START] = NO("cannot start a container that has stopped"),
				[LIFE_EXEC] = NO("cannot exec in a stopped container"),
				[LIFE_EXEC_PAUSED] = NO("cannot exec in a stopped container"),
				[LIFE_KILL] = NO(NOT_RUNNING),
				[LIFE_KILL_ALL] = GO(STOPPED), /* what init left behind */
				[LIFE_PAUSE] = NO(NOT_RUNNING),
				[LIFE_RESUME] = NO(NOT_PAUSED),
				[LIFE_UPDATE] = NO(NOT_RUNNING),
				[LIFE_EVENTS] = NO("container with id @ is not running"),
				[LIFE_PS] = GO(STOPPED), /* an empty table */
				[LIFE_CHECKPOINT] = NO(NO_IMAGE),
				[LIFE_DELETE] = GO(STOPPED),
				[LIFE_DELETE_FORCE] = GO(STOPPED),
				[LIFE_EXIT] = GO(STOPPED),
			},
};

const char *life_state_name(enum life_state s)
{
	static const char *const names[LIFE_STATE_COUNT] = {
		[LIFE_CREATING] = "creating", [LIFE_CREATED] = "created", [LIFE_RUNNING] = "running",
		[LIFE_PAUSED] = "paused",     [LIFE_STOPPED] = "stopped",
	};

	return names[s];
}

int life_check(enum life_state state, enum life_event event, const char *id, enum life_state *ret_next,
	       struct err *err)
{
	const struct answer *a = &answers[state][event];
	struct str text autostr = {0};

	if (!a->refusal) {
		if (ret_next)
			*ret_next = a->next;
		return 0;
	}
	for (const char *p = a->refusal; *p; p++) {
		if (*p == '@')
			str_put(&text, id);
		else if (*p == '#')
			str_put(&text, life_state_name(state));
		else
			str_put_n(&text, p, 1);
	}
	return err_set(err, EINVAL, "%s", text.failed ? a->refusal : text.s);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a container: every state, every event, and the answer to each
 * pair.  Error texts are runc's, which engines compare.
 */
#pragma once

#include "base/err.h"

enum life_state {
	LIFE_CREATING, /* the directory is claimed; nothing that could be started yet */
	LIFE_CREATED,  /* init waits for `start` */
	LIFE_RUNNING,
	LIFE_PAUSED,
	LIFE_STOPPED, /* init has ended, or never came to be */
	LIFE_STATE_COUNT,
};

enum life_event {
	LIFE_START,
	LIFE_EXEC,
	LIFE_EXEC_PAUSED, /* exec --ignore-paused */
	LIFE_KILL,
	LIFE_KILL_ALL, /* kill --all */
	LIFE_PAUSE,
	LIFE_RESUME,
	LIFE_UPDATE,
	LIFE_EVENTS, /* statistics and notices */
	LIFE_PS,
	LIFE_CHECKPOINT,
	LIFE_DELETE,
	LIFE_DELETE_FORCE,
	LIFE_EXIT, /* init ends by itself or by a signal */
	LIFE_EVENT_COUNT,
};

/* "creating", "created", … as `state` prints it. */
const char *life_state_name(enum life_state s);
/*
 * 0 where `event` is in order in `state`; *ret_next (may be NULL) is the state
 * after it.  Else -EINVAL and the reason; `id` goes into its text.
 */
must_use int life_check(enum life_state state, enum life_event event, const char *id,
			enum life_state *ret_next, struct err *err);

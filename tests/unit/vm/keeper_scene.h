/* SPDX-License-Identifier: Apache-2.0 */
/* A keeper without a machine: what main.c does is noted, and the agent's end of its port is the test's. */
#pragma once

#include "vm/keeper.h"

#include <stdarg.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* In place of main.c. */
static bool left;
static int left_status;
void keeper_fail(struct keeper *k, const struct err *err unused)
{
	k->failed = k->over = true;
}
void keeper_abort(struct keeper *k, const char *fmt unused, ...)
{
	k->over = true;
}
void keeper_leave(struct keeper *k unused, int status)
{
	left = true;
	left_status = status;
}
void keeper_log(const struct keeper *k unused, const char *fmt unused, ...)
{
}
void keeper_begin(struct keeper *k unused)
{
}
int keeper_save_template(struct keeper *k unused, struct err *err unused)
{
	return 0;
}
const char *keeper_stage_text(enum stage s unused)
{
	return "stage";
}

static struct poll_entry entry;
void poll_want(struct poll_set *p unused, int fd unused, short events unused,
	       void (*ready)(struct keeper *k, void *data, short revents), void *data)
{
	entry = (struct poll_entry){.ready = ready, .data = data};
}
void poll_within(struct poll_set *p unused, int64_t ms unused)
{
}

struct scene {
	struct keeper k;
	int guest; /* the agent's end */
};

static void keeper_scene_close(struct scene *s)
{
	(void)close(s->guest);
	(void)close(s->k.config);
	fd_drop(&s->k.oom_file);
	fd_drop(&s->k.agent);
	free(s->k.out);
	guest_reader_free(&s->k.reader);
}

static bool keeper_scene_open(struct scene *s)
{
	int pair[2];

	*s = (struct scene){.k = {.agent = -1,
				  .pod = -1,
				  .log = -1,
				  .proc = -1,
				  .template = {.file = -1},
				  .into = -1,
				  .save_in = -1,
				  .console = {.pipe = -1, .file = -1}}};
	s->k.oom_file = memfd_create("kills", MFD_CLOEXEC);
	s->k.config = memfd_create("config", MFD_CLOEXEC);
	if (s->k.config < 0 || s->k.oom_file < 0 || fd_write_all(s->k.config, "{}", 2) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	s->k.agent = pair[0];
	s->guest = pair[1];
	s->k.stage = STAGE_AGENT;
	s->k.reader.max_payload = GUEST_ANSWER_MAX;
	left = false;
	return true;
}

static void keeper_turn_once(struct scene *s)
{
	struct poll_set set = {0};

	session_poll(&s->k, &set);
	entry.ready(&s->k, entry.data, POLLIN);
	streams_sweep(&s->k);
	session_flush(&s->k);
}

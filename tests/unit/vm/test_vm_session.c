/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's side of the agent's protocol, against a guest that is made of frames. */
#include "../test.h"

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
void vm_template_close(struct vm_template *t unused)
{
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

static void scene_open(struct scene *s)
{
	int pair[2];

	*s = (struct scene){.k = {.agent = -1, .log = -1, .proc = -1, .console = {.pipe = -1, .file = -1}}};
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	s->k.agent = pair[0];
	s->guest = pair[1];
	s->k.stage = STAGE_AGENT;
	s->k.reader.max_payload = GUEST_ANSWER_MAX;
	s->k.config = memfd_create("config", MFD_CLOEXEC);
	CHECK_INT(fd_write_all(s->k.config, "{}", 2), 0);
	left = false;
}

static void turn(struct scene *s)
{
	struct poll_set set = {0};

	session_poll(&s->k, &set);
	entry.ready(&s->k, entry.data, POLLIN);
	streams_sweep(&s->k);
	session_flush(&s->k);
}

static void say(struct scene *s, struct guest_frame f, const void *payload, size_t len)
{
	f.len = (uint32_t)len;
	CHECK(send(s->guest, &f, sizeof(f), 0) == (ssize_t)sizeof(f));
	if (len)
		CHECK(send(s->guest, payload, len, 0) == (ssize_t)len);
	turn(s);
}

/* The next frame that the keeper sent, its payload dropped. */
static struct guest_frame hear(struct scene *s)
{
	struct guest_frame f = {0};
	char rest[4096];

	CHECK(recv(s->guest, &f, sizeof(f), MSG_DONTWAIT) == (ssize_t)sizeof(f));
	if (f.len)
		CHECK(recv(s->guest, rest, f.len, MSG_DONTWAIT) == (ssize_t)f.len);
	return f;
}

static void reply(struct scene *s, uint32_t id, int32_t code)
{
	const struct guest_reply r = {.code = code};

	say(s, (struct guest_frame){.type = GUEST_REPLY, .id = id}, &r, sizeof(r));
}

/* Up to the running program; its standard streams are ours, duplicated. */
static uint32_t start(struct scene *s)
{
	const struct guest_ready ready = {.protocol = GUEST_PROTOCOL};
	int saved[3] = {dup(0), dup(1), dup(2)};

	say(s, (struct guest_frame){.type = GUEST_READY}, &ready, sizeof(ready));
	const struct guest_frame hello = hear(s), mount = hear(s), run = hear(s);
	CHECK_INT(hello.type, GUEST_HELLO);
	CHECK_INT(mount.type, GUEST_MOUNT);
	CHECK_INT(run.type, GUEST_RUN);
	reply(s, hello.id, 0);
	reply(s, mount.id, 0);
	CHECK_INT(s->k.stage, STAGE_EXEC);
	reply(s, run.id, 0);
	CHECK_INT(s->k.stage, STAGE_RUNNING);
	for (int i = 0; i < 3; i++) /* the keeper took them: the test needs its own */
		CHECK(saved[i] >= 0 && fcntl(saved[i], F_GETFD) >= 0);
	s->k.first->out[0].fd = saved[1];
	s->k.first->out[1].fd = saved[2];
	(void)close(saved[0]);
	return run.process;
}

static void scene_close(struct scene *s)
{
	(void)close(s->guest);
	(void)close(s->k.config);
	fd_drop(&s->k.agent);
	free(s->k.out);
	guest_reader_free(&s->k.reader);
}

static void test_life(void)
{
	const struct guest_exited exited = {.status = 7 << 8};
	struct scene s;

	scene_open(&s);
	uint32_t id = start(&s);
	say(&s, (struct guest_frame){.type = GUEST_EXITED, .process = id}, &exited, sizeof(exited));
	CHECK(!left); /* output may follow */
	say(&s, (struct guest_frame){.type = GUEST_OUTPUT, .process = id, .stream = 1}, NULL, 0);
	say(&s, (struct guest_frame){.type = GUEST_OUTPUT, .process = id, .stream = 2}, NULL, 0);
	CHECK(left && left_status == 7 << 8);
	CHECK(!s.k.over);
	scene_close(&s);
}

/* Each ends the machine. */
static void test_hostile(void)
{
	static const char zeros[GUEST_ANSWER_MAX + 1];
	static const struct {
		struct guest_frame f;
		size_t len;
	} bad[] = {
		{{.type = 99}, 0},
		{{.type = GUEST_HELLO}, 0},
		{{.type = GUEST_READY}, sizeof(struct guest_ready)},
		{{.type = GUEST_REPLY, .id = 12345}, sizeof(struct guest_reply)},
		{{.type = GUEST_OUTPUT, .process = 1, .stream = 0}, 1},
		{{.type = GUEST_OUTPUT, .process = 1, .stream = 3}, 1},
		{{.type = GUEST_OUTPUT, .process = 1, .stream = 1}, GUEST_DATA_MAX + 1},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct scene s;
		scene_open(&s);
		(void)start(&s);
		say(&s, bad[i].f, zeros, bad[i].len);
		CHECK(s.k.over);
		scene_close(&s);
	}
}

static void test_window(void)
{
	static const char data[GUEST_DATA_MAX];
	struct scene s;
	size_t sent = 0;

	scene_open(&s);
	uint32_t id = start(&s);
	/* Nobody takes it: what is more than a window is a breach. */
	for (; sent <= GUEST_WINDOW && !s.k.over; sent += sizeof(data))
		say(&s, (struct guest_frame){.type = GUEST_OUTPUT, .process = id, .stream = 1}, data,
		    sizeof(data));
	CHECK(s.k.over);
	CHECK_INT(sent, GUEST_WINDOW + GUEST_DATA_MAX);
	scene_close(&s);
}

int main(void)
{
	test_life();
	test_hostile();
	test_window();
	return test_end();
}

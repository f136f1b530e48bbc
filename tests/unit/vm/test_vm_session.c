/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's side of the agent's protocol, against a guest that is made of frames. */
#include "../test.h"

#include "keeper_scene.h"

#include <sys/stat.h>

static void say(struct scene *s, struct guest_frame f, const void *payload, size_t len)
{
	f.len = (uint32_t)len;
	CHECK(send(s->guest, &f, sizeof(f), 0) == (ssize_t)sizeof(f));
	if (len)
		CHECK(send(s->guest, payload, len, 0) == (ssize_t)len);
	keeper_turn_once(s);
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
	const struct guest_frame hello = hear(s), mount = hear(s), again = hear(s), run = hear(s);
	CHECK_INT(hello.type, GUEST_HELLO);
	CHECK_INT(mount.type, GUEST_MOUNT);
	CHECK_INT(again.type, GUEST_MOUNT);
	CHECK_INT(run.type, GUEST_RUN);
	reply(s, hello.id, 0);
	reply(s, mount.id, 0);
	reply(s, again.id, 0);
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

static void test_life(void)
{
	const struct guest_exited exited = {.status = 7 << 8};
	struct scene s;

	CHECK(keeper_scene_open(&s));
	uint32_t id = start(&s);
	say(&s, (struct guest_frame){.type = GUEST_EXITED, .process = id}, &exited, sizeof(exited));
	CHECK(!left); /* output may follow */
	say(&s, (struct guest_frame){.type = GUEST_OUTPUT, .process = id, .stream = 1}, NULL, 0);
	say(&s, (struct guest_frame){.type = GUEST_OUTPUT, .process = id, .stream = 2}, NULL, 0);
	CHECK(left && left_status == 7 << 8);
	CHECK(!s.k.over);
	keeper_scene_close(&s);
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
		CHECK(keeper_scene_open(&s));
		(void)start(&s);
		say(&s, bad[i].f, zeros, bad[i].len);
		CHECK(s.k.over);
		keeper_scene_close(&s);
	}
}

static void test_window(void)
{
	static const char data[GUEST_DATA_MAX];
	struct scene s;
	size_t sent = 0;

	CHECK(keeper_scene_open(&s));
	uint32_t id = start(&s);
	/* Nobody takes it: what is more than a window is a breach. */
	for (; sent <= GUEST_WINDOW && !s.k.over; sent += sizeof(data))
		say(&s, (struct guest_frame){.type = GUEST_OUTPUT, .process = id, .stream = 1}, data,
		    sizeof(data));
	CHECK(s.k.over);
	CHECK_INT(sent, GUEST_WINDOW + GUEST_DATA_MAX);
	keeper_scene_close(&s);
}

/* One byte each, and no more than so many. */
static void test_kills(void)
{
	struct scene s;
	struct stat st;

	CHECK(keeper_scene_open(&s));
	uint32_t id = start(&s);
	for (int i = 0; i < 3; i++)
		say(&s, (struct guest_frame){.type = GUEST_OOM, .process = id}, NULL, 0);
	CHECK(fstat(s.k.oom_file, &st) == 0 && st.st_size == 3);
	for (int i = 0; i < 5000; i++)
		say(&s, (struct guest_frame){.type = GUEST_OOM, .process = id}, NULL, 0);
	CHECK(fstat(s.k.oom_file, &st) == 0 && st.st_size == 4096);
	CHECK(!s.k.over);
	keeper_scene_close(&s);
}

/* The answer to a question of ours has the length of what was asked for, or is told to be none. */
static void test_stats(void)
{
	const struct {
		struct guest_reply reply;
		struct guest_stats stats;
	} good = {.stats = {.memory = 5}};
	static const size_t lens[] = {sizeof(good), sizeof(good) - 1, sizeof(good.reply)};

	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		struct connection c = {0};
		struct supervisor_reply r;
		struct scene s;
		int pair[2], fd = -1;
		size_t nfds = 0;
		CHECK(keeper_scene_open(&s));
		(void)start(&s);
		CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
		c.sock = pair[0];
		session_stats(&s.k, &c);
		session_flush(&s.k);
		const struct guest_frame asked = hear(&s);
		CHECK_INT(asked.type, GUEST_STATS);
		say(&s, (struct guest_frame){.type = GUEST_REPLY, .id = asked.id}, &good, lens[i]);
		CHECK(fd_recv(pair[1], &r, sizeof(r), &fd, 1, &nfds) == (ssize_t)sizeof(r));
		CHECK_INT(r.kind, i == 0 ? SUPERVISOR_DONE : SUPERVISOR_FAILED);
		CHECK_INT(nfds, i == 0);
		fd_drop(&fd);
		(void)close(pair[0]);
		(void)close(pair[1]);
		keeper_scene_close(&s);
	}
}

int main(void)
{
	test_life();
	test_kills();
	test_stats();
	test_hostile();
	test_window();
	return test_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile agent: bytes for the keeper's session.  First byte: 1, the machine has just begun; 2, the program
 * runs, a further one was asked for, and tables and statistics are waited for; the rest of it is the size of
 * the pieces.  Process 1 is the container's, 6 the further one; questions have the numbers up to 9.
 */
#include "../../unit/vm/keeper_scene.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY_MAX = 4 << 20 }; /* that an agent may make the keeper hold */

static void tell(struct scene *s, struct guest_frame f, const void *payload, size_t len)
{
	f.len = (uint32_t)len;
	if (send(s->guest, &f, sizeof(f), 0) != (ssize_t)sizeof(f) ||
	    (len && send(s->guest, payload, len, 0) != (ssize_t)len))
		abort();
	keeper_turn_once(s);
}

/* The descriptors that it believes to be its own are the fuzzer's. */
static void let_go(struct inmate *i)
{
	i->in.fd = i->out[0].fd = i->out[1].fd = i->tty = -1;
}

static void begin(struct scene *s, struct connection *c)
{
	static const struct guest_ready ready = {.protocol = GUEST_PROTOCOL};
	static const struct guest_reply good = {0};
	int none[3] = {-1, -1, -1};
	struct err err = {0};

	tell(s, (struct guest_frame){.type = GUEST_READY}, &ready, sizeof(ready));
	let_go(s->k.first);
	for (uint32_t id = 1; id <= s->k.last_id; id++)
		if (s->k.questions && id != s->k.first->id)
			tell(s, (struct guest_frame){.type = GUEST_REPLY, .id = id}, &good, sizeof(good));
	if (s->k.stage != STAGE_RUNNING)
		abort();
	struct inmate *i = inmate_new(&s->k, none, false, &err);
	if (!i || session_start(&s->k, i, "{}", 2, &err) < 0)
		abort();
	i->connection = c;
	c->inmate = i;
	session_processes(&s->k, c);
	session_stats(&s->k, c);
	session_flush(&s->k);
}

/* What the runtime would hear, it does not keep. */
static void drain(int sock)
{
	char buf[sizeof(struct supervisor_reply)];

	while (recv(sock, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

static void end(struct scene *s, struct connection *c)
{
	for (struct inmate *i = s->k.inmates; i; i = i->next)
		i->dead = true;
	streams_sweep(&s->k);
	for (struct question *q = s->k.questions, *next; q; q = next) {
		next = q->next;
		free(q->rows);
		free(q);
	}
	fd_drop(&c->sock);
	keeper_scene_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scene s;
	int pair[2];

	if (!keeper_scene_open(&s) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	struct connection c = {.sock = pair[0]};
	if (size && data[0] % 2 == 0)
		begin(&s, &c);
	size_t piece = size ? 1 + (size_t)data[0] * 16 : 1;
	for (size_t at = 1; at < size && !s.k.over && s.k.agent >= 0;) {
		ssize_t n = send(s.guest, data + at, MIN_OF(piece, size - at), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n <= 0)
			abort(); /* the keeper has read all that came before */
		at += (size_t)n;
		keeper_turn_once(&s);
		if (s.k.stage != STAGE_AGENT && s.k.first && s.k.first->in.fd == 0)
			let_go(s.k.first);
		drain(pair[1]);
		if (s.k.reader.size > MEMORY_MAX || s.k.out_room > MEMORY_MAX)
			abort();
	}
	(void)close(pair[1]);
	end(&s, &c);
	return 0;
}

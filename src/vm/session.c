/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's side of the keeper: the protocol of wire/guest.h.
 *
 * The start goes through stages; each has a name, so that a machine that does
 * not come up can be told what it did not reach.  READY is answered by all
 * that the guest needs at once: HELLO, NETWORK, MOUNT and RUN go out one
 * behind another, and the agent does them in that order.
 *
 * Every byte here comes from a machine whose owner may be hostile: a frame
 * out of place ends it.
 */
#include "vm/keeper.h"

#include "base/clock.h"
#include "base/str.h"
#include "oci/config.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

/* As isolate/vm says in the guest's configuration. */
#define SHARE_TARGET "/run/coffer/root"

enum {
	OUT_FULL = 1 << 20,  /* bytes for the agent from which on no input is read */
	OUT_MAX = 128 << 20, /* an agent that takes nothing */
	READ_TURNS = 16,
	QUESTIONS_MAX = 4096,
	ROWS_MAX = 1 << 16,
	KILLS_MAX = 4096,
	TIMER_PERCENT_MAX = 200,
	TURN_MS = 1000,
};

/* ---- frames out ---- */

bool session_is_full(const struct keeper *k)
{
	return k->out_len > OUT_FULL;
}

static bool make_frame_room(struct keeper *k, size_t more)
{
	if (k->agent < 0 || k->out_len + more > OUT_MAX)
		return false;
	if (k->out_at && k->out_at + k->out_len + more > k->out_room) {
		memmove(k->out, k->out + k->out_at, k->out_len);
		k->out_at = 0;
	}
	if (k->out_at + k->out_len + more > k->out_room) {
		size_t room = k->out_at + k->out_len + more + (64 << 10);
		unsigned char *out = realloc(k->out, room);
		if (!out)
			return false;
		k->out = out;
		k->out_room = room;
	}
	return true;
}

static void put_out(struct keeper *k, const void *data, size_t len)
{
	if (len)
		memcpy(k->out + k->out_at + k->out_len, data, len);
	k->out_len += len;
}

static bool send_frame(struct keeper *k, const struct guest_frame *f, const void *payload, size_t len,
		       const void *more, size_t nmore)
{
	if (!make_frame_room(k, sizeof(*f) + len + nmore)) {
		if (k->agent >= 0)
			keeper_abort(k, "the agent takes no orders");
		return false;
	}
	put_out(k, f, sizeof(*f));
	put_out(k, payload, len);
	put_out(k, more, nmore);
	return true;
}

void session_send(struct keeper *k, enum guest_frame_type type, uint32_t process, unsigned stream,
		  const void *payload, size_t len)
{
	const struct guest_frame f = {
		.len = (uint32_t)len, .type = (uint16_t)type, .stream = (uint16_t)stream, .process = process};

	ignore_result(send_frame(k, &f, payload, len, NULL, 0)); /* a machine that is gone hears nothing */
}

struct question *session_ask(struct keeper *k, enum guest_frame_type type, uint32_t process,
			     const void *payload, size_t len, const void *more, size_t nmore)
{
	struct question *q = calloc(1, sizeof(*q));
	const struct guest_frame f = {.len = (uint32_t)(len + nmore),
				      .type = (uint16_t)type,
				      .process = process,
				      .id = ++k->last_id};

	size_t n = 0; /* a guest that answers nothing is asked no more */
	for (const struct question *p = k->questions; p; p = p->next)
		n++;
	if (!q || n >= QUESTIONS_MAX || !send_frame(k, &f, payload, len, more, nmore)) {
		free(q);
		return NULL;
	}
	*q = (struct question){.next = k->questions, .id = f.id, .asked_ms = k->awake_ms};
	k->questions = q;
	return q;
}

void session_flush(struct keeper *k)
{
	while (k->agent >= 0 && k->out_len) {
		ssize_t n = send(k->agent, k->out + k->out_at, k->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return; /* full; or gone, which reading tells */
		k->out_at += (size_t)n;
		k->out_len -= (size_t)n;
	}
	if (k->out_len == 0)
		k->out_at = 0;
}

/* ---- what the keeper wants ---- */

static struct guest_hello make_hello(void)
{
	struct guest_hello h = {.protocol = GUEST_PROTOCOL,
				.realtime_ns = (uint64_t)clock_ns(CLOCK_REALTIME)};

	ignore_result(getrandom(h.entropy, sizeof(h.entropy), 0)); /* 32 bytes come whole, once seeded */
	return h;
}

/* Who sent it does not wait: kill(2) would not either. */
static void signalled(struct keeper *k, const struct question *q unused, const struct guest_reply *reply,
		      const void *rest, size_t len)
{
	if (reply->code < 0)
		keeper_log(k, "a signal was refused: %.*s", (int)len, (const char *)rest);
}

void session_signal(struct keeper *k, struct inmate *i, uint32_t sig)
{
	const struct guest_signal s = {.signal = sig};

	if (sig == SIGWINCH && i->terminal) {
		inmate_resized(k, i);
		return;
	}
	struct question *q = session_ask(k, GUEST_SIGNAL, i->id, &s, sizeof(s), NULL, 0);
	if (q)
		q->answered = signalled;
}

static void answer_runtime(struct keeper *k unused, const struct question *q, const struct guest_reply *reply,
			   const void *rest, size_t len)
{
	struct err err = {0};

	if (!q->connection)
		return;
	if (reply->code == 0) {
		control_done(q->connection, 0, -1);
		return;
	}
	(void)err_set(&err, -reply->code, "%.*s", (int)len, (const char *)rest); /* told below */
	control_failed(q->connection, &err);
}

static void ask_for(struct keeper *k, struct connection *c, enum guest_frame_type type, const void *payload,
		    size_t len)
{
	struct question *q = session_ask(k, type, 0, payload, len, NULL, 0);

	if (q) {
		q->answered = answer_runtime;
		q->connection = c;
	}
}

void session_set_time(struct keeper *k, struct connection *c)
{
	const struct guest_hello h = make_hello();

	ask_for(k, c, GUEST_TIME, &h, sizeof(h));
}

/* Who asked has not waited for it, or was killed, and says that the container runs: then it shall. */
static void paused_came(struct keeper *k, const struct question *q, const struct guest_reply *reply,
			const void *rest, size_t len)
{
	if (q->connection || reply->code != 0)
		answer_runtime(k, q, reply, rest, len);
	else
		ask_for(k, NULL, GUEST_RESUME, NULL, 0);
}

void session_stand(struct keeper *k, struct connection *c, enum guest_frame_type type)
{
	struct question *q = session_ask(k, type, 0, NULL, 0, NULL, 0);

	if (q) {
		q->answered = type == GUEST_PAUSE ? paused_came : answer_runtime;
		q->connection = c;
	}
}

void session_update(struct keeper *k, struct connection *c, const void *json, size_t len)
{
	ask_for(k, c, GUEST_UPDATE, json, len);
}

static void rows_came(struct keeper *k, const struct question *q, const struct guest_reply *reply,
		      const void *rest, size_t len);

static void ask_rows(struct keeper *k, struct connection *c, int32_t above, void *rows, size_t nrows)
{
	struct question *q = session_ask(k, GUEST_PROCESSES, 0, &above, sizeof(above), NULL, 0);

	if (!q) {
		free(rows);
		return;
	}
	q->answered = rows_came;
	q->connection = c;
	q->rows = rows;
	q->nrows = nrows;
}

void session_processes(struct keeper *k, struct connection *c)
{
	ask_rows(k, c, 0, NULL, 0);
}

static void give_file(struct connection *c, const void *data, size_t len)
{
	struct err err = {0};
	autoclose int fd = memfd_create("answer", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : fd_write_all(fd, data, len);

	if (r == 0) {
		control_done(c, 0, fd);
		return;
	}
	(void)err_num(&err, r, "cannot write the guest's answer"); /* told below */
	control_failed(c, &err);
}

/* As many as fit come at once; the next are those of higher pids. */
static void rows_came(struct keeper *k, const struct question *q, const struct guest_reply *reply,
		      const void *rest, size_t len)
{
	const size_t most =
		(GUEST_ANSWER_MAX - sizeof(struct guest_reply)) / sizeof(struct guest_process_row);
	size_t n = len / sizeof(struct guest_process_row), all = q->nrows + n;
	struct guest_process_row *rows = q->rows;
	struct err err = {0};
	int32_t above = q->nrows ? rows[q->nrows - 1].pid : 0;

	if (!q->connection || reply->code < 0) {
		answer_runtime(k, q, reply, rest, len);
		free(rows);
		return;
	}
	struct guest_process_row *v = reallocarray(rows, all + 1, sizeof(*v));
	if (!v) {
		free(rows);
		(void)err_oom(&err); /* told below */
		control_failed(q->connection, &err);
		return;
	}
	memcpy(v + q->nrows, rest, n * sizeof(*v));
	/* A machine from a template has not said how old it is; its first process is as old as our start. */
	if (k->booted_ns == 0 && all && v[0].pid == 1)
		k->booted_ns = k->started_ns - (int64_t)(v[0].started_ns & INT64_MAX);
	for (size_t i = q->nrows; i < all; i++)
		v[i].started_ns += (uint64_t)k->booted_ns;
	/* Pids that do not rise would have us ask for ever. */
	if (n == most && all < ROWS_MAX && v[all - 1].pid > above) {
		ask_rows(k, q->connection, v[all - 1].pid, v, all);
		return;
	}
	give_file(q->connection, v, all * sizeof(*v));
	free(v);
}

static void stats_came(struct keeper *k, const struct question *q, const struct guest_reply *reply,
		       const void *rest, size_t len)
{
	struct err err = {0};

	if (!q->connection || reply->code < 0) {
		answer_runtime(k, q, reply, rest, len);
	} else if (len == sizeof(struct guest_stats)) {
		give_file(q->connection, rest, len);
	} else {
		(void)err_set(&err, EBADMSG, "the guest's statistics make no sense"); /* told below */
		control_failed(q->connection, &err);
	}
}

void session_stats(struct keeper *k, struct connection *c)
{
	struct question *q = session_ask(k, GUEST_STATS, 0, NULL, 0, NULL, 0);

	if (q) {
		q->answered = stats_came;
		q->connection = c;
	}
}

/* ---- processes ---- */

static void inmate_started(struct keeper *k, const struct question *q, const struct guest_reply *reply,
			   const void *rest, size_t len)
{
	struct inmate *i = q->inmate;
	struct err err = {0};

	if (!i)
		return;
	if (reply->code == 0) {
		i->started = true;
		if (i->first) {
			k->stage = STAGE_RUNNING;
			k->started_ns = clock_ns(CLOCK_REALTIME);
			vm_template_close(&k->template);
			keeper_log(k, "the program runs");
			if (k->starter)
				control_started(k->starter);
			k->starter = NULL;
		} else if (i->connection) {
			control_started(i->connection);
		}
		return;
	}
	(void)err_set(&err, -reply->code, "%.*s", (int)len, (const char *)rest); /* told below */
	err.exit_status = reply->exit_status > 0 && reply->exit_status < 256 ? reply->exit_status : 0;
	i->dead = true;
	if (i->first)
		keeper_fail(k, &err);
	else if (i->connection)
		control_failed(i->connection, &err);
}

int session_start(struct keeper *k, struct inmate *i, const void *json, size_t len, struct err *err)
{
	struct guest_process p = {.flags = GUEST_STDIN};

	if (i->terminal)
		p.flags |= GUEST_TERMINAL;
	if (i->outside)
		p.flags |= GUEST_OUTSIDE;
	inmate_size(i, &p.rows, &p.columns);
	if (len > GUEST_PAYLOAD_MAX - sizeof(p))
		return err_set(err, E2BIG, "the configuration is too long for the guest");
	struct question *q =
		session_ask(k, i->first ? GUEST_RUN : GUEST_EXEC, i->id, &p, sizeof(p), json, len);
	if (!q)
		return err_oom(err);
	q->answered = inmate_started;
	q->inmate = i;
	return 0;
}

void session_forget(struct keeper *k, const struct connection *c)
{
	for (struct question *q = k->questions; q; q = q->next)
		if (q->connection == c)
			q->connection = NULL;
}

/* ---- the start ---- */

static void step_done(struct keeper *k, const struct question *q unused, const struct guest_reply *reply,
		      const void *rest, size_t len)
{
	struct err err = {0};

	if (reply->code == 0 || k->stage >= STAGE_RUNNING)
		return;
	(void)err_set(&err, -reply->code, "%s: %.*s", keeper_stage_text(k->stage), (int)len,
		      (const char *)rest); /* told below */
	keeper_fail(k, &err);
}

static void mounted(struct keeper *k, const struct question *q, const struct guest_reply *reply,
		    const void *rest, size_t len)
{
	step_done(k, q, reply, rest, len);
	if (reply->code == 0 && k->stage < STAGE_EXEC)
		k->stage = STAGE_EXEC;
}

typedef void answer_fn(struct keeper *k, const struct question *q, const struct guest_reply *reply,
		       const void *rest, size_t len);

static bool ask_step(struct keeper *k, enum guest_frame_type type, const void *payload, size_t len,
		     const void *more, size_t nmore, answer_fn *answered)
{
	struct question *q = session_ask(k, type, 0, payload, len, more, nmore);

	if (q)
		q->answered = answered;
	return q;
}

static bool ask_hello(struct keeper *k, answer_fn *answered)
{
	const struct guest_hello h = make_hello();

	return ask_step(k, GUEST_HELLO, &h, sizeof(h), NULL, 0, answered);
}

static int read_guest_config(const struct keeper *k, char **ret, size_t *ret_len, struct err *err)
{
	int r = lseek(k->config, 0, SEEK_SET) < 0 ? -errno
						  : fd_read_all(k->config, OCI_CONFIG_MAX, ret, ret_len);

	return r < 0 ? err_num(err, r, "cannot read the guest's configuration") : 0;
}

static int prepare_guest(struct keeper *k, struct err *err)
{
	static const char words[] = "coffer-share\0coffer\0" SHARE_TARGET "\0"; /* and no data */
	static const char again[] = "none\0" SHARE_TARGET "\0" GUEST_SHARE_AT "\0";
	static const struct guest_mount mount = {0}, bind = {.flags = MS_BIND};
	autofree char *config = NULL;
	int fds[3] = {0, 1, 2};
	size_t len = 0;
	int r = read_guest_config(k, &config, &len, err);

	if (r < 0)
		return r;
	if ((!k->restored && !ask_hello(k, step_done)) ||
	    (k->network && !ask_step(k, GUEST_NETWORK, NULL, 0, k->network, strlen(k->network), step_done)) ||
	    !ask_step(k, GUEST_MOUNT, &mount, sizeof(mount), words, sizeof(words), step_done) ||
	    !ask_step(k, GUEST_MOUNT, &bind, sizeof(bind), again, sizeof(again), mounted))
		return err_oom(err);
	struct inmate *i = inmate_new(k, fds, k->terminal, err);
	if (!i)
		return -err->code;
	i->first = true;
	k->first = i;
	return session_start(k, i, config, len, err);
}

void session_begin(struct keeper *k)
{
	struct err err = {0};

	if (k->restored)
		k->booted_ns = clock_ns(CLOCK_REALTIME) - (int64_t)(k->template.boot_ns & INT64_MAX);
	if (k->into >= 0) {
		snapshot_of_template(k);
		return;
	}
	k->stage = STAGE_MOUNT;
	if (prepare_guest(k, &err) < 0)
		keeper_fail(k, &err);
}

/* The name that this container has; "" where its configuration tells none. */
static int ask_thaw(struct keeper *k, struct err *err)
{
	struct oci_config config;
	autofree char *text = NULL;
	size_t len = 0;
	int r = read_guest_config(k, &text, &len, err);

	if (r == 0)
		r = oci_config_parse(text, len, "config.json", &config, err);
	if (r < 0)
		return r;
	const char *name = config.hostname ? config.hostname : "";
	struct question *q = session_ask(k, GUEST_THAW, 0, name, strlen(name), NULL, 0);
	oci_config_free(&config);
	if (!q)
		return err_oom(err);
	q->answered = inmate_started;
	q->inmate = k->first;
	return 0;
}

void session_continue(struct keeper *k)
{
	struct err err = {0};

	k->booted_ns = clock_ns(CLOCK_REALTIME) - (int64_t)(k->kept.age_ns & INT64_MAX);
	k->stage = STAGE_EXEC;
	int r = k->network && !ask_step(k, GUEST_NETWORK, NULL, 0, k->network, strlen(k->network), step_done)
			? err_oom(&err)
			: snapshot_inmate(k, &err);
	if (r == 0)
		r = ask_thaw(k, &err);
	if (r < 0) {
		keeper_fail(k, &err);
		return;
	}
	for (unsigned n = 0; n < 2; n++) {
		struct stream_out *o = &k->first->out[n];
		const struct guest_credit c = {.bytes = o->owed};
		if (o->owed && !o->ended)
			session_send(k, GUEST_CREDIT, k->first->id, n + 1, &c, sizeof(c));
		o->owed = 0;
	}
	if (k->first->terminal)
		inmate_resized(k, k->first);
}

static void note_timer(struct keeper *k, unsigned percent)
{
	char text[160];
	int n = snprintf(
		text, sizeof(text),
		"coffer: the guest's kernel has taken its timer for too fast: a sleep takes %u %% of its "
		"time; no template is made of this machine\n",
		percent);

	if (n > 0)
		console_note(&k->console, text, strlen(text));
}

static int agent_reported(struct keeper *k, const void *payload, size_t len, struct err *err)
{
	struct guest_ready ready;

	if (len != sizeof(ready) || k->stage > STAGE_AGENT)
		return err_set(err, EBADMSG, "a READY of %zu bytes out of place", len);
	memcpy(&ready, payload, sizeof(ready));
	if (ready.protocol != GUEST_PROTOCOL)
		return err_set(err, EPROTO,
			       "the agent of the initramfs speaks protocol %u, this keeper %d: make the "
			       "initramfs anew (coffer vm build-initramfs)",
			       ready.protocol, GUEST_PROTOCOL);
	keeper_log(k, "READY: %llu bytes, %llu us from the kernel's start, a sleep takes %u %% of its time",
		   (unsigned long long)ready.memory, (unsigned long long)ready.boot_ns / 1000,
		   ready.timer_percent);
	k->booted_ns = clock_ns(CLOCK_REALTIME) - (int64_t)(ready.boot_ns & INT64_MAX);
	k->template.boot_ns = ready.boot_ns;
	struct err why = {0};
	bool measured = !k->vm.driver || !k->vm.driver->timer_told;
	if (measured && ready.timer_percent > TIMER_PERCENT_MAX) {
		note_timer(k, ready.timer_percent);
		vm_template_close(&k->template); /* each machine of it would have such a timer */
	}
	if (keeper_save_template(k, &why) < 0)
		keeper_fail(k, &why);
	else
		session_begin(k);
	return 0;
}

/* ---- frames in ---- */

static int take_reply(struct keeper *k, const struct guest_frame *f, const void *payload, struct err *err)
{
	struct guest_reply reply;
	struct question **at = &k->questions;

	while (*at && (*at)->id != f->id)
		at = &(*at)->next;
	struct question *q = *at;
	if (!q || f->len < sizeof(reply))
		return err_set(err, EBADMSG, "a REPLY to nothing that was asked");
	memcpy(&reply, payload, sizeof(reply));
	if (reply.code > 0 || reply.code < -4095)
		return err_set(err, EBADMSG, "a REPLY with code %d", reply.code);
	*at = q->next;
	if (q->answered)
		q->answered(k, q, &reply, (const char *)payload + sizeof(reply), f->len - sizeof(reply));
	free(q);
	return 0;
}

static int take_of_process(struct keeper *k, const struct guest_frame *f, const void *payload,
			   struct err *err)
{
	struct inmate *i = inmate_find(k, f->process);
	struct guest_exited exited;
	struct guest_credit credit;

	if (f->type == GUEST_OUTPUT && (f->stream < 1 || f->stream > 2 || f->len > GUEST_DATA_MAX))
		return err_set(err, EBADMSG, "OUTPUT of stream %u", f->stream);
	if (!i) /* it is forgotten here, and what it left is of no interest */
		return 0;
	switch (f->type) {
	case GUEST_OUTPUT:
		return streams_output(k, i, f->stream, payload, f->len) < 0
			       ? err_set(err, EBADMSG, "OUTPUT beyond its window")
			       : 0;
	case GUEST_CREDIT:
		if (f->len != sizeof(credit))
			return err_set(err, EBADMSG, "CREDIT of %u bytes", f->len);
		memcpy(&credit, payload, sizeof(credit));
		streams_credit(i, credit.bytes);
		return 0;
	default:
		break;
	}
	/* Before its start is answered, that question still names it. */
	if (f->len != sizeof(exited) || i->exited || !i->started)
		return err_set(err, EBADMSG, "EXITED of %u bytes out of place", f->len);
	memcpy(&exited, payload, sizeof(exited));
	i->exited = true;
	i->exited_ns = clock_ns(CLOCK_MONOTONIC);
	i->status = exited.status & 0xffff;
	return 0;
}

/* One byte each is what the runtime counts; a guest that says it for ever is heard so often. */
static void count_kill(struct keeper *k)
{
	struct stat st;

	keeper_log(k, "a process was killed for want of memory");
	if (k->oom_file >= 0 && fstat(k->oom_file, &st) == 0 && st.st_size < KILLS_MAX)
		ignore_result(pwrite(k->oom_file, "", 1, st.st_size) < 0); /* a full disk costs the event */
}

static int take_frame(struct keeper *k, const struct guest_frame *f, const void *payload, struct err *err)
{
	static const char killed[] = "coffer: a process of the container was killed for want of memory\n";
	struct guest_member left;

	switch (f->type) {
	case GUEST_READY:
		return agent_reported(k, payload, f->len, err);
	case GUEST_REPLY:
		return take_reply(k, f, payload, err);
	case GUEST_OUTPUT:
	case GUEST_CREDIT:
	case GUEST_EXITED:
		return take_of_process(k, f, payload, err);
	case GUEST_OOM:
		count_kill(k);
		console_note(&k->console, killed, sizeof(killed) - 1);
		return 0;
	case GUEST_LEFT:
		if (f->len != sizeof(left))
			return err_set(err, EBADMSG, "LEFT of %u bytes", f->len);
		memcpy(&left, payload, sizeof(left));
		pod_left(k, left.number);
		return 0;
	case GUEST_LOG:
		console_note(&k->console, payload, f->len);
		return 0;
	default:
		return err_set(err, EBADMSG, "a message of type %u", f->type);
	}
}

static void agent_gone(struct keeper *k)
{
	fd_drop(&k->agent);
	if (k->stage != STAGE_LEAVING)
		keeper_log(k, "the agent's port has ended");
}

static void agent_ready(struct keeper *k, void *data unused, short revents unused)
{
	struct guest_frame f;
	const void *payload;
	struct err err = {0};
	void *room;
	size_t size;
	int r = 0;

	for (int turn = 0; turn < READ_TURNS && k->agent >= 0 && !k->over; turn++) {
		if (guest_reader_room(&k->reader, &room, &size) < 0) {
			keeper_abort(k, "no memory for what the guest sends");
			return;
		}
		ssize_t n = recv(k->agent, room, size, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0) {
			agent_gone(k);
			return;
		}
		guest_reader_filled(&k->reader, (size_t)n);
		while (!k->over && (r = guest_reader_next(&k->reader, &f, &payload, &err)) > 0) {
			r = take_frame(k, &f, payload, &err);
			if (r < 0)
				break;
		}
		if (r < 0) {
			keeper_abort(k, "the guest does not keep to the protocol: %s", err.msg);
			return;
		}
	}
}

/*
 * Who wants a process executed in a guest that hangs is told so, after the time that a start may take.  Who
 * was paused has not waited: a turn counts for as long as the loop sleeps at most while anybody waits.
 */
static void look_at_starts(struct keeper *k, struct poll_set *p)
{
	int64_t now = clock_ms();
	struct err err = {0};

	if (!k->holding)
		k->awake_ms += MIN_OF(now - k->turned_ms, (int64_t)TURN_MS);
	k->turned_ms = now;
	for (struct question *q = k->questions; q; q = q->next) {
		struct connection *c = q->inmate ? q->inmate->connection : NULL;
		int64_t left = (int64_t)k->seconds * 1000 - (k->awake_ms - q->asked_ms);
		if (!c)
			continue;
		if (left > 0) {
			poll_within(p, MIN_OF(left, (int64_t)TURN_MS));
			continue;
		}
		(void)err_set(&err, ETIMEDOUT, "the guest did not answer within %llu s",
			      (unsigned long long)k->seconds); /* told at once */
		control_failed(c, &err);
		control_close(k, c);
	}
}

void session_poll(struct keeper *k, struct poll_set *p)
{
	look_at_starts(k, p);
	if (k->agent >= 0)
		poll_want(p, k->agent, (short)(POLLIN | (k->out_len ? POLLOUT : 0)), agent_ready, NULL);
}

/* ---- a restored machine ---- */

static void greeted(struct keeper *k, const struct question *q unused, const struct guest_reply *reply,
		    const void *rest, size_t len)
{
	k->greeted = reply->code == 0;
	if (!k->greeted)
		keeper_log(k, "the restored machine's agent says: %.*s", (int)len, (const char *)rest);
}

static void forget_session(struct keeper *k)
{
	while (k->questions) {
		struct question *next = k->questions->next;
		free(k->questions);
		k->questions = next;
	}
	guest_reader_free(&k->reader);
	k->reader = (struct guest_reader){0};
	k->out_at = k->out_len = 0;
	fd_drop(&k->agent);
}

int session_greet(struct keeper *k, int64_t within_ms, struct err *err)
{
	int64_t until = clock_ms() + within_ms, left = within_ms;
	int r = ask_hello(k, greeted) ? 0 : err_oom(err);

	k->greeted = false;
	while (r == 0 && k->questions && k->agent >= 0 && !k->over && left > 0) {
		struct pollfd p = {.fd = k->agent, .events = (short)(POLLIN | (k->out_len ? POLLOUT : 0))};
		if (poll(&p, 1, (int)MIN_OF(left, (int64_t)INT_MAX)) < 0 && errno != EINTR)
			r = err_sys(err, "cannot wait for the agent");
		session_flush(k);
		agent_ready(k, NULL, 0);
		left = until - clock_ms();
	}
	if (r == 0 && !k->greeted)
		r = err_set(err, ETIMEDOUT, "the restored machine does not answer");
	if (r < 0)
		forget_session(k);
	return r;
}

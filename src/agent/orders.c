/* SPDX-License-Identifier: Apache-2.0 */
/* One function a request.  What takes long or reads the container's files is a job (job.h). */
#include "agent/agent.h"
#include "agent/decode.h"
#include "agent/fuse_relay.h"
#include "agent/job.h"

#include "base/file.h"
#include "base/str.h"
#include "host/netlink.h"
#include "host/netlink_setup.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <termios.h>

/* 0: done, to be answered so; -errno: to be answered so; LATER: the answer comes from elsewhere. */
enum { LATER = 1 };
typedef int order_fn(struct agent *a, const struct guest_frame *f, const void *payload, struct err *err);

static int order_hello(struct agent *a, const struct guest_frame *f, const void *payload, struct err *err)
{
	struct guest_hello h;
	int r = decode_struct(payload, f->len, &h, sizeof(h), err);

	if (r == 0)
		r = boot_hello(a, &h, err);
	a->greeted |= r == 0;
	return r;
}

/* ---- network ---- */

/* In the copy of a machine the cards have their names already, and what the other one was told. */
static int find_card(const struct network_card *c, bool again, char name[static 16], struct err *err)
{
	if (!again)
		return net_card_find(c->card ? c->card : c->mac, name, err);
	if (strlen(c->name) >= 16)
		return err_set(err, ENODEV, "\"%s\" is no name of an interface", c->name);
	memcpy(name, c->name, strlen(c->name) + 1);
	return net_card_clear(name, err);
}

static int set_card(const struct network_card *c, bool again, struct err *err)
{
	char name[16];
	int r = find_card(c, again, name, err);

	if (r == 0)
		r = net_card_rename(name, c->name, err);
	if (r == 0 && c->card)
		r = net_card_address(c->name, c->mac, err);
	if (r == 0)
		r = net_card_mtu(c->name, c->mtu, err);
	for (size_t i = 0; i < c->addresses.n && r == 0; i++) {
		struct net_prefix p;
		if (net_prefix_parse(c->addresses.v[i], &p) < 0)
			return err_set(err, EINVAL, "interface %s: \"%s\" is no address", c->name,
				       c->addresses.v[i]);
		r = net_address_add(c->name, &p, err);
	}
	return r < 0 ? r : net_card_up(c->name, true, err);
}

static int set_route(const struct network_route *t, struct err *err)
{
	struct net_prefix to, via;

	if (net_prefix_parse(t->destination, &to) < 0)
		return err_set(err, EINVAL, "\"%s\" is no destination of a route", t->destination);
	if (t->gateway && (net_prefix_parse(t->gateway, &via) < 0 || via.family == AF_UNSPEC))
		return err_set(err, EINVAL, "\"%s\" is no gateway", t->gateway);
	return net_route_add(t->interface, &to, t->gateway ? &via : NULL, err);
}

static int order_network(struct agent *a, const struct guest_frame *f, const void *payload, struct err *err)
{
	struct network_order order;
	int r = decode_network(payload, f->len, &order, err);

	if (r == 0 && a->member)
		r = err_set(err, EPERM, "the network is the pod's");
	if (r == 0)
		r = net_lo_up(err);
	for (size_t i = 0; i < order.cards.n && r == 0; i++)
		r = set_card(&order.cards.v[i], a->frozen, err);
	for (size_t i = 0; i < order.routes.n && r == 0; i++)
		r = set_route(&order.routes.v[i], err);
	json_doc_free(&order.doc);
	return r;
}

/* ---- mounts ---- */

static int order_mount(struct agent *a, const struct guest_frame *f, const void *payload, struct err *err)
{
	struct mount_order m;
	int r = decode_mount(payload, f->len, &m, err);

	if (r < 0)
		return r;
	/* Nobody but the keeper has put anything there yet: a path will do. */
	r = file_mkdir_all(m.target, 0755);
	if (r < 0)
		return err_num(err, r, "cannot make \"%s\"", m.target);
	if (streq(m.type, "coffer-share")) {
		if (a->share_port < 0)
			return err_set(err, ENODEV, "there is no port for the file share, or it is mounted");
		r = fuse_relay_mount(a->share_port, m.target, m.flags, err);
		if (r < 0)
			return r;
		a->relay = r;
		fd_drop(&a->share_port); /* the relay has its own */
		a->shared = strdup(m.target);
		return a->shared ? 0 : err_oom(err);
	}
	if (mount(m.source, m.target, m.type, m.flags, m.data) < 0)
		return err_sys(err, "cannot mount \"%s\" (%s) on \"%s\"", m.source, m.type, m.target);
	return 0;
}

/* ---- processes ---- */

static int start_process(struct agent *a, const struct guest_frame *f, const void *payload, job_body *body,
			 struct err *err)
{
	struct job_order o = {.frame = f};
	int r = decode_process(payload, f->len, &o.process, &o.json, &o.json_len, err);
	struct live *l = r < 0 ? NULL : live_add(a, f->process, err);

	if (!l)
		return -err->code;
	l->terminal = o.process.flags & GUEST_TERMINAL;
	r = streams_make(a, l, o.process.flags & GUEST_STDIN, &o.stdio, err);
	if (r < 0)
		live_forget(a, l);
	else
		job_start(a, body, &o, l);
	stdio_close(&o.stdio);
	return r < 0 ? r : LATER;
}

static int order_run(struct agent *a, const struct guest_frame *f, const void *payload, struct err *err)
{
	if (a->main_id)
		return err_set(err, EBUSY, "a virtual machine runs one container");
	a->main_id = f->process; /* until it fails */
	int r = start_process(a, f, payload, job_run, err);
	if (r < 0)
		a->main_id = 0;
	return r;
}

static int order_exec(struct agent *a, const struct guest_frame *f, const void *payload, struct err *err)
{
	struct guest_process p = {0};

	if (f->len >= sizeof(p))
		memcpy(&p, payload, sizeof(p));
	bool outside = p.flags & GUEST_OUTSIDE;
	if (!outside && !a->main_there)
		return err_set(err, ESRCH, "there is no container to execute a process in");
	return start_process(a, f, payload, outside ? job_outside : job_exec, err);
}

static int order_signal(struct agent *a, const struct guest_frame *f, const void *payload, struct err *err)
{
	struct job_order o = {.frame = f};
	const struct live *l = live_find(a, f->process ? f->process : a->main_id);
	int r = decode_struct(payload, f->len, &o.signal, sizeof(o.signal), err);

	if (r < 0)
		return r;
	if (o.signal.signal > (uint32_t)SIGRTMAX)
		return err_set(err, EINVAL, "there is no signal %u", o.signal.signal);
	o.stdio = (struct stdio){.child = {-1, -1, -1}};
	if (o.signal.flags & GUEST_SIGNAL_ALL) {
		job_start(a, job_signal_all, &o, NULL);
		return LATER;
	}
	if (!l || l->pid <= 0)
		return err_set(err, ESRCH, "no such process");
	return kill(l->pid, (int)o.signal.signal) < 0
		       ? err_sys(err, "cannot send signal %u to the process", o.signal.signal)
		       : 0;
}

static int order_update(struct agent *a, const struct guest_frame *f, const void *payload,
			struct err *err unused)
{
	const struct job_order o = {
		.frame = f, .json = payload, .json_len = f->len, .stdio = {.child = {-1, -1, -1}}};

	job_start(a, job_update, &o, NULL);
	return LATER;
}

static int order_processes(struct agent *a, const struct guest_frame *f, const void *payload, struct err *err)
{
	struct job_order o = {.frame = f, .stdio = {.child = {-1, -1, -1}}};
	int r = f->len ? decode_struct(payload, f->len, &o.rows, sizeof(o.rows), err) : 0;

	if (r < 0)
		return r;
	job_start(a, job_rows, &o, NULL);
	return LATER;
}

static int order_stats(struct agent *a, const struct guest_frame *f, const void *payload unused,
		       struct err *err unused)
{
	const struct job_order o = {.frame = f, .stdio = {.child = {-1, -1, -1}}};

	job_start(a, job_stats, &o, NULL);
	return LATER;
}

/* What is under way would be cut in two. */
static int order_freeze(struct agent *a, const struct guest_frame *f, const void *payload unused,
			struct err *err)
{
	const struct job_order o = {.frame = f, .stdio = {.child = {-1, -1, -1}}};

	if (a->members || a->member)
		return err_set(err, EBUSY, "the machine is a pod's, with further containers");
	if (!a->main_there || a->freezing || a->frozen || a->jobs || a->nlive != 1)
		return err_set(
			err, EBUSY,
			"other processes than the container's own, or requests, are at work in the machine");
	int r = freeze_prepare(a, err);
	if (r < 0)
		return r;
	job_start(a, job_freeze, &o, NULL);
	return LATER;
}

static int order_thaw(struct agent *a, const struct guest_frame *f, const void *payload, struct err *err)
{
	return a->frozen ? freeze_end(a, payload, f->len, err)
			 : err_set(err, EINVAL, "the machine is not frozen");
}

static int order_pause(struct agent *a, const struct guest_frame *f, const void *payload unused,
		       struct err *err unused)
{
	const struct job_order o = {.frame = f, .stdio = {.child = {-1, -1, -1}}};

	job_start(a, f->type == GUEST_PAUSE ? job_pause : job_resume, &o, NULL);
	return LATER;
}

static int order_member(struct agent *a, const struct guest_frame *f, const void *payload, struct err *err)
{
	struct guest_admission m;
	int r = decode_struct(payload, f->len, &m, sizeof(m), err);

	if (r == 0 && (a->freezing || a->frozen))
		r = err_set(err, EBUSY, "the machine is being saved");
	return r < 0 ? r : member_start(a, &m, err);
}

/* ---- streams: no answer but to what cannot be ---- */

static int order_input(struct agent *a, const struct guest_frame *f, const void *payload, struct err *err)
{
	struct live *l = live_find(a, f->process);

	if (f->stream != 0 || f->len > GUEST_DATA_MAX)
		return err_set(err, EBADMSG, "%u bytes for stream %u", f->len, f->stream);
	if (l) /* else it has ended meanwhile */
		streams_input(a, l, payload, f->len);
	return LATER;
}

static int order_credit(struct agent *a, const struct guest_frame *f, const void *payload, struct err *err)
{
	struct live *l = live_find(a, f->process);
	struct guest_credit c;
	int r = decode_struct(payload, f->len, &c, sizeof(c), err);

	if (r == 0 && f->stream != 1 && f->stream != 2)
		r = err_set(err, EBADMSG, "credit for stream %u", f->stream);
	if (r < 0)
		return r;
	if (l)
		streams_credit(a, l, f->stream, c.bytes);
	return LATER;
}

static int order_resize(struct agent *a, const struct guest_frame *f, const void *payload, struct err *err)
{
	const struct live *l = live_find(a, f->process);
	struct guest_size s;
	int r = decode_struct(payload, f->len, &s, sizeof(s), err);

	if (r < 0)
		return r;
	const struct winsize w = {.ws_row = s.rows, .ws_col = s.columns};
	if (l && l->terminal && l->out[0].source.fd >= 0)
		(void)ioctl(l->out[0].source.fd, TIOCSWINSZ, &w); /* a hung-up terminal has no size */
	return LATER;
}

static int order_shutdown(struct agent *a, const struct guest_frame *f unused, const void *payload unused,
			  struct err *err unused)
{
	a->leaving = a->shut_down = true;
	return LATER;
}

static const struct order {
	order_fn *take;
	bool silent; /* of a stream, or of no answer: what is wrong with it is the stream's end */
	bool first;  /* may come before HELLO */
} orders[] = {
	[GUEST_HELLO] = {order_hello, .first = true},
	[GUEST_NETWORK] = {order_network},
	[GUEST_MOUNT] = {order_mount},
	[GUEST_RUN] = {order_run},
	[GUEST_EXEC] = {order_exec},
	[GUEST_INPUT] = {order_input, .silent = true},
	[GUEST_SIGNAL] = {order_signal},
	[GUEST_RESIZE] = {order_resize, .silent = true},
	[GUEST_UPDATE] = {order_update},
	[GUEST_PROCESSES] = {order_processes},
	[GUEST_TIME] = {order_hello},
	[GUEST_STATS] = {order_stats},
	[GUEST_FREEZE] = {order_freeze},
	[GUEST_THAW] = {order_thaw},
	[GUEST_MEMBER] = {order_member},
	[GUEST_PAUSE] = {order_pause},
	[GUEST_RESUME] = {order_pause},
	[GUEST_SHUTDOWN] = {order_shutdown, .silent = true, .first = true},
	[GUEST_CREDIT] = {order_credit, .silent = true},
};

void orders_take(struct agent *a, const struct guest_frame *f, const void *payload)
{
	const struct order *o = f->type < ARRAY_LEN(orders) ? &orders[f->type] : NULL;
	struct err err = {0};
	int r;

	if (!o || !o->take)
		r = err_set(&err, ENOSYS, "the agent knows no request %u", f->type);
	else if (!o->silent && f->id == 0)
		r = err_set(&err, EBADMSG, "a request without a number");
	else if (!o->first && !a->greeted)
		r = err_set(&err, EPROTO, "a request before HELLO");
	else
		r = o->take(a, f, payload, &err);
	if (r == LATER)
		return;
	if (r < 0 && (f->id == 0 || (o && o->silent)))
		agent_leave(a, "the keeper sent what makes no sense: %s", err.msg);
	else
		channel_reply(a, f->id, r, &err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pod: several containers in one machine.
 *
 *	keeper of the first container ── hypervisor ── guest: agent ── first container
 *	      │ control.sock                 │                  └─ agent ── further container
 *	keeper of a further one ─── two ports of its own ─────────────────────┘
 *
 * A further container is outside what each one is: a container of the
 * carrier with its own root, group and state, in which a keeper and a file
 * share work, its streams and its exit status are its own keeper's, and who
 * kills that ends this container alone.  It lacks the machine: its keeper
 * hands what the hypervisor needs of its ports to the keeper of the first
 * container, and from then on speaks with an agent of its own in the guest
 * (agent/member.c).  The connection stays open, and stands for the container:
 * either side takes its end for the end.
 *
 * Who may connect is who may give the first container any order
 * (supervisor_accept()).  What a further container's keeper sends here is two
 * descriptors, and nothing that the guest says passes by here but LEFT.
 */
#include "vm/keeper.h"

#include "base/clock.h"

#include <sys/socket.h>

enum { MEMBERS_MAX = (VM_PORTS_MAX - 3) / 2, UNPLUG_AGAIN_MS = 200, UNPLUG_TRIES = 100 };

struct member {
	struct member *next;
	struct connection *connection; /* NULL: it has gone, and its ports are still to be taken away */
	uint32_t number;
	bool agent, share; /* ports that are there */
	int tries;
};

/* ---- the first container's keeper ---- */

struct port_names {
	char agent[64], share[64];
};

static struct port_names name_ports(uint32_t number)
{
	struct port_names n;

	(void)snprintf(n.agent, sizeof(n.agent), GUEST_PORT_AGENT ".%u", number); /* fits */
	(void)snprintf(n.share, sizeof(n.share), GUEST_PORT_SHARE ".%u", number); /* likewise */
	return n;
}

/* Is it gone, or is there nobody to take it from? */
static bool unplug(struct keeper *k, const char *name)
{
	struct err err = {0};

	return !k->machine || k->over || k->vm.driver->unplug_port(&k->vm, name, &err) == 0;
}

static int plug_ports(struct keeper *k, uint32_t number, const int *fds, struct err *err)
{
	const struct port_names names = name_ports(number);
	int r = k->vm.driver->plug_port(&k->vm, names.agent, fds[0], err);

	if (r < 0)
		return r;
	r = k->vm.driver->plug_port(&k->vm, names.share, fds[1], err);
	if (r < 0)
		ignore_result(unplug(k, names.agent)); /* else a socket stays until the machine ends */
	return r;
}

static void unplug_ports(struct keeper *k, struct member *m)
{
	const struct port_names names = name_ports(m->number);

	m->agent = m->agent && !unplug(k, names.agent);
	m->share = m->share && !unplug(k, names.share);
	m->tries++;
}

/* Ports of those that have gone, again; who cannot be rid of them lives with them. */
static void sweep_members(struct keeper *k)
{
	for (struct member **at = &k->members; *at;) {
		struct member *m = *at;
		if (!m->connection)
			unplug_ports(k, m);
		if (m->connection || ((m->agent || m->share) && m->tries < UNPLUG_TRIES)) {
			at = &m->next;
			continue;
		}
		keeper_log(k, "the ports of container %u have gone%s", m->number,
			   m->agent || m->share ? " not" : "");
		*at = m->next;
		free(m);
	}
}

void pod_dismiss(struct keeper *k, const struct connection *c)
{
	for (struct member *m = k->members; m; m = m->next) {
		if (m->connection != c)
			continue;
		m->connection = NULL;
		k->unplug_ns = clock_ns(CLOCK_MONOTONIC);
		keeper_log(k, "container %u of the pod has gone", m->number);
		unplug_ports(k, m);
	}
}

/* A number that is not there is of one whose keeper went first; or nonsense, which harms nobody. */
void pod_left(struct keeper *k, uint32_t number)
{
	for (struct member *m = k->members; m; m = m->next) {
		if (m->number == number && m->connection) {
			control_close(k, m->connection);
			return;
		}
	}
}

static void admitted(struct keeper *k, const struct question *q, const struct guest_reply *reply,
		     const void *rest, size_t len)
{
	struct connection *c = q->connection;
	struct err err = {0};

	if (!c)
		return;
	if (reply->code == 0) {
		control_done(c, 0, -1);
		return;
	}
	(void)err_set(&err, -reply->code, "%.*s", (int)len, (const char *)rest); /* told below */
	control_failed(c, &err);
	control_close(k, c);
}

static int may_admit(const struct keeper *k, const struct connection *c, size_t nfds, struct err *err)
{
	size_t n = 0;

	for (const struct member *m = k->members; m; m = m->next) {
		n += m->connection != NULL;
		if (m->connection == c)
			return err_set(err, EBADMSG, "the keeper of a further container asked twice");
	}
	if (nfds != 2 || c->inmate)
		return err_set(err, EBADMSG, "the keeper of a further container sent a malformed JOIN");
	if (k->holding)
		return err_set(err, EBUSY, "the machine is being saved");
	if (k->member)
		return err_set(err, EINVAL,
			       "that container is itself one of a pod: name the one that the machine is of");
	if (!k->vm.driver->plug_port)
		return err_set(err, ENOTSUP,
			       "the hypervisor \"%s\" cannot give a running machine further ports: "
			       "a pod needs QEMU",
			       k->vm.driver->name);
	if (n >= MEMBERS_MAX)
		return err_set(err, EMFILE,
			       "the machine has %zu further containers, and has room for no more", n);
	return 0;
}

int pod_admit(struct keeper *k, struct connection *c, uint32_t flags, int *fds, size_t nfds, struct err *err)
{
	int r = may_admit(k, c, nfds, err);
	struct member *m = r < 0 ? NULL : calloc(1, sizeof(*m));

	if (r == 0 && !m)
		r = err_oom(err);
	if (r < 0)
		return r;
	const struct guest_admission ask = {.number = ++k->last_member,
					    .flags = flags & SUPERVISOR_SHARES_PIDS ? GUEST_SHARES_PIDS : 0};
	r = plug_ports(k, ask.number, fds, err);
	if (r < 0) {
		free(m);
		return r;
	}
	*m = (struct member){
		.next = k->members, .connection = c, .number = ask.number, .agent = true, .share = true};
	k->members = m;
	keeper_log(k, "container %u of the pod comes", m->number);
	struct question *q = session_ask(k, GUEST_MEMBER, 0, &ask, sizeof(ask), NULL, 0);
	if (!q) {
		pod_dismiss(k, c);
		return err_oom(err);
	}
	q->answered = admitted;
	q->connection = c;
	return 0;
}

/* ---- a further container's keeper ---- */

int pod_enter(struct keeper *k, int port, int share, struct err *err)
{
	const struct supervisor_request q = {.kind = SUPERVISOR_JOIN,
					     .flags = k->shares_pids ? SUPERVISOR_SHARES_PIDS : 0};
	const int fds[] = {port, share};

	if (k->pod < 0)
		return err_set(err, EBADMSG, "the runtime sent no connection to the pod's machine");
	int r = fd_set_nonblock(k->pod, true);
	return r < 0 ? err_num(err, r, "cannot set up the connection to the pod's machine")
		     : supervisor_send(k->pod, &q, fds, ARRAY_LEN(fds), err);
}

/* It was told to end, or its agent has ended by itself. */
static void pod_gone(struct keeper *k)
{
	fd_drop(&k->pod);
	k->machine = false;
	if (k->stage == STAGE_LEAVING)
		k->over = true;
	else if (k->first && k->first->exited)
		keeper_leave(k, k->first->status);
	else
		keeper_abort(k, "the pod's machine has ended, or has let go of this container");
}

static void pod_ready(struct keeper *k, void *data unused, short revents unused)
{
	struct supervisor_reply reply;
	struct err err = {0};
	ssize_t n = recv(k->pod, &reply, sizeof(reply), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof(reply)) {
		pod_gone(k);
		return;
	}
	reply.text[sizeof(reply.text) - 1] = '\0';
	if (reply.kind == SUPERVISOR_DONE || k->stage >= STAGE_RUNNING)
		return;
	ignore_result(supervisor_refused(&reply, &err)); /* told below */
	err.exit_status = 0;				 /* no program was to be executed yet */
	keeper_fail(k, &err);
}

static void poll_members(struct keeper *k, struct poll_set *p)
{
	bool any = false;

	for (const struct member *m = k->members; m; m = m->next)
		any |= !m->connection;
	if (!any)
		return;
	if (clock_ns(CLOCK_MONOTONIC) - k->unplug_ns >= UNPLUG_AGAIN_MS * INT64_C(1000000)) {
		sweep_members(k);
		k->unplug_ns = clock_ns(CLOCK_MONOTONIC);
	}
	poll_within(p, UNPLUG_AGAIN_MS);
}

void pod_poll(struct keeper *k, struct poll_set *p)
{
	if (k->pod >= 0)
		poll_want(p, k->pod, POLLIN, pod_ready, NULL);
	poll_members(k, p);
}

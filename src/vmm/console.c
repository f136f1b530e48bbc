/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-console with several ports (virtio 1.2, 5.3): port 0 is the guest's
 * hvc0, of which only the output is kept; the others are byte streams to a
 * socket each.
 *
 * A stream never blocks the loop: what the guest wrote and the socket does not
 * take stays in the queue, put back, with the count of bytes that went already;
 * what the socket holds is read only into buffers that the guest offers.  The
 * socket is waited for only while there is something to do with it, so that a
 * guest that does not read holds up its peer, and nothing else.
 *
 * The console's output is for a log: lines that nobody takes are lost.
 */
#include "vmm/device.h"

#include "vmm/output.h"
#include "wire/guest.h"

#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <sys/socket.h>

enum {
	PORTS = 3,
	CONTROL_IN = 2,
	CONTROL_OUT = 3,
	QUEUES = 2 * PORTS + 2,
	PENDING_MAX = 32,
	/* Linux fills each port's input queue with pages, for good: 64 are as much as a stream has under way.
	 */
	BUFFERS = 64,
	ROUND = 1 << 20
};

struct port_state {
	uint32_t added, guest_open, host_closed;
	uint32_t sent; /* bytes of the first chain in the output queue that went already */
};

/* Messages of the control queue that wait for a buffer. */
struct pending {
	uint32_t port;
	uint16_t event, value;
};

struct console {
	struct device d;
	struct port {
		struct loop_source source;
		const char *name;
		struct console *console;
		unsigned number;
	} ports[PORTS];
	struct console_state {
		struct port_state ports[PORTS];
		struct pending pending[PENDING_MAX];
		uint32_t npending;
	} s;
};

static unsigned queue_in(unsigned port)
{
	return port ? 2 * port + 2 : 0;
}

static struct console *console_of(struct device *d)
{
	return container_of(d, struct console, d);
}

/* ---- control ---- */

static int flush_control(struct console *c)
{
	struct queue *q = &c->d.queues[CONTROL_IN];
	struct chain chain;
	int r = 0;

	while (c->s.npending) {
		r = queue_next(q, &chain);
		if (r < 0)
			return r;
		if (r == 0)
			break;
		const struct pending *p = &c->s.pending[0];
		struct virtio_console_control m = {.id = p->port, .event = p->event, .value = p->value};
		size_t n = chain_put(&chain, 0, &m, sizeof(m));
		if (p->event == VIRTIO_CONSOLE_PORT_NAME) {
			const char *name = c->ports[p->port].name;
			n += chain_put(&chain, n, name, strlen(name));
		}
		queue_push(q, chain.head, (uint32_t)n);
		c->s.npending--;
		memmove(&c->s.pending[0], &c->s.pending[1], c->s.npending * sizeof(c->s.pending[0]));
	}
	device_signal(&c->d, CONTROL_IN);
	return 0;
}

static void send_control(struct console *c, unsigned port, uint16_t event, uint16_t value)
{
	/* A driver that asks on and on without taking answers gets fewer. */
	if (c->s.npending < PENDING_MAX)
		c->s.pending[c->s.npending++] = (struct pending){port, event, value};
}

static void port_ready(struct console *c, unsigned port)
{
	if (port == 0)
		send_control(c, port, VIRTIO_CONSOLE_CONSOLE_PORT, 1);
	else
		send_control(c, port, VIRTIO_CONSOLE_PORT_NAME, 1);
	if (!c->s.ports[port].host_closed)
		send_control(c, port, VIRTIO_CONSOLE_PORT_OPEN, 1);
}

static int run_input(struct console *c, unsigned port);

/* One message of the driver's. */
static int take_control(struct console *c, const struct virtio_console_control *m)
{
	if (m->event == VIRTIO_CONSOLE_DEVICE_READY && m->value) {
		for (unsigned i = 0; i < PORTS; i++)
			if (c->ports[i].source.fd >= 0)
				send_control(c, i, VIRTIO_CONSOLE_PORT_ADD, 1);
		return 0;
	}
	if (m->id >= PORTS || c->ports[m->id].source.fd < 0)
		return 0;
	if (m->event == VIRTIO_CONSOLE_PORT_READY && m->value)
		port_ready(c, m->id);
	if (m->event == VIRTIO_CONSOLE_PORT_OPEN) {
		c->s.ports[m->id].guest_open = m->value != 0;
		return m->id ? run_input(c, m->id) : 0;
	}
	return 0;
}

/* The driver waits, busily, until each message is taken. */
static int run_control(struct console *c)
{
	struct queue *q = &c->d.queues[CONTROL_OUT];
	struct virtio_console_control m;
	struct chain chain;
	int r;

	do {
		while ((r = queue_pop(q, &chain)) > 0) {
			bool whole = chain_get(&chain, 0, &m, sizeof(m)) == sizeof(m);
			queue_push(q, chain.head, 0);
			r = whole ? take_control(c, &m) : -EBADMSG;
			if (r < 0)
				return r;
		}
		if (r < 0)
			return r;
	} while (queue_enable_kicks(q));
	device_signal(&c->d, CONTROL_OUT);
	return flush_control(c);
}

/* ---- streams ---- */

static void want(struct port *p, uint32_t mask, uint32_t events)
{
	loop_want(p->console->d.loop, &p->source, (p->source.events & ~mask) | events);
}

/* Nobody reads or writes on the other side any more: what the guest still writes goes nowhere. */
static void close_port(struct console *c, unsigned port)
{
	struct port_state *s = &c->s.ports[port];

	if (s->host_closed)
		return;
	s->host_closed = 1;
	want(&c->ports[port], UINT32_MAX, 0);
	send_control(c, port, VIRTIO_CONSOLE_PORT_OPEN, 0);
}

/* From the socket to the guest. */
static int run_input(struct console *c, unsigned port)
{
	struct queue *q = &c->d.queues[queue_in(port)];
	struct port *p = &c->ports[port];
	struct port_state *s = &c->s.ports[port];
	struct iovec iov[QUEUE_IOV_MAX];
	struct chain chain;
	int r = 0;

	for (size_t done = 0; s->guest_open && !s->host_closed && done < ROUND;) {
		r = queue_next(q, &chain);
		if (r < 0)
			return r;
		if (r == 0)
			break;
		struct msghdr m = {.msg_iov = iov, .msg_iovlen = chain_rest(&chain, true, 0, ROUND, iov)};
		if (m.msg_iovlen == 0)
			return -EBADMSG;
		ssize_t n = recvmsg(p->source.fd, &m, MSG_DONTWAIT);
		if (n <= 0) {
			queue_unpop(q);
			if (n == 0 || (errno != EAGAIN && errno != EINTR))
				close_port(c, port);
			break;
		}
		queue_push(q, chain.head, (uint32_t)n);
		done += (size_t)n;
	}
	device_signal(&c->d, queue_in(port));
	if (!s->host_closed)
		want(p, EPOLLIN, s->guest_open && queue_has(q) ? EPOLLIN : 0);
	return s->host_closed ? flush_control(c) : 0;
}

/* What of the chain is left; true: all went. */
static bool send_chain(struct console *c, unsigned port, const struct chain *chain)
{
	struct port_state *s = &c->s.ports[port];
	struct iovec iov[QUEUE_IOV_MAX];

	while (s->sent < chain->read_len && !s->host_closed) {
		struct msghdr m = {.msg_iov = iov,
				   .msg_iovlen = chain_rest(chain, false, s->sent, ROUND, iov)};
		ssize_t n = sendmsg(c->ports[port].source.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0)
			s->sent += (uint32_t)n;
		else if (errno == EAGAIN)
			return false;
		else if (errno != EINTR)
			close_port(c, port);
	}
	s->sent = 0;
	return true;
}

static void print_chain(const struct console *c, const struct chain *chain)
{
	struct iovec iov[QUEUE_IOV_MAX];
	unsigned n = chain_rest(chain, false, 0, ROUND, iov);

	for (unsigned i = 0; i < n; i++)
		output_put(c->ports[0].source.fd, iov[i].iov_base, iov[i].iov_len);
}

static int run_output(struct console *c, unsigned port)
{
	unsigned number = queue_in(port) + 1;
	struct queue *q = &c->d.queues[number];
	struct chain chain;
	bool full = false;
	int r = 0;

	while (!full) {
		r = queue_next(q, &chain);
		if (r < 0)
			return r;
		if (r == 0)
			break;
		if (port == 0) {
			print_chain(c, &chain);
		} else if (!send_chain(c, port, &chain)) {
			queue_unpop(q);
			full = true;
			break;
		}
		queue_push(q, chain.head, 0);
	}
	device_signal(&c->d, number);
	if (port && !c->s.ports[port].host_closed)
		want(&c->ports[port], EPOLLOUT, full ? EPOLLOUT : 0);
	return c->s.ports[port].host_closed ? flush_control(c) : 0;
}

static int console_kicked(struct device *d, unsigned queue)
{
	struct console *c = console_of(d);

	if (queue == CONTROL_IN)
		return flush_control(c);
	if (queue == CONTROL_OUT)
		return run_control(c);
	unsigned port = queue < CONTROL_IN ? 0 : queue / 2 - 1;
	if (c->ports[port].source.fd < 0 || queue == 0)
		return 0; /* hvc0 is not typed into */
	return queue % 2 ? run_output(c, port) : run_input(c, port);
}

static void on_socket(struct loop_source *s, uint32_t events)
{
	struct port *p = container_of(s, struct port, source);
	struct device *d = &p->console->d;

	(void)pthread_mutex_lock(&d->lock);
	if (!device_live(d))
		loop_want(d->loop, s, 0);
	if (device_live(d) && (events & (EPOLLOUT | EPOLLERR)))
		device_run(d, queue_in(p->number) + 1);
	if (device_live(d) && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		device_run(d, queue_in(p->number));
	/* Hung up while nobody wants it: it would wake us for ever. */
	if (device_live(d) && (events & EPOLLHUP) && !(s->events & EPOLLIN))
		close_port(p->console, p->number);
	(void)pthread_mutex_unlock(&d->lock);
}

static void console_start(struct device *d)
{
	struct console *c = console_of(d);

	for (unsigned i = 1; i < PORTS; i++)
		if (c->ports[i].source.fd >= 0 && c->s.ports[i].guest_open && !c->s.ports[i].host_closed)
			want(&c->ports[i], 0, EPOLLIN);
}

static void console_reset(struct device *d)
{
	struct console *c = console_of(d);

	for (unsigned i = 0; i < PORTS; i++) {
		if (i)
			want(&c->ports[i], UINT32_MAX, 0);
		c->s.ports[i] = (struct port_state){.host_closed = c->s.ports[i].host_closed};
	}
	c->s.npending = 0;
}

static void *console_state(struct device *d, size_t *ret_size)
{
	*ret_size = sizeof(console_of(d)->s);
	return &console_of(d)->s;
}

static bool console_state_valid(struct device *d)
{
	struct console_state *s = &console_of(d)->s;

	/* The sockets are other ones than at the time of the snapshot. */
	for (unsigned i = 0; i < PORTS; i++)
		s->ports[i].host_closed = 0;
	if (s->npending > PENDING_MAX)
		return false;
	for (unsigned i = 0; i < s->npending; i++)
		if (s->pending[i].port >= PORTS)
			return false;
	return true;
}

static const struct device_kind kind = {
	.name = "console",
	.id = VIRTIO_ID_CONSOLE,
	.queues = QUEUES,
	.queue_size = BUFFERS,
	.start = console_start,
	.kicked = console_kicked,
	.reset = console_reset,
	.state = console_state,
	.state_valid = console_state_valid,
};

int console_new(const struct console_ports *p, const struct guest_memory *m, struct loop *l,
		struct device **ret, struct err *err)
{
	static const char *const names[PORTS] = {"", GUEST_PORT_AGENT, GUEST_PORT_SHARE};
	const int fds[PORTS] = {p->console_fd, p->agent_fd, p->share_fd};
	const struct virtio_console_config config = {.max_nr_ports = PORTS};
	struct console *c = calloc(1, sizeof(*c));

	if (!c)
		return err_oom(err);
	for (unsigned i = 0; i < PORTS; i++)
		c->ports[i] = (struct port){.source = {.fd = fds[i], .ready = on_socket},
					    .name = names[i],
					    .console = c,
					    .number = i};
	c->d.features = UINT64_C(1) << VIRTIO_CONSOLE_F_MULTIPORT;
	memcpy(c->d.config, &config, sizeof(config));
	c->d.config_len = sizeof(config);
	*ret = &c->d;
	return device_init(&c->d, &kind, m, l, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  A question comes in by UDP or over a TCP connection.
 * A name of the container's networks is answered here.  Anything else goes
 * on, byte for byte but for its id, by the way it came: UDP to a server from
 * a socket of its own (so from a port of its own) while there are free ones,
 * TCP over a connection of its own.  An answer counts that comes from the
 * server that was asked, with the id that was chosen and the same question;
 * it goes back byte for byte but for its id, so EDNS passes.  A truncated one
 * goes back truncated, and the client asks again by TCP.
 *
 *   pending      a question that was sent on: WAIT -> (answer, or servers used
 *                up) -> free
 *   struct sock  a UDP socket towards one server, shared by pending questions
 *                where all SOCKS_MAX are in use
 *   struct conn  a client's TCP connection: READ -> WAIT (its question is
 *                pending) -> WRITE -> READ
 *   struct relay a TCP connection to a server for one pending question:
 *                SEND -> RECEIVE -> free
 *
 * Everything has a limit and a deadline; what is over the limit is dropped,
 * which a client takes for a lost packet.  Memory is taken as it is needed:
 * the monitor that runs this is to be small.
 */
#include "net/dns.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/str.h"
#include "net/dns_names.h"
#include "net/dns_packet.h"

#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

enum {
	SERVERS_MAX = 4,
	SOCKS_MAX = 20,
	PENDING_MAX = 200,
	CONNS_MAX = 8,
	RELAYS_MAX = 8,
	QUESTION_MAX = 4096, /* bytes of what is sent on */
	MESSAGE_MAX = 65535,
	PLAIN_UDP = 512, /* without EDNS */
	TTL = 600,
	TRY_MS = 2000,
	ROUNDS = 2,
	IDLE_MS = 10000,
	DNS_PORT = 53,
};

struct sock {
	int fd, server;
	unsigned users;
};
struct pending {
	bool used;
	int sock;	 /* of UDP; -1 */
	int conn, relay; /* of TCP; -1 */
	int server, tries;
	uint16_t id, client_id;
	int64_t deadline;
	struct sockaddr_in client; /* of UDP */
	unsigned char *question;
	size_t len;
};
enum conn_state { CONN_FREE, CONN_READ, CONN_WAIT, CONN_WRITE };
struct stream {
	int fd;
	unsigned char *buf; /* two bytes of length, then the message */
	size_t have, cap;
};
struct conn {
	enum conn_state state;
	struct stream s;
	int64_t deadline;
};
enum relay_state { RELAY_FREE, RELAY_SEND, RELAY_RECEIVE };
struct relay {
	enum relay_state state;
	struct stream s;
	size_t sent;
	int pending;
};
struct dns {
	int udp, tcp;
	struct dns_names *names;
	struct ip servers[SERVERS_MAX];
	size_t n_servers;
	bool host_servers; /* from /etc/resolv.conf, which may change */
	struct timespec changed;
	struct sock socks[SOCKS_MAX];
	struct conn conns[CONNS_MAX];
	struct relay relays[RELAYS_MAX];
	struct pending pending[PENDING_MAX];
	unsigned char message[2 + MESSAGE_MAX];
};

static uint16_t random16(void)
{
	uint16_t v = 0;

	/* At boot it may fail; an id that is guessed then is guarded by the port. */
	ignore_result(getrandom(&v, sizeof(v), GRND_NONBLOCK) < 0);
	return v;
}

/* ---- Servers ---- */

static void add_server(struct dns *d, const char *text)
{
	struct ip ip;

	if (d->n_servers < SERVERS_MAX && ip_parse(text, &ip))
		d->servers[d->n_servers++] = ip;
}

static void read_host_servers(struct dns *d)
{
	autofree char *text = NULL;
	struct stat st;
	size_t len;

	if (stat("/etc/resolv.conf", &st) < 0 ||
	    (d->n_servers && st.st_mtim.tv_sec == d->changed.tv_sec &&
	     st.st_mtim.tv_nsec == d->changed.tv_nsec) ||
	    file_read_named("/etc/resolv.conf", MESSAGE_MAX, &text, &len) < 0)
		return;
	d->changed = st.st_mtim;
	d->n_servers = 0;
	char *save = text, *line;
	while ((line = strsep(&save, "\n"))) {
		char *word = line + strspn(line, " \t");
		if (!str_starts(word, "nameserver"))
			continue;
		word += strlen("nameserver");
		word += strspn(word, " \t");
		word[strcspn(word, " \t\r#;")] = '\0';
		add_server(d, word);
	}
}

static socklen_t server_address(const struct dns *d, int server, struct sockaddr_storage *ret)
{
	const struct ip *ip = &d->servers[server];

	memset(ret, 0, sizeof(*ret));
	if (ip->family == AF_INET) {
		struct sockaddr_in *a = (void *)ret;
		a->sin_family = AF_INET;
		a->sin_port = htons(DNS_PORT);
		memcpy(&a->sin_addr, ip->b, 4);
		return sizeof(*a);
	}
	struct sockaddr_in6 *a = (void *)ret;
	a->sin6_family = AF_INET6;
	a->sin6_port = htons(DNS_PORT);
	memcpy(&a->sin6_addr, ip->b, 16);
	return sizeof(*a);
}

static int connect_server(const struct dns *d, int server, int type)
{
	struct sockaddr_storage a;
	socklen_t len = server_address(d, server, &a);
	autoclose int fd = socket(a.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || (connect(fd, (struct sockaddr *)&a, len) < 0 && errno != EINPROGRESS))
		return -errno;
	return take_fd(&fd);
}

/* ---- Opening ---- */

int dns_open(const struct dns_options *o, struct dns **ret, struct err *err)
{
	struct dns *d = calloc(1, sizeof(*d));

	if (!d)
		return err_oom(err);
	d->udp = o->udp;
	d->tcp = o->tcp;
	for (size_t i = 0; i < SOCKS_MAX; i++)
		d->socks[i].fd = -1;
	for (size_t i = 0; i < o->servers.n; i++)
		add_server(d, o->servers.v[i]);
	d->host_servers = o->servers.n == 0;
	int r = dns_names_open(o->run_root, o->id, &d->names, err);
	if (r < 0) {
		d->udp = d->tcp = -1; /* the caller's still */
		dns_close(d);
		return r;
	}
	*ret = d;
	return 0;
}

static void drop_stream(struct stream *s)
{
	if (s->buf)
		free(s->buf);
	(void)close(s->fd); /* nothing to do about it */
	*s = (struct stream){.fd = -1};
}

static void close_conn(struct conn *c)
{
	drop_stream(&c->s);
	c->state = CONN_FREE;
}

static void close_relay(struct relay *y)
{
	drop_stream(&y->s);
	y->state = RELAY_FREE;
}

static void leave_sock(struct dns *d, struct pending *p)
{
	if (p->sock < 0)
		return;
	struct sock *s = &d->socks[p->sock];
	if (--s->users == 0)
		fd_drop(&s->fd);
	p->sock = -1;
}

static void leave_relay(struct dns *d, struct pending *p)
{
	if (p->relay >= 0)
		close_relay(&d->relays[p->relay]);
	p->relay = -1;
}

static void forget(struct dns *d, struct pending *p)
{
	leave_sock(d, p);
	leave_relay(d, p);
	free(p->question);
	*p = (struct pending){.used = false};
}

void dns_close(struct dns *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < PENDING_MAX; i++)
		if (d->pending[i].used)
			forget(d, &d->pending[i]);
	for (size_t i = 0; i < CONNS_MAX; i++)
		if (d->conns[i].state != CONN_FREE)
			close_conn(&d->conns[i]);
	dns_names_close(d->names);
	cleanup_close(&d->udp);
	cleanup_close(&d->tcp);
	free(d);
}

/* ---- Answers to clients ---- */

static void start_write(struct conn *c, const void *message, size_t len)
{
	unsigned char *buf = malloc(len + 2);

	if (!buf) {
		close_conn(c);
		return;
	}
	buf[0] = (unsigned char)(len >> 8);
	buf[1] = (unsigned char)len;
	memcpy(buf + 2, message, len);
	free(c->s.buf);
	c->s.buf = buf;
	c->s.cap = len + 2;
	c->s.have = 0;
	c->state = CONN_WRITE;
	c->deadline = clock_ms() + IDLE_MS;
}

/* By the way the question came: `conn` < 0 is UDP.  What cannot be sent is a lost packet. */
static void reply(struct dns *d, int conn, const struct sockaddr_in *client, const void *message, size_t len)
{
	if (conn >= 0)
		start_write(&d->conns[conn], message, len);
	else
		ignore_result(sendto(d->udp, message, len, MSG_NOSIGNAL | MSG_DONTWAIT,
				     (const struct sockaddr *)client, sizeof(*client)) < 0);
}

static void reply_code(struct dns *d, int conn, const struct sockaddr_in *client, const void *query,
		       const struct dns_question *q, uint8_t rcode)
{
	struct dns_answer a;

	dns_answer_begin(&a, query, q, rcode);
	reply(d, conn, client, a.buf, a.len);
}

static void fail_pending(struct dns *d, struct pending *p)
{
	struct dns_question q;

	if (dns_parse(p->question, p->len, &q) == 0) {
		q.id = p->client_id;
		p->question[0] = (unsigned char)(p->client_id >> 8);
		p->question[1] = (unsigned char)p->client_id;
		reply_code(d, p->conn, &p->client, p->question, &q, DNS_SERVFAIL);
	}
	forget(d, p);
}

/* ---- Going on ---- */

static int find_sock(struct dns *d, int server)
{
	int shared = -1, n = 0;

	for (int i = 0; i < SOCKS_MAX; i++) {
		struct sock *s = &d->socks[i];
		if (s->fd < 0) {
			s->fd = connect_server(d, server, SOCK_DGRAM);
			s->server = server;
			return s->fd < 0 ? -1 : i;
		}
		/* One of those that lead there, each as likely as the others. */
		if (s->server == server && random16() % (unsigned)++n == 0)
			shared = i;
	}
	return shared;
}

static bool id_in_use(const struct dns *d, int sock, uint16_t id)
{
	for (size_t i = 0; i < PENDING_MAX; i++)
		if (d->pending[i].used && d->pending[i].sock == sock && d->pending[i].id == id)
			return true;
	return false;
}

static void set_id(struct pending *p, uint16_t id)
{
	p->id = id;
	p->question[0] = (unsigned char)(id >> 8);
	p->question[1] = (unsigned char)id;
}

static bool send_udp(struct dns *d, struct pending *p)
{
	uint16_t id = random16();
	int sock = find_sock(d, p->server);

	if (sock < 0)
		return false;
	d->socks[sock].users++;
	while (id_in_use(d, sock, id))
		id++;
	p->sock = sock;
	set_id(p, id);
	return send(d->socks[sock].fd, p->question, p->len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)p->len;
}

static bool send_tcp(struct dns *d, struct pending *p)
{
	for (int i = 0; i < RELAYS_MAX; i++) {
		struct relay *y = &d->relays[i];
		if (y->state != RELAY_FREE)
			continue;
		unsigned char *buf = malloc(p->len + 2);
		int fd = buf ? connect_server(d, p->server, SOCK_STREAM) : -1;
		if (fd < 0) {
			free(buf);
			return false;
		}
		set_id(p, random16());
		buf[0] = (unsigned char)(p->len >> 8);
		buf[1] = (unsigned char)p->len;
		memcpy(buf + 2, p->question, p->len);
		*y = (struct relay){.state = RELAY_SEND,
				    .s = {.fd = fd, .buf = buf, .have = 0, .cap = p->len + 2},
				    .pending = (int)(p - d->pending)};
		p->relay = i;
		return true;
	}
	return false;
}

/* To the next server, as long as there is one to be tried. */
static void send_on(struct dns *d, struct pending *p)
{
	leave_sock(d, p);
	leave_relay(d, p);
	while (d->n_servers && p->tries < (int)d->n_servers * ROUNDS) {
		p->server = p->tries++ % (int)d->n_servers;
		p->deadline = clock_ms() + TRY_MS;
		if (p->conn >= 0 ? send_tcp(d, p) : send_udp(d, p))
			return;
		leave_sock(d, p);
		leave_relay(d, p);
	}
	fail_pending(d, p);
}

/* A free one; or the one that has waited longest, so that a flood of questions drowns itself alone. */
static struct pending *find_slot(struct dns *d)
{
	struct pending *oldest = &d->pending[0];

	for (size_t i = 0; i < PENDING_MAX; i++) {
		struct pending *p = &d->pending[i];
		if (!p->used)
			return p;
		if (p->tries > oldest->tries || (p->tries == oldest->tries && p->deadline < oldest->deadline))
			oldest = p;
	}
	fail_pending(d, oldest);
	return oldest;
}

static void ask_beyond(struct dns *d, int conn, const struct sockaddr_in *client, const unsigned char *query,
		       size_t len, const struct dns_question *q)
{
	struct pending *p;

	if (d->host_servers)
		read_host_servers(d);
	if (!dns_names_outside(d->names) || d->n_servers == 0 || len > QUESTION_MAX) {
		reply_code(d, conn, client, query, q, DNS_SERVFAIL);
		return;
	}
	p = find_slot(d);
	unsigned char *copy = malloc(len);
	if (!copy) {
		reply_code(d, conn, client, query, q, DNS_SERVFAIL);
		return;
	}
	memcpy(copy, query, len);
	*p = (struct pending){.used = true,
			      .sock = -1,
			      .conn = conn,
			      .relay = -1,
			      .client_id = q->id,
			      .client = client ? *client : (struct sockaddr_in){0},
			      .question = copy,
			      .len = len};
	if (conn >= 0)
		d->conns[conn].state = CONN_WAIT;
	send_on(d, p);
}

/* ---- Questions ---- */

struct found {
	struct dns_answer *a;
	uint16_t type;
	size_t limit;
	bool any;
};

static void add_found(void *data, const struct ip *ip4, const struct ip *ip6)
{
	struct found *f = data;

	f->any = true;
	if (ip4->family && (f->type == DNS_TYPE_A || f->type == DNS_TYPE_ANY))
		dns_answer_address(f->a, ip4, TTL, f->limit);
	if (ip6->family && (f->type == DNS_TYPE_AAAA || f->type == DNS_TYPE_ANY))
		dns_answer_address(f->a, ip6, TTL, f->limit);
}

/* True where the name, or the address, is of one of the container's networks. */
static bool answer_here(const struct dns *d, const void *query, const struct dns_question *q, size_t limit,
			struct dns_answer *a)
{
	struct found f = {.a = a, .type = q->type, .limit = limit};
	char first[DNS_NAME_MAX];
	struct ip ip;

	if ((q->class_ != DNS_CLASS_IN && q->class_ != DNS_CLASS_ANY) || !*q->name)
		return false;
	dns_answer_begin(a, query, q, DNS_NOERROR);
	dns_names_find(d->names, q->name, add_found, &f);
	if (f.any)
		return true; /* known, whatever type was asked for: no data is an answer */
	if (q->type != DNS_TYPE_PTR || !dns_reverse_name(q->name, &ip))
		return false;
	const char *name = dns_names_of(d->names, &ip);
	if (!name)
		return false;
	(void)snprintf(first, sizeof(first), "%.*s", (int)strcspn(name, "\n"), name); /* longer is no name */
	dns_answer_name(a, first, TTL, limit);
	return true;
}

static void question(struct dns *d, int conn, const struct sockaddr_in *client, const unsigned char *query,
		     size_t len)
{
	struct dns_question q;
	struct dns_answer a;
	int r = dns_parse(query, len, &q);

	if (r == -EBADMSG || q.response) {
		if (conn >= 0)
			close_conn(&d->conns[conn]);
		return;
	}
	if (q.opcode != 0) {
		reply_code(d, conn, client, query, &q, DNS_NOTIMP);
		return;
	}
	if (r < 0) {
		reply_code(d, conn, client, query, &q, DNS_FORMERR);
		return;
	}
	dns_names_refresh(d->names);
	if (answer_here(d, query, &q, conn >= 0 ? sizeof(a.buf) : PLAIN_UDP, &a))
		reply(d, conn, client, a.buf, a.len);
	else
		ask_beyond(d, conn, client, query, len, &q);
}

/* ---- Answers from servers ---- */

/* Whether it is the answer; a server that could not is passed over where there is another. */
static bool is_answer(struct dns *d, struct pending *p, const unsigned char *m, size_t len)
{
	struct dns_question q;

	if (dns_parse(m, len, &q) < 0 || !q.response || q.id != p->id ||
	    !dns_same_question(m, len, p->question, p->len))
		return false;
	if ((q.rcode == DNS_SERVFAIL || q.rcode == DNS_REFUSED) && p->tries < (int)d->n_servers) {
		send_on(d, p);
		return false;
	}
	return true;
}

static void give_back(struct dns *d, struct pending *p, unsigned char *m, size_t len)
{
	m[0] = (unsigned char)(p->client_id >> 8);
	m[1] = (unsigned char)p->client_id;
	reply(d, p->conn, &p->client, m, len);
	forget(d, p);
}

static void from_server(struct dns *d, int sock)
{
	struct sock *s = &d->socks[sock];
	ssize_t n = recv(s->fd, d->message, MESSAGE_MAX, MSG_DONTWAIT);
	bool refused = n < 0 && errno != EAGAIN && errno != EINTR;

	if (n < DNS_HEADER && !refused)
		return;
	for (size_t i = 0; i < PENDING_MAX && s->fd >= 0; i++) {
		struct pending *p = &d->pending[i];
		if (!p->used || p->sock != sock)
			continue;
		if (refused)
			send_on(d, p); /* nobody listens there */
		else if (is_answer(d, p, d->message, (size_t)n)) {
			give_back(d, p, d->message, (size_t)n);
			return;
		}
	}
}

/* ---- TCP ---- */

/* Reads what is there of one message.  1: it is whole; 0: not yet; -errno. */
static int read_stream(struct stream *s, size_t max)
{
	for (;;) {
		size_t want = s->have < 2 ? 2 : 2 + ((size_t)s->buf[0] << 8 | s->buf[1]);
		if (want > max + 2)
			return -EMSGSIZE;
		if (s->have >= 2 && s->have == want)
			return want > 2 ? 1 : -EBADMSG;
		if (want > s->cap) {
			unsigned char *buf = realloc(s->buf, want);
			if (!buf)
				return -ENOMEM;
			s->buf = buf;
			s->cap = want;
		}
		ssize_t n = recv(s->fd, s->buf + s->have, want - s->have, MSG_DONTWAIT);
		if (n == 0)
			return -EPIPE;
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		s->have += (size_t)n;
	}
}

/* 1: all is written. */
static int write_stream(struct stream *s)
{
	ssize_t n = send(s->fd, s->buf + s->have, s->cap - s->have, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	s->have += (size_t)n;
	return s->have == s->cap;
}

static void restart_stream(struct stream *s)
{
	free(s->buf);
	s->buf = NULL;
	s->have = s->cap = 0;
}

static void accept_client(struct dns *d)
{
	int fd = accept4(d->tcp, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	for (size_t i = 0; i < CONNS_MAX; i++) {
		struct conn *c = &d->conns[i];
		if (c->state != CONN_FREE)
			continue;
		c->s = (struct stream){.fd = fd};
		c->state = CONN_READ;
		c->deadline = clock_ms() + IDLE_MS;
		return;
	}
	(void)close(fd); /* too many at once */
}

static void client_ready(struct dns *d, int i)
{
	struct conn *c = &d->conns[i];
	int r = c->state == CONN_WRITE ? write_stream(&c->s) : read_stream(&c->s, QUESTION_MAX);

	if (r < 0) {
		close_conn(c);
		return;
	}
	if (r == 0)
		return;
	if (c->state == CONN_WRITE) {
		restart_stream(&c->s);
		c->state = CONN_READ;
		c->deadline = clock_ms() + IDLE_MS;
		return;
	}
	unsigned char *query = take_ptr(&c->s.buf);
	size_t len = c->s.have - 2;
	restart_stream(&c->s);
	question(d, i, NULL, query + 2, len);
	free(query);
}

static void relay_ready(struct dns *d, int i)
{
	struct relay *y = &d->relays[i];
	struct pending *p = &d->pending[y->pending];
	int r = y->state == RELAY_SEND ? write_stream(&y->s) : read_stream(&y->s, MESSAGE_MAX);

	if (r == 0)
		return;
	if (r > 0 && y->state == RELAY_SEND) {
		restart_stream(&y->s);
		y->state = RELAY_RECEIVE;
		return;
	}
	if (r > 0) {
		int before = p->tries;
		if (is_answer(d, p, y->s.buf + 2, y->s.have - 2)) {
			give_back(d, p, y->s.buf + 2, y->s.have - 2);
			return;
		}
		if (!p->used || p->tries != before)
			return; /* it went on already */
	}
	send_on(d, p);
}

/* ---- The loop's side ---- */

static void add_poll(struct pollfd *set, size_t *n, int fd, short events)
{
	if (*n < DNS_POLL_MAX)
		set[(*n)++] = (struct pollfd){.fd = fd, .events = events};
}

static void lower(int *timeout_ms, int64_t deadline, int64_t now)
{
	int64_t left = MAX_OF(deadline - now, (int64_t)0);

	if (*timeout_ms < 0 || left < *timeout_ms)
		*timeout_ms = (int)left;
}

size_t dns_poll_set(struct dns *d, struct pollfd *set, int *timeout_ms)
{
	size_t n = 0;
	int64_t now = clock_ms();

	add_poll(set, &n, d->udp, POLLIN);
	add_poll(set, &n, d->tcp, POLLIN);
	for (size_t i = 0; i < SOCKS_MAX; i++)
		if (d->socks[i].fd >= 0)
			add_poll(set, &n, d->socks[i].fd, POLLIN);
	for (size_t i = 0; i < CONNS_MAX; i++) {
		const struct conn *c = &d->conns[i];
		if (c->state == CONN_READ || c->state == CONN_WRITE) {
			add_poll(set, &n, c->s.fd, c->state == CONN_READ ? POLLIN : POLLOUT);
			lower(timeout_ms, c->deadline, now);
		}
	}
	for (size_t i = 0; i < RELAYS_MAX; i++)
		if (d->relays[i].state != RELAY_FREE)
			add_poll(set, &n, d->relays[i].s.fd,
				 d->relays[i].state == RELAY_SEND ? POLLOUT : POLLIN);
	for (size_t i = 0; i < PENDING_MAX; i++)
		if (d->pending[i].used)
			lower(timeout_ms, d->pending[i].deadline, now);
	return n;
}

static void expire(struct dns *d)
{
	int64_t now = clock_ms();

	for (size_t i = 0; i < PENDING_MAX; i++)
		if (d->pending[i].used && now >= d->pending[i].deadline)
			send_on(d, &d->pending[i]);
	for (size_t i = 0; i < CONNS_MAX; i++)
		if ((d->conns[i].state == CONN_READ || d->conns[i].state == CONN_WRITE) &&
		    now >= d->conns[i].deadline)
			close_conn(&d->conns[i]);
}

static void read_questions(struct dns *d)
{
	/* Some at a time: the loop has others to serve. */
	for (int i = 0; i < 32; i++) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(d->udp, d->message, MESSAGE_MAX, MSG_DONTWAIT, (struct sockaddr *)&from,
				     &len);
		if (n < 0)
			return;
		if (len == sizeof(from) && from.sin_family == AF_INET)
			question(d, -1, &from, d->message, (size_t)n);
	}
}

/* A descriptor that was closed and opened anew since poll() is merely not ready: nothing here blocks. */
static void ready(struct dns *d, int fd)
{
	if (fd == d->udp) {
		read_questions(d);
		return;
	}
	if (fd == d->tcp) {
		accept_client(d);
		return;
	}
	for (int i = 0; i < SOCKS_MAX; i++)
		if (d->socks[i].fd == fd) {
			from_server(d, i);
			return;
		}
	for (int i = 0; i < CONNS_MAX; i++)
		if ((d->conns[i].state == CONN_READ || d->conns[i].state == CONN_WRITE) &&
		    d->conns[i].s.fd == fd) {
			client_ready(d, i);
			return;
		}
	for (int i = 0; i < RELAYS_MAX; i++)
		if (d->relays[i].state != RELAY_FREE && d->relays[i].s.fd == fd) {
			relay_ready(d, i);
			return;
		}
}

void dns_poll_done(struct dns *d, const struct pollfd *set, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (set[i].revents)
			ready(d, set[i].fd);
	expire(d);
}

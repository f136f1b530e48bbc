/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published ports.
 *
 * Theory of operation.  A host port is leased in the database against other
 * containers, and reserved against other programs by a socket that is bound to
 * it, as long as somebody holds that socket: net_result.held goes to the
 * container's monitor, which lives as long as the container and never reads
 * from it (the kernel rewrites destinations before a packet could get there).
 * A socket that is only bound answers nothing: on a path that is not
 * rewritten ([::1]) connections are refused at once, as on any closed port.
 */
#include "base/fd.h"
#include "base/str.h"
#include "net/net_int.h"

#include <netinet/in.h>
#include <sys/socket.h>

enum { FREE_TRIES = 200 };

/* ---- `-p` ---- */

/* "80", "80-90"; an empty text is 0. */
static bool parse_range(const char *text, uint16_t *ret_first, uint16_t *ret_last)
{
	const char *dash = strchr(text, '-');
	uint64_t a, b;

	if (!*text) {
		*ret_first = *ret_last = 0;
		return true;
	}
	char first[8];
	size_t n = dash ? (size_t)(dash - text) : strlen(text);
	if (n == 0 || n >= sizeof(first))
		return false;
	memcpy(first, text, n);
	first[n] = '\0';
	if (str_to_u64(first, 10, &a) < 0 || a > UINT16_MAX)
		return false;
	b = a;
	if (dash && (str_to_u64(dash + 1, 10, &b) < 0 || b > UINT16_MAX || b < a))
		return false;
	*ret_first = (uint16_t)a;
	*ret_last = (uint16_t)b;
	return true;
}

static int parse_proto(const char *proto, char to[static 5], struct err *err)
{
	static const char *const all[] = {"tcp", "udp", "sctp"};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (strcasecmp(proto, all[i]) == 0) {
			memcpy(to, all[i], strlen(all[i]) + 1);
			return 0;
		}
	return err_set(err, EINVAL, "Invalid proto: %s", proto);
}

/* The address before the ports: "", "1.2.3.4", "[::1]". */
static int parse_host_ip(char *host, char **ret, struct err *err)
{
	size_t n = strlen(host);
	struct ip ip;

	*ret = NULL;
	if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		host++;
	}
	if (!*host)
		return 0;
	if (!ip_parse(host, &ip))
		return err_set(err, EINVAL, "Invalid ip address: %s", host);
	*ret = strdup(ip_text(&ip).s);
	return *ret ? 0 : err_oom(err);
}

static int parse_ports(const char *container, const char *host, struct net_port *p, struct err *err)
{
	uint16_t first, last, host_first, host_last;

	if (!parse_range(container, &first, &last) || first == 0)
		return err_set(err, EINVAL, "Invalid containerPort: %s", container);
	if (!parse_range(host, &host_first, &host_last) || (*host && host_first == 0 && host_last != 0))
		return err_set(err, EINVAL, "Invalid hostPort: %s", host);
	p->container_port = first;
	p->host_port = host_first;
	p->count = (uint16_t)(last - first + 1);
	p->host_choices = 0;
	if (host_first && host_last - host_first != last - first) {
		/* A range for one port: whichever of it is free. */
		if (first != last)
			return err_set(err, EINVAL,
				       "Invalid ranges specified for container and host Ports: %s and %s",
				       container, host);
		p->host_choices = (uint16_t)(host_last - host_first + 1);
	}
	return 0;
}

int net_port_parse(const char *text, struct net_port *ret, char **ret_host_ip, struct err *err)
{
	autofree char *copy = strdup(text), *ip = NULL;
	struct net_port p = {.proto = "tcp"};
	char *host_ip = (char *)"", *host = (char *)"";

	if (!copy)
		return err_oom(err);
	char *slash = strrchr(copy, '/');
	if (slash) {
		*slash = '\0';
		int r = parse_proto(*(slash + 1) ? slash + 1 : "tcp", p.proto, err);
		if (r < 0)
			return r;
	}
	char *container = strrchr(copy, ':');
	if (container) {
		*container++ = '\0';
		host = strrchr(copy, ':');
		if (host) {
			*host++ = '\0';
			host_ip = copy;
		} else {
			host = copy;
		}
	} else {
		container = copy;
	}
	if (!*container)
		return err_set(err, EINVAL, "No port specified: %s<empty>", text);
	int r = parse_host_ip(host_ip, &ip, err);
	if (r == 0)
		r = parse_ports(container, host, &p, err);
	if (r < 0)
		return r;
	p.host_ip = ip;
	*ret = p;
	*ret_host_ip = take_ptr(&ip);
	return 0;
}

/* ---- Reserving ---- */

static int make_socket(const struct port_row *p)
{
	int type = streq(p->proto, "udp") ? SOCK_DGRAM : SOCK_STREAM;
	int proto = streq(p->proto, "sctp") ? IPPROTO_SCTP : 0;
	int fd = socket(p->host.family, type | SOCK_CLOEXEC, proto);
	int one = 1;

	if (fd < 0)
		return -errno;
	/* The IPv4 side is a socket of its own.  Cannot fail on a fresh IPv6 socket. */
	if (p->host.family == AF_INET6)
		ignore_result(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0);
	return fd;
}

static int bind_to(int fd, const struct port_row *p)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(p->host_port)};
	struct sockaddr_in6 b = {.sin6_family = AF_INET6, .sin6_port = htons(p->host_port)};

	memcpy(&a.sin_addr, p->host.b, 4);
	memcpy(&b.sin6_addr, p->host.b, 16);
	int r = p->host.family == AF_INET ? bind(fd, (struct sockaddr *)&a, sizeof(a))
					  : bind(fd, (struct sockaddr *)&b, sizeof(b));
	return r < 0 ? -errno : 0;
}

static int bound_port(int fd, uint16_t *ret)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return -errno;
	/* The port stands at the same place in both families. */
	*ret = ntohs(((struct sockaddr_in *)(void *)&a)->sin_port);
	return 0;
}

/*
 * A socket bound to the port; -1 in *ret_fd where the kernel does not know the
 * protocol, so that nobody else can have the port either.  Old connections of
 * a server that is gone (TIME_WAIT) do not count, as they do not for servers.
 */
static int reserve_port(struct port_row *p, int *ret_fd)
{
	autoclose int fd = make_socket(p);
	int one = 1;

	*ret_fd = -1;
	if (fd == -EPROTONOSUPPORT || fd == -ESOCKTNOSUPPORT || (fd == -EAFNOSUPPORT && p->host_port))
		return 0;
	if (fd < 0)
		return fd;
	int r = bind_to(fd, p);
	if (r == -EADDRINUSE && streq(p->proto, "tcp")) {
		if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
			return -errno;
		r = bind_to(fd, p);
		/* A bound socket that may be shared keeps nobody away; one that listens does. */
		if (r == 0 && listen(fd, 1) < 0)
			r = -errno;
	}
	if (r == 0 && p->host_port == 0)
		r = bound_port(fd, &p->host_port);
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

/* ---- Leasing ---- */

struct leasing {
	struct net *n;
	const struct net_attach *a;
	const struct ip *to;
	struct net_result *r;
};

static int refuse_port(const struct leasing *l, const struct port_row *p, int why, struct err *err)
{
	const char *open = p->host.family == AF_INET6 ? "[" : "", *close_ = *open ? "]" : "";

	if (why == -EADDRINUSE)
		return err_set(err, EADDRINUSE,
			       "driver failed programming external connectivity on endpoint %s (%s): "
			       "Bind for %s%s%s:%u failed: port is already allocated",
			       l->a->name ? l->a->name : l->a->id, l->a->id, open, ip_text(&p->host).s,
			       close_, p->host_port);
	return err_num(err, why,
		       "driver failed programming external connectivity on endpoint %s (%s): "
		       "Bind for %s%s%s:%u failed",
		       l->a->name ? l->a->name : l->a->id, l->a->id, open, ip_text(&p->host).s, close_,
		       p->host_port);
}

/* 0, or -EADDRINUSE without a message where another container has it. */
static int leased_already(struct net *n, const struct port_row *p, struct err *err)
{
	struct db_row q autodbrow;
	int r = db_query(n->o.db, &q, err, "SELECT host_ip FROM net_port WHERE proto = ? AND host_port = ?",
			 "si", p->proto, (int64_t)p->host_port);

	while (r == 0 && (r = db_next(&q, err)) > 0) {
		struct ip ip;
		if (ip_parse(db_text(&q, 0), &ip) && ip.family == p->host.family &&
		    (ip_unspecified(&ip) || ip_unspecified(&p->host) || ip_equal(&ip, &p->host)))
			return -EADDRINUSE;
		r = 0;
	}
	return r;
}

static int note_port(const struct leasing *l, const struct port_row *p, int fd, struct err *err)
{
	struct result_memory *m = result_memory(l->r);
	struct port_row *rows = realloc(m->ports.v, (m->ports.n + 1) * sizeof(*rows));

	if (rows) {
		m->ports.v = rows;
		rows[m->ports.n++] = *p;
	}
	if (!rows || (fd >= 0 && l->r->held.n < NET_HELD_MAX && !l->r->held.v &&
		      !(l->r->held.v = calloc(NET_HELD_MAX, sizeof(int))))) {
		if (fd >= 0)
			(void)close(fd); /* the lack of memory is told */
		return err_oom(err);
	}
	if (fd >= 0 && l->r->held.n < NET_HELD_MAX)
		l->r->held.v[l->r->held.n++] = fd;
	else if (fd >= 0)
		(void)close(fd); /* it was free now; a monitor cannot hold any number */
	return MIN_OF(db_exec(l->n->o.db, err, "INSERT INTO net_port VALUES (?, ?, ?, ?, ?, ?)", "sisssi",
			      p->proto, (int64_t)p->host_port, ip_text(&p->host).s, l->a->id,
			      ip_text(&p->to).s, (int64_t)p->to_port),
		      0);
}

/* The families of one port, all with the same host port: rows[0..n).  -EADDRINUSE: try another. */
static int lease_rows(const struct leasing *l, struct port_row *rows, size_t n, struct err *err)
{
	int fds[FAMILIES] = {-1, -1};
	int r = 0;
	size_t i;

	for (i = 0; i < n && r == 0; i++) {
		if (i > 0)
			rows[i].host_port = rows[0].host_port;
		r = rows[i].host_port ? leased_already(l->n, &rows[i], err) : 0;
		if (r == 0)
			r = reserve_port(&rows[i], &fds[i]);
		if (r == 0 && i == 0)
			r = leased_already(l->n, &rows[0], err); /* one that the kernel chose */
		if (r < 0 && r != -EADDRINUSE)
			r = refuse_port(l, &rows[i], r, err);
		else if (r < 0)
			rows[0].host_port = rows[i].host_port; /* what is told to be taken */
	}
	for (size_t k = 0; k < n; k++) {
		if (r == 0)
			r = note_port(l, &rows[k], take_fd(&fds[k]), err);
		fd_drop(&fds[k]);
	}
	return r;
}

/* One port of the container, on the families that it is wanted and possible on. */
static int lease_port(const struct leasing *l, const struct net_port *q, unsigned offset, struct err *err)
{
	struct port_row rows[FAMILIES];
	struct ip host = {0};
	size_t n = 0;
	unsigned choices = q->host_port == 0 ? FREE_TRIES : MAX_OF(q->host_choices, 1);
	int r = -EADDRINUSE;

	if (q->host_ip && *q->host_ip && !ip_parse(q->host_ip, &host))
		return err_set(err, EINVAL, "Invalid ip address: %s", q->host_ip);
	for (int f = 0; f < FAMILIES; f++) {
		uint8_t family = f == V4 ? AF_INET : AF_INET6;
		if (l->to[f].family == 0 || (host.family && host.family != family))
			continue;
		rows[n] = (struct port_row){.host = host.family ? host : (struct ip){.family = family},
					    .to = l->to[f],
					    .to_port = (uint16_t)(q->container_port + offset)};
		memcpy(rows[n++].proto, q->proto, sizeof(rows[0].proto));
	}
	if (n == 0)
		return err_set(err, EADDRNOTAVAIL,
			       "cannot publish port %u on %s: the container has no IPv%d address "
			       "(use a network with --ipv6, or another host address)",
			       q->container_port, q->host_ip, host.family == AF_INET ? 4 : 6);
	for (unsigned i = 0; i < choices && r == -EADDRINUSE; i++) {
		rows[0].host_port = q->host_port ? (uint16_t)(q->host_port + offset + i) : 0;
		r = lease_rows(l, rows, n, err);
	}
	return r == -EADDRINUSE ? refuse_port(l, &rows[0], r, err) : r;
}

int ports_lease(struct net *n, const struct net_attach *a, const struct ip to[static FAMILIES],
		struct net_result *ret, struct err *err)
{
	struct leasing l = {.n = n, .a = a, .to = to, .r = ret};
	int r = 0;

	for (size_t i = 0; r == 0 && i < a->n_ports; i++)
		for (unsigned k = 0; r == 0 && k < a->ports[i].count; k++)
			r = lease_port(&l, &a->ports[i], k, err);
	return r;
}

int ports_load(struct net *n, const char *container, struct port_rows *ret, struct err *err)
{
	struct db_row q autodbrow;
	struct port_rows l = {0};
	const char *all = "SELECT proto, host_port, host_ip, ip, port FROM net_port"
			  " ORDER BY port, proto, host_ip";
	const char *one = "SELECT proto, host_port, host_ip, ip, port FROM net_port WHERE container = ?"
			  " ORDER BY port, proto, host_ip";
	int r = db_query(n->o.db, &q, err, container ? one : all, container ? "s" : "", container);

	while (r == 0 && (r = db_next(&q, err)) > 0) {
		struct port_row p = {.host_port = (uint16_t)db_int(&q, 1),
				     .to_port = (uint16_t)db_int(&q, 4)};
		struct port_row *v = realloc(l.v, (l.n + 1) * sizeof(*v));
		r = v ? 0 : err_oom(err);
		if (!v)
			break;
		l.v = v;
		(void)snprintf(p.proto, sizeof(p.proto), "%s", db_text(&q, 0)); /* ours: 4 letters */
		if (ip_parse(db_text(&q, 2), &p.host) && ip_parse(db_text(&q, 3), &p.to))
			v[l.n++] = p;
	}
	if (r < 0) {
		free(l.v);
		return r;
	}
	*ret = l;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The scene of test_net_bridge.c: a host, an outside, containers, and connections between them. */
#pragma once

#include "test.h"

#include "base/db.h"
#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "host/netlink.h"
#include "net/addr.h"
#include "net/batch.h"
#include "net/dns.h"
#include "net/net.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

/*
 * A first IPv6 packet may come too early: the kernel joins the group that
 * neighbours are asked by in a worker, and the packet is sent again after a
 * second.
 */
enum { PATIENCE_MS = 5000 };

static int host_ns, outside_ns;
static struct err err;
static struct net *net;
static struct db *db;
static char warned[4096], scratch[64], run_root[80];

#define OK(expr) CHECK_INT(ok(expr), 0)
static int ok(int r)
{
	if (r < 0)
		fprintf(stderr, "  %s\n", err.msg);
	return r;
}

static void warn(void *data unused, const char *text)
{
	size_t n = strlen(warned);

	(void)snprintf(warned + n, sizeof(warned) - n, "%s\n", text);
}

/* ---- Namespaces ---- */

static int enter(int ns)
{
	return setns(ns, CLONE_NEWNET);
}

static int new_ns(void)
{
	struct err e = {0};

	if (unshare(CLONE_NEWNET) < 0 || net_lo_up(&e) < 0)
		return -1;
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (enter(host_ns) < 0)
		return -1;
	return fd;
}

static void up(struct batch *b, const char *name)
{
	struct ifinfomsg m = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP};

	batch_message(b, RTM_NEWLINK, NLM_F_ACK, &m, sizeof(m));
	batch_str(b, IFLA_IFNAME, name);
}

static void address(struct batch *b, const char *name, const char *text, uint8_t prefix)
{
	struct ip ip = {0};
	struct ifaddrmsg m = {.ifa_prefixlen = prefix, .ifa_index = if_nametoindex(name)};

	CHECK(ip_parse(text, &ip));
	m.ifa_family = ip.family;
	batch_message(b, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE, &m, sizeof(m));
	batch_put(b, IFA_LOCAL, ip.b, ip_size(ip.family));
	batch_put(b, IFA_ADDRESS, ip.b, ip_size(ip.family));
	if (ip.family == AF_INET6)
		batch_u32(b, IFA_FLAGS, IFA_F_NODAD);
}

static int send_now(struct batch *b)
{
	autoclose int fd = netlink_open(NETLINK_ROUTE);
	int r = batch_send(b, fd, NULL);

	batch_free(b);
	*b = (struct batch){0};
	return r;
}

/* host eth9 192.0.2.1 -- 192.0.2.2 outside; the outside knows a way to containers' addresses. */
static int make_outside(void)
{
	struct batch b = {0};
	struct ifinfomsg m = {0};
	struct rtmsg rt = {.rtm_family = AF_INET,
			   .rtm_table = RT_TABLE_MAIN,
			   .rtm_protocol = RTPROT_BOOT,
			   .rtm_type = RTN_UNICAST,
			   .rtm_dst_len = 8};

	outside_ns = new_ns();
	batch_message(&b, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &m, sizeof(m));
	batch_str(&b, IFLA_IFNAME, "eth9");
	size_t info = batch_nest(&b, IFLA_LINKINFO, NULL, 0);
	batch_str(&b, IFLA_INFO_KIND, "veth");
	size_t data = batch_nest(&b, IFLA_INFO_DATA, NULL, 0);
	size_t peer = batch_nest(&b, VETH_INFO_PEER, &m, sizeof(m));
	batch_str(&b, IFLA_IFNAME, "out0");
	batch_u32(&b, IFLA_NET_NS_FD, (uint32_t)outside_ns);
	batch_end(&b, peer);
	batch_end(&b, data);
	batch_end(&b, info);
	if (send_now(&b) < 0)
		return -1;
	address(&b, "eth9", "192.0.2.1", 24);
	address(&b, "eth9", "2001:db8::1", 64);
	up(&b, "eth9");
	CHECK_INT(send_now(&b), 0);
	CHECK_INT(enter(outside_ns), 0);
	address(&b, "out0", "192.0.2.2", 24);
	address(&b, "out0", "2001:db8::2", 64);
	up(&b, "out0");
	CHECK_INT(send_now(&b), 0);
	batch_message(&b, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE, &rt, sizeof(rt));
	struct ip ten = {0}, via = {0};
	CHECK(ip_parse("10.0.0.0", &ten) && ip_parse("192.0.2.1", &via));
	batch_put(&b, RTA_DST, ten.b, 4);
	batch_put(&b, RTA_GATEWAY, via.b, 4);
	CHECK_INT(send_now(&b), 0);
	return enter(host_ns);
}

/* ---- Connections ---- */

static socklen_t to_sockaddr(const char *text, uint16_t port, struct sockaddr_storage *ret)
{
	struct ip ip = {0};

	memset(ret, 0, sizeof(*ret));
	CHECK(ip_parse(text, &ip));
	if (ip.family == AF_INET) {
		struct sockaddr_in *a = (void *)ret;
		a->sin_family = AF_INET;
		a->sin_port = htons(port);
		memcpy(&a->sin_addr, ip.b, 4);
		return sizeof(*a);
	}
	struct sockaddr_in6 *a = (void *)ret;
	a->sin6_family = AF_INET6;
	a->sin6_port = htons(port);
	memcpy(&a->sin6_addr, ip.b, 16);
	return sizeof(*a);
}

static int listen_in(int ns, int type, const char *ip, uint16_t port)
{
	struct sockaddr_storage a;
	int one = 1;

	CHECK_INT(enter(ns), 0);
	socklen_t len = to_sockaddr(ip, port, &a);
	int fd = socket(a.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ignore_result(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0); /* as servers do */
	if (bind(fd, (struct sockaddr *)&a, len) < 0 || (type == SOCK_STREAM && listen(fd, 8) < 0)) {
		close(fd);
		fd = -1;
	}
	CHECK_INT(enter(host_ns), 0);
	return fd;
}

static bool readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

/* From `ns` to ip:port, where `server` must see it.  The peer's address goes to `seen`. */
static bool tcp_reaches(int ns, const char *ip, uint16_t port, int server, int wait, char seen[static 64])
{
	struct sockaddr_storage a, from;
	socklen_t from_len = sizeof(from);

	seen[0] = '\0';
	CHECK_INT(enter(ns), 0);
	socklen_t len = to_sockaddr(ip, port, &a);
	autoclose int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ignore_result(connect(fd, (struct sockaddr *)&a, len) < 0); /* EINPROGRESS */
	CHECK_INT(enter(host_ns), 0);
	if (!readable(server, wait))
		return false;
	autoclose int conn = accept(server, (struct sockaddr *)&from, &from_len);
	if (conn < 0)
		return false;
	struct ip peer = {.family = (uint8_t)from.ss_family};
	if (from.ss_family == AF_INET)
		memcpy(peer.b, &((struct sockaddr_in *)(void *)&from)->sin_addr, 4);
	else
		memcpy(peer.b, &((struct sockaddr_in6 *)(void *)&from)->sin6_addr, 16);
	(void)snprintf(seen, 64, "%s", ip_text(&peer).s);
	/* A byte each way: the answer must find back. */
	char c = 0;
	if (write(conn, "x", 1) != 1 || !readable(fd, 500) || read(fd, &c, 1) != 1 || c != 'x')
		return false;
	return true;
}

static bool reaches(int ns, const char *ip, uint16_t port, int server)
{
	char seen[64];

	return tcp_reaches(ns, ip, port, server, PATIENCE_MS, seen);
}

static bool kept_away(int ns, const char *ip, uint16_t port, int server)
{
	char seen[64];

	return !tcp_reaches(ns, ip, port, server, 300, seen);
}

static bool udp_reaches(int ns, const char *ip, uint16_t port, int server)
{
	struct sockaddr_storage a, from;
	socklen_t from_len = sizeof(from);
	char buf[8];

	CHECK_INT(enter(ns), 0);
	socklen_t len = to_sockaddr(ip, port, &a);
	autoclose int fd = socket(a.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&a, len) < 0 || write(fd, "ping", 4) != 4) {
		CHECK_INT(enter(host_ns), 0);
		return false;
	}
	CHECK_INT(enter(host_ns), 0);
	if (!readable(server, PATIENCE_MS) ||
	    recvfrom(server, buf, sizeof(buf), 0, (struct sockaddr *)&from, &from_len) != 4)
		return false;
	return sendto(server, "pong", 4, 0, (struct sockaddr *)&from, from_len) == 4 && readable(fd, 500) &&
	       read(fd, buf, sizeof(buf)) == 4;
}

/* ---- Containers ---- */

struct box {
	int ns;
	char id[65];
	struct net_attach a;
	struct net_join joins[2];
	struct net_result r;
};

static int attach(struct box *b, const char *name, const char *network, const char *second,
		  const struct net_port *ports, size_t n_ports)
{
	static unsigned count = 0;

	count++;
	memset(b, 0, sizeof(*b));
	(void)snprintf(b->id, sizeof(b->id), "%08x%056x", count * 0x01234567u, count);
	b->ns = new_ns();
	b->joins[0].network = network;
	b->joins[1].network = second;
	b->a = (struct net_attach){.id = b->id,
				   .name = name,
				   .hostname = name,
				   .networks = b->joins,
				   .n_networks = second ? 2 : 1,
				   .ports = ports,
				   .n_ports = n_ports,
				   .netns_fd = b->ns};
	int r = net_lease(net, &b->a, &b->r, &err);
	if (r < 0)
		return r;
	return net_plug(net, &b->a, &b->r, &err);
}

static void detach(struct box *b)
{
	OK(net_detach(net, b->id, NULL, &err));
	net_result_free(&b->r);
	if (b->ns >= 0)
		close(b->ns);
	b->ns = -1;
}

static struct net_port port(const char *ip, uint16_t host, uint16_t container, const char *proto)
{
	struct net_port p = {.host_ip = ip, .host_port = host, .container_port = container, .count = 1};

	memcpy(p.proto, proto, strlen(proto) + 1);
	return p;
}

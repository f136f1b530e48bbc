/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of inet sockets: the list of those that reach the host.
 *
 * An option is an int, or a structure of the size that stands here; the value
 * has been copied, and the host checks what it means.  What is not listed is
 * ENOPROTOOPT and a line in the log: keys, ULPs and tables are interfaces of
 * the host's kernel that no ordinary program needs.  Classic filters are copied
 * and judged by the host's verifier, as those of seccomp are.
 */
#include "sentry/net/inet.h"

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>

enum { GET = 1, SET = 2, BOTH = 3, RAW = 4 /* to set anything but 0, a right (socket_may_raw) */ };

struct option {
	short level, name;
	short most; /* bytes to set; an int where it is 4, and then a byte does */
	short access;
};

#define INT	    sizeof(int), BOTH
#define INT_GET	    sizeof(int), GET
#define GROUP(type) sizeof(struct type), SET
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#ifndef SO_TXREHASH
#define SO_TXREHASH 74
#endif
#ifndef SO_RCVMARK
#define SO_RCVMARK 75
#endif
#ifndef IP_PROTOCOL
#define IP_PROTOCOL 52
#endif
#ifndef TCP_IS_MPTCP
#define TCP_IS_MPTCP 43
#endif
#ifndef TCP_RTO_MAX_MS
#define TCP_RTO_MAX_MS	  44
#define TCP_RTO_MIN_US	  45
#define TCP_DELACK_MAX_US 46
#endif
#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif
enum { ORIGINAL_DST = 80, UDPLITE_SEND_CSCOV = 10, UDPLITE_RECV_CSCOV = 11 };

static const struct option options[] = {
	{SOL_SOCKET, SO_REUSEADDR, INT},
	{SOL_SOCKET, SO_REUSEPORT, INT},
	{SOL_SOCKET, SO_KEEPALIVE, INT},
	{SOL_SOCKET, SO_BROADCAST, INT},
	{SOL_SOCKET, SO_OOBINLINE, INT},
	{SOL_SOCKET, SO_DONTROUTE, INT},
	{SOL_SOCKET, SO_PRIORITY, INT},
	{SOL_SOCKET, SO_SNDBUF, INT},
	{SOL_SOCKET, SO_RCVBUF, INT},
	{SOL_SOCKET, SO_RCVLOWAT, INT},
	{SOL_SOCKET, SO_TIMESTAMP, INT},
	{SOL_SOCKET, SO_TIMESTAMPNS, INT},
	{SOL_SOCKET, SO_TIMESTAMPING, 8, BOTH},
	{SOL_SOCKET, SO_RXQ_OVFL, INT},
	{SOL_SOCKET, SO_NO_CHECK, INT},
	{SOL_SOCKET, SO_SELECT_ERR_QUEUE, INT},
	{SOL_SOCKET, SO_PEEK_OFF, INT},
	{SOL_SOCKET, SO_BUSY_POLL, INT},
	{SOL_SOCKET, SO_MAX_PACING_RATE, 8, BOTH},
	{SOL_SOCKET, SO_MARK, INT},
	{SOL_SOCKET, SO_BINDTODEVICE, IFNAMSIZ, BOTH},
	{SOL_SOCKET, SO_BINDTOIFINDEX, INT},
	{SOL_SOCKET, SO_INCOMING_CPU, INT},
	{SOL_SOCKET, SO_INCOMING_NAPI_ID, INT_GET},
	{SOL_SOCKET, SO_COOKIE, 8, GET},
	{SOL_SOCKET, SO_MEMINFO, 64, GET},
	{SOL_SOCKET, SO_BUF_LOCK, INT},
	{SOL_SOCKET, SO_TIMESTAMP_NEW, INT},
	{SOL_SOCKET, SO_TIMESTAMPNS_NEW, INT},
	{SOL_SOCKET, SO_TIMESTAMPING_NEW, 8, BOTH},
	{SOL_SOCKET, SO_TXREHASH, INT},
	{SOL_SOCKET, SO_RCVMARK, INT},
	{SOL_SOCKET, SO_ERROR, INT_GET},
	{SOL_SOCKET, SO_DETACH_FILTER, sizeof(int), SET},
	{SOL_SOCKET, SO_LOCK_FILTER, INT},

	{IPPROTO_IP, IP_TOS, INT},
	{IPPROTO_IP, IP_TTL, INT},
	{IPPROTO_IP, IP_HDRINCL, INT},
	{IPPROTO_IP, IP_OPTIONS, 40, BOTH},
	{IPPROTO_IP, IP_ROUTER_ALERT, INT},
	{IPPROTO_IP, IP_RECVOPTS, INT},
	{IPPROTO_IP, IP_RETOPTS, INT},
	{IPPROTO_IP, IP_PKTINFO, INT},
	{IPPROTO_IP, IP_MTU_DISCOVER, INT},
	{IPPROTO_IP, IP_RECVERR, INT},
	{IPPROTO_IP, IP_RECVTTL, INT},
	{IPPROTO_IP, IP_RECVTOS, INT},
	{IPPROTO_IP, IP_MTU, INT_GET},
	{IPPROTO_IP, IP_FREEBIND, INT},
	{IPPROTO_IP, IP_TRANSPARENT, sizeof(int), BOTH | RAW},
	{IPPROTO_IP, IP_RECVORIGDSTADDR, INT},
	{IPPROTO_IP, IP_MINTTL, INT},
	{IPPROTO_IP, IP_NODEFRAG, INT},
	{IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, INT},
	{IPPROTO_IP, IP_RECVFRAGSIZE, INT},
	{IPPROTO_IP, IP_LOCAL_PORT_RANGE, INT},
	{IPPROTO_IP, IP_CHECKSUM, INT},
	{IPPROTO_IP, IP_RECVERR_RFC4884, INT},
	{IPPROTO_IP, IP_PROTOCOL, INT_GET},
	{IPPROTO_IP, IP_MULTICAST_IF, sizeof(struct ip_mreqn), BOTH},
	{IPPROTO_IP, IP_MULTICAST_TTL, INT},
	{IPPROTO_IP, IP_MULTICAST_LOOP, INT},
	{IPPROTO_IP, IP_MULTICAST_ALL, INT},
	{IPPROTO_IP, IP_UNICAST_IF, INT},
	{IPPROTO_IP, IP_ADD_MEMBERSHIP, GROUP(ip_mreqn)},
	{IPPROTO_IP, IP_DROP_MEMBERSHIP, GROUP(ip_mreqn)},
	{IPPROTO_IP, IP_BLOCK_SOURCE, GROUP(ip_mreq_source)},
	{IPPROTO_IP, IP_UNBLOCK_SOURCE, GROUP(ip_mreq_source)},
	{IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, GROUP(ip_mreq_source)},
	{IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, GROUP(ip_mreq_source)},
	{IPPROTO_IP, MCAST_JOIN_GROUP, GROUP(group_req)},
	{IPPROTO_IP, MCAST_LEAVE_GROUP, GROUP(group_req)},
	{IPPROTO_IP, MCAST_BLOCK_SOURCE, GROUP(group_source_req)},
	{IPPROTO_IP, MCAST_UNBLOCK_SOURCE, GROUP(group_source_req)},
	{IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, GROUP(group_source_req)},
	{IPPROTO_IP, MCAST_LEAVE_SOURCE_GROUP, GROUP(group_source_req)},
	{IPPROTO_IP, ORIGINAL_DST, sizeof(struct sockaddr_in), GET},

	{IPPROTO_IPV6, IPV6_UNICAST_HOPS, INT},
	{IPPROTO_IPV6, IPV6_MULTICAST_IF, INT},
	{IPPROTO_IPV6, IPV6_MULTICAST_HOPS, INT},
	{IPPROTO_IPV6, IPV6_MULTICAST_LOOP, INT},
	{IPPROTO_IPV6, IPV6_MULTICAST_ALL, INT},
	{IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, GROUP(ipv6_mreq)},
	{IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, GROUP(ipv6_mreq)},
	{IPPROTO_IPV6, IPV6_JOIN_ANYCAST, GROUP(ipv6_mreq)},
	{IPPROTO_IPV6, IPV6_LEAVE_ANYCAST, GROUP(ipv6_mreq)},
	{IPPROTO_IPV6, IPV6_MTU_DISCOVER, INT},
	{IPPROTO_IPV6, IPV6_MTU, INT},
	{IPPROTO_IPV6, IPV6_RECVERR, INT},
	{IPPROTO_IPV6, IPV6_V6ONLY, INT},
	{IPPROTO_IPV6, IPV6_CHECKSUM, INT},
	{IPPROTO_IPV6, IPV6_FLOWINFO, INT},
	{IPPROTO_IPV6, IPV6_FLOWINFO_SEND, INT},
	{IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, INT},
	{IPPROTO_IPV6, IPV6_RECVPKTINFO, INT},
	{IPPROTO_IPV6, IPV6_PKTINFO, 20, BOTH},
	{IPPROTO_IPV6, IPV6_RECVHOPLIMIT, INT},
	{IPPROTO_IPV6, IPV6_2292PKTINFO, INT},
	{IPPROTO_IPV6, IPV6_2292HOPLIMIT, INT},
	{IPPROTO_IPV6, IPV6_RECVHOPOPTS, INT},
	{IPPROTO_IPV6, IPV6_RECVRTHDR, INT},
	{IPPROTO_IPV6, IPV6_RECVDSTOPTS, INT},
	{IPPROTO_IPV6, IPV6_RECVPATHMTU, INT},
	{IPPROTO_IPV6, IPV6_PATHMTU, 32, GET},
	{IPPROTO_IPV6, IPV6_DONTFRAG, INT},
	{IPPROTO_IPV6, IPV6_RECVTCLASS, INT},
	{IPPROTO_IPV6, IPV6_TCLASS, INT},
	{IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, INT},
	{IPPROTO_IPV6, IPV6_MINHOPCOUNT, INT},
	{IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, INT},
	{IPPROTO_IPV6, IPV6_TRANSPARENT, sizeof(int), BOTH | RAW},
	{IPPROTO_IPV6, IPV6_UNICAST_IF, INT},
	{IPPROTO_IPV6, IPV6_RECVFRAGSIZE, INT},
	{IPPROTO_IPV6, IPV6_FREEBIND, INT},
	{IPPROTO_IPV6, IPV6_ROUTER_ALERT, INT},
	{IPPROTO_IPV6, IPV6_RECVERR_RFC4884, INT},
	{IPPROTO_IPV6, MCAST_JOIN_GROUP, GROUP(group_req)},
	{IPPROTO_IPV6, MCAST_LEAVE_GROUP, GROUP(group_req)},
	{IPPROTO_IPV6, MCAST_BLOCK_SOURCE, GROUP(group_source_req)},
	{IPPROTO_IPV6, MCAST_UNBLOCK_SOURCE, GROUP(group_source_req)},
	{IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, GROUP(group_source_req)},
	{IPPROTO_IPV6, MCAST_LEAVE_SOURCE_GROUP, GROUP(group_source_req)},
	{IPPROTO_IPV6, ORIGINAL_DST, sizeof(struct sockaddr_in6), GET},

	{IPPROTO_TCP, TCP_NODELAY, INT},
	{IPPROTO_TCP, TCP_MAXSEG, INT},
	{IPPROTO_TCP, TCP_CORK, INT},
	{IPPROTO_TCP, TCP_KEEPIDLE, INT},
	{IPPROTO_TCP, TCP_KEEPINTVL, INT},
	{IPPROTO_TCP, TCP_KEEPCNT, INT},
	{IPPROTO_TCP, TCP_SYNCNT, INT},
	{IPPROTO_TCP, TCP_LINGER2, INT},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT, INT},
	{IPPROTO_TCP, TCP_WINDOW_CLAMP, INT},
	{IPPROTO_TCP, TCP_INFO, 512, GET},
	{IPPROTO_TCP, TCP_QUICKACK, INT},
	{IPPROTO_TCP, TCP_CONGESTION, 16, BOTH},
	{IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, INT},
	{IPPROTO_TCP, TCP_THIN_DUPACK, INT},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, INT},
	{IPPROTO_TCP, TCP_FASTOPEN, INT},
	{IPPROTO_TCP, TCP_FASTOPEN_CONNECT, INT},
	{IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, INT},
	{IPPROTO_TCP, TCP_TIMESTAMP, INT},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT, INT},
	{IPPROTO_TCP, TCP_CC_INFO, 64, GET},
	{IPPROTO_TCP, TCP_SAVE_SYN, INT},
	{IPPROTO_TCP, TCP_SAVED_SYN, 256, GET},
	{IPPROTO_TCP, TCP_INQ, INT},
	{IPPROTO_TCP, TCP_TX_DELAY, INT},
	{IPPROTO_TCP, TCP_IS_MPTCP, INT_GET},
	{IPPROTO_TCP, TCP_RTO_MAX_MS, INT},
	{IPPROTO_TCP, TCP_RTO_MIN_US, INT},
	{IPPROTO_TCP, TCP_DELACK_MAX_US, INT},

	{IPPROTO_UDP, UDP_CORK, INT},
	{IPPROTO_UDP, UDP_SEGMENT, INT},
	{IPPROTO_UDP, UDP_GRO, INT},
	{IPPROTO_UDP, UDP_NO_CHECK6_TX, INT},
	{IPPROTO_UDP, UDP_NO_CHECK6_RX, INT},

	{IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, INT},
	{IPPROTO_UDPLITE, UDPLITE_RECV_CSCOV, INT},

	{SOL_RAW, ICMP_FILTER, sizeof(struct icmp_filter), BOTH},
	{IPPROTO_ICMPV6, ICMPV6_FILTER, sizeof(struct icmp6_filter), BOTH},
};

static const struct option *option_find(int level, int name)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (options[i].level == level && options[i].name == name)
			return &options[i];
	return NULL;
}

/* The level of a socket's own protocol. */
static int own_level(const struct socket *s)
{
	return s->type == SOCK_RAW ? SOL_RAW : s->protocol;
}

static int not_there(const char *what, int level, int name)
{
	kernel_log("%s: level %d, option %d is not in the list of those that reach the host", what, level,
		   name);
	return -ENOPROTOOPT;
}

/*
 * The host's close would wait for as long as the option says, in the sentry; a reset (zero seconds) waits for
 * nothing.  So the host is told of resets only, and a close with a time goes on behind the guest's back.
 */
static int linger_set(struct socket *s, const void *value, int len)
{
	struct linger l;

	if ((size_t)len < sizeof(l))
		return -EINVAL;
	memcpy(&l, value, sizeof(l));
	s->linger = l;
	struct linger host = {l.l_onoff && l.l_linger == 0, 0};
	return setsockopt(s->file.host_fd, SOL_SOCKET, SO_LINGER, &host, sizeof(host)) < 0 ? -errno : 0;
}

static int filter_set(struct task *t, struct socket *s, int name, const void *value, int len)
{
	autofree struct sock_filter *insns = NULL;
	struct sock_fprog guest;

	if ((size_t)len != sizeof(guest))
		return -EINVAL;
	memcpy(&guest, value, sizeof(guest));
	if (!guest.filter || !guest.len || guest.len > BPF_MAXINSNS)
		return -EINVAL;
	insns = calloc(guest.len, sizeof(*insns));
	if (!insns)
		return -ENOMEM;
	if (guest_read(t, insns, (uint64_t)(uintptr_t)guest.filter, guest.len * sizeof(*insns)) < 0)
		return -EFAULT;
	const struct sock_fprog host = {.len = guest.len, .filter = insns};
	return setsockopt(s->file.host_fd, SOL_SOCKET, name, &host, sizeof(host)) < 0 ? -errno : 0;
}

static bool any_set(const uint8_t *value, int len)
{
	for (int i = 0; i < MIN_OF(len, (int)sizeof(int)); i++)
		if (value[i])
			return true;
	return false;
}

/* All but routes, stamps and alerts; the host, which says what is wrong, does not know whose they are. */
static bool ip_options_want_right(const uint8_t *v, int len)
{
	for (int i = 0; i < len && v[i] != IPOPT_END; i += v[i] == IPOPT_NOOP ? 1 : v[i + 1]) {
		if (v[i] == IPOPT_NOOP)
			continue;
		if (len - i < 2 || v[i + 1] < 2)
			return false;
		switch (v[i]) {
		case IPOPT_LSRR:
		case IPOPT_SSRR:
		case IPOPT_RR:
		case IPOPT_TIMESTAMP:
		case IPOPT_RA:
			break;
		default:
			return true;
		}
	}
	return false;
}

/* It may be bound to one by anybody, and be freed of it or bound to another by who has a right. */
static bool is_bound_to_device(const struct socket *s)
{
	int index = 0;
	socklen_t len = sizeof(index);

	return getsockopt(s->file.host_fd, SOL_SOCKET, SO_BINDTOIFINDEX, &index, &len) == 0 && index != 0;
}

int inet_set_option(struct task *t, struct socket *s, int level, int name, const void *value, int len)
{
	if (level == SOL_SOCKET && name == SO_LINGER)
		return linger_set(s, value, len);
	if (level == SOL_SOCKET && (name == SO_SNDBUFFORCE || name == SO_RCVBUFFORCE))
		name = name == SO_SNDBUFFORCE ? SO_SNDBUF : SO_RCVBUF; /* as far as the host's limit allows */
	if (level == SOL_SOCKET && (name == SO_ATTACH_FILTER || name == SO_ATTACH_REUSEPORT_CBPF))
		return filter_set(t, s, name, value, len);
	if (level == SOL_SOCKET && (name == SO_PASSCRED || name == SO_PASSSEC))
		return -EOPNOTSUPP; /* of unix sockets */
	const struct option *o = option_find(level, name);
	if (!o || !(o->access & SET))
		return not_there("setsockopt", level, name);
	if (o->access & RAW && any_set(value, len) && !socket_may_raw(t))
		return -EPERM;
	if (level == SOL_SOCKET && (name == SO_BINDTODEVICE || name == SO_BINDTOIFINDEX) &&
	    is_bound_to_device(s) && !creds_capable(t->creds, CAP_NET_RAW))
		return -EPERM;
	len = MIN_OF(len, (int)o->most);
	if (level == IPPROTO_IP && name == IP_OPTIONS && ip_options_want_right(value, len) &&
	    !creds_capable(t->creds, CAP_NET_RAW))
		return -EINVAL;
	return setsockopt(s->file.host_fd, level, name, value, (socklen_t)len) < 0 ? -errno : 0;
}

int inet_get_option(struct task *t unused, struct socket *s, int level, int name, void *value, int *len)
{
	static const struct ucred nobody = {0, (uid_t)-1, (gid_t)-1};

	if (level == SOL_SOCKET && name == SO_LINGER)
		return option_bytes(&s->linger, sizeof(s->linger), value, len);
	if (level == SOL_SOCKET && name == SO_PEERCRED)
		return option_bytes(&nobody, sizeof(nobody), value, len);
	if (level == SOL_SOCKET && (name == SO_PASSCRED || name == SO_PASSSEC))
		return -EOPNOTSUPP;
	const struct option *o = option_find(level, name);
	if (!o && s->domain == AF_INET && level != SOL_SOCKET && level != IPPROTO_IP && level != own_level(s))
		return -EOPNOTSUPP; /* as the kernel answers, in the one family only */
	if (!o)
		return not_there("getsockopt", level, name);
	socklen_t n = (socklen_t)MIN_OF(*len, (int)o->most);
	if (getsockopt(s->file.host_fd, level, name, value, &n) < 0)
		return -errno;
	*len = (int)n;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "host/netlink_setup.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/str.h"
#include "host/netlink_int.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static unsigned char whole(int family)
{
	return family == AF_INET6 ? 128 : 32;
}

int net_prefix_parse(const char *text, struct net_prefix *ret)
{
	struct net_prefix p = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};
	char address[INET6_ADDRSTRLEN];
	size_t n = strcspn(text, "/");
	uint64_t len = whole(p.family);

	if (streq(text, "default")) {
		*ret = (struct net_prefix){.family = AF_UNSPEC};
		return 0;
	}
	if (n >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, n);
	address[n] = '\0';
	if (text[n] && (str_to_u64(text + n + 1, 10, &len) < 0 || len > whole(p.family)))
		return -EINVAL;
	if (inet_pton(p.family, address, p.bytes) != 1)
		return -EINVAL;
	p.len = (unsigned char)len;
	*ret = p;
	return 0;
}

/* ---- the card: the old requests, which need no address ---- */

static int card_request(unsigned long request, struct ifreq *r, const char *name)
{
	/* Interface ioctls work on any socket. */
	autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t n = strlen(name);

	if (n == 0 || n >= IFNAMSIZ)
		return -ENODEV;
	memcpy(r->ifr_name, name, n + 1);
	return fd < 0 || ioctl(fd, request, r) < 0 ? -errno : 0;
}

static bool parse_card_mac(const char *text, unsigned char ret[static 6])
{
	int end = 0;

	return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &ret[0], &ret[1], &ret[2], &ret[3],
		      &ret[4], &ret[5], &end) == 6 &&
	       !text[end];
}

int net_card_address(const char *name, const char *mac, struct err *err)
{
	struct ifreq q = {.ifr_hwaddr.sa_family = ARPHRD_ETHER};
	unsigned char bytes[6];

	if (!parse_card_mac(mac, bytes))
		return err_set(err, EINVAL, "\"%s\" is no hardware address", mac);
	memcpy(q.ifr_hwaddr.sa_data, bytes, sizeof(bytes));
	int r = card_request(SIOCSIFHWADDR, &q, name);
	return r < 0 ? err_num(err, r, "cannot give interface %s the address %s", name, mac) : 0;
}

/* Not by sysfs, which shows the network namespace of whoever mounted it. */
int net_card_find(const char *mac, char ret_name[static 16], struct err *err)
{
	unsigned char wanted[6];
	struct if_nameindex *all = parse_card_mac(mac, wanted) ? if_nameindex() : NULL;
	int r = -ENODEV;

	for (const struct if_nameindex *i = all; r < 0 && i && i->if_name; i++) {
		struct ifreq q = {0};
		if (card_request(SIOCGIFHWADDR, &q, i->if_name) < 0 ||
		    memcmp(wanted, q.ifr_hwaddr.sa_data, sizeof(wanted)) != 0)
			continue;
		memcpy(ret_name, q.ifr_name, 16);
		r = 0;
	}
	if (all)
		if_freenameindex(all);
	return r < 0 ? err_set(err, ENODEV, "there is no network card with the address \"%s\"", mac) : 0;
}

int net_card_rename(const char *name, const char *new_name, struct err *err)
{
	struct ifreq q = {0};
	size_t n = strlen(new_name);

	if (streq(name, new_name))
		return 0;
	if (n == 0 || n >= IFNAMSIZ)
		return err_set(err, EINVAL, "\"%s\" is no name of an interface", new_name);
	memcpy(q.ifr_newname, new_name, n + 1);
	int r = card_request(SIOCSIFNAME, &q, name);
	return r < 0 ? err_num(err, r, "cannot rename interface %s to %s", name, new_name) : 0;
}

int net_card_mtu(const char *name, unsigned mtu, struct err *err)
{
	struct ifreq q = {.ifr_mtu = (int)mtu};
	int r = mtu ? card_request(SIOCSIFMTU, &q, name) : 0;

	return r < 0 ? err_num(err, r, "cannot set the MTU of interface %s to %u", name, mtu) : 0;
}

int net_card_up(const char *name, bool up, struct err *err)
{
	struct ifreq q = {0};
	int r = card_request(SIOCGIFFLAGS, &q, name);

	if (r == 0) {
		q.ifr_flags = (short)(up ? q.ifr_flags | IFF_UP : q.ifr_flags & ~IFF_UP);
		r = card_request(SIOCSIFFLAGS, &q, name);
	}
	return r < 0 ? err_num(err, r, "cannot set interface %s %s", name, up ? "up" : "down") : 0;
}

/* Where there is IPv6, and it is not off: without it for a moment, an interface loses its addresses and their
 * routes. */
static int clear_ipv6(const char *name)
{
	autofree char *path = str_format("/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	autofree char *was = NULL;
	size_t len = 0;
	int r = path ? file_read_at(AT_FDCWD, path, 16, &was, &len) : -ENOMEM;

	if (r == 0 && was[0] == '1')
		return 0;
	if (r == 0)
		r = file_write_at(AT_FDCWD, path, "1");
	if (r == 0)
		r = file_write_at(AT_FDCWD, path, "0");
	return r == -ENOENT ? 0 : r;
}

int net_card_clear(const char *name, struct err *err)
{
	enum { ADDRESSES_MAX = 256 };
	autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq q = {0};
	size_t n = strlen(name);

	if (n == 0 || n >= IFNAMSIZ || strchr(name, '/') || name[0] == '.')
		return err_set(err, EINVAL, "\"%s\" is no name of an interface", name);
	int r = clear_ipv6(name);
	if (fd < 0 || r < 0)
		return err_num(err, fd < 0 ? -errno : r, "cannot take the addresses of interface %s away",
			       name);
	memcpy(q.ifr_name, name, n + 1);
	/* An address of zeros takes the first one away; the routes go with the last. */
	for (int i = 0; i < ADDRESSES_MAX && ioctl(fd, SIOCGIFADDR, &q) == 0; i++) {
		const struct sockaddr_in none = {.sin_family = AF_INET};
		memcpy(&q.ifr_addr, &none, sizeof(none));
		if (ioctl(fd, SIOCSIFADDR, &q) < 0)
			return err_sys(err, "cannot take the addresses of interface %s away", name);
	}
	return 0;
}

/* ---- addresses and routes ---- */

/* One request, and the kernel's word on it. */
static int route_ask(struct nl_request *q)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct nl_reader reader = {.seq = 1};
	unsigned char buf[4096];
	autoclose int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (q->overflow)
		return -E2BIG;
	((struct nlmsghdr *)(void *)q->buf)->nlmsg_seq = reader.seq;
	if (fd < 0 || sendto(fd, q->buf, q->len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		int r = nl_walk(&reader, buf, (size_t)n);
		if (r != NL_MORE)
			return r < 0 ? r : reader.error == -EEXIST ? 0 : reader.error;
	}
}

static size_t bytes_of(int family)
{
	return family == AF_INET6 ? 16 : 4;
}

static void print(const struct net_prefix *p, char buf[static 64])
{
	char text[INET6_ADDRSTRLEN] = "?";

	ignore_result(inet_ntop(p->family, p->bytes, text, sizeof(text)) == NULL); /* for a message */
	(void)snprintf(buf, 64, "%s/%u", text, p->len);				   /* fits */
}

int net_address_add(const char *name, const struct net_prefix *p, struct err *err)
{
	const struct ifaddrmsg head = {.ifa_family = (unsigned char)p->family,
				       .ifa_prefixlen = p->len,
				       .ifa_index = if_nametoindex(name)};
	const uint32_t flags = IFA_F_NODAD;
	struct nl_request q;
	char text[64];

	if (p->family != AF_INET && p->family != AF_INET6)
		return err_set(err, EINVAL, "interface %s: \"default\" is no address", name);
	nl_begin(&q, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &head, sizeof(head));
	nl_put(&q, IFA_LOCAL, p->bytes, bytes_of(p->family));
	nl_put(&q, IFA_ADDRESS, p->bytes, bytes_of(p->family));
	if (p->family == AF_INET6)
		nl_put(&q, IFA_FLAGS, &flags, sizeof(flags));
	if (p->family == AF_INET && p->len < 31) {
		unsigned char broadcast[4];
		for (unsigned i = 0; i < 32; i += 8)
			broadcast[i / 8] =
				(unsigned char)(p->bytes[i / 8] | (p->len <= i	     ? 0xff
								   : p->len >= i + 8 ? 0
										     : 0xff >> (p->len - i)));
		nl_put(&q, IFA_BROADCAST, broadcast, sizeof(broadcast));
	}
	int r = route_ask(&q);
	print(p, text);
	return r < 0 ? err_num(err, r, "cannot give interface %s the address %s", name, text) : 0;
}

int net_route_add(const char *name, const struct net_prefix *to, const struct net_prefix *gateway,
		  struct err *err)
{
	int family = to->family != AF_UNSPEC ? to->family : gateway ? gateway->family : AF_INET;
	const struct rtmsg head = {.rtm_family = (unsigned char)family,
				   .rtm_dst_len = to->len,
				   .rtm_table = RT_TABLE_MAIN,
				   .rtm_protocol = RTPROT_STATIC,
				   .rtm_scope =
					   gateway || family == AF_INET6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
				   .rtm_type = RTN_UNICAST};
	const uint32_t index = if_nametoindex(name);
	struct nl_request q;
	char text[64];

	if (gateway && gateway->family != family)
		return err_set(err, EINVAL, "a route's destination and gateway are of two families");
	nl_begin(&q, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &head, sizeof(head));
	if (to->len)
		nl_put(&q, RTA_DST, to->bytes, bytes_of(family));
	if (gateway)
		nl_put(&q, RTA_GATEWAY, gateway->bytes, bytes_of(family));
	nl_put(&q, RTA_OIF, &index, sizeof(index));
	int r = route_ask(&q);
	print(&(struct net_prefix){.family = family, .len = to->len}, text);
	if (to->family != AF_UNSPEC)
		print(to, text);
	return r < 0 ? err_num(err, r, "cannot add the route to %s over interface %s", text, name) : 0;
}

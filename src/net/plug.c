/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Step two of attaching: the devices.
 *
 * This is on the path of every start, and most of it is the kernel's own work
 * under its one big lock.  So: all pairs of devices are one send(2), made with
 * their inner ends inside the container's namespace already (moving one costs
 * as much as making it), with one queue each and without the link-local
 * addresses that nobody asked for; then one visit to the namespace, where
 * addresses, links and routes are one more send(2), and the resolver's sockets
 * are made.  No database here: the caller is a copy of a process that has it
 * open.
 */
#include "base/fd.h"
#include "host/netlink_int.h"
#include "net/batch.h"
#include "net/net_int.h"
#include "net/nft.h"

#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { MTU_USUAL = 1500, PORT_TRIES = 50 };

static bool is_bridge(const struct net_result *r, size_t i)
{
	return streq(result_memory(r)->plugs[i].driver, "bridge");
}

/* The index of an interface, asked through any socket of its namespace. */
static int interface_index(int fd, const char *name)
{
	struct ifreq q = {0};

	(void)snprintf(q.ifr_name, sizeof(q.ifr_name), "%s", name); /* names of ours fit */
	return ioctl(fd, SIOCGIFINDEX, &q) < 0 ? -errno : q.ifr_ifindex;
}

/*
 * A link that came up is told to bridges, routes and IPv6 by a worker of the
 * kernel's, which comes when it comes: up to a second later, where the two
 * indices happen to be the same number.  A first packet would be lost, and
 * sent again after a second.  Asking for the link's state settles it now
 * (Linux 6.8; before, it is only asked).
 */
static void settle_link(int fd, const char *name)
{
	struct ethtool_value v = {.cmd = ETHTOOL_GLINK};
	struct ifreq q = {.ifr_data = (void *)&v};

	(void)snprintf(q.ifr_name, sizeof(q.ifr_name), "%s", name); /* names of ours fit */
	ignore_result(ioctl(fd, SIOCETHTOOL, &q) < 0);		    /* then the worker does it */
}

/* ---- Outside ---- */

static bool mac_bytes(const char *text, uint8_t ret[static 6])
{
	unsigned v[6];

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5]) != 6)
		return false;
	for (size_t i = 0; i < 6; i++)
		ret[i] = (uint8_t)v[i];
	return true;
}

static void put_pair(struct batch *b, const struct plug *p, const struct net_endpoint *e, int netns)
{
	struct ifinfomsg m = {0};
	uint32_t mtu = p->mtu ? p->mtu : MTU_USUAL;
	uint8_t mac[6];

	batch_message(b, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &m, sizeof(m));
	batch_str(b, IFLA_IFNAME, p->veth);
	batch_u32(b, IFLA_MTU, mtu);
	batch_u32(b, IFLA_NUM_TX_QUEUES, 1);
	batch_u32(b, IFLA_NUM_RX_QUEUES, 1);
	size_t info = batch_nest(b, IFLA_LINKINFO, NULL, 0);
	batch_str(b, IFLA_INFO_KIND, "veth");
	size_t data = batch_nest(b, IFLA_INFO_DATA, NULL, 0);
	size_t peer = batch_nest(b, VETH_INFO_PEER, &m, sizeof(m));
	batch_str(b, IFLA_IFNAME, e->interface);
	if (e->mac && mac_bytes(e->mac, mac))
		batch_put(b, IFLA_ADDRESS, mac, sizeof(mac));
	batch_u32(b, IFLA_MTU, mtu);
	batch_u32(b, IFLA_NUM_TX_QUEUES, 1);
	batch_u32(b, IFLA_NUM_RX_QUEUES, 1);
	batch_u32(b, IFLA_NET_NS_FD, (uint32_t)netns);
	batch_end(b, peer);
	batch_end(b, data);
	batch_end(b, info);
}

/* The outer end: no address of its own, a port of the bridge, up. */
static void put_port(struct batch *b, const struct plug *p, int bridge)
{
	struct ifinfomsg m = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP};

	batch_message(b, RTM_SETLINK, NLM_F_ACK, &(struct ifinfomsg){0}, sizeof(m));
	batch_str(b, IFLA_IFNAME, p->veth);
	batch_no_link_local(b);
	batch_message(b, RTM_SETLINK, NLM_F_ACK, &m, sizeof(m));
	batch_str(b, IFLA_IFNAME, p->veth);
	batch_u32(b, IFLA_MASTER, (uint32_t)bridge);
	if (!p->hairpin && !p->isolated)
		return;
	/* Hairpin: with bridge-nf-call-iptables a packet to the own published port turns round in the bridge.
	 */
	batch_message(b, RTM_NEWLINK, NLM_F_ACK, &(struct ifinfomsg){0}, sizeof(m));
	batch_str(b, IFLA_IFNAME, p->veth);
	size_t info = batch_nest(b, IFLA_LINKINFO, NULL, 0);
	batch_str(b, IFLA_INFO_SLAVE_KIND, "bridge");
	size_t data = batch_nest(b, IFLA_INFO_SLAVE_DATA, NULL, 0);
	if (p->hairpin)
		batch_put(b, IFLA_BRPORT_MODE, &(uint8_t){1}, 1);
	if (p->isolated)
		batch_put(b, IFLA_BRPORT_ISOLATED, &(uint8_t){1}, 1);
	batch_end(b, data);
	batch_end(b, info);
}

static int plug_outside(int fd, const struct net_attach *a, struct net_result *r, struct err *err)
{
	struct batch b autobatch = {0};
	struct result_memory *m = result_memory(r);

	for (size_t i = 0; i < r->endpoints.n; i++) {
		if (!is_bridge(r, i))
			continue;
		int bridge = interface_index(fd, m->plugs[i].bridge);
		if (bridge < 0)
			return err_num(err, bridge, "the bridge \"%s\" of network %s is gone",
				       m->plugs[i].bridge, r->endpoints.v[i].network);
		put_pair(&b, &m->plugs[i], &r->endpoints.v[i], a->netns_fd);
		put_port(&b, &m->plugs[i], bridge);
	}
	if (b.len == 0)
		return 0;
	int e = batch_send(&b, fd, NULL);
	if (e == -EOPNOTSUPP)
		return err_num(err, e,
			       "cannot make a pair of devices: this kernel has no veth (CONFIG_VETH)");
	return e < 0 ? err_num(err, e, "cannot plug the container into its networks") : 0;
}

/* ---- Inside ---- */

struct inside {
	const struct net_attach *a;
	struct net_result *r;
};

/* The usual link-local address (RFC 4291, appendix A), without the second that is waited for duplicates. */
static void put_link_local(struct batch *b, int index, const struct net_endpoint *e)
{
	struct ifaddrmsg am = {.ifa_family = AF_INET6,
			       .ifa_prefixlen = 64,
			       .ifa_scope = RT_SCOPE_LINK,
			       .ifa_index = (unsigned)index};
	uint8_t m[6], ip[16] = {0xfe, 0x80, [11] = 0xff, [12] = 0xfe};

	if (!e->mac || !mac_bytes(e->mac, m))
		return;
	memcpy(ip + 8, m, 3);
	memcpy(ip + 13, m + 3, 3);
	ip[8] ^= 2;
	batch_message(b, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE, &am, sizeof(am));
	batch_put(b, IFA_LOCAL, ip, sizeof(ip));
	batch_put(b, IFA_ADDRESS, ip, sizeof(ip));
	batch_u32(b, IFA_FLAGS, IFA_F_NODAD);
}

static void put_up(struct batch *b, int index)
{
	struct ifinfomsg m = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};

	batch_message(b, RTM_SETLINK, NLM_F_ACK, &(struct ifinfomsg){.ifi_index = index}, sizeof(m));
	batch_no_link_local(b);
	batch_message(b, RTM_NEWLINK, NLM_F_ACK, &m, sizeof(m));
}

static void put_addresses(struct batch *b, int index, const struct net_endpoint *e)
{
	const char *text[FAMILIES] = {e->ip, e->ip6};
	uint8_t prefix[FAMILIES] = {e->prefix, e->prefix6};

	for (int f = 0; f < FAMILIES; f++) {
		struct ifaddrmsg am = {.ifa_prefixlen = prefix[f], .ifa_index = (unsigned)index};
		struct ip ip, last;
		if (!text[f] || !ip_parse(text[f], &ip))
			continue;
		am.ifa_family = ip.family;
		batch_message(b, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE, &am, sizeof(am));
		batch_put(b, IFA_LOCAL, ip.b, ip_size(ip.family));
		batch_put(b, IFA_ADDRESS, ip.b, ip_size(ip.family));
		if (f == V6) {
			/* The address is leased: nobody else has it, and nobody waits a second to hear so. */
			batch_u32(b, IFA_FLAGS, IFA_F_NODAD);
			continue;
		}
		struct cidr c = {.ip = ip, .prefix = prefix[f]};
		last = cidr_last(&c);
		batch_put(b, IFA_BROADCAST, last.b, 4);
	}
	if (e->ip6)
		put_link_local(b, index, e);
}

static void put_default_route(struct batch *b, int index, const char *gateway)
{
	struct rtmsg m = {.rtm_table = RT_TABLE_MAIN,
			  .rtm_protocol = RTPROT_BOOT,
			  .rtm_scope = RT_SCOPE_UNIVERSE,
			  .rtm_type = RTN_UNICAST};
	struct ip ip;

	if (!ip_parse(gateway, &ip))
		return;
	m.rtm_family = ip.family;
	batch_message(b, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &m, sizeof(m));
	batch_put(b, RTA_GATEWAY, ip.b, ip_size(ip.family));
	batch_u32(b, RTA_OIF, (uint32_t)index);
}

/* A container that is connected later may have its ways out already. */
static int send_routes(struct batch *b, int fd)
{
	int e = b->len ? batch_send(b, fd, NULL) : 0;

	return e == -EEXIST ? 0 : e;
}

/* Up, and settled, before there are addresses: IPv6 puts off much of what it does for a link that is not. */
static int raise_links(const struct inside *in, int fd, struct err *err)
{
	struct batch b autobatch = {0};

	for (size_t i = 0; i < in->r->endpoints.n; i++) {
		if (!is_bridge(in->r, i))
			continue;
		int index = interface_index(fd, in->r->endpoints.v[i].interface);
		if (index < 0)
			return err_num(err, index, "interface %s is gone from the container",
				       in->r->endpoints.v[i].interface);
		put_up(&b, index);
	}
	int r = b.len ? batch_send(&b, fd, NULL) : 0;
	if (r < 0)
		return err_num(err, r, "cannot set the container's interfaces up");
	for (size_t i = 0; i < in->r->endpoints.n; i++)
		if (is_bridge(in->r, i))
			settle_link(fd, in->r->endpoints.v[i].interface);
	return 0;
}

static int configure_inside(const struct inside *in, int fd, struct err *err)
{
	struct batch b autobatch = {0}, routes4 autobatch = {0}, routes6 autobatch = {0};
	bool late = in->a->first_index > 0, have4 = false, have6 = false;
	int r = raise_links(in, fd, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < in->r->endpoints.n; i++) {
		const struct net_endpoint *e = &in->r->endpoints.v[i];
		int index = is_bridge(in->r, i) ? interface_index(fd, e->interface) : -ENODEV;
		if (index < 0)
			continue;
		put_addresses(&b, index, e);
		if (e->gateway && !have4) {
			put_default_route(late ? &routes4 : &b, index, e->gateway);
			have4 = true;
		}
		if (e->gateway6 && !have6) {
			put_default_route(late ? &routes6 : &b, index, e->gateway6);
			have6 = true;
		}
	}
	r = b.len ? batch_send(&b, fd, NULL) : 0;
	if (r == 0)
		r = send_routes(&routes4, fd);
	if (r == 0)
		r = send_routes(&routes6, fd);
	return r < 0 ? err_num(err, r, "cannot give the container its addresses") : 0;
}

/* ---- The resolver's sockets ---- */

static int bind_resolver(int type, uint16_t *ret_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f00000b)};
	socklen_t len = sizeof(a);
	autoclose int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return -errno;
	if (type == SOCK_STREAM && listen(fd, 64) < 0)
		return -errno;
	*ret_port = ntohs(a.sin_port);
	return take_fd(&fd);
}

static int make_resolver(struct net_result *r, struct err *err)
{
	uint16_t udp = 0, tcp = 0;

	r->dns_udp = bind_resolver(SOCK_DGRAM, &udp);
	r->dns_tcp = bind_resolver(SOCK_STREAM, &tcp);
	if (r->dns_udp < 0 || r->dns_tcp < 0)
		return err_num(err, MIN_OF(r->dns_udp, r->dns_tcp),
			       "cannot make the resolver's sockets in the container");
	autoclose int nft = netlink_open(NETLINK_NETFILTER);
	if (nft < 0)
		return err_num(err, nft, "cannot make a netfilter socket in the container");
	int e = nft_names_redirect(nft, udp, tcp);
	return e < 0 ? err_num(err, e, "cannot lead 127.0.0.11:53 to the resolver (nf_tables)") : 0;
}

static int plug_inside(void *data, struct err *err)
{
	const struct inside *in = data;
	autoclose int fd = netlink_open(NETLINK_ROUTE);

	if (fd < 0)
		return err_num(err, fd, "cannot make a netlink socket in the container");
	int r = configure_inside(in, fd, err);
	/* Only with the container itself: whoever answers is started with it. */
	if (r == 0 && in->r->needs_dns && in->a->first_index == 0)
		r = make_resolver(in->r, err);
	return r;
}

/* ---- The whole ---- */

static int publish(struct net *n, struct net_result *r, struct err *err)
{
	struct result_memory *m = result_memory(r);
	struct elements l autoelements = {0};

	if (m->ports.n == 0)
		return 0;
	if (rules_ports(&m->ports, &l) < 0)
		return err_oom(err);
	int nft = net_nft(n, err);
	if (nft < 0)
		return nft;
	/* What is there of an earlier container is of no lease any more. */
	int e = nft_apply(nft, NFT_ADD, &l);
	if (e == -EEXIST || e == -EBUSY)
		e = nft_apply(nft, NFT_REPLACE, &l);
	return e < 0 ? err_num(err, e, "cannot publish the container's ports in nftables") : 0;
}

/* The port, and the bridge, whose first port it may be. */
static void settle_ports(int fd, const struct plug *p)
{
	settle_link(fd, p->veth);
	settle_link(fd, p->bridge);
}

static int plug_bridges(struct net *n, const struct net_attach *a, struct net_result *r, struct err *err)
{
	struct inside in = {.a = a, .r = r};
	autoclose int fd = netlink_open(NETLINK_ROUTE);

	if (fd < 0)
		return err_num(err, fd, "cannot make a netlink socket");
	int e = plug_outside(fd, a, r, err);
	if (e == 0)
		e = net_visit(a->netns_fd, plug_inside, &in, err);
	for (size_t i = 0; e == 0 && i < r->endpoints.n; i++)
		if (is_bridge(r, i))
			settle_ports(fd, &result_memory(r)->plugs[i]);
	return e == 0 ? publish(n, r, err) : e;
}

int net_plug(struct net *n, const struct net_attach *a, struct net_result *r, struct err *err)
{
	bool bridges = false;
	int e = 0;

	if (n->o.rootless)
		return user_plug(n, a, r, err);
	for (size_t i = 0; i < r->endpoints.n; i++)
		bridges |= is_bridge(r, i);
	if (bridges)
		e = plug_bridges(n, a, r, err);
	for (size_t i = 0; e == 0 && i < r->endpoints.n; i++)
		if (streq(result_memory(r)->plugs[i].driver, "cni"))
			e = cni_add(n, a, r, i, err);
	return e;
}

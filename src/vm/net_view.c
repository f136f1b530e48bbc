/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads what the engine made of the network namespace: four dumps of
 * rtnetlink.  Only what the guest has to be given is kept: connected routes
 * come with the addresses, link-local IPv6 addresses each kernel makes from
 * the MAC, and what the kernel keeps for itself (local, multicast and
 * broadcast routes) the guest's keeps, too.
 */
#include "vm/net_int.h"

#include <linux/neighbour.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/socket.h>

static bool attr_ip(const struct nl_message *m, size_t fixed, uint16_t type, struct net_ip *ret)
{
	struct nl_span s;

	if (!nl_attr(m, fixed, type, &s) || (s.len != 4 && s.len != sizeof(ret->v)))
		return false;
	memcpy(ret->v, s.p, s.len);
	ret->len = (unsigned char)s.len;
	return true;
}

static bool attr_u32(const struct nl_message *m, size_t fixed, uint16_t type, uint32_t *ret)
{
	struct nl_span s;

	if (!nl_attr(m, fixed, type, &s) || s.len != sizeof(*ret))
		return false;
	memcpy(ret, s.p, sizeof(*ret));
	return true;
}

static struct net_interface *by_index(struct net_view *v, uint32_t index)
{
	for (size_t i = 0; i < v->n; i++)
		if ((uint32_t)v->interfaces[i].index == index)
			return &v->interfaces[i];
	return NULL;
}

/* A card that a machine before us left in a namespace which outlives it is nobody's interface. */
static bool is_our_tap(const char *name)
{
	return str_starts(name, NET_TAP_PREFIX);
}

static int view_interface(void *data, const struct nl_message *m)
{
	struct net_view *v = data;
	struct net_interface n = {0};
	struct ifinfomsg i;
	struct nl_link link;
	struct nl_span mac;

	int r = nl_parse_link(m, &link);
	if (r < 0)
		return r;
	memcpy(&i, m->body.p, sizeof(i)); /* nl_parse_link() has seen that it is there */
	if (i.ifi_type != ARPHRD_ETHER || (link.flags & IFF_LOOPBACK) || is_our_tap(link.name) ||
	    !nl_attr(m, sizeof(i), IFLA_ADDRESS, &mac) || mac.len != sizeof(n.mac))
		return 0;
	if (v->n == VM_NICS_MAX)
		return -E2BIG;
	n.index = link.index;
	memcpy(n.name, link.name, sizeof(n.name));
	memcpy(n.mac, mac.p, sizeof(n.mac));
	if (!attr_u32(m, sizeof(i), IFLA_MTU, &n.mtu))
		n.mtu = 1500;
	v->interfaces[v->n++] = n;
	return 0;
}

static int view_address(void *data, const struct nl_message *m)
{
	struct nl_address a;
	int r = nl_parse_address(m, &a);
	struct net_interface *n = r < 0 ? NULL : by_index(data, a.head.ifa_index);

	/* IPv6 has only IFA_ADDRESS; IPv4's own address is IFA_LOCAL. */
	if (!n || a.head.ifa_scope == RT_SCOPE_LINK)
		return r;
	const unsigned char *ip = a.local.len ? a.local.v : a.address.v;
	unsigned char len = a.local.len ? a.local.len : a.address.len;
	if (len != 4 && len != 16)
		return 0;
	if (n->n == NET_ADDRESSES_MAX)
		return -E2BIG;
	memcpy(n->addresses[n->n].ip.v, ip, len);
	n->addresses[n->n].ip.len = len;
	n->addresses[n->n++].prefix = a.head.ifa_prefixlen;
	return 0;
}

static int view_route(void *data, const struct nl_message *m)
{
	struct net_view *v = data;
	struct net_route n = {0};
	struct rtmsg head;
	uint32_t oif = 0;

	if (m->type != RTM_NEWROUTE || m->body.len < sizeof(head))
		return -EBADMSG;
	memcpy(&head, m->body.p, sizeof(head));
	if ((head.rtm_family != AF_INET && head.rtm_family != AF_INET6) || head.rtm_type != RTN_UNICAST ||
	    head.rtm_table != RT_TABLE_MAIN || head.rtm_protocol == RTPROT_KERNEL ||
	    (head.rtm_flags & RTM_F_CLONED) || !attr_u32(m, sizeof(head), RTA_OIF, &oif))
		return 0;
	const struct net_interface *at = by_index(v, oif);
	if (!at)
		return 0;
	if (v->nroutes == NET_ROUTES_MAX)
		return -E2BIG;
	n.family = head.rtm_family;
	n.prefix = head.rtm_dst_len;
	n.interface = (size_t)(at - v->interfaces);
	(void)attr_ip(m, sizeof(head), RTA_DST, &n.to); /* none: the default */
	n.link = !attr_ip(m, sizeof(head), RTA_GATEWAY, &n.gateway);
	(void)attr_ip(m, sizeof(head), RTA_PREFSRC, &n.source);
	(void)attr_u32(m, sizeof(head), RTA_PRIORITY, &n.metric);
	v->routes[v->nroutes++] = n;
	return 0;
}

/* Those that somebody put there for good; what is learnt the guest learns, too. */
static int view_neighbor(void *data, const struct nl_message *m)
{
	struct net_view *v = data;
	struct net_neighbor n = {0};
	struct ndmsg head;
	struct nl_span mac;

	if (m->type != RTM_NEWNEIGH || m->body.len < sizeof(head))
		return -EBADMSG;
	memcpy(&head, m->body.p, sizeof(head));
	const struct net_interface *at = by_index(v, (uint32_t)head.ndm_ifindex);
	if (!at || !(head.ndm_state & NUD_PERMANENT) || !attr_ip(m, sizeof(head), NDA_DST, &n.ip) ||
	    !nl_attr(m, sizeof(head), NDA_LLADDR, &mac) || mac.len != sizeof(n.mac))
		return 0;
	if (v->nneighbors == NET_NEIGHBORS_MAX)
		return -E2BIG;
	memcpy(n.mac, mac.p, sizeof(n.mac));
	n.interface = (size_t)(at - v->interfaces);
	v->neighbors[v->nneighbors++] = n;
	return 0;
}

int net_view_read(struct nl_channel *c, struct net_view *ret, struct err *err)
{
	/* Each dump's own fixed header, all zeros: "all of them". */
	static const unsigned char
		zeros[sizeof(struct ifinfomsg) + sizeof(struct rtmsg) + sizeof(struct ndmsg)];
	static const struct {
		const char *what;
		size_t head;
		int (*each)(void *data, const struct nl_message *m);
		uint16_t type;
	} dumps[] = {
		{"interfaces", sizeof(struct ifinfomsg), view_interface, RTM_GETLINK},
		{"addresses", sizeof(struct ifaddrmsg), view_address, RTM_GETADDR},
		{"routes", sizeof(struct rtmsg), view_route, RTM_GETROUTE},
		{"neighbours", sizeof(struct ndmsg), view_neighbor, RTM_GETNEIGH},
	};

	*ret = (struct net_view){0};
	for (size_t i = 0; i < ARRAY_LEN(dumps); i++) {
		struct nl_request q;
		nl_begin(&q, dumps[i].type, NLM_F_DUMP, zeros, dumps[i].head);
		int r = nl_ask(c, &q, dumps[i].each, ret);
		if (r == -E2BIG)
			return err_set(err, E2BIG, "the container's network has more %s than a machine takes",
				       dumps[i].what);
		if (r < 0)
			return err_num(err, r, "cannot list the %s of the container's network",
				       dumps[i].what);
		if (i == 0 && ret->n == 0)
			break; /* the loopback alone */
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.
 *
 *	guest's eth0 ... vmtap0 | ingress: to 169.254.53.53 -> this namespace's stack -> the relay (names.c)
 *				|	   all else	    -> eth0
 *
 * The guest asks from an address that eth0 has here as well.  accept_local
 * lets such a packet in; the answer is bound to the tap, and the neighbour's
 * entry says whose it is.
 */
#include "base/file.h"
#include "host/netlink_setup.h"
#include "vm/names.h"
#include "vm/net_int.h"

#include <arpa/inet.h>
#include <net/if.h>

static int set_tap_flag(int proc_fd, const char *tap, const char *name, const char *value, struct err *err)
{
	char path[96];

	(void)snprintf(path, sizeof(path), "sys/net/ipv4/conf/%s/%s", tap, name); /* fits */
	int r = file_write_at(proc_fd, path, value);
	return r < 0 ? err_num(err, r, "cannot set %s of the tap for names", name) : 0;
}

/* The guest's card has the interface's hardware address. */
static int add_guest(struct nl_channel *c, int index, const struct net_ip *ip,
		     const unsigned char mac[static 6])
{
	const struct ndmsg head = {.ndm_family = AF_INET, .ndm_ifindex = index, .ndm_state = NUD_PERMANENT};
	struct nl_request q;

	nl_begin(&q, RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, &head, sizeof(head));
	nl_put(&q, NDA_DST, ip->v, ip->len);
	nl_put(&q, NDA_LLADDR, mac, 6);
	return nl_ask(c, &q, NULL, NULL);
}

int net_names_plug(struct nl_channel *c, int proc_fd, struct net_view *v, size_t interface, const char *tap,
		   struct err *err)
{
	const struct net_interface *n = &v->interfaces[interface];
	struct net_prefix own = {.family = AF_INET, .len = 32};
	int index = (int)if_nametoindex(tap);

	(void)inet_pton(AF_INET, VM_NAMES_ADDRESS, own.bytes); /* a constant */
	if (v->nroutes == NET_ROUTES_MAX)
		return err_set(err, E2BIG, "the container's network has more routes than a machine takes");
	/* Loose: the usual way to the guest's address is not the tap. */
	int r = set_tap_flag(proc_fd, tap, "accept_local", "1", err);
	if (r == 0)
		r = set_tap_flag(proc_fd, tap, "rp_filter", "2", err);
	if (r == 0)
		r = net_address_add(tap, &own, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n->n && r == 0; i++)
		if (n->addresses[i].ip.len == 4)
			r = add_guest(c, index, &n->addresses[i].ip, n->mac);
	if (r == 0)
		r = net_keep(c, index, own.bytes);
	if (r < 0)
		return err_num(err, r, "cannot lead the guest's questions for names out of its packets");
	struct net_route *to = &v->routes[v->nroutes++];
	*to = (struct net_route){
		.family = AF_INET, .prefix = 32, .link = true, .interface = interface, .to = {.len = 4}};
	memcpy(to->to.v, own.bytes, 4);
	return 0;
}

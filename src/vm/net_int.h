/* SPDX-License-Identifier: Apache-2.0 */
/* Between net*.c and their tests. */
#pragma once

#include "host/netlink_int.h"
#include "vm/net.h"

#define NET_TAP_PREFIX "vmtap"

enum {
	NET_ADDRESSES_MAX = 64, /* of one interface */
	NET_ROUTES_MAX = 256,
	NET_NEIGHBORS_MAX = 256,
};

struct net_ip {
	unsigned char v[16], len; /* 4 or 16; 0 = none */
};

struct net_interface {
	int index;
	uint32_t mtu;
	char name[16];
	unsigned char mac[6];
	struct {
		struct net_ip ip;
		unsigned char prefix;
	} addresses[NET_ADDRESSES_MAX];
	size_t n;
};

struct net_route {
	struct net_ip to, gateway, source;
	unsigned char family, prefix;
	uint32_t metric;
	bool link; /* no gateway: to be added first */
	size_t interface;
};

struct net_neighbor {
	struct net_ip ip;
	unsigned char mac[6];
	size_t interface;
};

/* What a namespace has. */
struct net_view {
	struct net_interface interfaces[VM_NICS_MAX];
	size_t n;
	struct net_route routes[NET_ROUTES_MAX];
	size_t nroutes;
	struct net_neighbor neighbors[NET_NEIGHBORS_MAX];
	size_t nneighbors;
};

/* net_view.c: -E2BIG where there is more than a machine takes. */
must_use int net_view_read(struct nl_channel *c, struct net_view *ret, struct err *err);
/* net_json.c: the document; the caller frees.  NULL: no memory. */
char *net_view_json(const struct net_view *v);
/* The MAC of the guest's card number `i`, the same in every machine. */
void vm_card_mac(size_t i, unsigned char ret[static 6]);
/* net_tc.c: all that comes in on `from` goes out on `to`, and the host's stack sees none of it. */
must_use int net_redirect(struct nl_channel *c, int from, int to);
/* What comes in on `from` for this IPv4 address is the host's stack's, before any net_redirect(). */
must_use int net_keep(struct nl_channel *c, int from, const unsigned char ip[static 4]);
/*
 * net_names.c: VM_NAMES_ADDRESS (names.h) on the tap of an interface with IPv4, for the guest that has the
 * interface's address; the guest's route to it goes into the view.
 */
must_use int net_names_plug(struct nl_channel *c, int proc_fd, struct net_view *v, size_t interface,
			    const char *tap, struct err *err);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's network namespace, in which the keeper stands, and the
 * guest's cards: each Ethernet interface that the engine, a CNI plugin or
 * docker put there gets a tap beside it, and the kernel's traffic control
 * moves every packet from the one to the other.  The guest's card has the
 * interface's address, name and routes; the interface itself answers nobody.
 *
 * The document for GUEST_NETWORK (all of it may lack but "interfaces"):
 *
 *	{"interfaces": [{"card": "52:54:00:c0:ff:00", "name": "eth0", "mac": "02:42:0a:00:00:02",
 *	                 "mtu": 1500, "addresses": ["10.0.0.2/16", "fd00::2/64"]}],
 *	 "routes": [{"destination": "0.0.0.0/0", "gateway": "10.0.0.1", "interface": "eth0",
 *	             "source": "10.0.0.2", "metric": 100, "link": true}],
 *	 "neighbors": [{"address": "10.0.0.1", "mac": "02:42:0a:00:00:01", "interface": "eth0"}]}
 *
 * "card" is the MAC by which the agent finds the card (one more in the last
 * byte for each): it is the same in every machine, so that a template serves
 * all.  The agent then gives it "name", "mac" (the interface's: the link
 * delivers to that one alone), MTU and addresses.
 * Routes stand in the order in which they can be added: those of the link
 * ("link": true, no gateway) first.  Connected routes, which come with the
 * addresses, are not told.  IPv6 addresses are to be added without duplicate
 * address detection: the interface has done that.
 */
#pragma once

#include "vm/hypervisor.h"

struct vm_net {
	struct vm_nic nics[VM_NICS_MAX]; /* tap_fd is owned here */
	size_t n;
	char *json;	    /* for GUEST_NETWORK; owned */
	char names_tap[16]; /* has VM_NAMES_ADDRESS (names.h), for the relay; "": none has */
};

/*
 * tuns: /dev/net/tun, opened for reading and writing in this network namespace, once for each card; those
 * that became cards are taken over, and are -1 then.  Who opened it may have been another: a tap is made
 * where its descriptor was opened, by whoever has CAP_NET_ADMIN there.  A namespace with the loopback alone
 * gives n == 0, and needs none.
 *
 * proc_fd: a procfs, borrowed; -1: no tap is to have VM_NAMES_ADDRESS, which else the first one gets whose
 * interface has IPv4.
 */
must_use int vm_net_open(int *tuns, size_t ntuns, int proc_fd, struct vm_net *ret, struct err *err);
void vm_net_close(struct vm_net *n);

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
	char *json; /* for GUEST_NETWORK; owned */
};

/*
 * tun_fd: /dev/net/tun of the host, opened by the runtime (O_PATH is enough), borrowed.  proc_fd: a procfs of
 * the pid namespace: the device is opened anew through it, for a tap is made in the namespace where its
 * descriptor was opened.  The container's device cgroup must allow "c 10:200 rwm".  A namespace with the
 * loopback alone gives n == 0, and needs neither.
 */
must_use int vm_net_open(int tun_fd, int proc_fd, struct vm_net *ret, struct err *err);
void vm_net_close(struct vm_net *n);

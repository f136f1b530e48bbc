/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's network namespace, in which the keeper stands, and the
 * guest's cards: each Ethernet interface that the engine, a CNI plugin or
 * docker put there gets a tap beside it, and the kernel's traffic control
 * moves every packet from the one to the other.  The guest's card has the
 * interface's address, name and routes; the interface itself answers nobody.
 */
#pragma once

#include "vm/hypervisor.h"

struct vm_net {
	struct vm_nic nics[VM_NICS_MAX]; /* tap_fd is owned here */
	size_t n;
	char *json; /* for GUEST_NETWORK; owned */
};

/*
 * tun_fd: /dev/net/tun of the host, several times opened by the runtime (one a card), borrowed.  A namespace
 * with the loopback alone gives n == 0.
 */
must_use int vm_net_open(const int *tun_fds, size_t ntun, struct vm_net *ret, struct err *err);
void vm_net_close(struct vm_net *n);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for the guest where a resolver answers in the container's network
 * namespace alone, at 127.0.0.11, as docker's and the engine's do: the guest
 * has a loopback of its own.
 *
 * The tap has the address VM_NAMES_ADDRESS, on which a child of the keeper
 * passes questions on to the resolver and answers back; the guest has a route
 * to it, and a resolv.conf that names it.
 */
#pragma once

#include "base/err.h"

#define VM_NAMES_RESOLVER "127.0.0.11"
#define VM_NAMES_ADDRESS  "169.254.53.53"
#define VM_NAMES_FILE	  "/etc/resolv.conf"

/* Sockets of the relay; owned. */
struct vm_names {
	int udp, tcp;
};

/*
 * 1: VM_NAMES_FILE of the container names the resolver, and names VM_NAMES_ADDRESS in its place now: another
 * file is mounted over it in this mount namespace.  0: it does not.
 */
must_use int vm_names_replace(struct err *err);
/* Listens on `tap`, which has the address.  Needs CAP_NET_BIND_SERVICE. */
must_use int vm_names_listen(const char *tap, struct vm_names *ret, struct err *err);
void vm_names_close(struct vm_names *n);
/* Passes on until it is killed, by way of `resolver` (an IPv4 address).  It keeps no right that it does not
 * need.
 */
_Noreturn void vm_names_serve(const struct vm_names *n, const char *resolver);

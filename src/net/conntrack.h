/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connection tracking remembers where a UDP flow was led to, and a client that
 * keeps sending keeps it remembering: without this, packets for a published
 * port would go on to the address of a container that is gone.
 */
#pragma once

#include "net/net_int.h"

/* Forgets the flows of the UDP ports; `fd` is a netfilter socket.  Where the kernel cannot, they expire. */
void conntrack_forget(int fd, const struct port_rows *ports);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resolver of one container: names of its networks' containers, and the
 * host's resolvers for the rest.
 *
 * It owns no thread and no loop: the monitor polls its descriptors.  The
 * sockets that questions come in by were made inside the container's network
 * namespace (net_plug); questions that go on leave from the host's.  The names
 * are read from the files that net_lease() keeps in RUN_ROOT/net/<network>/.
 */
#pragma once

#include "base/err.h"
#include "base/json.h"

#include <poll.h>

struct dns;
struct dns_options {
	int udp, tcp; /* from struct net_result; owned by the resolver from here on */
	const char *run_root;
	const char *id;	   /* the container's */
	str_list networks; /* ids */
	str_list servers;  /* upstream addresses; empty = the host's /etc/resolv.conf */
};
must_use int dns_open(const struct dns_options *o, struct dns **ret, struct err *err);
void dns_close(struct dns *d);
enum { DNS_POLL_MAX = 40 };
/* Fills at most DNS_POLL_MAX entries; returns how many.  *timeout_ms is lowered where a question would expire
 * before. */
size_t dns_poll_set(struct dns *d, struct pollfd *set, int *timeout_ms);
/* After poll(): the same entries. */
void dns_poll_done(struct dns *d, const struct pollfd *set, size_t n);

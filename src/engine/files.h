/* SPDX-License-Identifier: Apache-2.0 */
/* /etc/hosts, /etc/hostname and /etc/resolv.conf of a container. */
#pragma once

#include "engine/engine_int.h"

/* What they are made of; all borrowed. */
struct engine_names {
	const char *hostname, *domainname, *name;
	const struct net_result *net; /* NULL = no network of its own */
	bool host_network;
	str_list add_host, dns, dns_search, dns_options;
	const char *host_hosts, *host_resolv; /* texts of the host's files; NULL = none */
	const char *links;		      /* lines of /etc/hosts; NULL = none */
};
/* links.c: those lines (the caller frees); and for `inspect` the record's links as Docker shows them. */
must_use int engine_links_text(struct engine *e, const struct engine_container *c, char **ret,
			       struct err *err);
void engine_links_show(struct engine *e, struct engine_container *c);

/* The callers free; NULL for lack of memory. */
must_use char *engine_hosts_text(const struct engine_names *n);
must_use char *engine_resolv_text(const struct engine_names *n);

/* Nameservers for the resolver that answers in the container: --dns, or the host's; fresh strings. */
must_use int engine_upstreams(const struct engine_names *n, str_list *ret, struct err *err);

/* SPDX-License-Identifier: Apache-2.0 */
/* Names of a container's networks, from the files that net_lease() keeps (names.c), cached. */
#pragma once

#include "net/addr.h"

struct dns_names;
/* `id`: of the container whose networks count. */
must_use int dns_names_open(const char *run_root, const char *id, struct dns_names **ret, struct err *err);
void dns_names_close(struct dns_names *t);
/* Takes in what changed; once a question. */
void dns_names_refresh(struct dns_names *t);
/* Each endpoint that has the name (small letters). */
void dns_names_find(const struct dns_names *t, const char *name,
		    void (*each)(void *data, const struct ip *ip4, const struct ip *ip6), void *data);
/* The name that belongs to an address; NULL. */
const char *dns_names_of(const struct dns_names *t, const struct ip *ip);
/* A network of the container leads outside: what is not known may be asked there. */
bool dns_names_outside(const struct dns_names *t);

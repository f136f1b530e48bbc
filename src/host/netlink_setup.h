/* SPDX-License-Identifier: Apache-2.0 */
/* A network card's configuration, in the caller's network namespace, as `ip` would give it. */
#pragma once

#include "base/err.h"

struct net_prefix {
	int family; /* AF_INET, AF_INET6 */
	unsigned char bytes[16];
	unsigned char len; /* bits */
};
/* "10.0.0.2/24", "fd00::2/64", "default" (with `family` 0 it is that of the gateway: AF_UNSPEC comes out);
 * without a length a whole address.  -EINVAL. */
must_use int net_prefix_parse(const char *text, struct net_prefix *ret);

/*
 * Takes addresses and routes from a card that stays up: Linux 6.12 waits for ever where a card of virtio goes
 * down while its host has an announcement for it (a work that wants the lock that the waiting one holds).
 */
must_use int net_card_clear(const char *name, struct err *err);
/* The name of the card whose hardware address is "02:00:…"; -ENODEV. */
must_use int net_card_find(const char *mac, char ret_name[static 16], struct err *err);
/* Gives a card that is down another hardware address. */
must_use int net_card_address(const char *name, const char *mac, struct err *err);
/* Renames a card that is down; its MTU (0 = as it is); up or down. */
must_use int net_card_rename(const char *name, const char *new_name, struct err *err);
must_use int net_card_mtu(const char *name, unsigned mtu, struct err *err);
must_use int net_card_up(const char *name, bool up, struct err *err);
/* What is there already is no error.  An IPv6 address is valid at once, without detection of duplicates. */
must_use int net_address_add(const char *name, const struct net_prefix *p, struct err *err);
/* gateway: NULL = none, the destination is on the link. */
must_use int net_route_add(const char *name, const struct net_prefix *to, const struct net_prefix *gateway,
			   struct err *err);

/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and subnets of both families as bytes in network order. */
#pragma once

#include "base/err.h"

#include <arpa/inet.h>

struct ip {
	uint8_t family; /* AF_INET, AF_INET6; 0 = none */
	uint8_t b[16];	/* the first 4 for IPv4, the rest 0 */
};
struct cidr {
	struct ip ip; /* host bits 0 unless said otherwise */
	uint8_t prefix;
};
struct ip_text {
	char s[INET6_ADDRSTRLEN + 4]; /* room for "/128" */
};

static inline size_t ip_size(uint8_t family)
{
	return family == AF_INET ? 4 : 16;
}
/* False where the text is no address (no zone, no IPv4 in short forms). */
bool ip_parse(const char *text, struct ip *ret);
struct ip_text ip_text(const struct ip *ip);
bool ip_equal(const struct ip *a, const struct ip *b);
/* 127/8, ::1. */
bool ip_loopback(const struct ip *ip);
bool ip_unspecified(const struct ip *ip);

/* "10.1.0.0/16".  `*ret_ip` (may be NULL) has the host bits that were given. */
bool cidr_parse(const char *text, struct cidr *ret, struct ip *ret_ip);
struct ip_text cidr_text(const struct cidr *c);
bool cidr_contains(const struct cidr *c, const struct ip *ip);
bool cidr_inside(const struct cidr *outer, const struct cidr *inner);
bool cidr_overlap(const struct cidr *a, const struct cidr *b);
/* The address `offset` behind the first; what is beyond the subnet wraps into it. */
struct ip cidr_at(const struct cidr *c, uint64_t offset);
/* How far `ip` is behind the first address (its low 63 bits). */
uint64_t cidr_offset(const struct cidr *c, const struct ip *ip);
/* Addresses of the subnet, at most 1 << 62. */
uint64_t cidr_count(const struct cidr *c);
struct ip cidr_last(const struct cidr *c);
/* The `index`th subnet of length `prefix` in the pool; false where there is none. */
bool cidr_nth(const struct cidr *pool, uint8_t prefix, uint64_t index, struct cidr *ret);

/* SPDX-License-Identifier: Apache-2.0 */
#include "net/addr.h"

#include "base/str.h"

bool ip_parse(const char *text, struct ip *ret)
{
	struct ip ip = {0};

	if (inet_pton(AF_INET, text, ip.b) == 1)
		ip.family = AF_INET;
	else if (inet_pton(AF_INET6, text, ip.b) == 1)
		ip.family = AF_INET6;
	else
		return false;
	*ret = ip;
	return true;
}

struct ip_text ip_text(const struct ip *ip)
{
	struct ip_text t = {""};

	/* Always fits; no family, no text. */
	ignore_result(inet_ntop(ip->family, ip->b, t.s, INET6_ADDRSTRLEN) == NULL);
	return t;
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
	return a->family == b->family && memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool ip_loopback(const struct ip *ip)
{
	static const uint8_t one[16] = {[15] = 1};

	return ip->family == AF_INET ? ip->b[0] == 127 : memcmp(ip->b, one, sizeof(one)) == 0;
}

bool ip_unspecified(const struct ip *ip)
{
	static const uint8_t zero[16];

	return memcmp(ip->b, zero, sizeof(zero)) == 0;
}

/* The bits of byte `i` that belong to the network's part. */
static uint8_t mask_byte(uint8_t prefix, size_t i)
{
	size_t bits = prefix > i * 8 ? MIN_OF(prefix - i * 8, 8u) : 0;

	return (uint8_t)(0xff00 >> bits);
}

bool cidr_parse(const char *text, struct cidr *ret, struct ip *ret_ip)
{
	const char *slash = strchr(text, '/');
	char ip[INET6_ADDRSTRLEN];
	uint64_t prefix;
	struct cidr c;

	if (!slash || (size_t)(slash - text) >= sizeof(ip) || str_to_u64(slash + 1, 10, &prefix) < 0)
		return false;
	memcpy(ip, text, (size_t)(slash - text));
	ip[slash - text] = '\0';
	if (!ip_parse(ip, &c.ip) || prefix > ip_size(c.ip.family) * 8)
		return false;
	if (ret_ip)
		*ret_ip = c.ip;
	c.prefix = (uint8_t)prefix;
	for (size_t i = 0; i < 16; i++)
		c.ip.b[i] &= mask_byte(c.prefix, i);
	*ret = c;
	return true;
}

struct ip_text cidr_text(const struct cidr *c)
{
	struct ip_text t = ip_text(&c->ip);
	size_t n = strlen(t.s);

	(void)snprintf(t.s + n, sizeof(t.s) - n, "/%u", c->prefix); /* fits */
	return t;
}

bool cidr_contains(const struct cidr *c, const struct ip *ip)
{
	if (c->ip.family != ip->family)
		return false;
	for (size_t i = 0; i < ip_size(ip->family); i++)
		if ((ip->b[i] ^ c->ip.b[i]) & mask_byte(c->prefix, i))
			return false;
	return true;
}

bool cidr_inside(const struct cidr *outer, const struct cidr *inner)
{
	return inner->prefix >= outer->prefix && cidr_contains(outer, &inner->ip);
}

bool cidr_overlap(const struct cidr *a, const struct cidr *b)
{
	return cidr_contains(a, &b->ip) || cidr_contains(b, &a->ip);
}

static struct ip plus(const struct ip *ip, uint64_t offset)
{
	struct ip r = *ip;

	for (size_t i = ip_size(ip->family); i-- > 0 && offset;) {
		offset += r.b[i];
		r.b[i] = (uint8_t)offset;
		offset >>= 8;
	}
	return r;
}

uint64_t cidr_count(const struct cidr *c)
{
	unsigned bits = (unsigned)ip_size(c->ip.family) * 8 - c->prefix;

	return (uint64_t)1 << MIN_OF(bits, 62u);
}

struct ip cidr_at(const struct cidr *c, uint64_t offset)
{
	return plus(&c->ip, offset & (cidr_count(c) - 1));
}

uint64_t cidr_offset(const struct cidr *c, const struct ip *ip)
{
	uint64_t n = 0;

	for (size_t i = 0; i < ip_size(ip->family); i++)
		n = n << 8 | (uint8_t)(ip->b[i] & ~mask_byte(c->prefix, i));
	return n & INT64_MAX;
}

struct ip cidr_last(const struct cidr *c)
{
	struct ip ip = c->ip;

	for (size_t i = 0; i < ip_size(ip.family); i++)
		ip.b[i] |= (uint8_t)~mask_byte(c->prefix, i);
	return ip;
}

bool cidr_nth(const struct cidr *pool, uint8_t prefix, uint64_t index, struct cidr *ret)
{
	unsigned bits = (unsigned)ip_size(pool->ip.family) * 8;

	if (prefix < pool->prefix || prefix > bits)
		return false;
	if (prefix - pool->prefix < 63 && index >> (prefix - pool->prefix))
		return false;
	/* The index goes in above the last bit of the prefix. */
	struct cidr c = {.ip = pool->ip, .prefix = prefix};
	for (unsigned at = prefix; index; index >>= 1, at--)
		if (index & 1)
			c.ip.b[(at - 1) / 8] |= (uint8_t)(0x80 >> ((at - 1) % 8));
	*ret = c;
	return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "net/dns_packet.h"

#include "base/str.h"

#include <ctype.h>

enum { LABEL_MAX = 63, NAME_BYTES_MAX = 255, FLAG_QR = 0x80, FLAG_TC = 0x02, FLAG_RD = 0x01, FLAG_RA = 0x80 };

static uint16_t be16(const unsigned char *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(unsigned char *p, uint16_t v)
{
	p[0] = (unsigned char)(v >> 8);
	p[1] = (unsigned char)v;
}

/*
 * A name of the question section: labels alone.  Nothing stands before it that
 * a pointer could point to, so that one is an error, and with it every loop.
 */
static int read_name(const unsigned char *p, size_t len, size_t *at, char ret[static DNS_NAME_MAX])
{
	size_t begin = *at, out = 0;
	bool strange = false;

	for (;;) {
		if (*at >= len)
			return -EINVAL;
		size_t n = p[(*at)++];
		if (n == 0)
			break;
		if (n > LABEL_MAX || n > len - *at || *at + n + 1 - begin > NAME_BYTES_MAX)
			return -EINVAL;
		if (out)
			ret[out++] = '.';
		for (size_t i = 0; i < n; i++) {
			unsigned char c = p[*at + i];
			strange |= c <= ' ' || c == '.' || c == '\\' || c >= 0x7f;
			ret[out++] = (char)tolower(c);
		}
		*at += n;
	}
	ret[strange ? 0 : out] = '\0';
	return 0;
}

int dns_parse(const void *data, size_t len, struct dns_question *ret)
{
	const unsigned char *p = data;
	size_t at = DNS_HEADER;

	if (len < DNS_HEADER)
		return -EBADMSG;
	*ret = (struct dns_question){.id = be16(p),
				     .response = p[2] & FLAG_QR,
				     .truncated = p[2] & FLAG_TC,
				     .opcode = p[2] >> 3 & 0xf,
				     .rcode = p[3] & 0xf};
	if (be16(p + 4) != 1)
		return -EINVAL;
	int r = read_name(p, len, &at, ret->name);
	if (r < 0 || len - at < 4)
		return -EINVAL;
	ret->type = be16(p + at);
	ret->class_ = be16(p + at + 2);
	ret->end = at + 4;
	return 0;
}

bool dns_same_question(const void *a, size_t a_len, const void *b, size_t b_len)
{
	const unsigned char *x = a, *y = b;
	struct dns_question p, q;

	if (dns_parse(a, a_len, &p) < 0 || dns_parse(b, b_len, &q) < 0 || p.end != q.end)
		return false;
	/* Lengths of labels are below 64: no letters. */
	for (size_t i = DNS_HEADER; i < p.end; i++)
		if (i < p.end - 4 ? tolower(x[i]) != tolower(y[i]) : x[i] != y[i])
			return false;
	return true;
}

static bool reverse4(const char *name, struct ip *ret)
{
	unsigned v[4];
	int n = 0;

	if (sscanf(name, "%3u.%3u.%3u.%3u.in-addr.arpa%n", &v[0], &v[1], &v[2], &v[3], &n) != 4 || n == 0 ||
	    name[n] != '\0')
		return false;
	*ret = (struct ip){.family = AF_INET};
	for (size_t i = 0; i < 4; i++) {
		if (v[i] > 255)
			return false;
		ret->b[3 - i] = (uint8_t)v[i];
	}
	return true;
}

static bool reverse6(const char *name, struct ip *ret)
{
	static const char digits[] = "0123456789abcdef";

	*ret = (struct ip){.family = AF_INET6};
	if (strlen(name) != 64 + 8 || !streq(name + 64, "ip6.arpa"))
		return false;
	for (size_t i = 0; i < 32; i++) {
		const char *d = name[2 * i] ? strchr(digits, name[2 * i]) : NULL;
		if (!d || name[2 * i + 1] != '.')
			return false;
		ret->b[15 - i / 2] |= (uint8_t)((unsigned)(d - digits) << (i % 2 ? 4 : 0));
	}
	return true;
}

bool dns_reverse_name(const char *name, struct ip *ret)
{
	return reverse4(name, ret) || reverse6(name, ret);
}

/* ---- Answers ---- */

void dns_answer_begin(struct dns_answer *a, const void *query, const struct dns_question *q, uint8_t rcode)
{
	const unsigned char *p = query;
	size_t end = q->end <= sizeof(a->buf) ? q->end : 0;

	memset(a, 0, sizeof(*a));
	a->len = MAX_OF(end, (size_t)DNS_HEADER);
	memcpy(a->buf, p, a->len);
	a->buf[2] = (unsigned char)(FLAG_QR | (p[2] & 0x78) | (p[2] & FLAG_RD));
	a->buf[3] = (unsigned char)(FLAG_RA | rcode);
	memset(a->buf + 4, 0, 8);
	if (end)
		put16(a->buf + 4, 1);
}

/* Room for a record about the question's name with `len` bytes of data; NULL where it is full. */
static unsigned char *add_record(struct dns_answer *a, uint16_t type, uint32_t ttl, size_t len, size_t limit)
{
	unsigned char *p = a->buf + a->len;

	if (a->full || a->len + 12 + len > MIN_OF(limit, sizeof(a->buf))) {
		a->full = true;
		a->buf[2] |= FLAG_TC;
		return NULL;
	}
	put16(p, 0xc000 | DNS_HEADER); /* the question's name */
	put16(p + 2, type);
	put16(p + 4, DNS_CLASS_IN);
	put16(p + 6, (uint16_t)(ttl >> 16));
	put16(p + 8, (uint16_t)ttl);
	put16(p + 10, (uint16_t)len);
	a->len += 12 + len;
	put16(a->buf + 6, (uint16_t)(be16(a->buf + 6) + 1));
	return p + 12;
}

void dns_answer_address(struct dns_answer *a, const struct ip *ip, uint32_t ttl, size_t limit)
{
	size_t n = ip_size(ip->family);
	unsigned char *p = add_record(a, ip->family == AF_INET ? DNS_TYPE_A : DNS_TYPE_AAAA, ttl, n, limit);

	if (p)
		memcpy(p, ip->b, n);
}

void dns_answer_name(struct dns_answer *a, const char *name, uint32_t ttl, size_t limit)
{
	unsigned char wire[NAME_BYTES_MAX + 1];
	size_t len = 0;

	while (*name) {
		size_t n = strcspn(name, ".");
		if (n == 0 || n > LABEL_MAX || len + n + 2 > sizeof(wire))
			return;
		wire[len++] = (unsigned char)n;
		memcpy(wire + len, name, n);
		len += n;
		name += n + (name[n] == '.');
	}
	wire[len++] = 0;
	unsigned char *p = add_record(a, DNS_TYPE_PTR, ttl, len, limit);
	if (p)
		memcpy(p, wire, len);
}

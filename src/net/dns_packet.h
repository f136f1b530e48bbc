/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages (RFC 1035) as bytes: questions read, answers written.  Everything read is hostile. */
#pragma once

#include "net/addr.h"

enum {
	DNS_HEADER = 12,
	DNS_NAME_MAX = 256, /* with its NUL */
	DNS_TYPE_A = 1,
	DNS_TYPE_PTR = 12,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_ANY = 255,
	DNS_CLASS_IN = 1,
	DNS_CLASS_ANY = 255,
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
};

struct dns_question {
	uint16_t id;
	bool response, truncated;
	uint8_t opcode, rcode;
	char name[DNS_NAME_MAX]; /* small letters, dots between labels, none at the end */
	uint16_t type, class_;
	size_t end; /* offset behind the question */
};

/*
 * The header and the one question.  0; -EBADMSG where there is no whole
 * header; otherwise -EINVAL with the header's fields set: to be answered with
 * DNS_FORMERR.  A question whose name has bytes that no name of ours has
 * (dots, NULs inside labels) is good, with name "": for upstream to know.
 */
must_use int dns_parse(const void *data, size_t len, struct dns_question *ret);
/* The questions of both are the same bytes, but for the case of letters. */
bool dns_same_question(const void *a, size_t a_len, const void *b, size_t b_len);
/* "4.3.2.1.in-addr.arpa" and the like of ip6.arpa. */
bool dns_reverse_name(const char *name, struct ip *ret);

struct dns_answer {
	unsigned char buf[1024];
	size_t len;
	bool full; /* some did not fit: they are left out, TC is set */
};
/* Begins the answer to `query`, which dns_parse() took (or has at least a header; then without the question).
 */
void dns_answer_begin(struct dns_answer *a, const void *query, const struct dns_question *q, uint8_t rcode);
void dns_answer_address(struct dns_answer *a, const struct ip *ip, uint32_t ttl, size_t limit);
void dns_answer_name(struct dns_answer *a, const char *name, uint32_t ttl, size_t limit);

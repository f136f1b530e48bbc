/* SPDX-License-Identifier: Apache-2.0 */
/* rtnetlink messages: building with a bound, reading with bounds.  Between netlink*.c and their tests. */
#pragma once

#include "base/err.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

enum { NL_REQUEST_MAX = 512, NL_REPLY_MAX = 32768 };

struct nl_request {
	_Alignas(struct nlmsghdr) unsigned char buf[NL_REQUEST_MAX];
	size_t len;
	bool overflow;
};

/* Begins a message: flags besides NLM_F_REQUEST, and the family's fixed header. */
void nl_begin(struct nl_request *q, uint16_t type, uint16_t flags, const void *fixed, size_t fixed_len);
void nl_put(struct nl_request *q, uint16_t type, const void *data, size_t len);

/* A part of a received buffer. */
struct nl_span {
	const unsigned char *p;
	size_t len;
};

struct nl_message {
	uint16_t type;
	struct nl_span body; /* behind struct nlmsghdr */
};

enum nl_end {
	NL_MORE,  /* the buffer is used up, the answer is not complete */
	NL_ACKED, /* answered: `error` is its 0 or negative errno */
};

struct nl_reader {
	uint32_t seq; /* messages of other requests are passed over */
	int error;
	/* Each message with content; 0 or -errno, which ends the walk. */
	int (*each)(void *data, const struct nl_message *m);
	void *data;
};

/* Walks one received datagram.  NL_MORE, NL_ACKED, -EBADMSG for what is malformed, or what each() returned.
 */
must_use int nl_walk(struct nl_reader *r, const void *buf, size_t len);
/* An attribute behind `fixed_len` bytes of the message's own header; false where it lacks or the message is
 * malformed. */
bool nl_attr(const struct nl_message *m, size_t fixed_len, uint16_t type, struct nl_span *ret);

/* A socket of the calling process's network namespace; the descriptor or -errno. */
must_use int nl_open(void);
struct nl_channel {
	int fd;
	uint32_t seq;
	unsigned char *buf; /* NL_REPLY_MAX */
};
/* Sends and reads until the answer is complete; `each` (may be NULL) gets its messages.  0 or -errno. */
must_use int nl_ask(struct nl_channel *c, struct nl_request *q,
		    int (*each)(void *data, const struct nl_message *m), void *data);

/* What is wanted of RTM_NEWLINK and RTM_NEWADDR. */
struct nl_link {
	int index;
	unsigned flags;
	char name[16];
};
struct nl_address {
	struct ifaddrmsg head;
	uint32_t flags;
	struct {
		unsigned char v[16];
		unsigned char len; /* 0 = not there */
	} local, address, broadcast;
};
must_use int nl_parse_link(const struct nl_message *m, struct nl_link *ret);
must_use int nl_parse_address(const struct nl_message *m, struct nl_address *ret);

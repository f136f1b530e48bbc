/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several netlink requests in one send(2).  rtnetlink handles them one by one
 * (an error does not stop the ones behind it); between nft_begin() and
 * nft_end() they are one transaction of nf_tables.
 */
#pragma once

#include "base/err.h"

#include <linux/netlink.h>

enum { BATCH_MAX = 16 << 20 };
struct batch {
	unsigned char *buf;
	size_t len, cap;
	size_t message; /* where the last one begins */
	uint32_t seq;	/* of the last one, from 1 */
	bool failed;	/* lack of memory */
	int tolerated;	/* an error (negative) that is no failure; 0 = none */
};
static inline void batch_free(struct batch *b)
{
	free(b->buf);
	b->buf = NULL;
}
#define autobatch __attribute__((cleanup(batch_free)))

/* Begins a message; its number (sequence), which batch_send() tells of the one that failed. */
uint32_t batch_message(struct batch *b, uint16_t type, uint16_t flags, const void *fixed, size_t fixed_len);
void batch_put(struct batch *b, uint16_t type, const void *data, size_t len);
void batch_str(struct batch *b, uint16_t type, const char *text); /* with its NUL */
void batch_u32(struct batch *b, uint16_t type, uint32_t v);	  /* host order */
void batch_be32(struct batch *b, uint16_t type, uint32_t v);
/* An attribute that holds others, behind `fixed_len` bytes of its own (struct ifinfomsg of a peer). */
size_t batch_nest(struct batch *b, uint16_t type, const void *fixed, size_t fixed_len);
void batch_end(struct batch *b, size_t nest);
/*
 * In a message about a link: IPv6 makes it no address by itself.  Where there
 * is no IPv6 (the kernel's, or the link's by an MTU below 1280) there is
 * nothing to be kept from: that error is tolerated.
 */
void batch_no_link_local(struct batch *b);

/* A netlink socket of the network namespace that the caller is in. */
must_use int netlink_open(int protocol);
/*
 * Sends, and reads answers until that to the last message that asked for one
 * (NLM_F_ACK).  0, or the first error with *ret_failed (may be NULL) its
 * message's number.  The batch is empty after.
 */
must_use int batch_send(struct batch *b, int fd, uint32_t *ret_failed);
/* Sends one request that is a dump or a get; each message of the answer goes to `each` (0 or -errno). */
struct nl_message;
must_use int batch_ask(struct batch *b, int fd, int (*each)(void *data, const struct nl_message *m),
		       void *data);

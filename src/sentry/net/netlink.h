/* SPDX-License-Identifier: Apache-2.0 */
/* AF_NETLINK, private to netlink*.c, and to its unit test and fuzzer. */
#pragma once

#include "sentry/net/host_socket.h"

#include <linux/netlink.h>

/* What becomes of one request. */
enum netlink_verdict {
	NETLINK_PASS,	/* the host answers it */
	NETLINK_IGNORE, /* no request */
	NETLINK_REFUSE, /* answered here with an error */
};

/*
 * Takes the next message of a guest's buffer.  False = no more: the kernel ignores what is too short for a
 * header or longer than the buffer, and so do we.  *error is set for NETLINK_REFUSE.
 */
bool netlink_next(int protocol, const uint8_t *buf, size_t len, size_t *at, struct nlmsghdr *ret,
		  enum netlink_verdict *verdict, int *error);

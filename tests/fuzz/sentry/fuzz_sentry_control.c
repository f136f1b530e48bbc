/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control messages and netlink requests of a hostile guest: no walk leaves its
 * buffer or goes on for ever, and what is passed on is what the list allows.
 */
#include "sentry/net/inet.h"
#include "sentry/net/netlink.h"

#include <netinet/in.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void kernel_log(const char *fmt, ...)
{
	(void)fmt;
}

/* In memory of exactly this size, so that AddressSanitizer sees a byte too far. */
static uint8_t *exact(const uint8_t *data, size_t size)
{
	uint8_t *p = malloc(size ? size : 1);

	if (!p)
		abort();
	memcpy(p, data, size);
	return p;
}

static void control(const uint8_t *in, size_t size)
{
	uint8_t *out = exact(in, size);
	size_t len = 0, at = 0, n, last = 0;
	struct cmsghdr h;
	const uint8_t *body;
	int r = inet_control_check(in, size, out, &len), error = 0;

	if (r == 0 && len > size)
		abort();
	while (r == 0 && control_next(out, len, &at, &h, &body, &n, &error)) {
		if (at <= last || at > len || body + n > out + len)
			abort();
		if (h.cmsg_level == SOL_SOCKET &&
		    (h.cmsg_type == SCM_RIGHTS || h.cmsg_type == SCM_CREDENTIALS))
			abort(); /* the host would take a descriptor of ours */
		last = at;
	}
	if (error < 0)
		abort(); /* what we wrote must be well formed */
	/* And back to a guest that has some room. */
	struct message m = {.control = out, .control_room = size};
	inet_control_give(&m, in, size);
	if (m.control_len > m.control_room)
		abort();
	free(out);
}

static void requests(const uint8_t *in, size_t size, int protocol)
{
	enum netlink_verdict verdict;
	struct nlmsghdr h;
	size_t at = 0, from = 0;
	int error;

	for (; netlink_next(protocol, in, size, &at, &h, &verdict, &error); from = at) {
		if (at <= from || at > size || h.nlmsg_len > size - from)
			abort();
		if (verdict == NETLINK_REFUSE && error >= 0)
			abort();
		if (verdict == NETLINK_PASS && protocol == NETLINK_ROUTE && (h.nlmsg_type & 3) != 2)
			abort(); /* a change */
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 1 << 16)
		return 0;
	uint8_t *in = exact(data, size);
	control(in, size);
	requests(in, size, NETLINK_ROUTE);
	requests(in, size, NETLINK_SOCK_DIAG);
	free(in);
	return 0;
}

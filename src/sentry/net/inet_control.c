/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages of inet sockets, between guest and host. */
#include "sentry/net/inet.h"

#include <netinet/in.h>
#include <netinet/udp.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

/* What a sender may say: of a fixed size, and nothing that the host would take a pointer or descriptor from.
 */
static const struct sendable {
	int level, type;
	size_t least, most;
} sendable[] = {
	{IPPROTO_IP, IP_PKTINFO, sizeof(struct in_pktinfo), sizeof(struct in_pktinfo)},
	{IPPROTO_IP, IP_TOS, 1, sizeof(int)},
	{IPPROTO_IP, IP_TTL, sizeof(int), sizeof(int)},
	{IPPROTO_IPV6, IPV6_PKTINFO, sizeof(struct in6_pktinfo), sizeof(struct in6_pktinfo)},
	{IPPROTO_IPV6, IPV6_HOPLIMIT, sizeof(int), sizeof(int)},
	{IPPROTO_IPV6, IPV6_TCLASS, sizeof(int), sizeof(int)},
	{IPPROTO_IPV6, IPV6_DONTFRAG, sizeof(int), sizeof(int)},
	{IPPROTO_UDP, UDP_SEGMENT, sizeof(uint16_t), sizeof(uint16_t)},
	{SOL_SOCKET, SO_TIMESTAMPING, sizeof(uint32_t), sizeof(uint32_t)},
};

static int check_one(const struct cmsghdr *h, size_t n)
{
	/* The kernel takes these and does nothing with them. */
	if (h->cmsg_level == SOL_SOCKET && (h->cmsg_type == SCM_RIGHTS || h->cmsg_type == SCM_CREDENTIALS))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(sendable); i++)
		if (sendable[i].level == h->cmsg_level && sendable[i].type == h->cmsg_type)
			return n >= sendable[i].least && n <= sendable[i].most ? 1 : -EINVAL;
	if (h->cmsg_level == SOL_SOCKET || h->cmsg_level == IPPROTO_IP || h->cmsg_level == IPPROTO_IPV6) {
		kernel_log("sendmsg: no control message of level %d, type %d", h->cmsg_level, h->cmsg_type);
		return -EINVAL;
	}
	return 0;
}

int inet_control_check(const uint8_t *control, size_t len, uint8_t *ret, size_t *ret_len)
{
	struct cmsghdr h;
	const uint8_t *data;
	size_t at = 0, n, used = 0;
	int r = 0;

	while (control_next(control, len, &at, &h, &data, &n, &r)) {
		r = check_one(&h, n);
		if (r < 0)
			return r;
		if (r == 0)
			continue;
		size_t space = CMSG_ALIGN(h.cmsg_len);
		if (space > len - used)
			space = h.cmsg_len; /* the last one, which ends without padding */
		memset(ret + used, 0, space);
		memcpy(ret + used, &h, sizeof(h));
		memcpy(ret + used + sizeof(h), data, n);
		used += space;
		r = 0;
	}
	*ret_len = used;
	return r;
}

void inet_control_give(struct message *m, const uint8_t *control, size_t len)
{
	struct cmsghdr h;
	const uint8_t *data;
	size_t at = 0, n;
	int r = 0;

	while (control_next(control, len, &at, &h, &data, &n, &r))
		control_put(m, h.cmsg_level, h.cmsg_type, data, n);
}

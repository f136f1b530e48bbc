/* SPDX-License-Identifier: Apache-2.0 */
/* Which netlink requests reach the host: questions, and of those the ones that programs ask. */
#include <sys/socket.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>

#include "sentry/net/netlink.h" /* after the kernel's: a field of theirs is called `unused` */

enum { REQUEST_MAX = 4096 };

static const uint16_t route_questions[] = {
	RTM_GETLINK,	 RTM_GETADDR,	   RTM_GETROUTE,   RTM_GETNEIGH,  RTM_GETRULE,
	RTM_GETNEIGHTBL, RTM_GETADDRLABEL, RTM_GETQDISC,   RTM_GETTCLASS, RTM_GETMULTICAST,
	RTM_GETANYCAST,	 RTM_GETNETCONF,   RTM_GETNEXTHOP, RTM_GETSTATS,
};

static enum netlink_verdict route_verdict(const struct nlmsghdr *h, int *error)
{
	for (size_t i = 0; i < ARRAY_LEN(route_questions); i++)
		if (route_questions[i] == h->nlmsg_type)
			return NETLINK_PASS;
	/* As for who has no right to change anything; nor has anybody in here. */
	bool question = h->nlmsg_type >= RTM_BASE && (h->nlmsg_type & 3) == 2;
	*error = question || h->nlmsg_type > RTM_MAX ? -EOPNOTSUPP : -EPERM;
	return NETLINK_REFUSE;
}

/* Sockets of the container's network: TCP, UDP and raw by family; unix ones are the sentry's own, packet ones
 * none. */
static enum netlink_verdict diag_verdict(const struct nlmsghdr *h, const uint8_t *body, int *error)
{
	*error = -EINVAL;
	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return NETLINK_REFUSE;
	if (h->nlmsg_len < NLMSG_HDRLEN + sizeof(struct sock_diag_req))
		return NETLINK_REFUSE;
	if (body[0] == AF_INET || body[0] == AF_INET6)
		return NETLINK_PASS;
	*error = -ENOENT;
	return NETLINK_REFUSE;
}

bool netlink_next(int protocol, const uint8_t *buf, size_t len, size_t *at, struct nlmsghdr *ret,
		  enum netlink_verdict *verdict, int *error)
{
	if (*at > len || len - *at < sizeof(*ret))
		return false;
	memcpy(ret, buf + *at, sizeof(*ret));
	size_t n = ret->nlmsg_len;
	if (n < sizeof(*ret) || n > len - *at)
		return false;
	const uint8_t *body = buf + *at + NLMSG_HDRLEN;
	*at += MIN_OF((size_t)NLMSG_ALIGN(n), len - *at);
	*error = 0;
	if (!(ret->nlmsg_flags & NLM_F_REQUEST) || ret->nlmsg_type < NLMSG_MIN_TYPE) {
		*verdict = NETLINK_IGNORE;
	} else if (n > REQUEST_MAX) {
		*verdict = NETLINK_REFUSE;
		*error = -EINVAL;
	} else {
		*verdict = protocol == NETLINK_ROUTE ? route_verdict(ret, error)
						     : diag_verdict(ret, body, error);
	}
	return true;
}

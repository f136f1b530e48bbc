/* SPDX-License-Identifier: Apache-2.0 */
#include "host/netlink_int.h"

#include <sys/socket.h>

static size_t aligned(size_t n)
{
	return (n + 3) & ~(size_t)3; /* NLMSG_ALIGNTO and RTA_ALIGNTO are both 4 */
}

static void *append(struct nl_request *q, size_t len)
{
	size_t at = aligned(q->len);

	if (q->overflow || len > sizeof(q->buf) || at + len > sizeof(q->buf)) {
		q->overflow = true;
		return NULL;
	}
	memset(q->buf + q->len, 0, at - q->len);
	q->len = at + len;
	((struct nlmsghdr *)(void *)q->buf)->nlmsg_len = (uint32_t)q->len;
	return q->buf + at;
}

void nl_begin(struct nl_request *q, uint16_t type, uint16_t flags, const void *fixed, size_t fixed_len)
{
	struct nlmsghdr h = {.nlmsg_type = type, .nlmsg_flags = flags | NLM_F_REQUEST};

	q->len = 0;
	q->overflow = false;
	memcpy(q->buf, &h, sizeof(h));
	q->len = sizeof(h);
	void *p = append(q, fixed_len);
	if (p)
		memcpy(p, fixed, fixed_len);
}

void nl_put(struct nl_request *q, uint16_t type, const void *data, size_t len)
{
	struct rtattr a = {.rta_type = type, .rta_len = (uint16_t)(sizeof(a) + len)};
	unsigned char *p = len <= NL_REQUEST_MAX ? append(q, sizeof(a) + len) : NULL;

	if (!p) {
		q->overflow = true;
		return;
	}
	memcpy(p, &a, sizeof(a));
	memcpy(p + sizeof(a), data, len);
}

int nl_walk(struct nl_reader *r, const void *buf, size_t len)
{
	const unsigned char *p = buf;

	while (len >= sizeof(struct nlmsghdr)) {
		struct nlmsghdr h;
		memcpy(&h, p, sizeof(h));
		if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > len)
			return -EBADMSG;
		struct nl_message m = {.type = h.nlmsg_type,
				       .body = {.p = p + sizeof(h), .len = h.nlmsg_len - sizeof(h)}};
		size_t step = MIN_OF(aligned(h.nlmsg_len), len);
		p += step;
		len -= step;
		if (h.nlmsg_seq != r->seq || h.nlmsg_type == NLMSG_NOOP)
			continue;
		if (h.nlmsg_type == NLMSG_ERROR || h.nlmsg_type == NLMSG_DONE) {
			int32_t code = 0;
			if (m.body.len >= sizeof(code))
				memcpy(&code, m.body.p, sizeof(code));
			else if (h.nlmsg_type == NLMSG_ERROR)
				return -EBADMSG;
			r->error = code > 0 || code < -4095 ? -EBADMSG : code;
			return NL_ACKED;
		}
		int e = r->each ? r->each(r->data, &m) : 0;
		if (e < 0)
			return e;
	}
	return len == 0 ? NL_MORE : -EBADMSG;
}

bool nl_attr(const struct nl_message *m, size_t fixed_len, uint16_t type, struct nl_span *ret)
{
	size_t at = aligned(fixed_len);

	while (at <= m->body.len && m->body.len - at >= sizeof(struct rtattr)) {
		struct rtattr a;
		memcpy(&a, m->body.p + at, sizeof(a));
		if (a.rta_len < sizeof(a) || a.rta_len > m->body.len - at)
			return false;
		if ((a.rta_type & NLA_TYPE_MASK) == type) {
			*ret = (struct nl_span){.p = m->body.p + at + sizeof(a),
						.len = a.rta_len - sizeof(a)};
			return true;
		}
		at += aligned(a.rta_len);
	}
	return false;
}

int nl_parse_link(const struct nl_message *m, struct nl_link *ret)
{
	struct ifinfomsg i;
	struct nl_span name;
	struct nl_link l = {0};

	if (m->type != RTM_NEWLINK || m->body.len < sizeof(i))
		return -EBADMSG;
	memcpy(&i, m->body.p, sizeof(i));
	if (i.ifi_index <= 0)
		return -EBADMSG;
	l.index = i.ifi_index;
	l.flags = i.ifi_flags;
	if (nl_attr(m, sizeof(i), IFLA_IFNAME, &name))
		memcpy(l.name, name.p, MIN_OF(name.len, sizeof(l.name) - 1));
	*ret = l;
	return 0;
}

#define TAKE_BYTES(field, span)                                                                              \
	do {                                                                                                 \
		if ((span).len == 4 || (span).len == sizeof((field).v)) {                                    \
			memcpy((field).v, (span).p, (span).len);                                             \
			(field).len = (unsigned char)(span).len;                                             \
		}                                                                                            \
	} while (0)

int nl_parse_address(const struct nl_message *m, struct nl_address *ret)
{
	struct nl_address a = {0};
	struct nl_span s;

	if (m->type != RTM_NEWADDR || m->body.len < sizeof(a.head))
		return -EBADMSG;
	memcpy(&a.head, m->body.p, sizeof(a.head));
	a.flags = a.head.ifa_flags;
	if (nl_attr(m, sizeof(a.head), IFA_FLAGS, &s) && s.len == sizeof(a.flags))
		memcpy(&a.flags, s.p, sizeof(a.flags));
	if (nl_attr(m, sizeof(a.head), IFA_LOCAL, &s))
		TAKE_BYTES(a.local, s);
	if (nl_attr(m, sizeof(a.head), IFA_ADDRESS, &s))
		TAKE_BYTES(a.address, s);
	if (nl_attr(m, sizeof(a.head), IFA_BROADCAST, &s))
		TAKE_BYTES(a.broadcast, s);
	*ret = a;
	return 0;
}

int nl_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	return fd < 0 ? -errno : fd;
}

int nl_ask(struct nl_channel *c, struct nl_request *q, int (*each)(void *data, const struct nl_message *m),
	   void *data)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct nl_reader reader = {.seq = ++c->seq, .each = each, .data = data};

	if (q->overflow)
		return -E2BIG;
	((struct nlmsghdr *)(void *)q->buf)->nlmsg_seq = reader.seq;
	if (sendto(c->fd, q->buf, q->len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	for (;;) {
		struct sockaddr_nl from = {0};
		socklen_t from_len = sizeof(from);
		ssize_t n =
			recvfrom(c->fd, c->buf, NL_REPLY_MAX, MSG_TRUNC, (struct sockaddr *)&from, &from_len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n > NL_REPLY_MAX)
			return -EMSGSIZE;
		if (from.nl_pid != 0) /* not the kernel */
			continue;
		int r = nl_walk(&reader, c->buf, (size_t)n);
		if (r != NL_MORE)
			return r < 0 ? r : reader.error;
	}
}

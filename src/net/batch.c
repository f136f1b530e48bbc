/* SPDX-License-Identifier: Apache-2.0 */
#include "net/batch.h"

#include "host/netlink_int.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <sys/socket.h>

static size_t align4(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

/* `len` bytes more, aligned and zeroed; NULL where there is no memory. */
static unsigned char *extend_batch(struct batch *b, size_t len)
{
	size_t at = align4(b->len), need = align4(at + len);

	if (b->failed || len > BATCH_MAX || need > BATCH_MAX) {
		b->failed = true;
		return NULL;
	}
	if (need > b->cap) {
		size_t cap = MAX_OF(need * 2, (size_t)1024);
		unsigned char *p = realloc(b->buf, cap);
		if (!p) {
			b->failed = true;
			return NULL;
		}
		b->buf = p;
		b->cap = cap;
	}
	memset(b->buf + b->len, 0, need - b->len);
	b->len = need;
	return b->buf + at;
}

static void set_length(struct batch *b)
{
	uint32_t n = (uint32_t)(b->len - b->message);

	memcpy(b->buf + b->message, &n, sizeof(n)); /* nlmsg_len stands first */
}

uint32_t batch_message(struct batch *b, uint16_t type, uint16_t flags, const void *fixed, size_t fixed_len)
{
	struct nlmsghdr h = {.nlmsg_type = type, .nlmsg_flags = flags | NLM_F_REQUEST};
	size_t at = align4(b->len);
	unsigned char *p = extend_batch(b, sizeof(h) + fixed_len);

	h.nlmsg_seq = ++b->seq;
	if (!p)
		return b->seq;
	b->message = at;
	memcpy(p, &h, sizeof(h));
	memcpy(p + sizeof(h), fixed, fixed_len);
	set_length(b);
	return b->seq;
}

void batch_put(struct batch *b, uint16_t type, const void *data, size_t len)
{
	struct nlattr a = {.nla_type = type, .nla_len = (uint16_t)(sizeof(a) + len)};
	unsigned char *p = extend_batch(b, sizeof(a) + len);

	if (!p)
		return;
	memcpy(p, &a, sizeof(a));
	if (len)
		memcpy(p + sizeof(a), data, len);
	set_length(b);
}

void batch_str(struct batch *b, uint16_t type, const char *text)
{
	batch_put(b, type, text, strlen(text) + 1);
}

void batch_u32(struct batch *b, uint16_t type, uint32_t v)
{
	batch_put(b, type, &v, sizeof(v));
}

void batch_be32(struct batch *b, uint16_t type, uint32_t v)
{
	batch_u32(b, type, htonl(v));
}

size_t batch_nest(struct batch *b, uint16_t type, const void *fixed, size_t fixed_len)
{
	size_t at = align4(b->len);

	batch_put(b, type | NLA_F_NESTED, fixed, fixed_len);
	return at;
}

void batch_end(struct batch *b, size_t nest)
{
	if (b->failed)
		return;
	if (b->len - nest > UINT16_MAX) {
		b->failed = true;
		return;
	}
	uint16_t n = (uint16_t)(b->len - nest);
	memcpy(b->buf + nest, &n, sizeof(n)); /* nla_len stands first */
}

void batch_no_link_local(struct batch *b)
{
	uint8_t none = IN6_ADDR_GEN_MODE_NONE;

	b->tolerated = -EAFNOSUPPORT;
	size_t spec = batch_nest(b, IFLA_AF_SPEC, NULL, 0);
	size_t six = batch_nest(b, AF_INET6, NULL, 0);

	batch_put(b, IFLA_INET6_ADDR_GEN_MODE, &none, 1);
	batch_end(b, six);
	batch_end(b, spec);
}

int netlink_open(int protocol)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	return fd < 0 ? -errno : fd;
}

/* The number of the last message that asks for an answer; 0 = none does. */
static uint32_t last_asking(const struct batch *b)
{
	uint32_t last = 0;

	for (size_t at = 0; at + sizeof(struct nlmsghdr) <= b->len;) {
		struct nlmsghdr h;
		memcpy(&h, b->buf + at, sizeof(h));
		if (h.nlmsg_flags & NLM_F_ACK)
			last = h.nlmsg_seq;
		at += align4(h.nlmsg_len);
	}
	return last;
}

struct answers {
	uint32_t last, failed;
	int error, tolerated;
	bool done;
};

/* Errors come in the order of the messages; the first is the one that counts. */
static int take_answers(struct answers *a, const unsigned char *buf, size_t len)
{
	while (len >= sizeof(struct nlmsghdr)) {
		struct nlmsghdr h;
		int32_t code;

		memcpy(&h, buf, sizeof(h));
		if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > len)
			return -EBADMSG;
		if (h.nlmsg_type == NLMSG_ERROR && h.nlmsg_len >= sizeof(h) + sizeof(code)) {
			memcpy(&code, buf + sizeof(h), sizeof(code));
			if (code < 0 && code != a->tolerated && a->error == 0) {
				a->error = code;
				a->failed = h.nlmsg_seq;
			}
			a->done |= h.nlmsg_seq >= a->last;
		}
		size_t step = MIN_OF(align4(h.nlmsg_len), len);
		buf += step;
		len -= step;
	}
	return 0;
}

/* One datagram of the kernel's; its length or -errno. */
static ssize_t receive_datagram(int fd, void *buf, size_t size, int flags)
{
	for (;;) {
		struct sockaddr_nl from = {0};
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(fd, buf, size, flags | MSG_TRUNC, (struct sockaddr *)&from, &from_len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (from.nl_pid != 0)
			continue; /* not the kernel */
		return (size_t)n > size ? -EMSGSIZE : n;
	}
}

int batch_send(struct batch *b, int fd, uint32_t *ret_failed)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct answers a = {.last = last_asking(b), .tolerated = b->tolerated};
	_Alignas(struct nlmsghdr) unsigned char buf[8192];
	size_t len = b->len;

	b->len = 0;
	if (b->failed)
		return -ENOMEM;
	if (sendto(fd, b->buf, len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	while (!a.done && a.last) {
		ssize_t n = receive_datagram(fd, buf, sizeof(buf), 0);
		/* nf_tables answers a transaction that was refused with its errors alone. */
		if (n < 0)
			return (int)n;
		int r = take_answers(&a, buf, (size_t)n);
		if (r < 0)
			return r;
		if (a.error < 0 && !a.done) {
			/* All answers are there when send() returns: look for more without waiting. */
			n = receive_datagram(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_PEEK);
			if (n == -EAGAIN)
				break;
		}
	}
	if (a.error < 0 && ret_failed)
		*ret_failed = a.failed;
	return a.error;
}

int batch_ask(struct batch *b, int fd, int (*each)(void *data, const struct nl_message *m), void *data)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct nl_reader reader = {.seq = b->seq, .each = each, .data = data};
	autofree unsigned char *buf = malloc(NL_REPLY_MAX);
	size_t len = b->len;

	b->len = 0;
	if (b->failed || !buf)
		return -ENOMEM;
	if (sendto(fd, b->buf, len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	for (;;) {
		ssize_t n = receive_datagram(fd, buf, NL_REPLY_MAX, 0);
		if (n < 0)
			return (int)n;
		int r = nl_walk(&reader, buf, (size_t)n);
		if (r != NL_MORE)
			return r < 0 ? r : reader.error;
	}
}

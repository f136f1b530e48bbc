/* SPDX-License-Identifier: Apache-2.0 */
#include "net/nft.h"

#include "host/netlink_int.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#ifndef NFT_MSG_DESTROYSETELEM /* Linux 6.3 */
#define NFT_MSG_DESTROYSETELEM 30
#endif
enum {
	PER_MESSAGE = 400, /* elements: an attribute's length has 16 bits */
	SNDBUF_USUAL = 100000,
	SIT_OUT_NS = 60000000, /* some grace periods */
};

/* ---- Elements ---- */

static struct element *new_element(struct elements *l, const char *set)
{
	if (l->failed)
		return NULL;
	if (l->n == l->cap) {
		size_t cap = MAX_OF(l->cap * 2, (size_t)16);
		struct element *v = realloc(l->v, cap * sizeof(*v));
		if (!v) {
			l->failed = true;
			return NULL;
		}
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n] = (struct element){.set = set};
	return &l->v[l->n++];
}

void element_interface(struct elements *l, const char *set, const char *name)
{
	struct element *e = new_element(l, set);

	if (!e)
		return;
	memcpy(e->key, name, strnlen(name, IFNAMSIZ - 1));
	e->key_len = IFNAMSIZ;
}

void element_pair(struct elements *l, const char *set, const char *in, const char *out)
{
	struct element *e = new_element(l, set);

	if (!e)
		return;
	memcpy(e->key, in, strnlen(in, IFNAMSIZ - 1));
	memcpy(e->key + IFNAMSIZ, out, strnlen(out, IFNAMSIZ - 1));
	e->key_len = 2 * IFNAMSIZ;
}

void element_subnet(struct elements *l, const char *set, const struct cidr *c)
{
	struct element *e = new_element(l, set);
	struct ip behind = cidr_last(c);
	size_t size = ip_size(c->ip.family);

	if (!e)
		return;
	memcpy(e->key, c->ip.b, size);
	e->key_len = (uint8_t)size;
	for (size_t i = size; i-- > 0 && ++behind.b[i] == 0;)
		;
	e = new_element(l, set);
	if (!e)
		return;
	memcpy(e->key, behind.b, size);
	e->key_len = (uint8_t)size;
	e->interval_end = true;
}

/* The parts of a concatenation begin at multiples of four bytes. */
static uint8_t put_key_part(uint8_t *to, uint8_t at, const void *data, size_t len)
{
	memcpy(to + at, data, len);
	return (uint8_t)(at + ((len + 3) & ~(size_t)3));
}

void element_port(struct elements *l, const char *set, const struct ip *at, uint8_t proto, uint16_t port,
		  const struct ip *to, uint16_t to_port)
{
	struct element *e = new_element(l, set);
	uint16_t from = htons(port), dest = htons(to_port);

	if (!e)
		return;
	if (at)
		e->key_len = put_key_part(e->key, 0, at->b, ip_size(at->family));
	e->key_len = put_key_part(e->key, e->key_len, &proto, 1);
	e->key_len = put_key_part(e->key, e->key_len, &from, 2);
	e->data_len = put_key_part(e->data, 0, to->b, ip_size(to->family));
	e->data_len = put_key_part(e->data, e->data_len, &dest, 2);
}

/* ---- Transactions ---- */

static uint32_t nft_message(struct batch *b, uint8_t what, uint16_t flags, uint8_t family)
{
	struct nfgenmsg h = {.nfgen_family = family};

	return batch_message(b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | what), flags, &h, sizeof(h));
}

static void frame(struct batch *b, uint16_t type)
{
	struct nfgenmsg h = {.res_id = htons(NFNL_SUBSYS_NFTABLES)};

	batch_message(b, type, 0, &h, sizeof(h));
}

static void put_value(struct batch *b, uint16_t type, const void *data, size_t len)
{
	size_t nest = batch_nest(b, type, NULL, 0);

	batch_put(b, NFTA_DATA_VALUE, data, len);
	batch_end(b, nest);
}

static void put_element(struct batch *b, const struct element *e, bool with_data)
{
	size_t nest = batch_nest(b, NFTA_LIST_ELEM, NULL, 0);

	if (e->interval_end)
		batch_be32(b, NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
	put_value(b, NFTA_SET_ELEM_KEY, e->key, e->key_len);
	if (with_data && e->data_len)
		put_value(b, NFTA_SET_ELEM_DATA, e->data, e->data_len);
	batch_end(b, nest);
}

static void put_elements(struct batch *b, uint8_t what, const struct elements *l)
{
	for (size_t i = 0; i < l->n;) {
		const char *set = l->v[i].set;
		nft_message(b, what, NLM_F_ACK | (what == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0),
			    NFPROTO_INET);
		batch_str(b, NFTA_SET_ELEM_LIST_TABLE, NFT_TABLE);
		batch_str(b, NFTA_SET_ELEM_LIST_SET, set);
		size_t nest = batch_nest(b, NFTA_SET_ELEM_LIST_ELEMENTS, NULL, 0);
		for (size_t k = 0; i < l->n && k < PER_MESSAGE && streq(l->v[i].set, set); i++, k++)
			put_element(b, &l->v[i], what == NFT_MSG_NEWSETELEM);
		batch_end(b, nest);
	}
}

static int send_transaction(struct batch *b, int fd)
{
	int size = (int)b->len * 2 + 65536;

	/* Where it may not be forced, send() says so. */
	if (b->len > SNDBUF_USUAL)
		ignore_result(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0);
	return batch_send(b, fd, NULL);
}

static int apply_once(int fd, enum nft_change change, const struct elements *l)
{
	struct batch b autobatch = {0};

	frame(&b, NFNL_MSG_BATCH_BEGIN);
	if (change != NFT_ADD)
		put_elements(&b, NFT_MSG_DESTROYSETELEM, l);
	if (change != NFT_DESTROY)
		put_elements(&b, NFT_MSG_NEWSETELEM, l);
	frame(&b, NFNL_MSG_BATCH_END);
	return send_transaction(&b, fd);
}

/* Before Linux 6.3: each in a transaction of its own, as one that is not there would undo the rest. */
static int delete_singly(int fd, const struct elements *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct batch b autobatch = {0};
		size_t n = i + 1 < l->n && l->v[i + 1].interval_end ? 2 : 1;
		struct elements one = {.v = &l->v[i], .n = n};

		frame(&b, NFNL_MSG_BATCH_BEGIN);
		put_elements(&b, NFT_MSG_DELSETELEM, &one);
		frame(&b, NFNL_MSG_BATCH_END);
		int r = send_transaction(&b, fd);
		if (r < 0 && r != -ENOENT)
			return r;
		i += n - 1;
	}
	return 0;
}

int nft_apply(int fd, enum nft_change change, const struct elements *l)
{
	if (l->failed)
		return -ENOMEM;
	if (l->n == 0)
		return 0;
	int r = apply_once(fd, change, l);
	if ((r != -EINVAL && r != -EOPNOTSUPP) || change == NFT_ADD)
		return r;
	r = delete_singly(fd, l);
	return r < 0 || change == NFT_DESTROY ? r : apply_once(fd, NFT_ADD, l);
}

/* Between nft_close() and the process that sits out; in memory that both share. */
struct sitting {
	int fd;
	uint32_t step; /* 1: the other holds nothing but the socket; 2: the caller has closed it */
	uint32_t tid;  /* 0 when the other needs its stack no more: the kernel clears it */
};

static void await_change(uint32_t *word, uint32_t from)
{
	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == from)
		(void)syscall(SYS_futex, word, FUTEX_WAIT, from, NULL, NULL, 0);
}

static void make_step(uint32_t *word, uint32_t to)
{
	__atomic_store_n(word, to, __ATOMIC_RELEASE);
	(void)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static int sit_out(void *data)
{
	struct sitting *s = data;
	unsigned fd = (unsigned)s->fd;

	/* Whoever waits for the end of a pipe of the caller's, or for a port that it held, waits for the
	 * caller. */
	if (fd > 0)
		(void)syscall(SYS_close_range, 0U, fd - 1, 0U);
	(void)syscall(SYS_close_range, fd + 1, ~0U, 0U);
	make_step(&s->step, 1);
	await_change(&s->step, 1);
	/* While the socket's end waits, the kernel lets nobody else change its tables: better when all is
	 * done. */
	(void)syscall(SYS_nanosleep, &(struct timespec){.tv_nsec = SIT_OUT_NS}, NULL);
	(void)syscall(SYS_exit, 0);
	return 0;
}

void nft_close(int fd)
{
	static _Alignas(16) char stack[16384];
	static struct sitting s;

	if (fd < 0)
		return;
	if (__atomic_load_n(&s.tid, __ATOMIC_ACQUIRE) != 0) { /* one sits there still, on this stack */
		(void)close(fd);
		return;
	}
	s.fd = fd;
	s.step = 0;
	/* No signal at its end: the caller's children are counted by others. */
	int pid = clone(sit_out, stack + sizeof(stack), CLONE_VM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
			&s, &s.tid, NULL, &s.tid);
	if (pid > 0)
		await_change(&s.step, 0);
	(void)close(fd); /* the last one, and slow, only where there was no process to be had */
	if (pid > 0)
		make_step(&s.step, 2);
}

int nft_set_there(int fd, const char *set)
{
	struct batch b autobatch = {0};

	nft_message(&b, NFT_MSG_GETSET, NLM_F_ACK, NFPROTO_INET);
	batch_str(&b, NFTA_SET_TABLE, NFT_TABLE);
	batch_str(&b, NFTA_SET_NAME, set);
	int r = batch_ask(&b, fd, NULL, NULL);
	return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

/* ---- Names ---- */

static size_t begin_expression(struct batch *b, const char *name, size_t *ret_data)
{
	size_t nest = batch_nest(b, NFTA_LIST_ELEM, NULL, 0);

	batch_str(b, NFTA_EXPR_NAME, name);
	*ret_data = batch_nest(b, NFTA_EXPR_DATA, NULL, 0);
	return nest;
}

static void end_expression(struct batch *b, size_t nest, size_t data)
{
	batch_end(b, data);
	batch_end(b, nest);
}

/* Packet bytes into register 1, which must be `value`. */
static void match_payload(struct batch *b, uint32_t base, uint32_t offset, const void *value, uint32_t len)
{
	size_t data, nest = begin_expression(b, "payload", &data);

	batch_be32(b, NFTA_PAYLOAD_DREG, NFT_REG_1);
	batch_be32(b, NFTA_PAYLOAD_BASE, base);
	batch_be32(b, NFTA_PAYLOAD_OFFSET, offset);
	batch_be32(b, NFTA_PAYLOAD_LEN, len);
	end_expression(b, nest, data);
	nest = begin_expression(b, "cmp", &data);
	batch_be32(b, NFTA_CMP_SREG, NFT_REG_1);
	batch_be32(b, NFTA_CMP_OP, NFT_CMP_EQ);
	put_value(b, NFTA_CMP_DATA, value, len);
	end_expression(b, nest, data);
}

static void match_proto(struct batch *b, uint8_t proto)
{
	size_t data, nest = begin_expression(b, "meta", &data);

	batch_be32(b, NFTA_META_KEY, NFT_META_L4PROTO);
	batch_be32(b, NFTA_META_DREG, NFT_REG_1);
	end_expression(b, nest, data);
	nest = begin_expression(b, "cmp", &data);
	batch_be32(b, NFTA_CMP_SREG, NFT_REG_1);
	batch_be32(b, NFTA_CMP_OP, NFT_CMP_EQ);
	put_value(b, NFTA_CMP_DATA, &proto, 1);
	end_expression(b, nest, data);
}

static void write_port(struct batch *b, uint32_t offset, uint16_t port, uint32_t checksum_at)
{
	uint16_t net = htons(port);
	size_t data, nest = begin_expression(b, "immediate", &data);

	batch_be32(b, NFTA_IMMEDIATE_DREG, NFT_REG_1);
	put_value(b, NFTA_IMMEDIATE_DATA, &net, sizeof(net));
	end_expression(b, nest, data);
	nest = begin_expression(b, "payload", &data);
	batch_be32(b, NFTA_PAYLOAD_SREG, NFT_REG_1);
	batch_be32(b, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
	batch_be32(b, NFTA_PAYLOAD_OFFSET, offset);
	batch_be32(b, NFTA_PAYLOAD_LEN, sizeof(net));
	batch_be32(b, NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
	batch_be32(b, NFTA_PAYLOAD_CSUM_OFFSET, checksum_at);
	end_expression(b, nest, data);
}

enum { IP_SOURCE_AT = 12, IP_DEST_AT = 16, PORT_SOURCE_AT = 0, PORT_DEST_AT = 2 };

static void put_rewrite(struct batch *b, uint8_t proto, bool question, uint16_t port)
{
	static const uint8_t resolver[4] = {127, 0, 0, 11};
	uint16_t from = question ? 53 : port, to = question ? port : 53;
	uint16_t from_net = htons(from);
	uint32_t at = question ? PORT_DEST_AT : PORT_SOURCE_AT;

	nft_message(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, NFPROTO_IPV4);
	batch_str(b, NFTA_RULE_TABLE, NFT_TABLE);
	batch_str(b, NFTA_RULE_CHAIN, "names");
	size_t list = batch_nest(b, NFTA_RULE_EXPRESSIONS, NULL, 0);
	match_payload(b, NFT_PAYLOAD_NETWORK_HEADER, question ? IP_DEST_AT : IP_SOURCE_AT, resolver,
		      sizeof(resolver));
	match_proto(b, proto);
	match_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, at, &from_net, sizeof(from_net));
	write_port(b, at, to, proto == IPPROTO_UDP ? 6 : 16);
	batch_end(b, list);
}

int nft_names_redirect(int fd, uint16_t udp, uint16_t tcp)
{
	struct batch b autobatch = {0};

	frame(&b, NFNL_MSG_BATCH_BEGIN);
	nft_message(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE, NFPROTO_IPV4);
	batch_str(&b, NFTA_TABLE_NAME, NFT_TABLE);
	batch_be32(&b, NFTA_TABLE_FLAGS, 0);
	nft_message(&b, NFT_MSG_NEWCHAIN, NLM_F_CREATE, NFPROTO_IPV4);
	batch_str(&b, NFTA_CHAIN_TABLE, NFT_TABLE);
	batch_str(&b, NFTA_CHAIN_NAME, "names");
	size_t hook = batch_nest(&b, NFTA_CHAIN_HOOK, NULL, 0);
	batch_be32(&b, NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_OUT);
	batch_be32(&b, NFTA_HOOK_PRIORITY, (uint32_t)-300); /* "raw" */
	batch_end(&b, hook);
	batch_be32(&b, NFTA_CHAIN_POLICY, NF_ACCEPT);
	batch_str(&b, NFTA_CHAIN_TYPE, "filter");
	put_rewrite(&b, IPPROTO_UDP, true, udp);
	put_rewrite(&b, IPPROTO_TCP, true, tcp);
	put_rewrite(&b, IPPROTO_UDP, false, udp);
	put_rewrite(&b, IPPROTO_TCP, false, tcp);
	/* The last one is acknowledged: the transaction is done. */
	struct nlmsghdr h;
	if (!b.failed) {
		memcpy(&h, b.buf + b.message, sizeof(h));
		h.nlmsg_flags |= NLM_F_ACK;
		memcpy(b.buf + b.message, &h, sizeof(h));
	}
	frame(&b, NFNL_MSG_BATCH_END);
	return batch_send(&b, fd, NULL);
}

/* ---- Others' chains ---- */

static void span_text(const struct nl_span *s, char *to, size_t size)
{
	size_t n = MIN_OF(s->len, size - 1);

	memcpy(to, s->p, n);
	to[n] = '\0';
}

static uint32_t span_be32(const struct nl_span *s)
{
	uint32_t v = 0;

	if (s->len == sizeof(v))
		memcpy(&v, s->p, sizeof(v));
	return ntohl(v);
}

static int take_chain(void *data, const struct nl_message *m)
{
	const struct nft_foreign *f = data;
	struct nfgenmsg h;
	struct nl_span hook, number, policy, table, chain;
	char t[64], c[64];

	if (m->body.len < sizeof(h))
		return -EBADMSG;
	memcpy(&h, m->body.p, sizeof(h));
	if (h.nfgen_family != NFPROTO_INET && h.nfgen_family != NFPROTO_IPV4 &&
	    h.nfgen_family != NFPROTO_IPV6)
		return 0;
	if (!nl_attr(m, sizeof(h), NFTA_CHAIN_HOOK, &hook) ||
	    !nl_attr(m, sizeof(h), NFTA_CHAIN_POLICY, &policy) ||
	    !nl_attr(m, sizeof(h), NFTA_CHAIN_TABLE, &table) ||
	    !nl_attr(m, sizeof(h), NFTA_CHAIN_NAME, &chain))
		return 0;
	struct nl_message inner = {.body = hook};
	if (!nl_attr(&inner, 0, NFTA_HOOK_HOOKNUM, &number) || span_be32(&number) != NF_INET_FORWARD ||
	    span_be32(&policy) != NF_DROP)
		return 0;
	span_text(&table, t, sizeof(t));
	span_text(&chain, c, sizeof(c));
	return streq(t, NFT_TABLE) ? 0 : f->each(f->data, h.nfgen_family, t, c);
}

int nft_forward_drops(int fd, const struct nft_foreign *f)
{
	struct batch b autobatch = {0};
	struct nft_foreign copy = *f;

	nft_message(&b, NFT_MSG_GETCHAIN, NLM_F_DUMP, NFPROTO_UNSPEC);
	return batch_ask(&b, fd, take_chain, &copy);
}

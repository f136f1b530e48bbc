/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving packets between two interfaces by traffic control: an ingress qdisc
 * with one filter that matches everything and an action that sends it out on
 * the other one.  The filter is u32 with a key of mask 0, which kernels have
 * that lack matchall; where it is the other way round, matchall serves.
 *
 * A qdisc that is there (a plug-in's limit, a machine before us) stays: our
 * filter goes beside what it has, behind all else by its preference, in place
 * of the one that we may have left.
 */
#include "vm/net_int.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/tc_act/tc_mirred.h>

enum { PREFERENCE = 0xc0ff };

/* Attributes inside of attributes: `at` is where the outer one's length is to be put at its end. */
static size_t nest(struct nl_request *q, uint16_t type)
{
	size_t at = (q->len + 3) & ~(size_t)3;

	nl_put(q, type, "", 0);
	return at;
}

static void nest_end(struct nl_request *q, size_t at)
{
	struct rtattr a;

	if (q->overflow)
		return;
	memcpy(&a, q->buf + at, sizeof(a));
	a.rta_len = (unsigned short)(q->len - at);
	memcpy(q->buf + at, &a, sizeof(a));
}

static void put_mirred(struct nl_request *q, uint16_t type, int to)
{
	struct tc_mirred mirred = {
		.action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = (uint32_t)to};
	size_t actions = nest(q, type), first = nest(q, 1);

	nl_put(q, TCA_ACT_KIND, "mirred", sizeof("mirred"));
	size_t options = nest(q, TCA_ACT_OPTIONS);
	nl_put(q, TCA_MIRRED_PARMS, &mirred, sizeof(mirred));
	nest_end(q, options);
	nest_end(q, first);
	nest_end(q, actions);
}

static struct tcmsg filter_head(int from, unsigned preference, uint16_t protocol)
{
	return (struct tcmsg){.tcm_ifindex = from,
			      .tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS),
			      .tcm_info = TC_H_MAKE((uint32_t)preference << 16, htons(protocol))};
}

static struct tcmsg redirect_head(int from)
{
	return filter_head(from, PREFERENCE, ETH_P_ALL);
}

/* A selector of u32 and the one key that follows it. */
static void put_selector(struct nl_request *q, const struct tc_u32_key *key)
{
	const struct tc_u32_sel head = {.flags = TC_U32_TERMINAL, .nkeys = 1};
	unsigned char both[sizeof(head) + sizeof(*key)];

	memcpy(both, &head, sizeof(head));
	memcpy(both + sizeof(head), key, sizeof(*key));
	nl_put(q, TCA_U32_SEL, both, sizeof(both));
}

static int add_u32(struct nl_channel *c, int from, int to)
{
	const struct tc_u32_key any = {0};
	struct tcmsg head = redirect_head(from);
	struct nl_request q;

	nl_begin(&q, RTM_NEWTFILTER, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &head, sizeof(head));
	nl_put(&q, TCA_KIND, "u32", sizeof("u32"));
	size_t options = nest(&q, TCA_OPTIONS);
	put_selector(&q, &any);
	put_mirred(&q, TCA_U32_ACT, to);
	nest_end(&q, options);
	return nl_ask(c, &q, NULL, NULL);
}

static int add_matchall(struct nl_channel *c, int from, int to)
{
	struct tcmsg head = redirect_head(from);
	struct nl_request q;

	nl_begin(&q, RTM_NEWTFILTER, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &head, sizeof(head));
	nl_put(&q, TCA_KIND, "matchall", sizeof("matchall"));
	size_t options = nest(&q, TCA_OPTIONS);
	put_mirred(&q, TCA_MATCHALL_ACT, to);
	nest_end(&q, options);
	return nl_ask(c, &q, NULL, NULL);
}

int net_redirect(struct nl_channel *c, int from, int to)
{
	struct tcmsg qdisc = {
		.tcm_ifindex = from, .tcm_parent = TC_H_INGRESS, .tcm_handle = TC_H_MAKE(TC_H_INGRESS, 0)};
	struct tcmsg ours = redirect_head(from);
	struct nl_request q;

	nl_begin(&q, RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &qdisc, sizeof(qdisc));
	nl_put(&q, TCA_KIND, "ingress", sizeof("ingress"));
	int r = nl_ask(c, &q, NULL, NULL);
	if (r < 0 && r != -EEXIST)
		return r;
	if (r == -EEXIST) {
		nl_begin(&q, RTM_DELTFILTER, NLM_F_ACK, &ours, sizeof(ours));
		ignore_result(nl_ask(c, &q, NULL, NULL) < 0); /* mostly there is none */
	}
	r = add_u32(c, from, to);
	return r == -ENOENT || r == -EOPNOTSUPP ? add_matchall(c, from, to) : r;
}

/* A filter that has a class and no action ends the search, and the packet goes on as it would have. */
static int keep_one(struct nl_channel *c, int from, unsigned preference, uint16_t protocol, int offset,
		    const unsigned char ip[static 4])
{
	struct tc_u32_key key = {.mask = UINT32_MAX, .off = offset};
	struct tcmsg head = filter_head(from, preference, protocol);
	const uint32_t class = TC_H_MAKE(1 << 16, 1);
	struct nl_request q;

	memcpy(&key.val, ip, sizeof(key.val));
	nl_begin(&q, RTM_NEWTFILTER, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &head, sizeof(head));
	nl_put(&q, TCA_KIND, "u32", sizeof("u32"));
	size_t options = nest(&q, TCA_OPTIONS);
	nl_put(&q, TCA_U32_CLASSID, &class, sizeof(class));
	put_selector(&q, &key);
	nest_end(&q, options);
	return nl_ask(c, &q, NULL, NULL);
}

int net_keep(struct nl_channel *c, int from, const unsigned char ip[static 4])
{
	enum { IP_DESTINATION = 16, ARP_TARGET = 24 }; /* bytes from the network header */
	int r = keep_one(c, from, PREFERENCE - 1, ETH_P_IP, IP_DESTINATION, ip);

	return r < 0 ? r : keep_one(c, from, PREFERENCE - 2, ETH_P_ARP, ARP_TARGET, ip);
}

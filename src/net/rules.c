/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nftables rules.
 *
 * They never change: which bridges there are and which ports are published is
 * in sets and maps, so that a container is some elements in one transaction
 * (nft.c), and the time that a packet takes does not grow with their number.
 * The text is loaded by nft(8), once a boot (or when somebody flushed it).
 *
 * Packets, and where they are decided on:
 *   guard      from outside straight to a container's address: dropped.  From a
 *              container to or from 127/8 of the host, which route_localnet on
 *              the bridges would let in: dropped.
 *   publish    an address of this machine and a published port: to the container.
 *              Before it was rewritten the packet was the host's, so `guard`
 *              does not see it.  Not by interface: localhost (leaving), other
 *              containers and the container itself come by here as well.
 *   traverse   within a network: accepted.  Answers, and what `publish` let in:
 *              accepted.  Anything else towards a bridge: dropped, which parts
 *              networks from one another.  --internal: neither in nor out.
 *              Traffic that is not ours is not touched.
 *   source     published ports reached from the host's own addresses (127.0.0.1
 *              has no route back) or from containers (whose answer would go
 *              straight back, unrewritten): by the bridge's address.  Out of the
 *              machine: by the address of the way out.  The incoming interface
 *              is not asked for: with bridge-nf-call-iptables it is another.
 *
 * `rules_1` is empty; its name is the version of this text.
 */
#include "base/proc.h"
#include "net/nft.h"
#include "net/net_int.h"

#include <linux/netfilter.h>
#include <net/if.h>
#include <netinet/in.h>

#define RULES_VERSION "rules_1"

static const char text[] =
	"table inet coffer\n"
	"delete table inet coffer\n"
	"table inet coffer {\n"
	"	set " RULES_VERSION " { type ifname; }\n"
	"	set bridges { type ifname; }\n"
	"	set internal { type ifname; }\n"
	"	set same { type ifname . ifname; }\n"
	"	set subnets4 { type ipv4_addr; flags interval; }\n"
	"	set subnets6 { type ipv6_addr; flags interval; }\n"
	"	set masquerade4 { type ipv4_addr; flags interval; }\n"
	"	set masquerade6 { type ipv6_addr; flags interval; }\n"
	"	map ports4 { type inet_proto . inet_service : ipv4_addr . inet_service; }\n"
	"	map ports4_at { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }\n"
	"	map ports6 { type inet_proto . inet_service : ipv6_addr . inet_service; }\n"
	"	map ports6_at { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }\n"
	"	chain guard {\n"
	"		type filter hook prerouting priority raw; policy accept;\n"
	"		iifname \"lo\" accept\n"
	"		iifname @bridges ip daddr 127.0.0.0/8 drop\n"
	"		iifname @bridges ip saddr 127.0.0.0/8 drop\n"
	"		iifname != @bridges ip daddr @subnets4 drop\n"
	"		iifname != @bridges ip6 daddr @subnets6 drop\n"
	"	}\n"
	"	chain traverse {\n"
	"		type filter hook forward priority filter; policy accept;\n"
	"		iifname . oifname @same accept\n"
	"		iifname != @bridges oifname != @bridges accept\n"
	"		ct state vmap { established : accept, related : accept, invalid : drop }\n"
	"		iifname @internal drop\n"
	"		oifname @internal drop\n"
	"		ct status dnat accept\n"
	"		oifname @bridges drop\n"
	"	}\n"
	"	chain publish {\n"
	"		ip6 daddr ::1 return\n"
	"		dnat ip to ip daddr . meta l4proto . th dport map @ports4_at\n"
	"		dnat ip to meta l4proto . th dport map @ports4\n"
	"		dnat ip6 to ip6 daddr . meta l4proto . th dport map @ports6_at\n"
	"		dnat ip6 to meta l4proto . th dport map @ports6\n"
	"	}\n"
	"	chain arriving {\n"
	"		type nat hook prerouting priority dstnat; policy accept;\n"
	"		fib daddr type local jump publish\n"
	"	}\n"
	"	chain leaving {\n"
	"		type nat hook output priority -100; policy accept;\n"
	"		fib daddr type local jump publish\n"
	"	}\n"
	"	chain source {\n"
	"		type nat hook postrouting priority srcnat; policy accept;\n"
	"		ct status dnat fib saddr type local oifname @bridges masquerade\n"
	"		ct status dnat ip saddr @subnets4 oifname @bridges masquerade\n"
	"		ct status dnat ip6 saddr @subnets6 oifname @bridges masquerade\n"
	"		ip saddr @masquerade4 oifname != @bridges masquerade\n"
	"		ip6 saddr @masquerade6 oifname != @bridges masquerade\n"
	"	}\n"
	"}\n";

int rules_there(int nft)
{
	return nft_set_there(nft, RULES_VERSION);
}

/* ---- Elements ---- */

int rules_network(const struct network *w, struct elements *ret)
{
	static const char *const subnets[] = {"subnets4", "subnets6"}, *const out[] = {"masquerade4",
										       "masquerade6"};

	if (!network_is_bridge(w) || !w->q.bridge)
		return 0;
	element_interface(ret, "bridges", w->q.bridge);
	if (w->q.internal)
		element_interface(ret, "internal", w->q.bridge);
	element_pair(ret, "same", w->q.bridge, w->q.bridge);
	for (int f = 0; f < FAMILIES; f++) {
		if (!w->ip[f].set || w->routed)
			continue;
		element_subnet(ret, subnets[f], &w->ip[f].subnet);
		if (!w->q.internal)
			element_subnet(ret, out[f], &w->ip[f].subnet);
	}
	return ret->failed ? -ENOMEM : 0;
}

int rules_ports(const struct port_rows *ports, struct elements *ret)
{
	for (size_t i = 0; i < ports->n; i++) {
		const struct port_row *p = &ports->v[i];
		uint8_t proto = streq(p->proto, "udp")	  ? IPPROTO_UDP
				: streq(p->proto, "sctp") ? IPPROTO_SCTP
							  : IPPROTO_TCP;
		bool any = ip_unspecified(&p->host), v4 = p->host.family == AF_INET;
		const char *set = v4 ? (any ? "ports4" : "ports4_at") : any ? "ports6" : "ports6_at";
		element_port(ret, set, any ? NULL : &p->host, proto, p->host_port, &p->to, p->to_port);
	}
	return ret->failed ? -ENOMEM : 0;
}

static int all_networks(void *data, struct network *w, struct err *err)
{
	return rules_network(w, data) < 0 ? err_oom(err) : 0;
}

/* ---- Loading ---- */

static const char *find_nft(void)
{
	static const char *const places[] = {"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft",
					     "/usr/local/sbin/nft"};

	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

static int load_text(struct err *err)
{
	const char *nft = find_nft();
	static const char *const argv[] = {"nft", "-f", "-", NULL};
	autofree char *output = NULL;

	if (!nft)
		return err_set(
			err, ENOENT,
			"bridge networks need the program nft: install the package \"nftables\", or use "
			"--network none or host");
	struct proc_run run = {.path = nft,
			       .argv = argv,
			       .input = text,
			       .input_len = sizeof(text) - 1,
			       .timeout_ms = 20000,
			       .output_max = 400};
	int status = proc_run(&run, &output, err);
	if (status < 0)
		return err_prefix(err, "cannot run nft");
	if (status == 0)
		return 0;
	size_t line = output ? strcspn(output, "\n") : 0;
	return err_set(err, EIO, "nft refused coffer's rules: %.*s", (int)line, output ? output : "");
}

int rules_install(struct net *n, int nft, struct err *err)
{
	struct elements l autoelements = {0};
	struct port_rows ports = {0};
	int r = load_text(err);

	if (r == 0)
		r = network_each(n, all_networks, &l, err);
	if (r == 0)
		r = ports_load(n, NULL, &ports, err);
	if (r == 0 && rules_ports(&ports, &l) < 0)
		r = err_oom(err);
	free(ports.v);
	if (r < 0)
		return r;
	r = nft_apply(nft, NFT_ADD, &l);
	return r < 0 ? err_num(err, r, "cannot fill the sets of the nftables table \"coffer\"") : 0;
}

/* ---- Others' rules ---- */

struct foreign {
	struct net *n;
	const char *bridge;
	void (*finding)(void *data, const char *line);
	void *data;
};

static int tell_foreign(void *data, uint8_t family, const char *table, const char *chain)
{
	struct foreign *f = data;
	const char *kind = family == NFPROTO_IPV4 ? "ip" : family == NFPROTO_IPV6 ? "ip6" : "inet";
	const char *tool = family == NFPROTO_IPV6 ? "ip6tables" : "iptables";
	struct err e = {0};

	if (streq(table, "filter") && streq(chain, "FORWARD") && family != NFPROTO_INET)
		err_set(&e, EPERM,
			"the policy of %s' FORWARD chain is to drop (Docker sets it so), which stands "
			"against "
			"containers' traffic to the outside: allow it with `%s -I FORWARD -i %s -j ACCEPT; "
			"%s -I FORWARD -o %s -j ACCEPT` (with Docker, into the chain DOCKER-USER)",
			tool, tool, f->bridge, tool, f->bridge);
	else if (streq(table, "firewalld"))
		err_set(&e, EPERM,
			"firewalld drops what is forwarded: allow it with `firewall-cmd --permanent "
			"--zone=trusted --add-interface=%s && firewall-cmd --reload`",
			f->bridge);
	else
		err_set(&e, EPERM,
			"the policy of the nftables chain \"%s %s %s\" is to drop what is forwarded: allow "
			"it "
			"there with `nft insert rule %s %s %s iifname %s accept` and the same with oifname",
			kind, table, chain, kind, table, chain, f->bridge);
	if (f->finding)
		f->finding(f->data, e.msg);
	else
		net_warn(f->n, "%s", e.msg);
	return 0;
}

void rules_foreign(struct net *n, const char *bridge, void (*finding)(void *data, const char *line),
		   void *data)
{
	struct foreign f = {.n = n, .bridge = bridge, .finding = finding, .data = data};
	struct nft_foreign q = {.each = tell_foreign, .data = &f};
	autoclose int fd = netlink_open(NETLINK_NETFILTER);

	/* A hint, not more: whoever cannot ask goes without. */
	if (fd >= 0)
		ignore_result(nft_forward_drops(fd, &q) < 0);
}

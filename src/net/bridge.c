/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bridge of a network: made with the first container after a boot.
 *
 * "Up" is the last thing that is done to it, so that a bridge that is up has
 * its addresses and its part of the rules; whoever finds it so has nothing to
 * do.  One process at a time makes bridges (net_lock()); one that is killed
 * half-way leaves a bridge that is down, and the next goes on with it.
 */
#include "base/file.h"
#include "base/str.h"
#include "net/batch.h"
#include "net/net_int.h"
#include "net/nft.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static bool interface_flags(const char *name, short *ret)
{
	struct ifreq r = {0};
	autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name); /* names that are too long do not exist */
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &r) < 0)
		return false;
	*ret = r.ifr_flags;
	return true;
}

bool bridge_there(const char *name)
{
	short flags;

	return interface_flags(name, &flags);
}

static bool bridge_up(const char *name)
{
	short flags = 0;

	return interface_flags(name, &flags) && (flags & IFF_UP);
}

/* ---- Kernel switches ---- */

static int read_switch(const char *path)
{
	autofree char *value = NULL;
	size_t len;

	if (file_read_at(AT_FDCWD, path, 64, &value, &len) < 0 || len == 0)
		return -1;
	return value[0] - '0';
}

static int forward(struct net *n, const char *path, const char *what, struct err *err)
{
	if (read_switch(path) != 0)
		return 0;
	int r = file_write_at(AT_FDCWD, path, "1");
	if (r < 0)
		return err_num(err, r, "cannot switch %s forwarding on (\"%s\")", what, path);
	net_warn(n, "%s forwarding was off on this machine; it is on now, as containers need it", what);
	return 0;
}

static int set_on_bridge(const char *family, const char *bridge, const char *key, const char *value,
			 bool must, struct err *err)
{
	autofree char *path = str_format("/proc/sys/net/%s/conf/%s/%s", family, bridge, key);

	if (!path)
		return err_oom(err);
	int r = file_write_at(AT_FDCWD, path, value);
	return r < 0 && must ? err_num(err, r, "cannot write \"%s\"", path) : 0;
}

/*
 * Neighbours of all namespaces together are counted against one limit of the
 * host's, 1024 at first: some hundreds of containers that talk to one another
 * would have packets lost.  It is only raised; elsewhere than in the host's
 * first namespace there is no such file.
 */
static void raise_neighbours(const char *family)
{
	static const struct {
		const char *name;
		uint64_t least;
	} limits[] = {{"gc_thresh3", 65536}, {"gc_thresh2", 32768}, {"gc_thresh1", 16384}};

	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		autofree char *path = str_format("/proc/sys/net/%s/neigh/default/%s", family, limits[i].name);
		autofree char *text = NULL, *value = str_format("%llu", (unsigned long long)limits[i].least);
		uint64_t now;
		size_t len;

		if (!path || !value || file_read_at(AT_FDCWD, path, 64, &text, &len) < 0)
			continue;
		text[strcspn(text, "\n")] = '\0';
		if (str_to_u64(text, 10, &now) == 0 && now < limits[i].least)
			ignore_result(file_write_at(AT_FDCWD, path, value) < 0); /* fewer work as before */
	}
}

static int set_switches(struct net *n, const struct network *w, struct err *err)
{
	int r = 0;

	if (!w->q.internal && w->ip[V4].set)
		r = forward(n, "/proc/sys/net/ipv4/ip_forward", "IPv4", err);
	if (r == 0 && !w->q.internal && w->ip[V6].set)
		r = forward(n, "/proc/sys/net/ipv6/conf/all/forwarding", "IPv6", err);
	raise_neighbours("ipv4");
	raise_neighbours("ipv6");
	/* Published ports are reached through 127.0.0.1; the rules keep containers out of it. */
	if (r == 0)
		r = set_on_bridge("ipv4", w->q.bridge, "route_localnet", "1", true, err);
	/* Where the kernel has no IPv6 there is nothing to guard. */
	if (r == 0)
		r = set_on_bridge("ipv6", w->q.bridge, "accept_ra", "0", false, err);
	return r;
}

/* ---- The device ---- */

static void put_address(struct batch *b, int index, const struct ip *ip, uint8_t prefix)
{
	size_t size = ip_size(ip->family);
	struct ifaddrmsg m = {.ifa_family = ip->family,
			      .ifa_prefixlen = prefix,
			      .ifa_scope = ip->b[0] == 0xfe ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
			      .ifa_index = (unsigned)index};

	batch_message(b, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, &m, sizeof(m));
	batch_put(b, IFA_LOCAL, ip->b, size);
	batch_put(b, IFA_ADDRESS, ip->b, size);
	if (ip->family == AF_INET6)
		batch_u32(b, IFA_FLAGS, IFA_F_NODAD);
}

/* A fixed hardware address: the kernel's choice would change with each container that comes or goes. */
static void bridge_mac(const struct network *w, uint8_t ret[static 6])
{
	unsigned v = 0;

	ret[0] = 0x02;
	ret[1] = 0x42;
	for (size_t i = 0; i < 4; i++) {
		char two[3] = {w->q.id[2 * i], w->q.id[2 * i + 1], '\0'};
		uint64_t byte = 0;
		v = str_to_u64(two, 16, &byte) == 0 ? (unsigned)byte : (unsigned)i;
		ret[2 + i] = (uint8_t)v;
	}
}

static int make_bridge_device(int rt, const struct network *w, struct err *err)
{
	struct batch b autobatch = {0};
	struct ifinfomsg m = {0};
	uint8_t mac[6];

	bridge_mac(w, mac);
	batch_message(&b, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &m, sizeof(m));
	batch_str(&b, IFLA_IFNAME, w->q.bridge);
	batch_put(&b, IFLA_ADDRESS, mac, sizeof(mac));
	batch_u32(&b, IFLA_MTU, w->q.mtu ? w->q.mtu : 1500);
	size_t info = batch_nest(&b, IFLA_LINKINFO, NULL, 0);
	batch_str(&b, IFLA_INFO_KIND, "bridge");
	batch_end(&b, info);
	int r = batch_send(&b, rt, NULL);
	if (r == -EOPNOTSUPP)
		return err_num(err, r,
			       "cannot make the bridge \"%s\": this kernel has no bridges (CONFIG_BRIDGE)",
			       w->q.bridge);
	return r < 0 && r != -EEXIST ? err_num(err, r, "cannot make the bridge \"%s\"", w->q.bridge) : 0;
}

static int settle_device(int rt, const struct network *w, struct err *err)
{
	struct batch b autobatch = {0};
	int index = (int)if_nametoindex(w->q.bridge);

	if (index == 0)
		return err_sys(err, "the bridge \"%s\" is gone again", w->q.bridge);
	/* Where the kernel has no IPv6 this fails, and nothing is lost. */
	batch_message(&b, RTM_SETLINK, NLM_F_ACK, &(struct ifinfomsg){.ifi_index = index},
		      sizeof(struct ifinfomsg));
	batch_no_link_local(&b);
	ignore_result(batch_send(&b, rt, NULL) < 0);
	for (int f = 0; f < FAMILIES; f++)
		if (w->ip[f].set)
			put_address(&b, index, &w->ip[f].gateway, w->ip[f].subnet.prefix);
	/* One that is good at once: neighbours are asked from it. */
	if (w->ip[V6].set)
		put_address(&b, index, &(struct ip){AF_INET6, {0xfe, 0x80, [15] = 1}}, 64);
	int r = b.len ? batch_send(&b, rt, NULL) : 0;
	return r < 0 ? err_num(err, r, "cannot give the bridge \"%s\" its addresses", w->q.bridge) : 0;
}

static int raise_device(int rt, const struct network *w, struct err *err)
{
	struct batch b autobatch = {0};
	struct ifinfomsg m = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP};

	batch_message(&b, RTM_NEWLINK, NLM_F_ACK, &m, sizeof(m));
	batch_str(&b, IFLA_IFNAME, w->q.bridge);
	int r = batch_send(&b, rt, NULL);
	return r < 0 ? err_num(err, r, "cannot set the bridge \"%s\" up", w->q.bridge) : 0;
}

static int add_elements(int nft, const struct network *w, enum nft_change change, struct err *err)
{
	struct elements l autoelements = {0};

	if (rules_network(w, &l) < 0)
		return err_oom(err);
	int r = nft_apply(nft, change, &l);
	return r < 0 ? err_num(err, r, "cannot put network %s into the nftables rules", w->q.name) : 0;
}

static int make_bridge(struct net *n, const struct network *w, int nft, struct err *err)
{
	autoclose int lock = net_lock(n, err), rt = lock < 0 ? -1 : netlink_open(NETLINK_ROUTE);

	if (lock < 0)
		return lock;
	if (rt < 0)
		return err_num(err, rt, "cannot make a netlink socket");
	int there = rules_there(nft);
	int r = there < 0   ? err_num(err, there, "cannot ask nf_tables for coffer's rules")
		: there > 0 ? 0
			    : rules_install(n, nft, err);
	if (r < 0 || bridge_up(w->q.bridge)) /* another process was faster */
		return r;
	r = make_bridge_device(rt, w, err);
	if (r == 0)
		r = settle_device(rt, w, err);
	if (r == 0)
		r = set_switches(n, w, err);
	if (r == 0)
		r = add_elements(nft, w, NFT_ADD, err);
	if (r == 0)
		r = raise_device(rt, w, err);
	if (r == 0)
		rules_foreign(n, w->q.bridge, NULL, NULL);
	return r;
}

int bridge_ensure(struct net *n, const struct network *w, struct err *err)
{
	int nft = net_nft(n, err);

	if (nft < 0)
		return nft;
	if (bridge_up(w->q.bridge) && rules_there(nft) > 0)
		return 0;
	return make_bridge(n, w, nft, err);
}

int bridge_remove(struct net *n, const struct network *w, struct err *err)
{
	struct batch b autobatch = {0};
	struct ifinfomsg m = {0};

	if (!network_is_bridge(w))
		return 0;
	autoclose int lock = net_lock(n, err);
	if (lock < 0)
		return lock;
	autoclose int rt = netlink_open(NETLINK_ROUTE);
	int nft = net_nft(n, err);
	if (nft < 0)
		return nft;
	if (rt < 0)
		return err_num(err, rt, "cannot make a netlink socket");
	batch_message(&b, RTM_DELLINK, NLM_F_ACK, &m, sizeof(m));
	batch_str(&b, IFLA_IFNAME, w->q.bridge);
	int r = bridge_there(w->q.bridge) ? batch_send(&b, rt, NULL) : 0;
	if (r < 0 && r != -ENODEV)
		return err_num(err, r, "cannot remove the bridge \"%s\"", w->q.bridge);
	r = rules_there(nft) > 0 ? add_elements(nft, w, NFT_DESTROY, err) : 0;
	net_nft_done(n);
	return r;
}

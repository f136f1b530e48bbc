/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving a device.  The kernel keeps a device's MTU and hardware address when
 * it goes to another namespace, but takes its addresses and sets it down.  So:
 * list the addresses (before the device is set down: IPv6 loses them by
 * that), set it down, move and rename it in one request, and give the
 * addresses back over a socket that was made in the other namespace.
 */
#include "host/netlink.h"

#include "base/fd.h"
#include "host/netlink_int.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int net_lo_up(struct err *err)
{
	struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	/* Interface ioctls work on any socket; an AF_INET one costs twice as much in a fresh namespace (36
	 * against 19 us). */
	autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_sys(err, "cannot make a socket to set lo up");
	if (ioctl(fd, SIOCSIFFLAGS, &r) < 0)
		return err_sys(err, "cannot set interface lo up");
	return 0;
}

static int take_link(void *data, const struct nl_message *m)
{
	return nl_parse_link(m, data);
}

static int get_link(struct nl_channel *c, const char *name, struct nl_link *ret)
{
	struct ifinfomsg i = {.ifi_family = AF_UNSPEC};
	struct nl_link l = {0};
	struct nl_request q;

	nl_begin(&q, RTM_GETLINK, NLM_F_ACK, &i, sizeof(i));
	nl_put(&q, IFLA_IFNAME, name, strlen(name) + 1);
	int r = nl_ask(c, &q, take_link, &l);
	if (r < 0)
		return r;
	if (l.index == 0)
		return -ENODEV;
	*ret = l;
	return 0;
}

static int set_link_up(struct nl_channel *c, int index, bool up)
{
	struct ifinfomsg i = {.ifi_index = index, .ifi_change = IFF_UP, .ifi_flags = up ? IFF_UP : 0};
	struct nl_request q;

	nl_begin(&q, RTM_NEWLINK, NLM_F_ACK, &i, sizeof(i));
	return nl_ask(c, &q, NULL, NULL);
}

static int move_link(struct nl_channel *c, int index, const char *name, int netns)
{
	struct ifinfomsg i = {.ifi_index = index};
	uint32_t fd = (uint32_t)netns;
	struct nl_request q;

	nl_begin(&q, RTM_NEWLINK, NLM_F_ACK, &i, sizeof(i));
	nl_put(&q, IFLA_IFNAME, name, strlen(name) + 1);
	nl_put(&q, IFLA_NET_NS_FD, &fd, sizeof(fd));
	return nl_ask(c, &q, NULL, NULL);
}

/* ---- Addresses ---- */

enum { ADDRESSES_MAX = 4096 };

struct addresses {
	int index;
	struct nl_address *v;
	size_t n;
};

/* Those that the administrator gave and that are good outside this machine (runc's choice). */
static int take_address(void *data, const struct nl_message *m)
{
	struct addresses *list = data;
	struct nl_address a;
	int r = nl_parse_address(m, &a);

	if (r < 0)
		return r;
	if ((int)a.head.ifa_index != list->index || !(a.flags & IFA_F_PERMANENT) ||
	    a.head.ifa_scope != RT_SCOPE_UNIVERSE ||
	    (a.head.ifa_family != AF_INET && a.head.ifa_family != AF_INET6))
		return 0;
	if (list->n == ADDRESSES_MAX)
		return -E2BIG;
	struct nl_address *bigger = realloc(list->v, (list->n + 1) * sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	list->v = bigger;
	list->v[list->n++] = a;
	return 0;
}

static int get_addresses(struct nl_channel *c, int index, struct addresses *ret)
{
	struct ifaddrmsg i = {.ifa_family = AF_UNSPEC};
	struct nl_request q;

	ret->index = index;
	nl_begin(&q, RTM_GETADDR, NLM_F_DUMP, &i, sizeof(i));
	return nl_ask(c, &q, take_address, ret);
}

static int add_address(struct nl_channel *c, int index, const struct nl_address *a)
{
	struct ifaddrmsg i = {.ifa_family = a->head.ifa_family,
			      .ifa_prefixlen = a->head.ifa_prefixlen,
			      .ifa_scope = a->head.ifa_scope,
			      .ifa_index = (unsigned)index};
	struct nl_request q;

	nl_begin(&q, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &i, sizeof(i));
	if (a->local.len)
		nl_put(&q, IFA_LOCAL, a->local.v, a->local.len);
	if (a->address.len)
		nl_put(&q, IFA_ADDRESS, a->address.v, a->address.len);
	if (a->broadcast.len)
		nl_put(&q, IFA_BROADCAST, a->broadcast.v, a->broadcast.len);
	return nl_ask(c, &q, NULL, NULL);
}

static const char *address_text(const struct nl_address *a, char buf[static 64])
{
	char ip[INET6_ADDRSTRLEN] = "?";

	/* IPv6 has only IFA_ADDRESS; IPv4's own address is IFA_LOCAL, the other one is the peer's. */
	ignore_result(inet_ntop(a->head.ifa_family, a->local.len ? a->local.v : a->address.v, ip,
				sizeof(ip)) == NULL);
	(void)snprintf(buf, 64, "%s/%u", ip, a->head.ifa_prefixlen); /* always fits */
	return buf;
}

/* ---- The device ---- */

static int socket_in(int netns, struct err *err)
{
	autoclose int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (home < 0)
		return err_sys(err, "cannot open this process's network namespace");
	if (setns(netns, CLONE_NEWNET) < 0)
		return err_sys(err, "cannot enter the container's network namespace");
	int fd = nl_open();
	if (setns(home, CLONE_NEWNET) < 0) {
		if (fd >= 0)
			(void)close(fd); /* the failure below is worse */
		return err_sys(err, "cannot return to the runtime's network namespace");
	}
	return fd < 0 ? err_num(err, fd, "cannot make a socket in the container's network namespace") : fd;
}

static int leave_home(struct nl_channel *c, const char *host_name, const char *name, int netns,
		      const char *netns_name, struct addresses *ret, struct err *err)
{
	struct nl_link link;
	int r = get_link(c, host_name, &link);

	if (r < 0)
		return err_num(err, r, "link not found for interface %s on runtime namespace", host_name);
	r = get_addresses(c, link.index, ret);
	if (r < 0)
		return err_num(err, r, "fail to get ip addresses");
	r = set_link_up(c, link.index, false);
	if (r < 0)
		return err_num(err, r, "fail to set link down");
	r = move_link(c, link.index, name, netns);
	if (r < 0)
		return err_num(err, r, "fail to move network device %s to network namespace %s", host_name,
			       netns_name);
	return 0;
}

static int settle(struct nl_channel *c, const char *name, const char *netns_name,
		  const struct addresses *list, struct err *err)
{
	struct nl_link link;
	int r = get_link(c, name, &link);

	if (r < 0)
		return err_num(err, r, "link not found for interface %s on namespace %s", name, netns_name);
	for (size_t i = 0; i < list->n; i++) {
		char text[64];
		r = add_address(c, link.index, &list->v[i]);
		if (r < 0)
			return err_num(err, r, "fail to set up address %s on namespace %s",
				       address_text(&list->v[i], text), netns_name);
	}
	r = set_link_up(c, link.index, true);
	return r < 0 ? err_num(err, r, "fail to set up interface %s on namespace %s", name, netns_name) : 0;
}

int net_move_device(const char *host_name, const char *name, int netns_fd, const char *netns_name,
		    struct err *err)
{
	const char *new_name = name && *name ? name : host_name;
	struct addresses list = {0};
	autofree unsigned char *buf = malloc(NL_REPLY_MAX);
	autoclose int here = nl_open();

	if (!buf)
		return err_oom(err);
	if (here < 0)
		return err_num(err, here, "cannot make a netlink socket");
	/* The other namespace first: what can fail there must fail before the device has left. */
	autoclose int there = socket_in(netns_fd, err);
	if (there < 0)
		return there;
	struct nl_channel home = {.fd = here, .buf = buf}, away = {.fd = there, .buf = buf};
	int r = leave_home(&home, host_name, new_name, netns_fd, netns_name, &list, err);
	if (r == 0)
		r = settle(&away, new_name, netns_name, &list, err);
	free(list.v);
	return r;
}

/* ---- Before anything is made ---- */

/* The kernel's dev_valid_name(). */
static bool valid_name(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n >= IFNAMSIZ || streq(s, ".") || streq(s, ".."))
		return false;
	return s[strcspn(s, "/: \t\n\v\f\r")] == '\0';
}

int net_devices_check(const struct oci_config *c, bool rootless, struct err *err)
{
	if (c->linux.net_devices.n == 0)
		return 0;
	if (!c->linux.ns[OCI_NS_NETWORK].wanted)
		return err_set(err, EINVAL, "unable to move network devices without a NET namespace");
	if (rootless)
		return err_set(err, EINVAL, "network devices are not supported for rootless containers");
	for (size_t i = 0; i < c->linux.net_devices.n; i++) {
		const struct oci_net_device *d = &c->linux.net_devices.v[i];

		if (!valid_name(d->host_name))
			return err_set(err, EINVAL, "invalid network device name \"%s\"", d->host_name);
		if (d->name && *d->name && !valid_name(d->name))
			return err_set(err, EINVAL, "invalid network device name \"%s\"", d->name);
		for (size_t k = 0; k < i; k++) {
			const struct oci_net_device *o = &c->linux.net_devices.v[k];
			if (streq(d->name ? d->name : d->host_name, o->name ? o->name : o->host_name))
				return err_set(err, EINVAL,
					       "network devices \"%s\" and \"%s\" would have one name",
					       o->host_name, d->host_name);
		}
	}
	return 0;
}

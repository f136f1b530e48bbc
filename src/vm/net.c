/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.
 *
 *	network --- eth0 | ingress -> vmtap0 ... hypervisor, guest's eth0
 *	                 | vmtap0's ingress -> eth0
 *
 * A packet that comes in on eth0 is taken at its ingress, before any protocol
 * of the host's kernel sees it, and sent out on the tap; and back.  That is
 * why the interface can keep its addresses: the host's stack in this
 * namespace never hears a question, so it answers none, and a keeper that is
 * killed leaves the namespace of a pod, which others own, as it found it; the
 * next one, or a plug-in that checks, reads the same addresses again.  The
 * price is that processes of the host in this namespace reach nobody.
 *
 * The tap is no host: it gets no IPv6 address, so that nothing of the host's
 * stack is sent into the guest.  It lives as long as its descriptor.
 *
 * With IFF_VNET_HDR packets keep their offloads across tap and guest: large
 * ones are not cut, checksums not computed.  The driver negotiates what its
 * guest takes; where it takes nothing, the kernel cuts before the tap.
 */
#include "base/fd.h"
#include "base/str.h"
#include "vm/net_int.h"

#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <time.h>

void vm_card_mac(size_t i, unsigned char ret[static 6])
{
	static const unsigned char base[6] = {0x52, 0x54, 0x00, 0xc0, 0xff, 0x00};

	memcpy(ret, base, sizeof(base));
	ret[5] = (unsigned char)i;
}

/* A tap in this namespace; `name` is what the kernel called it. */
static int new_tap(int tun, char name[static IFNAMSIZ], struct err *err)
{
	struct ifreq q = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, .ifr_name = NET_TAP_PREFIX "%d"};

	if (ioctl(tun, TUNSETIFF, &q) < 0)
		return err_sys(err, "cannot make a tap in the container's network namespace");
	memcpy(name, q.ifr_name, IFNAMSIZ);
	name[IFNAMSIZ - 1] = '\0';
	return 0;
}

/* No IPv6 address, the interface's MTU, up. */
static int settle_tap(struct nl_channel *c, int index, uint32_t mtu)
{
	struct ifinfomsg i = {.ifi_index = index, .ifi_change = IFF_UP, .ifi_flags = IFF_UP};
	/* IFLA_AF_SPEC { AF_INET6 { IFLA_INET6_ADDR_GEN_MODE } } */
	struct {
		struct rtattr inet6, mode;
		unsigned char none, pad[3];
	} spec = {.inet6 = {.rta_type = AF_INET6, .rta_len = sizeof(struct rtattr) * 2 + 4},
		  .mode = {.rta_type = IFLA_INET6_ADDR_GEN_MODE, .rta_len = sizeof(struct rtattr) + 1},
		  .none = IN6_ADDR_GEN_MODE_NONE};
	struct ifinfomsg same = {.ifi_index = index};
	struct nl_request q;

	nl_begin(&q, RTM_NEWLINK, NLM_F_ACK, &same, sizeof(same));
	nl_put(&q, IFLA_AF_SPEC, &spec, sizeof(spec));
	ignore_result(nl_ask(c, &q, NULL, NULL) < 0); /* without IPv6 there is nothing to keep away */
	nl_begin(&q, RTM_NEWLINK, NLM_F_ACK, &i, sizeof(i));
	nl_put(&q, IFLA_MTU, &mtu, sizeof(mtu));
	return nl_ask(c, &q, NULL, NULL);
}

/* An interface that the engine left down gets no packet. */
static int raise_interface(struct nl_channel *c, int index)
{
	struct ifinfomsg i = {.ifi_index = index, .ifi_change = IFF_UP, .ifi_flags = IFF_UP};
	struct nl_request q;

	nl_begin(&q, RTM_NEWLINK, NLM_F_ACK, &i, sizeof(i));
	return nl_ask(c, &q, NULL, NULL);
}

static int plug(struct nl_channel *c, int *tun, const struct net_interface *n, struct vm_nic *ret,
		char name[static IFNAMSIZ], struct err *err)
{
	int r = new_tap(*tun, name, err);

	if (r < 0)
		return r;
	int index = (int)if_nametoindex(name);
	r = index == 0 ? -errno : settle_tap(c, index, n->mtu);
	if (r == 0)
		r = raise_interface(c, n->index);
	if (r == 0)
		r = net_redirect(c, n->index, index);
	if (r == 0)
		r = net_redirect(c, index, n->index);
	if (r < 0)
		return err_num(err, r, "cannot join interface %s to the machine's card", n->name);
	ret->tap_fd = take_fd(tun);
	ret->mtu = n->mtu;
	return 0;
}

static bool has_ipv4(const struct net_interface *n)
{
	size_t i = 0;

	while (i < n->n && n->addresses[i].ip.len != 4)
		i++;
	return i < n->n;
}

/*
 * A tap lives as long as its machine.  Two machines of one interface would take each other's packets; one
 * that was killed is gone in a moment.
 */
static int await_interfaces(struct err *err)
{
	enum { STEP_MS = 20, LEAVING_MS = 5000 };
	const struct timespec step = {.tv_nsec = STEP_MS * 1000000};

	for (int ms = 0; if_nametoindex(NET_TAP_PREFIX "0") > 0; ms += STEP_MS) {
		if (ms >= LEAVING_MS)
			return err_set(err, EBUSY,
				       "the container's network is that of another machine, which has its "
				       "card: only containers of that machine can share it (`--pod`)");
		(void)nanosleep(&step, NULL);
	}
	return 0;
}

int vm_net_open(int *tuns, size_t ntuns, int proc_fd, struct vm_net *ret, struct err *err)
{
	autofree unsigned char *buf = malloc(NL_REPLY_MAX);
	autofree struct net_view *view = calloc(1, sizeof(*view));
	struct vm_net net = {0};
	autoclose int fd = nl_open();

	if (!buf || !view)
		return err_oom(err);
	if (fd < 0)
		return err_num(err, fd, "cannot make a netlink socket");
	struct nl_channel c = {.fd = fd, .buf = buf};
	int r = net_view_read(&c, view, err);
	if (r == 0 && view->n > ntuns)
		r = err_set(err, ENODEV,
			    "the container's network has %zu cards, and there are %zu taps for them", view->n,
			    ntuns);
	if (r == 0 && view->n > 0)
		r = await_interfaces(err);
	for (size_t i = 0; r == 0 && i < view->n; i++) {
		vm_card_mac(i, net.nics[i].mac);
		char tap[IFNAMSIZ];
		r = plug(&c, &tuns[i], &view->interfaces[i], &net.nics[i], tap, err);
		net.n += r == 0;
		if (r < 0 || proc_fd < 0 || net.names_tap[0] || !has_ipv4(&view->interfaces[i]))
			continue;
		r = net_names_plug(&c, proc_fd, view, i, tap, err);
		memcpy(net.names_tap, tap, sizeof(tap));
	}
	if (r == 0) {
		net.json = net_view_json(view);
		r = net.json ? 0 : err_oom(err);
	}
	if (r < 0) {
		vm_net_close(&net);
		return r;
	}
	*ret = net;
	return 0;
}

void vm_net_close(struct vm_net *n)
{
	for (size_t i = 0; i < n->n; i++)
		fd_drop(&n->nics[i].tap_fd);
	n->n = 0;
	free(n->json);
	n->json = NULL;
}

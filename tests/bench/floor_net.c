/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE /* the build may define it */
#define _GNU_SOURCE
#endif
#include "floor_net.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct batch {
	char data[4096];
	size_t len;
	struct nlmsghdr *open;
};

static void *grow(struct batch *b, size_t len)
{
	void *at = b->data + b->len;

	memset(at, 0, NLMSG_ALIGN(len));
	b->len += NLMSG_ALIGN(len);
	if (b->open)
		b->open->nlmsg_len = (uint32_t)(b->data + b->len - (char *)b->open);
	return at;
}

static void *message(struct batch *b, unsigned type, unsigned flags, size_t len)
{
	b->open = NULL;
	b->open = grow(b, NLMSG_HDRLEN + len);
	b->open->nlmsg_type = (uint16_t)type;
	b->open->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	b->open->nlmsg_len = (uint32_t)NLMSG_ALIGN(NLMSG_HDRLEN + len);
	return NLMSG_DATA(b->open);
}

static struct rtattr *attr(struct batch *b, unsigned type, const void *data, size_t len)
{
	struct rtattr *a = grow(b, RTA_LENGTH(len));

	a->rta_type = (uint16_t)type;
	a->rta_len = (uint16_t)RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(a), data, len);
	return a;
}

static void end(struct batch *b, struct rtattr *a)
{
	a->rta_len = (uint16_t)(b->data + b->len - (char *)a);
}

/* Sends and reads `acks` acknowledgements, of which none may be an error. */
static void talk(const struct batch *b, int acks)
{
	static char in[8192];
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (s < 0 || send(s, b->data, b->len, 0) < 0)
		abort();
	while (acks > 0) {
		ssize_t n = recv(s, in, sizeof(in), 0);
		if (n < 0)
			abort();
		for (struct nlmsghdr *h = (void *)in; NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n)) {
			const struct nlmsgerr *e = NLMSG_DATA(h);
			if (h->nlmsg_type == NLMSG_ERROR && e->error) {
				fprintf(stderr, "floor: netlink: %s\n", strerror(-e->error));
				_exit(125);
			}
			acks -= h->nlmsg_type == NLMSG_ERROR;
		}
	}
	close(s);
}

void floor_net_prepare(const char *bridge)
{
	struct batch b = {.len = 0};
	struct ifinfomsg *link = message(&b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_ACK, sizeof(*link));

	link->ifi_flags = link->ifi_change = IFF_UP;
	attr(&b, IFLA_IFNAME, bridge, strlen(bridge) + 1);
	struct rtattr *info = attr(&b, IFLA_LINKINFO, NULL, 0);
	attr(&b, IFLA_INFO_KIND, "bridge", 6);
	end(&b, info);
	talk(&b, 1);
}

static void inside(unsigned number)
{
	struct batch b = {.len = 0};
	struct in_addr own = {.s_addr = htonl(0x0a630000U + number)},
		       gateway = {.s_addr = htonl(0x0a630001U)};
	int index = (int)if_nametoindex("eth0");
	struct ifaddrmsg *a = message(&b, RTM_NEWADDR, NLM_F_CREATE | NLM_F_ACK, sizeof(*a));

	*a = (struct ifaddrmsg){.ifa_family = AF_INET, .ifa_prefixlen = 16, .ifa_index = (unsigned)index};
	attr(&b, IFA_LOCAL, &own, sizeof(own));
	attr(&b, IFA_ADDRESS, &own, sizeof(own));
	struct ifinfomsg *up = message(&b, RTM_NEWLINK, NLM_F_ACK, sizeof(*up));
	*up = (struct ifinfomsg){.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	struct rtmsg *r = message(&b, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_ACK, sizeof(*r));
	*r = (struct rtmsg){.rtm_family = AF_INET,
			    .rtm_table = RT_TABLE_MAIN,
			    .rtm_protocol = RTPROT_STATIC,
			    .rtm_type = RTN_UNICAST};
	attr(&b, RTA_GATEWAY, &gateway, sizeof(gateway));
	talk(&b, 3);
}

void floor_net_plug(const char *bridge, int pid, unsigned number)
{
	struct batch b = {.len = 0};
	char name[IFNAMSIZ], path[64];
	uint32_t master = if_nametoindex(bridge), where = (uint32_t)pid;
	struct ifinfomsg *link =
		message(&b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, sizeof(*link));

	link->ifi_flags = link->ifi_change = IFF_UP;
	snprintf(name, sizeof(name), "fl%u", number);
	attr(&b, IFLA_IFNAME, name, strlen(name) + 1);
	attr(&b, IFLA_MASTER, &master, sizeof(master));
	struct rtattr *info = attr(&b, IFLA_LINKINFO, NULL, 0);
	attr(&b, IFLA_INFO_KIND, "veth", 4);
	struct rtattr *data = attr(&b, IFLA_INFO_DATA, NULL, 0);
	struct rtattr *peer = attr(&b, VETH_INFO_PEER, NULL, 0);
	grow(&b, sizeof(struct ifinfomsg));
	attr(&b, IFLA_IFNAME, "eth0", 5);
	attr(&b, IFLA_NET_NS_PID, &where, sizeof(where));
	end(&b, peer);
	end(&b, data);
	end(&b, info);
	talk(&b, 1);

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	int ours = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), theirs = open(path, O_RDONLY | O_CLOEXEC);
	if (setns(theirs, CLONE_NEWNET) < 0)
		abort();
	inside(number);
	if (setns(ours, CLONE_NEWNET) < 0)
		abort();
	close(ours);
	close(theirs);
}

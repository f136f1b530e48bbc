/* SPDX-License-Identifier: Apache-2.0 */
/* Networks, tried in a network namespace of our own that ends with the child that tries. */
#include "front/cli/doctor.h"

#include "base/file.h"
#include "base/proc.h"

#include <linux/if_link.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/time.h>

static const char topic_net[] = "Network";

struct net_message {
	struct nlmsghdr head;
	char body[256];
};

/* Sends and gives back the answer's errno (0 = done). */
static int net_ask(int family, struct net_message *q, bool wants_data)
{
	char answer[8192];
	struct timeval limit = {.tv_sec = 2};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, family), code = 0;

	if (fd < 0)
		return errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)); /* else we wait for long */
	if (send(fd, q, q->head.nlmsg_len, 0) < 0) {
		code = errno;
	} else {
		ssize_t n = recv(fd, answer, sizeof(answer), 0);
		const struct nlmsghdr *h = (const void *)answer;
		struct nlmsgerr e;
		if (n < (ssize_t)sizeof(*h))
			code = n < 0 ? errno : EBADMSG;
		else if (h->nlmsg_type == NLMSG_ERROR && n >= (ssize_t)(sizeof(*h) + sizeof(e))) {
			memcpy(&e, answer + sizeof(*h), sizeof(e));
			code = -e.error;
		} else if (!wants_data) {
			code = EBADMSG;
		}
	}
	(void)close(fd); /* a probe's */
	return code;
}

static int ask_nftables(void)
{
	struct net_message q = {.head = {.nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN,
					 .nlmsg_flags = NLM_F_REQUEST,
					 .nlmsg_seq = 1}};
	struct nfgenmsg g = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0};

	memcpy(q.body, &g, sizeof(g));
	q.head.nlmsg_len = (uint32_t)(NLMSG_HDRLEN + sizeof(g));
	return net_ask(NETLINK_NETFILTER, &q, true);
}

static void put_attribute(struct net_message *q, uint16_t type, const void *data, size_t len)
{
	struct rtattr a = {.rta_type = type, .rta_len = (uint16_t)RTA_LENGTH(len)};
	char *at = (char *)q + q->head.nlmsg_len;

	memcpy(at, &a, sizeof(a));
	if (len)
		memcpy(at + sizeof(a), data, len);
	q->head.nlmsg_len += (uint32_t)RTA_SPACE(len);
}

static int ask_link(const char *kind, const char *name)
{
	struct net_message q = {.head = {.nlmsg_type = RTM_NEWLINK,
					 .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
					 .nlmsg_seq = 1}};
	struct ifinfomsg i = {.ifi_family = AF_UNSPEC};
	char info[64];
	struct rtattr a = {.rta_type = IFLA_INFO_KIND, .rta_len = (uint16_t)RTA_LENGTH(strlen(kind) + 1)};

	memcpy(q.body, &i, sizeof(i));
	q.head.nlmsg_len = (uint32_t)(NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(i)));
	put_attribute(&q, IFLA_IFNAME, name, strlen(name) + 1);
	memset(info, 0, sizeof(info));
	memcpy(info, &a, sizeof(a));
	memcpy(info + sizeof(a), kind, strlen(kind) + 1);
	put_attribute(&q, IFLA_LINKINFO, info, RTA_SPACE(strlen(kind) + 1));
	return net_ask(NETLINK_ROUTE, &q, false);
}

/* What a child finds in a namespace of its own; one byte an answer. */
struct net_answers {
	unsigned char namespace, bridge, veth, nftables;
};

static void try_network(int out)
{
	struct net_answers a = {0};

	if (unshare(geteuid() ? CLONE_NEWUSER | CLONE_NEWNET : CLONE_NEWNET) < 0) {
		a.namespace = (unsigned char)errno;
	} else {
		a.bridge = (unsigned char)ask_link("bridge", "cfprobe0");
		a.veth = (unsigned char)ask_link("veth", "cfprobe1");
		a.nftables = (unsigned char)ask_nftables();
	}
	ignore_result(write(out, &a, sizeof(a)) < 0); /* then the parent reads less than it wants */
	_exit(0);
}

static void tell_answer(struct findings *f, const char *name, int code, const char *good, const char *bad,
			const char *advice)
{
	if (code == 0)
		finding_add(f, topic_net, name, FINDING_OK, NULL, "%s", good);
	else
		finding_add(f, topic_net, name, FINDING_LACK, advice, "%s: %s", bad, err_text(code));
}

void probe_network(struct findings *f)
{
	struct net_answers a = {.namespace = EAGAIN};
	int ends[2];
	autofree char *forward = NULL;
	size_t len;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return;
	pid_t pid = fork();
	if (pid == 0)
		try_network(ends[1]);
	(void)close(ends[1]); /* the child's */
	if (pid > 0) {
		if (fd_read_full(ends[0], &a, sizeof(a)) != sizeof(a))
			a.namespace = EAGAIN;
		ignore_result(proc_wait(pid) < 0); /* its answer is what counts */
	}
	(void)close(ends[0]); /* read only */
	tell_answer(f, "namespaces", a.namespace, "containers get networks of their own",
		    "no network namespaces", "a kernel with CONFIG_NET_NS, and CAP_SYS_ADMIN");
	if (a.namespace)
		return;
	tell_answer(f, "bridge", a.bridge, "bridge networks", "no bridges: --network none or host",
		    "modprobe bridge");
	tell_answer(f, "veth", a.veth, "wires between containers and bridges",
		    "no veth pairs: --network none or host", "modprobe veth");
	tell_answer(f, "nftables", a.nftables, "published ports and ways outside",
		    "no nftables: ports cannot be published", "modprobe nf_tables");
	if (geteuid() == 0 &&
	    file_read_at(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", 16, &forward, &len) == 0)
		finding_add(f, topic_net, "forwarding", *forward == '1' ? FINDING_OK : FINDING_NOTE, NULL,
			    *forward == '1' ? "on" : "off: it is switched on with the first bridge network");
}

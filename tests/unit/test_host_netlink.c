/* SPDX-License-Identifier: Apache-2.0 */
/* Two network namespaces of our own; a dummy device goes from one to the other with what it has. */
#include "test.h"

#include "base/file.h"
#include "base/proc.h"
#include "host/netlink.h"
#include "host/netlink_int.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static bool ifreq_do(const char *name, unsigned long request, struct ifreq *r)
{
	autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)snprintf(r->ifr_name, sizeof(r->ifr_name), "%s", name);
	return ioctl(fd, request, r) == 0;
}

static bool is_up(const char *name)
{
	struct ifreq r = {0};

	return ifreq_do(name, SIOCGIFFLAGS, &r) && (r.ifr_flags & IFF_UP);
}

static int lo_up(void)
{
	struct err err = {0};

	if (unshare(CLONE_NEWNET) < 0)
		return 77;
	if (is_up("lo"))
		return 1;
	if (net_lo_up(&err) < 0)
		return 2;
	return is_up("lo") ? 0 : 3;
}

/* ---- Setting the scene with our own messages ---- */

static int netlink_do(struct nl_request *q)
{
	unsigned char buf[4096];
	autoclose int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct nl_reader r = {0};

	if (q->overflow || send(fd, q->buf, q->len, 0) < 0)
		return -1;
	ssize_t n = recv(fd, buf, sizeof(buf), 0);
	return n > 0 && nl_walk(&r, buf, (size_t)n) == NL_ACKED ? r.error : -1;
}

static int make_device(const char *name, const char *type)
{
	struct ifinfomsg i = {0};
	struct {
		struct rtattr a;
		char kind[8];
	} kind = {.a = {.rta_len = (unsigned short)(4 + strlen(type) + 1), .rta_type = IFLA_INFO_KIND}};
	struct nl_request q;

	(void)snprintf(kind.kind, sizeof(kind.kind), "%s", type);
	nl_begin(&q, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &i, sizeof(i));
	nl_put(&q, IFLA_IFNAME, name, strlen(name) + 1);
	nl_put(&q, IFLA_LINKINFO, &kind, sizeof(kind));
	return netlink_do(&q);
}

static int give_address(const char *name, int family, const char *text, int prefix, int scope)
{
	struct ifaddrmsg i = {.ifa_family = (unsigned char)family,
			      .ifa_prefixlen = (unsigned char)prefix,
			      .ifa_scope = (unsigned char)scope,
			      .ifa_index = if_nametoindex(name)};
	unsigned char ip[16];
	struct nl_request q;

	if (inet_pton(family, text, ip) != 1)
		return -1;
	nl_begin(&q, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE, &i, sizeof(i));
	nl_put(&q, IFA_LOCAL, ip, family == AF_INET ? 4 : 16);
	nl_put(&q, IFA_ADDRESS, ip, family == AF_INET ? 4 : 16);
	return netlink_do(&q);
}

static bool has_address(const char *name, const char *want)
{
	struct ifaddrs *list, *i;
	bool found = false;

	if (getifaddrs(&list) < 0)
		return false;
	for (i = list; i; i = i->ifa_next) {
		char text[64] = "";
		if (!i->ifa_addr || !streq(i->ifa_name, name))
			continue;
		if (i->ifa_addr->sa_family == AF_INET)
			inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr, text,
				  sizeof(text));
		else if (i->ifa_addr->sa_family == AF_INET6)
			inet_ntop(AF_INET6, &((struct sockaddr_in6 *)(void *)i->ifa_addr)->sin6_addr, text,
				  sizeof(text));
		found |= streq(text, want);
	}
	freeifaddrs(list);
	return found;
}

#define STEP(n, expr)                                                                                        \
	do {                                                                                                 \
		if (!(expr)) {                                                                               \
			fprintf(stderr, "%s: %s\n", #expr, err.msg);                                         \
			return n;                                                                            \
		}                                                                                            \
	} while (0)

static int move(void)
{
	struct err err = {0};
	struct ifreq r = {0}, mac = {0}, mac2 = {0};

	if (unshare(CLONE_NEWNET) < 0)
		return 77;
	int other = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (unshare(CLONE_NEWNET) < 0)
		return 77;
	if (make_device("dum0", "dummy") < 0 && make_device("dum0", "ifb") < 0 &&
	    make_device("dum0", "veth") < 0)
		return 77; /* none of them in this kernel */
	r.ifr_mtu = 1300;
	STEP(1, ifreq_do("dum0", SIOCSIFMTU, &r));
	r.ifr_flags = IFF_UP;
	STEP(2, ifreq_do("dum0", SIOCSIFFLAGS, &r));
	STEP(3, give_address("dum0", AF_INET, "10.9.8.7", 24, RT_SCOPE_UNIVERSE) == 0);
	STEP(3, give_address("dum0", AF_INET, "10.7.7.7", 24, RT_SCOPE_LINK) == 0);
	bool v6 = give_address("dum0", AF_INET6, "fd00::7", 64, RT_SCOPE_UNIVERSE) == 0;
	STEP(4, ifreq_do("dum0", SIOCGIFHWADDR, &mac));
	STEP(5, net_move_device("nosuch", NULL, other, "/ns", &err) == -ENODEV);
	STEP(5, streq(err.msg, "link not found for interface nosuch on runtime namespace: No such device"));
	STEP(6, net_move_device("dum0", "inner0", other, "/ns", &err) == 0);
	STEP(7, if_nametoindex("dum0") == 0 && if_nametoindex("lo") == 1);
	STEP(8, setns(other, CLONE_NEWNET) == 0);
	STEP(9, is_up("inner0"));
	STEP(10, ifreq_do("inner0", SIOCGIFMTU, &r) && r.ifr_mtu == 1300);
	STEP(11, ifreq_do("inner0", SIOCGIFHWADDR, &mac2) &&
			 memcmp(mac.ifr_hwaddr.sa_data, mac2.ifr_hwaddr.sa_data, 6) == 0);
	STEP(12, has_address("inner0", "10.9.8.7") && !has_address("inner0", "10.7.7.7"));
	STEP(13, !v6 || has_address("inner0", "fd00::7"));
	return 0;
}

static const char *check(const char *from, const char *to, bool netns, bool rootless)
{
	static struct err err;
	struct oci_net_device d[] = {{from, to}, {"other", NULL}};
	struct oci_config c = {.linux = {.net_devices = {.v = (void *)d, .n = 2}}};

	c.linux.ns[OCI_NS_NETWORK].wanted = netns;
	return net_devices_check(&c, rootless, &err) < 0 ? err.msg : "ok";
}

static void test_check(void)
{
	CHECK_STR(check("eth0", "eth1", true, false), "ok");
	CHECK_STR(check("eth0", NULL, true, false), "ok");
	CHECK_STR(check("eth0", NULL, false, false),
		  "unable to move network devices without a NET namespace");
	CHECK_STR(check("eth0", NULL, true, true),
		  "network devices are not supported for rootless containers");
	CHECK_STR(check("a/b", NULL, true, false), "invalid network device name \"a/b\"");
	CHECK_STR(check("eth0", "..", true, false), "invalid network device name \"..\"");
	CHECK_STR(check("eth0", "0123456789abcdef", true, false),
		  "invalid network device name \"0123456789abcdef\"");
	CHECK_STR(check("eth0", "other", true, false),
		  "network devices \"eth0\" and \"other\" would have one name");
}

static int count(void *data, const struct nl_message *m)
{
	struct nl_span s;

	++*(int *)data;
	return nl_attr(m, sizeof(struct ifinfomsg), IFLA_IFNAME, &s) && s.len > m->body.len ? -EBADMSG : 0;
}

static void test_messages(void)
{
	struct nl_request q;
	struct ifinfomsg i = {.ifi_index = 4};
	unsigned char buf[NL_REQUEST_MAX];
	int n = 0;
	struct nl_reader r = {.each = count, .data = &n};
	struct nl_link link;

	nl_begin(&q, RTM_NEWLINK, 0, &i, sizeof(i));
	nl_put(&q, IFLA_IFNAME, "eth7", 5);
	CHECK(!q.overflow);
	CHECK_INT(nl_walk(&r, q.buf, q.len), NL_MORE);
	CHECK_INT(n, 1);
	struct nl_message m = {.type = RTM_NEWLINK, .body = {.p = q.buf + 16, .len = q.len - 16}};
	CHECK(nl_parse_link(&m, &link) == 0 && link.index == 4 && streq(link.name, "eth7"));
	/* Cut and lying lengths. */
	for (size_t cut = 0; cut < q.len; cut++) {
		memcpy(buf, q.buf, cut);
		CHECK(nl_walk(&r, buf, cut) == (cut == 0 ? NL_MORE : -EBADMSG));
	}
	memcpy(buf, q.buf, q.len);
	((struct nlmsghdr *)(void *)buf)->nlmsg_len = 3;
	CHECK_INT(nl_walk(&r, buf, q.len), -EBADMSG);
	m.body.len = 17;
	CHECK(nl_parse_link(&m, &link) == 0 && link.name[0] == '\0');
	m.body.len = 8;
	CHECK_INT(nl_parse_link(&m, &link), -EBADMSG);
	char big[600] = {0};
	nl_put(&q, 1, big, sizeof(big));
	CHECK(q.overflow);
}

static int in_child(int (*body)(void))
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(body());
	return proc_exit_code(proc_wait(pid));
}

int main(void)
{
	test_check();
	test_messages();
	if (geteuid() == 0) {
		int r = in_child(lo_up);
		CHECK(r == 0 || r == 77);
		r = in_child(move);
		if (r)
			printf("move: %d\n", r);
		CHECK(r == 0 || r == 77);
	}
	return test_end();
}

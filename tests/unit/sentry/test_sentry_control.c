/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages and netlink requests out of hostile memory. */
#include "../test.h"
#include "sentry/net/inet.h"
#include "sentry/net/netlink.h"

#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>

static int logged;
void kernel_log(const char *fmt, ...)
{
	(void)fmt;
	logged++;
}

static size_t put(uint8_t *at, size_t len, int level, int type, const void *data, size_t n)
{
	struct cmsghdr h = {.cmsg_len = len, .cmsg_level = level, .cmsg_type = type};

	memcpy(at, &h, sizeof(h));
	if (n)
		memcpy(at + sizeof(h), data, n);
	return CMSG_ALIGN(sizeof(h) + n);
}

/* How many there are; -errno where one is malformed. */
static int count(const uint8_t *buf, size_t len)
{
	struct cmsghdr h;
	const uint8_t *data;
	size_t at = 0, n;
	int r = 0, found = 0;

	while (control_next(buf, len, &at, &h, &data, &n, &r)) {
		CHECK(data >= buf && data + n <= buf + len);
		found++;
	}
	return r < 0 ? r : found;
}

static void test_walk(void)
{
	uint8_t buf[128] = {0};
	int v = 5;

	CHECK_INT(count(buf, 0), 0);
	CHECK_INT(count(buf, 15), 0);
	CHECK_INT(count(buf, 16), -EINVAL); /* a length of zero */
	put(buf, CMSG_LEN(4), 1, 1, &v, 4);
	CHECK_INT(count(buf, 16), -EINVAL); /* beyond the end */
	CHECK_INT(count(buf, 19), -EINVAL);
	CHECK_INT(count(buf, 20), 1);
	CHECK_INT(count(buf, 24), 1);
	CHECK_INT(count(buf, 39), 1); /* too short for another */
	CHECK_INT(count(buf, 40), -EINVAL);
	put(buf + 24, CMSG_LEN(0), 1, 1, NULL, 0);
	CHECK_INT(count(buf, 40), 2);
	put(buf + 24, SIZE_MAX, 1, 1, NULL, 0);
	CHECK_INT(count(buf, 40), -EINVAL);
	put(buf, SIZE_MAX - 7, 1, 1, NULL, 0); /* would wrap when aligned */
	CHECK_INT(count(buf, 128), -EINVAL);
	put(buf, 15, 1, 1, NULL, 0);
	CHECK_INT(count(buf, 128), -EINVAL);
}

static void test_put(void)
{
	uint8_t buf[64];
	struct message m = {.control = buf, .control_room = 40};
	int v[3] = {1, 2, 3};

	control_put(&m, SOL_SOCKET, SCM_RIGHTS, v, 4);
	CHECK_INT(m.control_len, 24);
	CHECK_INT(m.result, 0);
	control_put(&m, SOL_SOCKET, SCM_RIGHTS, v, 4); /* 16 left: a header without data */
	CHECK_INT(m.control_len, 40);
	CHECK_INT(m.result, MSG_CTRUNC);
	CHECK_INT(((struct cmsghdr *)(void *)(buf + 24))->cmsg_len, 16);
	control_put(&m, SOL_SOCKET, SCM_RIGHTS, v, 0);
	CHECK_INT(m.control_len, 40);

	struct message none = {.control = NULL, .control_room = 40};
	control_put(&none, SOL_SOCKET, SCM_RIGHTS, v, 4);
	CHECK_INT(none.result, MSG_CTRUNC);
	struct message odd = {.control = buf, .control_room = 20};
	control_put(&odd, SOL_SOCKET, SCM_RIGHTS, v, 4);
	CHECK_INT(odd.control_len, 20);
	CHECK_INT(odd.result, 0);
}

static void test_skip(void)
{
	struct iovec v[3] = {{(void *)100, 5}, {(void *)200, 0}, {(void *)300, 10}};
	struct io io = {.iov = v, .niov = 3, .left = 15};

	io_skip(&io, 7);
	CHECK_INT(io.left, 8);
	CHECK(io.iov->iov_base == (void *)302 && io.iov->iov_len == 8);
	io_skip(&io, 100);
	CHECK_INT(io.left, 0);
	struct io empty = {.left = 0};
	io_skip(&empty, 5);
	CHECK_INT(empty.left, 0);
}

static void test_inet(void)
{
	uint8_t in[128] = {0}, out[128];
	size_t len = 99;
	int ttl = 3;

	put(in, CMSG_LEN(4), IPPROTO_IP, IP_TTL, &ttl, 4);
	CHECK_INT(inet_control_check(in, 20, out, &len), 0);
	CHECK_INT(len, 20);
	CHECK_INT(inet_control_check(in, 24, out, &len), 0);
	CHECK_INT(len, 24);
	put(in, CMSG_LEN(3), IPPROTO_IP, IP_TTL, &ttl, 3);
	CHECK_INT(inet_control_check(in, 24, out, &len), -EINVAL);
	put(in, CMSG_LEN(4), IPPROTO_IP, IP_RETOPTS, &ttl, 4);
	logged = 0;
	CHECK_INT(inet_control_check(in, 24, out, &len), -EINVAL);
	CHECK_INT(logged, 1);
	put(in, CMSG_LEN(4), SOL_SOCKET, SCM_RIGHTS, &ttl, 4); /* taken, and never passed on */
	CHECK_INT(inet_control_check(in, 24, out, &len), 0);
	CHECK_INT(len, 0);
}

static int verdict(int protocol, uint16_t type, uint16_t flags, uint32_t len, size_t have, int *error)
{
	_Alignas(8) uint8_t buf[8192] = {0};
	struct nlmsghdr h = {.nlmsg_len = len, .nlmsg_type = type, .nlmsg_flags = flags}, got;
	enum netlink_verdict v = NETLINK_IGNORE;
	size_t at = 0;

	memcpy(buf, &h, sizeof(h));
	buf[16] = AF_INET;
	*error = 0;
	if (!netlink_next(protocol, buf, have, &at, &got, &v, error))
		return -1;
	CHECK(at <= have);
	return (int)v;
}

static void test_netlink(void)
{
	int e;

	CHECK_INT(verdict(NETLINK_ROUTE, RTM_GETLINK, NLM_F_REQUEST, 32, 32, &e), NETLINK_PASS);
	CHECK_INT(verdict(NETLINK_ROUTE, RTM_GETLINK, NLM_F_REQUEST, 33, 32, &e), -1);
	CHECK_INT(verdict(NETLINK_ROUTE, RTM_GETLINK, NLM_F_REQUEST, 15, 32, &e), -1);
	CHECK_INT(verdict(NETLINK_ROUTE, RTM_GETLINK, NLM_F_REQUEST, UINT32_MAX, 32, &e), -1);
	CHECK_INT(verdict(NETLINK_ROUTE, RTM_GETLINK, NLM_F_REQUEST, 32, 15, &e), -1);
	CHECK_INT(verdict(NETLINK_ROUTE, RTM_GETLINK, NLM_F_REQUEST, 5000, 5000, &e), NETLINK_REFUSE);
	CHECK_INT(e, -EINVAL);
	CHECK_INT(verdict(NETLINK_ROUTE, RTM_NEWLINK, NLM_F_REQUEST, 32, 32, &e), NETLINK_REFUSE);
	CHECK_INT(e, -EPERM);
	CHECK_INT(verdict(NETLINK_ROUTE, RTM_DELROUTE, NLM_F_REQUEST, 32, 32, &e), NETLINK_REFUSE);
	CHECK_INT(e, -EPERM);
	CHECK_INT(verdict(NETLINK_ROUTE, 0xffff, NLM_F_REQUEST, 32, 32, &e), NETLINK_REFUSE);
	CHECK_INT(e, -EOPNOTSUPP);
	CHECK_INT(verdict(NETLINK_ROUTE, RTM_GETLINK, 0, 32, 32, &e), NETLINK_IGNORE);
	CHECK_INT(verdict(NETLINK_ROUTE, NLMSG_DONE, NLM_F_REQUEST, 32, 32, &e), NETLINK_IGNORE);
	CHECK_INT(verdict(NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 72, 72, &e), NETLINK_PASS);
	CHECK_INT(verdict(NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 16, 16, &e), NETLINK_REFUSE);
	CHECK_INT(verdict(NETLINK_SOCK_DIAG, SOCK_DESTROY, NLM_F_REQUEST, 72, 72, &e), NETLINK_REFUSE);
}

int main(void)
{
	test_walk();
	test_put();
	test_skip();
	test_inet();
	test_netlink();
	return test_end();
}

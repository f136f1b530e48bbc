/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and routes as text. What the kernel makes of them: tests/agent. */
#include "host/netlink_setup.h"
#include "test.h"

#include <sys/socket.h>

int main(void)
{
	static const char *const wrong[] = {
		"",	    "x",	  "10.0.0.1/33", "10.0.0/8", "fd00::1/129",
		"1.2.3.4/", "1.2.3.4/-1", "1.2.3.4/1x",	 "/8",	     "fd00::1::/64"};
	struct net_prefix p;
	struct err err = {0};
	char name[16];

	CHECK_INT(net_prefix_parse("10.1.2.3/24", &p), 0);
	CHECK(p.family == AF_INET && p.len == 24 && memcmp(p.bytes, "\x0a\x01\x02\x03", 4) == 0);
	CHECK_INT(net_prefix_parse("10.1.2.3", &p), 0);
	CHECK(p.len == 32);
	CHECK_INT(net_prefix_parse("fd00::2/64", &p), 0);
	CHECK(p.family == AF_INET6 && p.len == 64 && p.bytes[0] == 0xfd && p.bytes[15] == 2);
	CHECK_INT(net_prefix_parse("default", &p), 0);
	CHECK(p.family == AF_UNSPEC && p.len == 0);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		CHECK_INT(net_prefix_parse(wrong[i], &p), -EINVAL);
	CHECK_INT(net_card_find("02:ff:ff:ff:ff:ff", name, &err), -ENODEV);
	CHECK_INT(net_card_find("no mac", name, &err), -ENODEV);
	CHECK_INT(net_card_rename("lo", "a name that is too long", &err), -EINVAL);
	CHECK(net_card_mtu("nosuch0", 1400, &err) < 0);
	CHECK_STR(err.msg, "cannot set the MTU of interface nosuch0 to 1400: No such device");
	return test_end();
}

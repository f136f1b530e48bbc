/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "net/net.h"

static struct err err;

static const char *parsed(const char *text)
{
	static char out[128];
	struct net_port p;
	char *ip = NULL;

	if (net_port_parse(text, &p, &ip, &err) < 0)
		return err.msg;
	(void)snprintf(out, sizeof(out), "%s|%u|%u|%u|%u|%s", ip ? ip : "", p.host_port, p.container_port,
		       p.count, p.host_choices, p.proto);
	free(ip);
	return out;
}

int main(void)
{
	CHECK_STR(parsed("80"), "|0|80|1|0|tcp");
	CHECK_STR(parsed("8080:80"), "|8080|80|1|0|tcp");
	CHECK_STR(parsed("53:53/UDP"), "|53|53|1|0|udp");
	CHECK_STR(parsed("127.0.0.1:8080:80/sctp"), "127.0.0.1|8080|80|1|0|sctp");
	CHECK_STR(parsed("127.0.0.1::80"), "127.0.0.1|0|80|1|0|tcp");
	CHECK_STR(parsed("[::1]:8080:80"), "::1|8080|80|1|0|tcp");
	CHECK_STR(parsed("[2001:DB8::1]::80"), "2001:db8::1|0|80|1|0|tcp");
	CHECK_STR(parsed("8000-8009:80-89"), "|8000|80|10|0|tcp");
	CHECK_STR(parsed("8000-8009:80"), "|8000|80|1|10|tcp");
	CHECK_STR(parsed("3000-3005"), "|0|3000|6|0|tcp");
	CHECK_STR(parsed("8000-8009:80-88"),
		  "Invalid ranges specified for container and host Ports: 80-88 and 8000-8009");
	CHECK_STR(parsed("8080:"), "No port specified: 8080:<empty>");
	CHECK_STR(parsed(""), "No port specified: <empty>");
	CHECK_STR(parsed("web:80"), "Invalid hostPort: web");
	CHECK_STR(parsed("80:web"), "Invalid containerPort: web");
	CHECK_STR(parsed("0:0"), "Invalid containerPort: 0");
	CHECK_STR(parsed("70000:80"), "Invalid hostPort: 70000");
	CHECK_STR(parsed("80:70000"), "Invalid containerPort: 70000");
	CHECK_STR(parsed("90-80"), "Invalid containerPort: 90-80");
	CHECK_STR(parsed("-80:80"), "Invalid hostPort: -80");
	CHECK_STR(parsed("1.2.3:80:80"), "Invalid ip address: 1.2.3");
	CHECK_STR(parsed("80/xyz"), "Invalid proto: xyz");
	return test_end();
}

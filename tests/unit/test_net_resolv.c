/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of resolv.conf and hosts, with a host file of our own in a private mount namespace. */
#include "test.h"

#include "base/file.h"
#include "net/net.h"

#include <sched.h>
#include <sys/mount.h>

static struct err err;
static char host_file[] = "/tmp/coffer-resolv-XXXXXX";

static bool set_host(const char *text)
{
	int fd = open(host_file, O_WRONLY | O_TRUNC | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return good;
}

static void check(struct net_resolv q, const char *want)
{
	autofree char *text = net_resolv_conf(&q);

	CHECK_STR(text, want);
}

static void test_resolv(void)
{
	const char *dns[] = {"1.1.1.1"}, *search[] = {"a.org", "b.org"}, *none[] = {"."},
		   *options[] = {"ndots:2"};

	CHECK(set_host(
		"# a comment\nnameserver 127.0.0.1\nnameserver 10.0.0.1 # ours\n nameserver fe80::1%eth0\n"
		"nameserver ::1\nnameserver 2001:db8::1\nsearch old\nsearch example.org x\noptions "
		"rotate\n"));
	check((struct net_resolv){0},
	      "nameserver 10.0.0.1\nnameserver 2001:db8::1\nsearch example.org x\noptions rotate\n");
	check((struct net_resolv){.internal = true},
	      "nameserver 127.0.0.11\nsearch example.org x\noptions rotate ndots:0\n");
	check(
		(struct net_resolv){
			.internal = true, .dns = {dns, 1}, .search = {none, 1}, .options = {options, 1}},
		"nameserver 127.0.0.11\noptions ndots:2\n");
	check((struct net_resolv){.dns = {dns, 1}, .search = {search, 2}},
	      "nameserver 1.1.1.1\nsearch a.org b.org\noptions rotate\n");
	CHECK(set_host("nameserver 127.0.0.1\n"));
	check((struct net_resolv){0}, "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
	check((struct net_resolv){.verbatim = true}, "nameserver 127.0.0.1\n");
	check((struct net_resolv){.verbatim = true, .search = {search, 1}},
	      "nameserver 127.0.0.1\nsearch a.org\n");
}

#define FIXED                                                                                                \
	"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n"           \
	"ff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"

static void test_hosts(void)
{
	struct net_endpoint e[] = {{.ip = "10.1.0.2", .gateway = "10.1.0.1", .ip6 = "fd00::2"}};
	struct net_result r = {.endpoints = {e, 1}};
	const char *add[] = {"db:10.9.9.9", "host:host-gateway", "six=[::5]", "seven:fd00::7"},
		   *bad[] = {"x"}, *bad_ip[] = {"x:1.2.3"};
	struct net_hosts q = {.hostname = "web", .net = &r, .add_host = {add, 4}};
	char *text = NULL;

	CHECK_INT(net_hosts_text(&q, &text, &err), 0);
	CHECK_STR(text, FIXED
		  "10.9.9.9\tdb\n10.1.0.1\thost\n::5\tsix\nfd00::7\tseven\n10.1.0.2\tweb\nfd00::2\tweb\n");
	free(text);
	q = (struct net_hosts){.hostname = "web", .domainname = "x.org", .net = &r};
	CHECK_INT(net_hosts_text(&q, &text, &err), 0);
	CHECK_STR(text, FIXED "10.1.0.2\tweb.x.org web\nfd00::2\tweb.x.org web\n");
	free(text);
	q = (struct net_hosts){.add_host = {bad, 1}};
	CHECK_INT(net_hosts_text(&q, &text, &err), -EINVAL);
	CHECK_STR(err.msg, "bad format for add-host: \"x\"");
	q.add_host.v = bad_ip;
	CHECK_INT(net_hosts_text(&q, &text, &err), -EINVAL);
	CHECK_STR(err.msg, "invalid IP address in add-host: \"1.2.3\"");
}

int main(void)
{
	int fd = mkstemp(host_file);

	close(fd);
	test_hosts();
	if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	    mount(host_file, "/etc/resolv.conf", NULL, MS_BIND, NULL) == 0)
		test_resolv();
	(void)unlink(host_file);
	return test_end();
}

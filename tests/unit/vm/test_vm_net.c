/* SPDX-License-Identifier: Apache-2.0 */
/* A namespace with one end of a veth pair (the other is named as what is ours, and so passed over): what is
 * read of it, the taps beside it, and a second keeper after the first.
 */
#include "test.h"

#include "base/fd.h"
#include "base/proc.h"
#include "vm/net_int.h"

#include <net/if.h>
#include <sched.h>

static bool run(const char *path, const char *const *argv)
{
	const struct proc_run r = {.path = path, .argv = argv, .output_max = 4096, .timeout_ms = 20000};
	struct err err = {0};
	char *out = NULL;

	int status = proc_run(&r, &out, &err);
	free(out);
	return status == 0;
}

#define IP(...)                                                                                              \
	run(access("/sbin/ip", X_OK) == 0 ? "/sbin/ip" : "/bin/ip",                                          \
	    (const char *const[]){"ip", __VA_ARGS__, NULL})

static void test_document(void)
{
	struct net_view v = {.n = 1, .nroutes = 2};

	v.interfaces[0] =
		(struct net_interface){.name = "eth\"0", .mtu = 1500, .mac = {2, 0, 0, 0, 0, 9}, .n = 1};
	v.interfaces[0].addresses[0].ip = (struct net_ip){.v = {10, 0, 0, 2}, .len = 4};
	v.interfaces[0].addresses[0].prefix = 16;
	v.routes[0] = (struct net_route){.family = AF_INET, .gateway = {.v = {10, 0, 0, 1}, .len = 4}};
	v.routes[1] = (struct net_route){
		.family = AF_INET, .to = {.v = {10, 7}, .len = 4}, .prefix = 16, .link = true, .metric = 5};
	autofree char *json = net_view_json(&v);
	CHECK_STR(json,
		  "{\"interfaces\":[{\"card\":\"52:54:00:c0:ff:00\",\"name\":\"eth\\\"0\","
		  "\"mac\":\"02:00:00:00:00:09\",\"mtu\":1500,\"addresses\":[\"10.0.0.2/16\"]}],"
		  "\"routes\":[{\"destination\":\"10.7.0.0/16\",\"interface\":\"eth\\\"0\",\"metric\":5,"
		  "\"link\":true},{\"destination\":\"0.0.0.0/0\",\"gateway\":\"10.0.0.1\","
		  "\"interface\":\"eth\\\"0\"}],\"neighbors\":[]}");
}

static void test_loopback_alone(void)
{
	struct vm_net n = {0};
	struct err err = {0};

	CHECK_INT(vm_net_open(-1, -1, &n, &err), 0);
	CHECK_INT(n.n, 0);
	vm_net_close(&n);
}

static void test_card(void)
{
	autoclose int tun = open("/dev/net/tun", O_PATH | O_CLOEXEC);
	autoclose int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct vm_net n = {0};
	struct err err = {0};

	if (tun < 0 || !IP("link", "add", "eth0", "address", "02:00:00:00:00:09", "type", "veth", "peer",
			   "name", "vmtap-other")) {
		fprintf(stderr, "no tun or no veth pairs here: not tried\n");
		return;
	}
	CHECK(IP("addr", "add", "10.9.0.2/24", "dev", "eth0"));
	CHECK(IP("link", "set", "eth0", "mtu", "1400", "up"));
	CHECK(IP("route", "add", "default", "via", "10.9.0.1"));
	/* One who has a network and no tun is told. */
	CHECK_INT(vm_net_open(-1, proc, &n, &err), -ENODEV);
	for (int i = 0; i < 2; i++) {
		err = (struct err){0};
		CHECK_INT(vm_net_open(tun, proc, &n, &err), 0);
		CHECK_STR(err.msg, "");
		CHECK_INT(n.n, 1);
		CHECK_INT(n.nics[0].mtu, 1400);
		CHECK(if_nametoindex("vmtap0") > 0);
		CHECK(n.json && strstr(n.json, "\"addresses\":[\"10.9.0.2/24\"]"));
		CHECK(n.json && strstr(n.json, "\"gateway\":\"10.9.0.1\""));
		vm_net_close(&n);
		CHECK_INT(n.n, 0);
	}
	CHECK_INT(if_nametoindex("vmtap0"), 0);
}

int main(void)
{
	test_document();
	if (unshare(CLONE_NEWNET) < 0) {
		fprintf(stderr, "no network namespace of our own: the rest is not tried\n");
		return test_end();
	}
	test_loopback_alone();
	test_card();
	return test_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/proc.h"
#include "host/procfs.h"
#include "host/sysctl.h"

#include <sched.h>

static const char *check(const char *key, const char *value, unsigned namespaces, const char *net_path)
{
	static struct err err;
	struct oci_pair pair = {key, value};
	struct oci_config c = {.linux = {.sysctl = {.v = &pair, .n = 1}}};

	for (int i = 0; i < OCI_NS_COUNT; i++)
		c.linux.ns[i].wanted = namespaces >> i & 1;
	c.linux.ns[OCI_NS_NETWORK].path = net_path;
	err = (struct err){0};
	return sysctl_check(&c, &err) < 0 ? err.msg : "ok";
}

enum {
	IPC = 1 << OCI_NS_IPC,
	NET = 1 << OCI_NS_NETWORK,
	UTS = 1 << OCI_NS_UTS,
	USER = 1 << OCI_NS_USER,
	ALL = IPC | NET | UTS | USER,
};

static void test_check(void)
{
	CHECK_STR(check("kernel.shmmax", "1", IPC, NULL), "ok");
	CHECK_STR(check("kernel/shmmax", "1", IPC, NULL), "ok");
	CHECK_STR(check("fs.mqueue.msg_max", "1", IPC, NULL), "ok");
	CHECK_STR(check("kernel.shmmax", "1", NET, NULL),
		  "sysctl \"kernel.shmmax\" is not allowed in the hosts ipc namespace");
	CHECK_STR(check("net.ipv4.ip_forward", "1", NET, NULL), "ok");
	CHECK_STR(check("net/ipv4/conf/eno2.100/rp_filter", "1", NET, NULL), "ok");
	CHECK_STR(check("net.ipv4.conf.eno2/100.rp_filter", "1", NET, NULL), "ok");
	CHECK_STR(check("net.ipv4.ip_forward", "1", IPC, NULL),
		  "sysctl \"net.ipv4.ip_forward\" not allowed in host network namespace");
	CHECK_STR(check("net.ipv4.ip_forward", "1", NET, "/proc/self/ns/net"),
		  "sysctl \"net.ipv4.ip_forward\" not allowed in host network namespace");
	CHECK(str_starts(check("net.ipv4.ip_forward", "1", NET, "/no/such"), "invalid netns path: "));
	CHECK_STR(check("kernel.domainname", "x", UTS, NULL), "ok");
	CHECK_STR(check("kernel.domainname", "x", NET, NULL),
		  "sysctl \"kernel.domainname\" is not in a separate kernel namespace");
	CHECK_STR(
		check("kernel.hostname", "x", UTS, NULL),
		"sysctl \"kernel.hostname\" is not allowed as it conflicts with the OCI \"hostname\" field");
	CHECK_STR(check("user.max_user_namespaces", "0", USER, NULL), "ok");
	CHECK_STR(check("user.max_user_namespaces", "0", NET, NULL),
		  "setting ucounts without a user namespace not allowed: user.max_user_namespaces");
	CHECK_STR(check("kernel.core_pattern", "|/x", ALL, NULL),
		  "sysctl \"kernel.core_pattern\" is not in a separate kernel namespace");
	CHECK_STR(check("vm.swappiness", "1", ALL, NULL),
		  "sysctl \"vm.swappiness\" is not in a separate kernel namespace");
	/* Ways round the list. */
	CHECK_STR(check("net/../kernel/core_pattern", "x", ALL, NULL),
		  "sysctl \"net/../kernel/core_pattern\" is not a valid name");
	CHECK_STR(check("net.//.kernel.core_pattern", "x", ALL, NULL),
		  "sysctl \"net.//.kernel.core_pattern\" is not a valid name");
	CHECK_STR(check("net..kernel", "x", ALL, NULL), "sysctl \"net..kernel\" is not a valid name");
	CHECK_STR(check("net./.kernel", "x", ALL, NULL), "sysctl \"net./.kernel\" is not a valid name");
	CHECK_STR(check("", "x", ALL, NULL), "sysctl \"\" is not a valid name");
	CHECK_STR(check("net.", "x", ALL, NULL), "sysctl \"net.\" is not a valid name");
	CHECK_STR(check("net.ipv4.a+b", "x", ALL, NULL), "sysctl \"net.ipv4.a+b\" is not a valid name");
	CHECK_STR(check("net.ipv4.ip_forward=1 kernel.x", "x", ALL, NULL),
		  "sysctl \"net.ipv4.ip_forward=1 kernel.x\" is not a valid name");
	CHECK(strstr(check("kernel.shm_rmid_forced", "1+kernel.core_pattern=|/x\n2", ALL, NULL),
		     "one line") != NULL);
	/* What is not a separator stays in a name: CVE-2022-0811's form is one strange value, written to one
	 * file. */
	CHECK_STR(check("kernel.shm_rmid_forced", "1+kernel.core_pattern=|/x", ALL, NULL), "ok");
}

static int apply(void)
{
	struct oci_pair pairs[] = {{"net.ipv4.ip_forward", "1"},
				   {"net/ipv4/conf/lo/rp_filter", "2"},
				   {"kernel.shmmni", "123"},
				   {"kernel.domainname", "a.example"},
				   {"fs.mqueue.queues_max", "64"}};
	struct oci_config c = {.linux = {.sysctl = {.v = pairs, .n = ARRAY_LEN(pairs)}}};
	static const struct {
		const char *file, *want;
	} results[] = {{"sys/net/ipv4/ip_forward", "1\n"},
		       {"sys/net/ipv4/conf/lo/rp_filter", "2\n"},
		       {"sys/kernel/shmmni", "123\n"},
		       {"sys/kernel/domainname", "a.example\n"},
		       {"sys/fs/mqueue/queues_max", "64\n"}};
	struct err err = {0};
	int proc = procfs_open(&err);

	if (unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0)
		return 77;
	if (sysctl_apply(&c, proc, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	for (size_t i = 0; i < ARRAY_LEN(results); i++) {
		autofree char *text = NULL;
		if (procfs_read(proc, results[i].file, 64, &text, &err) < 0 || !streq(text, results[i].want))
			return 2 + (int)i;
	}
	pairs[0] = (struct oci_pair){"net.ipv4.no_such", "1"};
	if (sysctl_apply(&c, proc, &err) != -ENOENT ||
	    !streq(err.msg, "failed to write sysctl net.ipv4.no_such = \"1\": No such file or directory"))
		return 20;
	return 0;
}

int main(void)
{
	test_check();
	if (geteuid() == 0) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(apply());
		CHECK_INT(proc_exit_code(proc_wait(pid)), 0);
	}
	return test_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A network without root: pasta, then slirp4netns, for a namespace of an ordinary user's. */
#include "test.h"

#include "base/db.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "host/netlink.h"
#include "net/addr.h"
#include "net/batch.h"
#include "net/net.h"

#include <grp.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { USER = 65534 };
static struct err err;

#define OK(expr) CHECK_INT(ok(expr), 0)
static int ok(int r)
{
	if (r < 0)
		fprintf(stderr, "  %s\n", err.msg);
	return r;
}

static void warn(void *data unused, const char *text)
{
	printf("warning: %s\n", text);
}

/* A way out, as the tools look for one: 192.0.2.1/24 on a bridge without ports, default by 192.0.2.2. */
static int make_way_out(void)
{
	struct batch b = {0};
	struct ifinfomsg m = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	struct rtmsg rt = {.rtm_family = AF_INET,
			   .rtm_table = RT_TABLE_MAIN,
			   .rtm_protocol = RTPROT_BOOT,
			   .rtm_type = RTN_UNICAST};
	struct ip here = {0}, via = {0};
	autoclose int fd = netlink_open(NETLINK_ROUTE);

	batch_message(&b, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &m, sizeof(m));
	batch_str(&b, IFLA_IFNAME, "out0");
	size_t info = batch_nest(&b, IFLA_LINKINFO, NULL, 0);
	batch_str(&b, IFLA_INFO_KIND, "bridge");
	batch_end(&b, info);
	int r = batch_send(&b, fd, NULL);
	if (r < 0 || !ip_parse("192.0.2.1", &here) || !ip_parse("192.0.2.2", &via))
		return r;
	struct ifaddrmsg am = {
		.ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = if_nametoindex("out0")};
	batch_message(&b, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE, &am, sizeof(am));
	batch_put(&b, IFA_LOCAL, here.b, 4);
	batch_put(&b, IFA_ADDRESS, here.b, 4);
	batch_message(&b, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE, &rt, sizeof(rt));
	batch_put(&b, RTA_GATEWAY, via.b, 4);
	r = batch_send(&b, fd, NULL);
	batch_free(&b);
	return r;
}

static int tcp_socket(const char *ip, uint16_t port, bool serve)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct ip parsed = {0};
	autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (!ip_parse(ip, &parsed))
		return -1;
	memcpy(&a.sin_addr, parsed.b, 4);
	int r = serve ? bind(fd, (struct sockaddr *)&a, sizeof(a))
		      : connect(fd, (struct sockaddr *)&a, sizeof(a));
	if (r < 0 || (serve && listen(fd, 8) < 0))
		return -1;
	return take_fd(&fd);
}

/* The container's process: a server on port 80 that says "hi" to each. */
static void inside(int ready)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 || net_lo_up(&err) < 0)
		_exit(77);
	int fd = tcp_socket("0.0.0.0", 80, true);
	if (fd < 0 || write(ready, "x", 1) != 1)
		_exit(1);
	for (;;) {
		int c = accept(fd, NULL, NULL);
		if (c >= 0 && write(c, "hi", 2) == 2)
			close(c);
	}
}

static bool says_hi(const char *ip, uint16_t port)
{
	char buf[2] = "";
	autoclose int fd = tcp_socket(ip, port, false);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return fd >= 0 && poll(&p, 1, 3000) == 1 && fd_read_full(fd, buf, 2) == 2 &&
	       memcmp(buf, "hi", 2) == 0;
}

static int as_user(const char *dir, const char *tool)
{
	struct db *db = NULL;
	struct net *net = NULL;
	struct net_options o = {.run_root = dir, .data_root = dir, .rootless = true, .warn = warn};
	struct net_join join = {.network = "bridge"};
	struct net_port port = {.host_port = 18080, .container_port = 80, .count = 1, .proto = "tcp"};
	struct net_attach a = {.id = "0123456789ab",
			       .name = "web",
			       .networks = &join,
			       .n_networks = 1,
			       .ports = &port,
			       .n_ports = 1};
	struct net_result r = {0};
	int fds[2];
	char byte, path[64];

	autoclose int dirfd = open(dir, O_PATH | O_CLOEXEC);
	CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
	OK(db_open(dirfd, dir, "coffer.db", DB_FAST, &db, &err));
	o.db = db;
	OK(net_open(&o, &net, &err));
	pid_t pid = fork();
	if (pid == 0)
		inside(fds[1]);
	close(fds[1]);
	if (read(fds[0], &byte, 1) != 1) {
		printf("no user namespaces for ordinary users here\n");
		return 77;
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	a.netns_fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(a.netns_fd >= 0);
	OK(net_lease(net, &a, &r, &err));
	CHECK_INT(r.ports.n, 1);
	OK(net_plug(net, &a, &r, &err));
	CHECK(says_hi("127.0.0.1", 18080));
	struct net_result again = {0};
	struct net_attach b = a;
	b.id = "ba9876543210";
	CHECK_INT(net_lease(net, &b, &again, &err), -EADDRINUSE);
	CHECK(strstr(err.msg, "Bind for 0.0.0.0:18080 failed: port is already allocated"));
	OK(net_detach(net, a.id, NULL, &err));
	OK(net_detach(net, a.id, NULL, &err));
	usleep(300000);
	CHECK(!says_hi("127.0.0.1", 18080));
	net_result_free(&r);
	(void)kill(pid, SIGKILL);
	CHECK(proc_wait(pid) >= 0);
	net_close(net);
	db_close(db);
	printf("%s: ", tool);
	return test_end();
}

static int scene(bool hide_pasta)
{
	char dir[] = "/tmp/coffer-user-XXXXXX";

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || net_lo_up(&err) < 0 ||
	    make_way_out() < 0 || !mkdtemp(dir) || mount("tmpfs", dir, "tmpfs", 0, NULL) < 0)
		return 77;
	if (hide_pasta && mount("/dev/null", "/usr/bin/pasta", NULL, MS_BIND, NULL) < 0)
		return 77;
	CHECK_INT(chown(dir, USER, USER), 0);
	/* Everybody's, as it is on ordinary machines. */
	autofree char *tun = str_format("%s/tun", dir);
	if (mknod(tun, S_IFCHR | 0666, makedev(10, 200)) < 0 || chmod(tun, 0666) < 0 ||
	    mount(tun, "/dev/net/tun", NULL, MS_BIND, NULL) < 0)
		return 77;
	pid_t pid = fork();
	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setresgid(USER, USER, USER) < 0 ||
		    setresuid(USER, USER, USER) < 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
			_exit(77);
		int r = as_user(dir, hide_pasta ? "slirp4netns" : "pasta");
		fflush(NULL);
		_exit(r);
	}
	int r = proc_exit_code(proc_wait(pid));
	(void)umount2(dir, MNT_DETACH);
	(void)rmdir(dir);
	return r;
}

static int in_child(bool hide_pasta)
{
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		int r = scene(hide_pasta);
		fflush(NULL);
		_exit(r);
	}
	return proc_exit_code(proc_wait(pid));
}

int main(void)
{
	if (geteuid() != 0 || access("/usr/bin/pasta", X_OK) < 0 ||
	    access("/usr/bin/slirp4netns", X_OK) < 0) {
		printf("skipped: needs root, pasta and slirp4netns\n");
		return 77;
	}
	int r = in_child(false);
	return r ? r : in_child(true);
}

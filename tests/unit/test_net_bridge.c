/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real containers' networks in namespaces of our own: a "host" with bridges,
 * an "outside" beyond it, containers that are no more than namespaces.  What
 * may talk to what is tried with real connections.
 */
#include "test_net_scene.h"

static void test_within(void)
{
	struct box a, b;

	OK(attach(&a, "a", "bridge", NULL, NULL, 0));
	OK(attach(&b, "b", "bridge", NULL, NULL, 0));
	CHECK_STR(a.r.endpoints.v[0].interface, "eth0");
	CHECK(!a.r.needs_dns && a.r.dns_udp < 0);
	int server = listen_in(b.ns, SOCK_STREAM, "0.0.0.0", 80);
	CHECK(reaches(a.ns, b.r.endpoints.v[0].ip, 80, server));
	CHECK(reaches(host_ns, b.r.endpoints.v[0].ip, 80, server));
	/* Not from outside by the container's own address, though the way is known there. */
	CHECK(kept_away(outside_ns, b.r.endpoints.v[0].ip, 80, server));
	/* Out, by the host's address; and to the host. */
	int out = listen_in(outside_ns, SOCK_STREAM, "0.0.0.0", 90);
	char seen[64];
	CHECK(tcp_reaches(a.ns, "192.0.2.2", 90, out, PATIENCE_MS, seen));
	CHECK_STR(seen, "192.0.2.1");
	int here = listen_in(host_ns, SOCK_STREAM, "0.0.0.0", 91);
	CHECK(reaches(a.ns, a.r.endpoints.v[0].gateway, 91, here));
	CHECK(reaches(a.ns, "192.0.2.1", 91, here));
	close(server);
	close(out);
	close(here);
	detach(&a);
	detach(&b);
}

static void check_published(const struct box *b, int tcp, int udp, bool all)
{
	const char *ip = b->r.endpoints.v[0].ip;

	(void)ip;
	CHECK(reaches(host_ns, "127.0.0.1", 8080, tcp));
	CHECK(all ? reaches(host_ns, "192.0.2.1", 8080, tcp) : kept_away(host_ns, "192.0.2.1", 8080, tcp));
	CHECK(all ? reaches(outside_ns, "192.0.2.1", 8080, tcp)
		  : kept_away(outside_ns, "192.0.2.1", 8080, tcp));
	CHECK(all ? reaches(b->ns, "192.0.2.1", 8080, tcp) : kept_away(b->ns, "192.0.2.1", 8080, tcp));
	if (udp < 0)
		return;
	CHECK(udp_reaches(host_ns, "127.0.0.1", 5353, udp));
	CHECK(udp_reaches(outside_ns, "192.0.2.1", 5353, udp));
	CHECK(udp_reaches(b->ns, "192.0.2.1", 5353, udp));
}

static void test_publish(void)
{
	struct net_port ports[] = {port(NULL, 8080, 80, "tcp"), port("0.0.0.0", 5353, 53, "udp")};
	struct net_port local[] = {port("127.0.0.1", 8080, 80, "tcp")};
	struct net_port any[] = {port(NULL, 0, 80, "tcp")};
	struct box a, b, c;
	char seen[64];

	OK(attach(&a, "web", "bridge", NULL, ports, 2));
	OK(attach(&b, "peer", "bridge", NULL, NULL, 0));
	int tcp = listen_in(a.ns, SOCK_STREAM, "0.0.0.0", 80),
	    udp = listen_in(a.ns, SOCK_DGRAM, "0.0.0.0", 53);
	check_published(&a, tcp, udp, true);
	CHECK(reaches(b.ns, "192.0.2.1", 8080, tcp));
	CHECK(reaches(b.ns, a.r.endpoints.v[0].gateway, 8080, tcp));
	CHECK(tcp_reaches(outside_ns, "192.0.2.1", 8080, tcp, PATIENCE_MS, seen));
	CHECK_STR(seen, "192.0.2.2"); /* who it is, is seen */
	/* Reserved against other programs and other containers. */
	CHECK_INT(listen_in(host_ns, SOCK_STREAM, "0.0.0.0", 8080), -1);
	CHECK_INT(listen_in(host_ns, SOCK_DGRAM, "0.0.0.0", 5353), -1);
	CHECK_INT(attach(&c, "other", "bridge", NULL, local, 1), -EADDRINUSE);
	CHECK(strstr(err.msg, "driver failed programming external connectivity on endpoint other (") &&
	      strstr(err.msg, "): Bind for 127.0.0.1:8080 failed: port is already allocated"));
	detach(&c);
	detach(&a);
	int free_again = listen_in(host_ns, SOCK_STREAM, "0.0.0.0", 8080);
	CHECK(free_again >= 0);
	CHECK_INT(attach(&c, "other", "bridge", NULL, local, 1), -EADDRINUSE);
	detach(&c);
	close(free_again);
	close(tcp);
	close(udp);
	OK(attach(&c, "local", "bridge", NULL, local, 1));
	tcp = listen_in(c.ns, SOCK_STREAM, "0.0.0.0", 80);
	check_published(&c, tcp, -1, false);
	detach(&c);
	close(tcp);
	OK(attach(&c, "any", "bridge", NULL, any, 1));
	CHECK(c.r.ports.n == 1 && c.r.ports.v[0].host_port != 0);
	tcp = listen_in(c.ns, SOCK_STREAM, "0.0.0.0", 80);
	CHECK(reaches(outside_ns, "192.0.2.1", c.r.ports.v[0].host_port, tcp));
	detach(&c);
	close(tcp);
	detach(&b);
}

static void test_apart(void)
{
	struct net_network q = {.name = "red", .driver = "bridge"}, blue = {.name = "blue", .internal = true};
	struct box a, b, c;
	char *id = NULL;

	OK(net_create(net, &q, &id, &err));
	free(id);
	OK(net_create(net, &blue, &id, &err));
	free(id);
	OK(attach(&a, "a", "red", NULL, NULL, 0));
	OK(attach(&b, "b", "bridge", NULL, NULL, 0));
	OK(attach(&c, "c", "blue", "red", NULL, 0));
	int server = listen_in(a.ns, SOCK_STREAM, "0.0.0.0", 80),
	    out = listen_in(outside_ns, SOCK_STREAM, "0.0.0.0", 90);
	CHECK(a.r.needs_dns && a.r.dns_udp >= 0 && a.r.dns_tcp >= 0);
	CHECK(kept_away(b.ns, a.r.endpoints.v[0].ip, 80, server));
	CHECK(reaches(c.ns, a.r.endpoints.v[0].ip, 80, server));
	CHECK_STR(c.r.endpoints.v[1].interface, "eth1");
	CHECK(reaches(c.ns, "192.0.2.2", 90, out)); /* by red */
	CHECK_INT(net_remove(net, "red", NULL, &err), -EBUSY);
	CHECK(strstr(err.msg, "error while removing network: network red id ") &&
	      strstr(err.msg, " has active endpoints"));
	struct box d;
	OK(attach(&d, "d", "blue", NULL, NULL, 0));
	CHECK(kept_away(d.ns, "192.0.2.2", 90, out));
	CHECK(d.r.endpoints.v[0].gateway == NULL);
	/* Connected while it runs, and disconnected. */
	struct net_join join = {.network = "red", .ip = NULL};
	struct net_attach more = d.a;
	struct net_result r2;
	more.networks = &join;
	more.n_networks = 1;
	more.first_index = 1;
	OK(net_lease(net, &more, &r2, &err));
	OK(net_plug(net, &more, &r2, &err));
	CHECK(reaches(d.ns, "192.0.2.2", 90, out));
	CHECK_INT(net_lease(net, &more, &r2, &err), -EEXIST);
	OK(net_detach(net, d.id, "red", &err));
	CHECK(kept_away(d.ns, "192.0.2.2", 90, out));
	net_result_free(&r2);
	/* The name that is free is taken, whatever number the caller has in mind. */
	OK(net_detach(net, d.id, "blue", &err));
	more.first_index = 5;
	OK(net_lease(net, &more, &r2, &err));
	OK(net_plug(net, &more, &r2, &err));
	CHECK_STR(r2.endpoints.v[0].interface, "eth0");
	CHECK(reaches(d.ns, "192.0.2.2", 90, out));
	net_result_free(&r2);
	close(server);
	close(out);
	detach(&a);
	detach(&b);
	detach(&c);
	detach(&d);
	OK(net_remove(net, "red", NULL, &err));
	OK(net_remove(net, "blue", NULL, &err));
}

static void test_six(void)
{
	struct net_subnet sub[] = {{"fd00:9::/64", NULL, NULL}, {"10.77.0.0/24", NULL, NULL}};
	struct net_network q = {.name = "six", .driver = "bridge", .subnets = {sub, 2}};
	struct net_port ports[] = {port(NULL, 8080, 80, "tcp")};
	struct box a, b;
	char *id = NULL;

	OK(net_create(net, &q, &id, &err));
	free(id);
	CHECK_INT(net_create(net, &q, &id, &err), -EEXIST);
	CHECK_STR(err.msg, "network with name six already exists");
	q.name = "seven";
	CHECK_INT(net_create(net, &q, &id, &err), -EEXIST);
	CHECK_STR(err.msg, "Pool overlaps with other one on this address space");
	OK(attach(&a, "a", "six", NULL, ports, 1));
	OK(attach(&b, "b", "six", NULL, NULL, 0));
	CHECK_STR(a.r.endpoints.v[0].ip, "10.77.0.2");
	CHECK_STR(a.r.endpoints.v[0].ip6, "fd00:9::2");
	CHECK_STR(a.r.endpoints.v[0].mac, "02:42:0a:4d:00:02");
	CHECK_INT(a.r.ports.n, 2);
	int server = listen_in(a.ns, SOCK_STREAM, "::", 80),
	    out = listen_in(outside_ns, SOCK_STREAM, "::", 90);
	CHECK(reaches(b.ns, "fd00:9::2", 80, server));
	CHECK(reaches(b.ns, "10.77.0.2", 80, server));
	CHECK(reaches(outside_ns, "2001:db8::1", 8080, server));
	CHECK(reaches(outside_ns, "192.0.2.1", 8080, server));
	CHECK(reaches(host_ns, "2001:db8::1", 8080, server));
	CHECK(reaches(a.ns, "2001:db8::1", 8080, server));
	CHECK(reaches(b.ns, "2001:db8::2", 90, out));
	close(server);
	close(out);
	detach(&a);
	detach(&b);
	OK(net_remove(net, "six", NULL, &err));
}

/* The resolver by the way that a program in the container takes: 127.0.0.11, port 53. */
static bool asks(int ns, struct dns *d, int type, const char *want_ip)
{
	static const unsigned char query[] = {0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 'd', 'b', 0, 0, 1, 0, 1};
	unsigned char m[600] = {0, sizeof(query)};
	struct sockaddr_storage a;
	struct ip want = {0};
	size_t n = 0;

	memcpy(m + 2, query, sizeof(query));
	CHECK(ip_parse(want_ip, &want));
	socklen_t len = to_sockaddr("127.0.0.11", 53, &a);
	CHECK_INT(enter(ns), 0);
	autoclose int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	bool connected = connect(fd, (struct sockaddr *)&a, len) == 0;
	CHECK_INT(enter(host_ns), 0);
	size_t skip = type == SOCK_STREAM ? 0 : 2;
	if (!connected || write(fd, m + skip, sizeof(query) + 2 - skip) < 0)
		return false;
	for (int i = 0; i < 40 && n < sizeof(query) + 18 - skip; i++) {
		struct pollfd set[DNS_POLL_MAX + 1];
		int timeout = 200;
		size_t k = dns_poll_set(d, set, &timeout);
		set[k] = (struct pollfd){.fd = fd, .events = POLLIN};
		if (poll(set, k + 1, timeout) < 0)
			return false;
		dns_poll_done(d, set, k);
		ssize_t got = set[k].revents ? read(fd, m + n, sizeof(m) - n) : 0;
		n += got > 0 ? (size_t)got : 0;
	}
	return n == sizeof(query) + 18 - skip && memcmp(m + n - 4, want.b, 4) == 0;
}

static void test_names(void)
{
	struct net_network q = {.name = "named"};
	struct box a, b;
	struct dns *d = NULL;
	char *id = NULL;

	OK(net_create(net, &q, &id, &err));
	free(id);
	OK(attach(&a, "web", "named", NULL, NULL, 0));
	OK(attach(&b, "db", "named", NULL, NULL, 0));
	struct dns_options o = {.udp = a.r.dns_udp, .tcp = a.r.dns_tcp, .run_root = run_root, .id = a.id};
	OK(dns_open(&o, &d, &err));
	a.r.dns_udp = a.r.dns_tcp = -1; /* the resolver's now */
	/* The container may have a server of its own at port 53. */
	int own = listen_in(a.ns, SOCK_DGRAM, "0.0.0.0", 53),
	    own_tcp = listen_in(a.ns, SOCK_STREAM, "0.0.0.0", 53);
	CHECK(own >= 0 && own_tcp >= 0);
	CHECK(asks(a.ns, d, SOCK_DGRAM, b.r.endpoints.v[0].ip));
	CHECK(asks(a.ns, d, SOCK_STREAM, b.r.endpoints.v[0].ip));
	CHECK(udp_reaches(b.ns, a.r.endpoints.v[0].ip, 53, own));
	CHECK(reaches(b.ns, a.r.endpoints.v[0].ip, 53, own_tcp));
	dns_close(d);
	close(own);
	close(own_tcp);
	detach(&a);
	detach(&b);
	OK(net_remove(net, "named", NULL, &err));
}

/* A client that keeps its UDP port finds the container that has the port now, not the one that had it. */
static void test_udp_moves(void)
{
	struct net_port ports[] = {port(NULL, 5353, 53, "udp")};
	struct box a, b;
	struct sockaddr_storage to;

	OK(attach(&a, "a", "bridge", NULL, ports, 1));
	int first = listen_in(a.ns, SOCK_DGRAM, "0.0.0.0", 53);
	CHECK_INT(enter(outside_ns), 0);
	socklen_t len = to_sockaddr("192.0.2.1", 5353, &to);
	autoclose int client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK_INT(connect(client, (struct sockaddr *)&to, len), 0);
	CHECK_INT(enter(host_ns), 0);
	CHECK(write(client, "one", 3) == 3 && readable(first, PATIENCE_MS));
	detach(&a);
	OK(attach(&b, "b", "bridge", NULL, ports, 1));
	int second = listen_in(b.ns, SOCK_DGRAM, "0.0.0.0", 53);
	CHECK(write(client, "two", 3) == 3 && readable(second, PATIENCE_MS));
	close(first);
	close(second);
	detach(&b);
}

static void test_foreign_drop(void)
{
	static const char rules[] = "table ip filter {\nchain FORWARD {\n"
				    "type filter hook forward priority 0; policy drop;\n}\n}\n";
	static const char *const argv[] = {"nft", "-f", "-", NULL}, *const undo[] = {"nft", "delete", "table",
										     "ip",  "filter", NULL};
	struct proc_run run = {.path = "/usr/sbin/nft",
			       .argv = argv,
			       .input = rules,
			       .input_len = sizeof(rules) - 1,
			       .output_max = 1000};
	struct net_network q = {.name = "dropped", .mtu = 1000}; /* too small for IPv6 */
	struct box a;
	char *id = NULL;

	CHECK_INT(proc_run(&run, NULL, &err), 0);
	OK(net_create(net, &q, &id, &err));
	free(id);
	OK(attach(&a, "a", "dropped", NULL, NULL, 0));
	CHECK(strstr(warned, "the policy of iptables' FORWARD chain is to drop"));
	detach(&a);
	OK(net_remove(net, "dropped", NULL, &err));
	run.argv = undo;
	run.input = NULL;
	CHECK_INT(proc_run(&run, NULL, &err), 0);
}

/* Everybody runs, as the process in `data`. */
static bool somebody(void *data, const char *id unused, pid_t *ret_pid)
{
	*ret_pid = *(pid_t *)data;
	return true;
}

static void keep_line(void *data, const char *line)
{
	(void)snprintf((char *)data + sizeof(pid_t), 512, "%s", line); /* cut where too long */
}

/* `system check` asks the plugins of who runs, and hears of an address that is gone. */
static void test_cni_check(const struct box *a)
{
	struct {
		pid_t pid;
		char line[512];
	} who = {.pid = fork()};
	uint64_t findings = 0;

	if (who.pid == 0) {
		if (setns(a->ns, CLONE_NEWNET) == 0)
			(void)pause();
		_exit(1);
	}
	autofree char *pid = str_format("%d", (int)who.pid);
	const char *const flush[] = {"nsenter", "-t",	 pid,	"-n",	"ip",
				     "address", "flush", "dev", "eth0", NULL};
	struct proc_run run = {.path = "/usr/bin/nsenter", .argv = flush, .output_max = 1000};
	(void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL); /* until it is in there */
	OK(net_check(net, somebody, &who, false, keep_line, &findings, &err));
	CHECK_INT(findings, 0);
	CHECK_STR(who.line, "");
	CHECK_INT(proc_run(&run, NULL, &err), 0);
	OK(net_check(net, somebody, &who, false, keep_line, &findings, &err));
	CHECK_INT(findings, 1);
	CHECK(strstr(who.line, "CNI plugin bridge failed (CHECK)"));
	CHECK(kill(who.pid, SIGKILL) == 0 && waitpid(who.pid, NULL, 0) == who.pid);
}

/* Debian's plugins, by a configuration list; their own bridge, addresses and ports. */
static void test_cni(void)
{
	static const char list[] =
		"{\"cniVersion\": \"1.0.0\", \"name\": \"foreign\", \"plugins\": ["
		" {\"type\": \"bridge\", \"bridge\": \"cni9\", \"isGateway\": true, \"ipMasq\": true,"
		"  \"ipam\": {\"type\": \"host-local\", \"dataDir\": \"%s/cni\","
		"   \"ranges\": [[{\"subnet\": \"10.66.0.0/24\"}]], \"routes\": [{\"dst\": \"0.0.0.0/0\"}]}},"
		" {\"type\": \"portmap\", \"capabilities\": {\"portMappings\": true}}]}";
	struct net_port ports[] = {port(NULL, 8088, 80, "tcp")};
	autofree char *text = str_format(list, scratch),
		      *path = str_format("%s/net.d/10-x.conflist", scratch);
	struct box a;

	if (access("/usr/lib/cni/portmap", X_OK) < 0) {
		printf("no CNI plugins here\n");
		return;
	}
	CHECK_INT(file_replace_at(AT_FDCWD, path, text, strlen(text), 0600, false), 0);
	OK(attach(&a, "a", "foreign", NULL, ports, 1));
	const char *ip = a.r.endpoints.v[0].ip;
	CHECK(ip && str_starts(ip, "10.66.0.") && a.r.endpoints.v[0].prefix == 24);
	CHECK_STR(a.r.endpoints.v[0].gateway, "10.66.0.1");
	CHECK(a.r.endpoints.v[0].mac != NULL);
	int server = listen_in(a.ns, SOCK_STREAM, "0.0.0.0", 80);
	CHECK(reaches(host_ns, ip, 80, server));
	CHECK(reaches(outside_ns, "192.0.2.1", 8088, server));
	struct net_result now = {0};
	OK(net_endpoints(net, a.id, &now, &err));
	CHECK(now.endpoints.n == 1 && now.endpoints.v[0].ip && streq(now.endpoints.v[0].ip, ip));
	net_result_free(&now);
	autofree char *lease = str_format("%s/cni/foreign/%s", scratch, ip);
	CHECK_INT(access(lease, F_OK), 0);
	test_cni_check(&a);
	OK(net_detach(net, a.id, NULL, &err));
	CHECK(access(lease, F_OK) < 0);
	CHECK(kept_away(outside_ns, "192.0.2.1", 8088, server));
	OK(net_detach(net, a.id, NULL, &err));
	close(server);
	detach(&a);
	/* A plugin that is not there is said so. */
	CHECK_INT(file_replace_at(AT_FDCWD, path,
				  "{\"cniVersion\":\"0.4.0\",\"name\":\"foreign\",\"type\":\"nosuch\"}", 55,
				  0600, false),
		  0);
	CHECK_INT(attach(&a, "a", "foreign", NULL, NULL, 0), -ENOENT);
	CHECK(strstr(err.msg, "CNI plugin \"nosuch\" is not in "));
	detach(&a);
	(void)unlink(path);
}

static bool nobody(void *data unused, const char *id unused, pid_t *ret_pid unused)
{
	return false;
}

static void show(void *data unused, const char *line)
{
	fprintf(stderr, "  %s\n", line);
}

static char *rules_text(void)
{
	static const char *const argv[] = {"nft", "list", "ruleset", NULL};
	struct proc_run run = {.path = "/usr/sbin/nft", .argv = argv, .output_max = 1 << 20};
	char *out = NULL;

	return proc_run(&run, &out, &err) == 0 ? out : NULL;
}

static void test_nothing_left(void)
{
	uint64_t findings = 0;
	autofree char *rules = rules_text();

	OK(net_check(net, nobody, NULL, false, show, &findings, &err));
	CHECK_INT(findings, 0);
	CHECK(rules && !strstr(rules, "8080") && strstr(rules, "coffer0") && !strstr(rules, "cf"));
	/* Flushed rules are found, and come back with the next container. */
	static const char *const argv[] = {"nft", "flush", "ruleset", NULL};
	struct proc_run run = {.path = "/usr/sbin/nft", .argv = argv, .output_max = 1000};
	CHECK_INT(proc_run(&run, NULL, &err), 0);
	struct net_port ports[] = {port(NULL, 8080, 80, "tcp")};
	struct box a;
	OK(attach(&a, "a", "bridge", NULL, ports, 1));
	int server = listen_in(a.ns, SOCK_STREAM, "0.0.0.0", 80);
	check_published(&a, server, -1, true);
	CHECK_INT(proc_run(&run, NULL, &err), 0);
	OK(net_check(net, nobody, NULL, true, NULL, &findings, &err));
	CHECK_INT(findings, 2); /* the rules, and a lease of somebody who is not alive */
	OK(net_check(net, nobody, NULL, true, show, &findings, &err));
	CHECK_INT(findings, 0);
	close(server);
	detach(&a);
}

static void bridge_filter(const char *value)
{
	if (file_write_at(AT_FDCWD, "/proc/sys/net/bridge/bridge-nf-call-iptables", value) < 0)
		printf("no br_netfilter\n");
	else
		ignore_result(
			file_write_at(AT_FDCWD, "/proc/sys/net/bridge/bridge-nf-call-ip6tables", value) < 0);
}

static double milliseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Not a test either: N containers at once on one network, each answering (COFFER_NET_MANY=N). */
static void many(unsigned n)
{
	struct box *boxes = calloc(n, sizeof(*boxes));
	int *servers = calloc(n, sizeof(*servers));
	unsigned answered = 0;
	double t0 = milliseconds();

	for (unsigned i = 0; boxes && servers && i < n; i++) {
		OK(attach(&boxes[i], "x", "bridge", NULL, NULL, 0));
		servers[i] = listen_in(boxes[i].ns, SOCK_STREAM, "0.0.0.0", 80);
	}
	double t1 = milliseconds();
	for (unsigned i = 0; i < n; i++)
		answered += reaches(boxes[(i + 1) % n].ns, boxes[i].r.endpoints.v[0].ip, 80, servers[i]);
	double t2 = milliseconds();
	for (unsigned i = 0; i < n; i++) {
		close(servers[i]);
		detach(&boxes[i]);
	}
	printf("%u attached in %.0f ms, %u answered in %.0f ms, detached in %.0f ms\n", n, t1 - t0, answered,
	       t2 - t1, milliseconds() - t2);
	free(boxes);
	free(servers);
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Not a test: what attaching costs here (COFFER_NET_BENCH=N). */
static void bench(int n, const char *network, bool publish)
{
	struct net_port ports[] = {port(NULL, 0, 80, "tcp")};
	double *t[3];

	for (int k = 0; k < 3; k++)
		if (!(t[k] = calloc((size_t)n, sizeof(*t[k]))))
			return;

	for (int i = 0; i < n; i++) {
		struct box b = {.ns = new_ns()};
		b.joins[0].network = network;
		(void)snprintf(b.id, sizeof(b.id), "%064x", 0x7000 + i);
		b.a = (struct net_attach){
			.id = b.id, .name = b.id, .networks = b.joins, .n_networks = 1, .netns_fd = b.ns};
		if (publish) {
			b.a.ports = ports;
			b.a.n_ports = 1;
		}
		double t0 = milliseconds();
		OK(net_lease(net, &b.a, &b.r, &err));
		double t1 = milliseconds();
		OK(net_plug(net, &b.a, &b.r, &err));
		double t2 = milliseconds();
		OK(net_detach(net, b.id, NULL, &err));
		double t3 = milliseconds();
		net_result_free(&b.r);
		close(b.ns);
		t[0][i] = t1 - t0;
		t[1][i] = t2 - t1;
		t[2][i] = t3 - t2;
	}
	printf("%s%s:", network, publish ? " -p" : "");
	for (int k = 0; k < 3; k++) {
		static const char *const what[] = {"lease", "plug", "detach"};
		qsort(t[k], (size_t)n, sizeof(*t[k]), by_value);
		printf(" %s %.3f (at best %.3f)", what[k], t[k][n / 2], t[k][0]);
		free(t[k]);
	}
	printf(" ms\n");
}

static int scene(void)
{
	char dir[] = "/tmp/coffer-net-XXXXXX";
	char run[64];

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 77;
	if (!mkdtemp(dir) || mount("tmpfs", dir, "tmpfs", 0, NULL) < 0)
		return 77;
	host_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (net_lo_up(&err) < 0 || make_outside() < 0)
		return 77;
	(void)snprintf(run, sizeof(run), "%s/run", dir);
	(void)snprintf(run_root, sizeof(run_root), "%s", run);
	(void)snprintf(scratch, sizeof(scratch), "%s", dir);
	autofree char *conf_dir = str_format("%s/net.d", dir);
	const char *conf_dirs[] = {conf_dir};
	CHECK_INT(file_mkdir_all(conf_dir, 0700), 0);
	struct net_options o = {
		.run_root = run, .data_root = dir, .warn = warn, .cni_config_dirs = {conf_dirs, 1}};
	autoclose int dirfd = open(dir, O_PATH | O_CLOEXEC);
	OK(db_open(dirfd, dir, "coffer.db", DB_FAST, &db, &err));
	o.db = db;
	OK(net_open(&o, &net, &err));
	const char *n = getenv("COFFER_NET_BENCH"), *all = getenv("COFFER_NET_MANY");
	uint64_t number = 0;
	if (all && str_to_u64(all, 10, &number) == 0)
		many((unsigned)number);
	if (n) {
		uint64_t count = 0;
		struct net_network q = {.name = "named"};
		char *id = NULL;
		CHECK_INT(str_to_u64(n, 10, &count), 0);
		OK(net_create(net, &q, &id, &err));
		free(id);
		bench(2, "bridge", false);
		bench(2, "named", false);
		bench((int)count, "bridge", false);
		bench((int)count, "bridge", true);
		bench((int)count, "named", false);
	} else {
		for (int i = 0; i < 2; i++) {
			bridge_filter(i ? "1" : "0");
			test_within();
			test_publish();
			test_apart();
			test_six();
			test_names();
			test_udp_moves();
			test_foreign_drop();
			test_cni();
			test_nothing_left();
		}
		CHECK(strstr(warned, "IPv4 forwarding was off on this machine; it is on now"));
	}
	net_close(net);
	db_close(db);
	(void)umount2(dir, MNT_DETACH);
	(void)rmdir(dir);
	return test_failures ? 1 : 0;
}

int main(void)
{
	if (geteuid() != 0 || access("/usr/sbin/nft", X_OK) < 0) {
		printf("skipped: needs root and nft\n");
		return 77;
	}
	pid_t pid = fork();
	if (pid == 0) {
		int r = scene();
		if (r != 77)
			r = test_end();
		fflush(NULL);
		_exit(r);
	}
	int r = proc_exit_code(proc_wait(pid));
	if (r == 77)
		printf("skipped: no namespaces here\n");
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A namespace with one end of a veth pair (the other is named as what is ours, and so passed over): what is
 * read of it, the taps beside it, and a second keeper after the first.
 */
#include "test.h"

#include "base/fd.h"
#include "base/proc.h"
#include "vm/names.h"
#include "vm/net_int.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

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

	CHECK_INT(vm_net_open(NULL, 0, -1, &n, &err), 0);
	CHECK_INT(n.n, 0);
	vm_net_close(&n);
}

static void test_card(void)
{
	autoclose int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
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
	CHECK_INT(vm_net_open(NULL, 0, -1, &n, &err), -ENODEV);
	for (int i = 0; i < 2; i++) {
		int tuns[] = {open("/dev/net/tun", O_RDWR | O_CLOEXEC), dup(tun)};
		err = (struct err){0};
		CHECK_INT(vm_net_open(tuns, ARRAY_LEN(tuns), -1, &n, &err), 0);
		CHECK_INT(tuns[0], -1);
		CHECK(tuns[1] >= 0); /* one more than there are cards */
		(void)close(tuns[1]);
		CHECK_STR(err.msg, "");
		CHECK_INT(n.n, 1);
		CHECK_INT(n.nics[0].mtu, 1400);
		CHECK(if_nametoindex("vmtap0") > 0);
		/* Another machine does not take this one's packets. */
		struct vm_net other = {0};
		int more[] = {open("/dev/net/tun", O_RDWR | O_CLOEXEC)};
		CHECK_INT(vm_net_open(more, 1, -1, &other, &err), -EBUSY);
		CHECK(strstr(err.msg, "another machine") && more[0] >= 0);
		(void)close(more[0]);
		CHECK(n.json && strstr(n.json, "\"addresses\":[\"10.9.0.2/24\"]"));
		CHECK(n.json && strstr(n.json, "\"gateway\":\"10.9.0.1\""));
		vm_net_close(&n);
		CHECK_INT(n.n, 0);
	}
	CHECK_INT(if_nametoindex("vmtap0"), 0);
}

/* ---- names: what a guest's kernel would send, by hand ---- */

enum { VNET = 10, ASKER = 4711 };
struct frame {
	unsigned char vnet[VNET];
	struct ether_header eth;
	union {
		struct ether_arp arp;
		struct {
			struct iphdr ip;
			struct udphdr udp;
			char text[8];
		} __attribute__((packed)) packet;
	};
} __attribute__((packed));
static const unsigned char guest_mac[6] = {2, 0, 0, 0, 0, 9};

/* The next frame of this type from the tap; 0: none came. */
static size_t frame_of(int tap, uint16_t type, struct frame *f)
{
	struct pollfd p = {.fd = tap, .events = POLLIN};

	while (poll(&p, 1, 10000) > 0) {
		ssize_t n = read(tap, f, sizeof(*f));
		if (n > 0 && f->eth.ether_type == htons(type))
			return (size_t)n;
	}
	return 0;
}

static void ask_for_the_address(int tap, unsigned char ret_mac[6])
{
	struct frame f = {.eth.ether_type = htons(ETHERTYPE_ARP)};

	memset(f.eth.ether_dhost, 0xff, 6);
	memcpy(f.eth.ether_shost, guest_mac, 6);
	f.arp.ea_hdr = (struct arphdr){htons(ARPHRD_ETHER), htons(ETHERTYPE_IP), 6, 4, htons(ARPOP_REQUEST)};
	memcpy(f.arp.arp_sha, guest_mac, 6);
	CHECK_INT(inet_pton(AF_INET, "10.9.0.2", f.arp.arp_spa), 1);
	CHECK_INT(inet_pton(AF_INET, VM_NAMES_ADDRESS, f.arp.arp_tpa), 1);
	size_t len = offsetof(struct frame, arp) + sizeof(f.arp);
	CHECK_INT(write(tap, &f, len), (long long)len);
	CHECK(frame_of(tap, ETHERTYPE_ARP, &f) > 0);
	CHECK_INT(ntohs(f.arp.ea_hdr.ar_op), ARPOP_REPLY);
	memcpy(ret_mac, f.arp.arp_sha, 6);
}

static uint16_t ip_sum(struct iphdr ip)
{
	uint16_t w[sizeof(ip) / 2];
	uint32_t sum = 0;

	memcpy(w, &ip, sizeof(w));
	for (size_t i = 0; i < ARRAY_LEN(w); i++)
		sum += w[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

static void ask_a_question(int tap, const unsigned char mac[6])
{
	struct frame f = {.eth.ether_type = htons(ETHERTYPE_IP), .packet.text = "question"};
	size_t len = offsetof(struct frame, packet) + sizeof(f.packet);

	memcpy(f.eth.ether_dhost, mac, 6);
	memcpy(f.eth.ether_shost, guest_mac, 6);
	f.packet.ip = (struct iphdr){.version = 4,
				     .ihl = 5,
				     .ttl = 64,
				     .protocol = IPPROTO_UDP,
				     .tot_len = htons(sizeof(f.packet)),
				     .saddr = inet_addr("10.9.0.2"),
				     .daddr = inet_addr(VM_NAMES_ADDRESS)};
	f.packet.ip.check = ip_sum(f.packet.ip);
	f.packet.udp.source = htons(ASKER);
	f.packet.udp.dest = htons(53);
	f.packet.udp.len = htons(sizeof(f.packet.udp) + sizeof(f.packet.text));
	CHECK_INT(write(tap, &f, len), (long long)len);
	CHECK_INT((long long)frame_of(tap, ETHERTYPE_IP, &f), (long long)len);
	CHECK_INT(f.packet.ip.saddr, inet_addr(VM_NAMES_ADDRESS));
	CHECK_INT(ntohs(f.packet.udp.dest), ASKER);
	CHECK(memcmp(f.packet.text, "answered", 8) == 0);
}

/* A resolver that answers one question. */
static pid_t start_resolver(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons(53),
				 .sin_addr.s_addr = inet_addr(VM_NAMES_RESOLVER)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	CHECK_INT(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	pid_t pid = fork();
	if (pid == 0) {
		socklen_t size = sizeof(at);
		char text[16];
		ssize_t n = recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&at, &size);
		_exit(n != 8 || memcmp(text, "question", 8) != 0 ||
		      sendto(fd, "answered", 8, 0, (struct sockaddr *)&at, size) != 8);
	}
	(void)close(fd);
	return pid;
}

static void test_names(void)
{
	int tun[] = {open("/dev/net/tun", O_RDWR | O_CLOEXEC)}, status = -1;
	autoclose int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	unsigned char mac[6] = {0};
	struct vm_names names = {-1, -1};
	struct vm_net n = {0};
	struct err err = {0};

	if (tun[0] < 0 || if_nametoindex("eth0") == 0) {
		fprintf(stderr, "no tun or no veth pairs here: not tried\n");
		return;
	}
	CHECK(IP("link", "set", "lo", "up"));
	CHECK_INT(vm_net_open(tun, 1, proc, &n, &err), 0);
	CHECK_STR(err.msg, "");
	CHECK_STR(n.names_tap, "vmtap0");
	CHECK(n.json && strstr(n.json, "{\"destination\":\"" VM_NAMES_ADDRESS "/32\",\"interface\":\"eth0\","
				       "\"link\":true}"));
	CHECK_INT(vm_names_listen(n.names_tap, &names, &err), 0);
	pid_t resolver = start_resolver(), relay = fork();
	if (relay == 0)
		vm_names_serve(&names, VM_NAMES_RESOLVER);
	ask_for_the_address(n.nics[0].tap_fd, mac);
	ask_a_question(n.nics[0].tap_fd, mac);
	CHECK_INT(waitpid(resolver, &status, 0), resolver);
	CHECK_INT(status, 0);
	CHECK_INT(kill(relay, SIGKILL), 0);
	CHECK_INT(waitpid(relay, NULL, 0), relay);
	vm_names_close(&names);
	vm_net_close(&n);
}

/* ---- questions by TCP ---- */

static int listener(const char *ip, uint16_t port, struct sockaddr_in *ret)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = inet_addr(ip)};
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK_INT(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	CHECK_INT(listen(fd, 8), 0);
	CHECK_INT(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	*ret = at;
	return fd;
}

/* All up to the other's end. */
static size_t read_all(int fd, char *text, size_t max)
{
	size_t n = 0;

	for (ssize_t k; n < max && (k = recv(fd, text + n, max - n, 0)) > 0;)
		n += (size_t)k;
	return n;
}

static int dial(const struct sockaddr_in *at)
{
	const struct timeval patience = {.tv_sec = 30};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	CHECK_INT(connect(fd, (const struct sockaddr *)at, sizeof(*at)), 0);
	return fd;
}

/* An answer that nobody reads fills all on its way, so that the relay waits within a write; then who asked
 * goes. */
static void check_gone_amid_answer(const struct sockaddr_in *at, int server)
{
	static char much[1 << 20];
	const struct timeval full = {.tv_usec = 300000};
	const struct linger at_once = {.l_onoff = 1};
	int asker = dial(at), answerer = accept(server, NULL, NULL);

	CHECK_INT(shutdown(asker, SHUT_WR), 0);
	CHECK_INT((long long)read_all(answerer, much, sizeof(much)), 0);
	CHECK_INT(setsockopt(answerer, SOL_SOCKET, SO_SNDTIMEO, &full, sizeof(full)), 0);
	while (send(answerer, much, sizeof(much), MSG_NOSIGNAL) > 0)
		;
	CHECK_INT(setsockopt(asker, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	(void)close(asker);
	(void)close(answerer);
}

/* Who asks ends first, or who answers: what is under way the other way arrives all the same. */
static void test_ends_by_tcp(void)
{
	const struct timeval patience = {.tv_sec = 30};
	struct sockaddr_in at, resolver;
	char text[32] = "";
	int udp[2];

	CHECK(IP("link", "set", "lo", "up"));
	CHECK_INT(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, udp), 0);
	autoclose int server = listener(VM_NAMES_RESOLVER, 53, &resolver);
	CHECK_INT(setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	const struct vm_names names = {.udp = udp[0], .tcp = listener("127.0.0.1", 0, &at)};
	pid_t relay = fork();
	if (relay == 0) {
		(void)close(udp[1]);
		vm_names_serve(&names, VM_NAMES_RESOLVER);
	}
	for (int first_ends = 0; first_ends < 2; first_ends++) {
		int asker = dial(&at), answerer = accept(server, NULL, NULL);
		int one = first_ends ? asker : answerer, other = first_ends ? answerer : asker;
		CHECK_INT(write(one, "the first", 9), 9);
		CHECK_INT(shutdown(one, SHUT_WR), 0);
		CHECK_INT((long long)read_all(other, text, sizeof(text)), 9);
		CHECK(memcmp(text, "the first", 9) == 0);
		CHECK_INT(write(other, "the second", 10), 10);
		(void)close(other);
		CHECK_INT((long long)read_all(one, text, sizeof(text)), 10);
		CHECK(memcmp(text, "the second", 10) == 0);
		(void)close(one);
	}
	/* Who goes without a word is not waited for: the resolver sees the end. */
	int asker = dial(&at), answerer = accept(server, NULL, NULL);
	const struct linger at_once = {.l_onoff = 1};
	CHECK_INT(setsockopt(asker, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	(void)close(asker);
	CHECK_INT((long long)read_all(answerer, text, sizeof(text)), 0);
	(void)close(answerer);
	check_gone_amid_answer(&at, server);
	asker = dial(&at); /* the relay is there still */
	answerer = accept(server, NULL, NULL);
	CHECK_INT(write(answerer, "the third", 9), 9);
	(void)close(answerer);
	CHECK_INT((long long)read_all(asker, text, sizeof(text)), 9);
	(void)close(asker);
	CHECK_INT(kill(relay, SIGKILL), 0);
	CHECK_INT(waitpid(relay, NULL, 0), relay);
	(void)close(names.tcp);
	(void)close(udp[0]);
	(void)close(udp[1]);
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
	test_names();
	test_ends_by_tcp();
	return test_end();
}

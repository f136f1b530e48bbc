/* SPDX-License-Identifier: Apache-2.0 */
/* The resolver with real sockets: its own names, a made-up server beyond it, hostile packets. */
#include "test.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/proc.h"
#include "host/netlink.h"
#include "net/dns.h"
#include "net/dns_packet.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>

#define NET1 "1111111111111111111111111111111111111111111111111111111111111111"
#define NET2 "2222222222222222222222222222222222222222222222222222222222222222"
#define ME   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define WEB  "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define WEB2 "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

static char dir[] = "/tmp/coffer-dns-XXXXXX";
static uint16_t udp_port, tcp_port;

static void put(const char *network, const char *id, const char *text)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/net/%s", dir, network);
	CHECK_INT(file_mkdir_all(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/net/%s/%s", dir, network, id);
	CHECK_INT(file_replace_at(AT_FDCWD, path, text, strlen(text), 0600, false), 0);
}

static int bound(int type, const char *ip, uint16_t port, uint16_t *ret_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1;

	ignore_result(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0);
	CHECK_INT(inet_pton(AF_INET, ip, &a.sin_addr), 1);
	CHECK_INT(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	if (type == SOCK_STREAM)
		CHECK_INT(listen(fd, 8), 0);
	CHECK_INT(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	if (ret_port)
		*ret_port = ntohs(a.sin_port);
	return fd;
}

static size_t make_query(unsigned char *buf, uint16_t id, const char *name, uint16_t type)
{
	static const unsigned char edns[] = {0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0};
	size_t n = DNS_HEADER;

	memset(buf, 0, DNS_HEADER);
	buf[0] = (unsigned char)(id >> 8);
	buf[1] = (unsigned char)id;
	buf[2] = 1;
	buf[5] = 1;
	buf[11] = 1;
	while (*name) {
		size_t l = strcspn(name, ".");
		buf[n++] = (unsigned char)l;
		memcpy(buf + n, name, l);
		n += l;
		name += l + (name[l] == '.');
	}
	buf[n++] = 0;
	buf[n++] = (unsigned char)(type >> 8);
	buf[n++] = (unsigned char)type;
	buf[n++] = 0;
	buf[n++] = 1;
	memcpy(buf + n, edns, sizeof(edns));
	return n + sizeof(edns);
}

/* ---- A server beyond: answers with 9.9.9.9, NXDOMAIN for "nx…", nothing for "mute…", lies for "lie…" ----
 */

static size_t upstream_answer(unsigned char *m, size_t len, bool tcp)
{
	struct dns_question q;
	struct dns_answer a;
	struct ip nine = {.family = AF_INET, .b = {9, 9, 9, 9}};

	if (dns_parse(m, len, &q) < 0 || str_starts(q.name, "mute"))
		return 0;
	dns_answer_begin(&a, m, &q, str_starts(q.name, "nx") ? DNS_NXDOMAIN : DNS_NOERROR);
	if (str_starts(q.name, "big") && !tcp)
		a.buf[2] |= 2;
	else if (!str_starts(q.name, "nx"))
		dns_answer_address(&a, &nine, 60, sizeof(a.buf));
	if (str_starts(q.name, "lie"))
		a.buf[1] ^= 0x55;
	memcpy(m, a.buf, a.len);
	return a.len;
}

static void serve_tcp(int listener)
{
	unsigned char m[2048];
	autoclose int fd = accept(listener, NULL, NULL);

	if (fd < 0 || fd_read_full(fd, m, 2) != 2)
		return;
	size_t len = (size_t)(m[0] << 8 | m[1]);
	if (len > 1000 || fd_read_full(fd, m + 2, len) != (ssize_t)len)
		return;
	len = upstream_answer(m + 2, len, true);
	m[0] = (unsigned char)(len >> 8);
	m[1] = (unsigned char)len;
	if (len)
		ignore_result(fd_write_all(fd, m, len + 2) < 0);
}

static void upstream(int udp, int tcp)
{
	for (;;) {
		struct pollfd p[] = {{.fd = udp, .events = POLLIN}, {.fd = tcp, .events = POLLIN}};
		unsigned char m[2048];
		struct sockaddr_in from;
		socklen_t from_len = sizeof(from);

		if (poll(p, 2, -1) < 0)
			_exit(1);
		if (p[1].revents)
			serve_tcp(tcp);
		if (!p[0].revents)
			continue;
		ssize_t n = recvfrom(udp, m, 1500, 0, (struct sockaddr *)&from, &from_len);
		size_t len = n > 0 ? upstream_answer(m, (size_t)n, false) : 0;
		if (len)
			ignore_result(sendto(udp, m, len, 0, (struct sockaddr *)&from, from_len) < 0);
	}
}

static void resolver(int udp, int tcp)
{
	const char *servers[] = {"127.0.0.3", "127.0.0.2"}; /* at the first nobody listens */
	struct dns_options o = {.udp = udp, .tcp = tcp, .run_root = dir, .id = ME, .servers = {servers, 2}};
	struct dns *d;
	struct err err = {0};

	if (dns_open(&o, &d, &err) < 0)
		_exit(1);
	for (;;) {
		struct pollfd set[DNS_POLL_MAX];
		int timeout = -1;
		size_t n = dns_poll_set(d, set, &timeout);
		if (poll(set, n, timeout) < 0)
			_exit(1);
		dns_poll_done(d, set, n);
	}
}

/* ---- Asking ---- */

struct got {
	int rcode; /* -1: no answer */
	bool truncated;
	unsigned answers;
	char first[64];
};

static struct got read_answer(const unsigned char *m, size_t len, uint16_t id)
{
	struct dns_question q;
	struct got g = {.rcode = -1};

	if (dns_parse(m, len, &q) < 0 || !q.response || q.id != id)
		return g;
	g.rcode = q.rcode;
	g.truncated = q.truncated;
	g.answers = m[7];
	if (g.answers && len >= q.end + 12) {
		const unsigned char *r = m + q.end;
		size_t n = (size_t)(r[10] << 8 | r[11]);
		struct ip ip = {.family = n == 4 ? AF_INET : AF_INET6};
		memcpy(ip.b, r + 12, MIN_OF(n, (size_t)16));
		if (r[3] == DNS_TYPE_PTR)
			(void)snprintf(g.first, sizeof(g.first), "%.*s", r[12], r + 13);
		else
			(void)snprintf(g.first, sizeof(g.first), "%s", ip_text(&ip).s);
	}
	return g;
}

static struct got ask_udp(const char *name, uint16_t type, int wait)
{
	unsigned char m[2048];
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons(udp_port), .sin_addr.s_addr = htonl(0x7f00000b)};
	autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t len = make_query(m, 0x4242, name, type);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	CHECK_INT(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	CHECK_INT(send(fd, m, len, 0), (ssize_t)len);
	if (poll(&p, 1, wait) != 1)
		return (struct got){.rcode = -1};
	ssize_t n = recv(fd, m, sizeof(m), 0);
	return read_answer(m, n > 0 ? (size_t)n : 0, 0x4242);
}

static struct got ask_tcp(const char *name, uint16_t type)
{
	unsigned char m[2048];
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons(tcp_port), .sin_addr.s_addr = htonl(0x7f00000b)};
	autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t len = make_query(m + 2, 0x4343, name, type);

	CHECK_INT(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	m[0] = (unsigned char)(len >> 8);
	m[1] = (unsigned char)len;
	/* In pieces. */
	CHECK_INT(fd_write_all(fd, m, 1), 0);
	CHECK_INT(fd_write_all(fd, m + 1, 9), 0);
	CHECK_INT(fd_write_all(fd, m + 10, len - 8), 0);
	if (fd_read_full(fd, m, 2) != 2)
		return (struct got){.rcode = -1};
	len = (size_t)(m[0] << 8 | m[1]);
	ssize_t n = fd_read_full(fd, m, MIN_OF(len, sizeof(m)));
	return read_answer(m, n > 0 ? (size_t)n : 0, 0x4343);
}

static void test_names(void)
{
	struct got g = ask_udp("WEB", DNS_TYPE_A, 2000);

	CHECK(g.rcode == DNS_NOERROR && g.answers == 1);
	CHECK_STR(g.first, "10.5.0.3");
	g = ask_udp("web.front", DNS_TYPE_AAAA, 2000);
	CHECK(g.rcode == DNS_NOERROR && g.answers == 1);
	CHECK_STR(g.first, "fd00:5::3");
	g = ask_udp("web", 15, 2000); /* MX: the name is known, there is no such data */
	CHECK(g.rcode == DNS_NOERROR && g.answers == 0);
	g = ask_udp("3.0.5.10.in-addr.arpa", DNS_TYPE_PTR, 2000);
	CHECK_STR(g.first, "web");
	g = ask_udp("other", DNS_TYPE_A, 2000); /* on a network that is not this container's */
	CHECK_STR(g.first, "9.9.9.9");
	put(NET1, WEB2, "10.5.0.4 - -\nweb2\nalias\nweb\n");
	g = ask_udp("alias", DNS_TYPE_A, 2000);
	CHECK_STR(g.first, "10.5.0.4");
	g = ask_udp("alias", DNS_TYPE_AAAA, 2000);
	CHECK(g.rcode == DNS_NOERROR && g.answers == 0);
	g = ask_udp("web", DNS_TYPE_A, 2000);
	CHECK_INT(g.answers, 2);
	g = ask_tcp("alias", DNS_TYPE_A);
	CHECK_STR(g.first, "10.5.0.4");
	char path[300];
	(void)snprintf(path, sizeof(path), "%s/net/%s/%s", dir, NET1, WEB2);
	CHECK_INT(unlink(path), 0);
	g = ask_udp("alias", DNS_TYPE_A, 2000);
	CHECK_STR(g.first, "9.9.9.9");
}

static void test_upstream(void)
{
	struct got g = ask_udp("example.org", DNS_TYPE_A, 3000);

	CHECK(g.rcode == DNS_NOERROR && g.answers == 1);
	CHECK_STR(g.first, "9.9.9.9");
	g = ask_udp("nx.example.org", DNS_TYPE_A, 3000);
	CHECK_INT(g.rcode, DNS_NXDOMAIN);
	g = ask_udp("big.example.org", DNS_TYPE_A, 3000);
	CHECK(g.truncated);
	g = ask_tcp("big.example.org", DNS_TYPE_A);
	CHECK_STR(g.first, "9.9.9.9");
	g = ask_udp("lie.example.org", DNS_TYPE_A, 500);
	CHECK_INT(g.rcode, -1);
	g = ask_udp("mute.example.org", DNS_TYPE_A, 10000);
	CHECK_INT(g.rcode, DNS_SERVFAIL);
}

static void test_hostile(void)
{
	static const unsigned char loop[] = {0, 1, 1,	0,   0,	  1,	0,  0, 0, 0, 0,
					     0, 3, 'w', 'w', 'w', 0xc0, 12, 0, 1, 0, 1};
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons(udp_port), .sin_addr.s_addr = htonl(0x7f00000b)};
	autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	unsigned char m[600];

	CHECK_INT(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	for (size_t n = 0; n < DNS_HEADER; n++)
		CHECK_INT(send(fd, loop, n, 0), (ssize_t)n);
	CHECK_INT(send(fd, loop, sizeof(loop), 0), (ssize_t)sizeof(loop));
	struct pollfd p = {.fd = fd, .events = POLLIN};
	CHECK_INT(poll(&p, 1, 2000), 1);
	CHECK(recv(fd, m, sizeof(m), 0) >= DNS_HEADER && (m[3] & 0xf) == DNS_FORMERR);
	/* Hundreds at once that nobody answers; the next is served all the same. */
	for (int i = 0; i < 400; i++) {
		size_t len = make_query(m, (uint16_t)i, "mute.x", DNS_TYPE_A);
		CHECK_INT(send(fd, m, len, 0), (ssize_t)len);
	}
	struct got g = {.rcode = -1};
	for (int i = 0; i < 5 && g.rcode < 0; i++) /* the kernel's queue may have been full */
		g = ask_udp("web", DNS_TYPE_A, 500);
	CHECK_STR(g.first, "10.5.0.3");
}

static void test_internal(void)
{
	put(NET1, "internal", "");
	struct got g = ask_udp("example.org", DNS_TYPE_A, 3000);
	CHECK_INT(g.rcode, DNS_SERVFAIL);
	g = ask_udp("web", DNS_TYPE_A, 2000);
	CHECK_STR(g.first, "10.5.0.3");
	put(NET1, ME, "10.5.0.2 - out\nme\n"); /* on the default network, too */
	g = ask_udp("again.example.org", DNS_TYPE_A, 10000);
	CHECK_STR(g.first, "9.9.9.9");
}

static int scene(void)
{
	struct err err = {0};

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || net_lo_up(&err) < 0 || !mkdtemp(dir) ||
	    mount("tmpfs", dir, "tmpfs", 0, NULL) < 0)
		return 77;
	put(NET1, ME, "10.5.0.2 - -\nme\n");
	put(NET1, WEB, "10.5.0.3 fd00:5::3 -\nweb\nbbbbbbbbbbbb\nWeb.Front\n");
	put(NET2, WEB2, "10.6.0.3 - -\nother\n");
	int up = bound(SOCK_DGRAM, "127.0.0.2", 53, NULL), up_tcp = bound(SOCK_STREAM, "127.0.0.2", 53, NULL);
	int udp = bound(SOCK_DGRAM, "127.0.0.11", 0, &udp_port),
	    tcp = bound(SOCK_STREAM, "127.0.0.11", 0, &tcp_port);
	pid_t one = fork();
	if (one == 0)
		upstream(up, up_tcp);
	pid_t two = fork();
	if (two == 0)
		resolver(udp, tcp);
	test_names();
	test_upstream();
	test_hostile();
	test_internal();
	(void)kill(one, SIGKILL);
	(void)kill(two, SIGKILL);
	CHECK_INT(proc_wait(one), SIGKILL);
	CHECK_INT(proc_wait(two), SIGKILL);
	(void)umount2(dir, MNT_DETACH);
	(void)rmdir(dir);
	return test_end();
}

int main(void)
{
	if (geteuid() != 0) {
		printf("skipped: needs root\n");
		return 77;
	}
	return scene();
}

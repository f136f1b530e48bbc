/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts for /proc/net: what the host tells of the container's network
 * namespace, which is the sentry's own; unix sockets from our table.
 */
#include "sentry/net/proc_net.h"
#include "sentry/net/unix.h"

const char *const proc_net_names[] = {
	"anycast6",  "arp",	 "dev",	   "dev_mcast", "fib_trie",   "fib_triestat", "icmp",
	"icmp6",     "if_inet6", "igmp",   "igmp6",	"ipv6_route", "mcfilter",     "mcfilter6",
	"netlink",   "netstat",	 "packet", "protocols", "raw",	      "raw6",	      "route",
	"rt6_stats", "rt_acct",	 "snmp",   "snmp6",	"sockstat",   "sockstat6",    "tcp",
	"tcp6",	     "udp",	 "udp6",   "udplite",	"udplite6",   "unix",	      NULL,
};

static void show_unix(struct synth_text *text)
{
	static const int states[] = {[UNIX_IDLE] = 1, [UNIX_LISTENING] = 1, [UNIX_CONNECTED] = 3};
	struct unix_socket *u;

	synth_printf(text, "Num       RefCount Protocol Flags    Type St Inode Path\n");
	list_each(u, unix_all(), struct unix_socket, all)
	{
		synth_printf(text, "%016llx: %08X %08X %08X %04X %02X %5llu", 0ULL, u->s.holds + 1, 0,
			     u->state == UNIX_LISTENING ? 1u << 16 : 0, (unsigned)u->s.type,
			     (unsigned)states[u->state], (unsigned long long)u->s.ino);
		if (u->address) {
			const char *path = u->address->sun.sun_path;
			size_t n = u->address->len - UNIX_PATH_AT;
			if (path[0]) /* without the NUL behind it */
				n--;
			synth_write(text, " ", 1);
			for (size_t i = 0; i < n; i++) /* a NUL reads as @, as in the kernel */
				synth_write(text, path[i] ? &path[i] : "@", 1);
		}
		synth_write(text, "\n", 1);
	}
}

int proc_net_show(const char *name, struct synth_text *text)
{
	char path[64], buf[4096];

	if (streq(name, "unix")) {
		show_unix(text);
		return 0;
	}
	ignore_result(snprintf(path, sizeof(path), "self/net/%s", name)); /* names are ours: they fit */
	int fd = openat(kernel.proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		synth_write(text, buf, (size_t)n);
	int r = n < 0 ? -errno : 0;
	ignore_result(close(fd)); /* read only */
	return r;
}

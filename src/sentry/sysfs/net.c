/* SPDX-License-Identifier: Apache-2.0 */
/* /sys/class/net: the interfaces of the container's network, by the host's own answers. */
#include "sentry/sysfs/tree.h"

#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* The interface of that index, asked about; its name is in *r. */
static int interface_ask(uint64_t index, unsigned long what, struct ifreq *r)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int e = 0;

	if (fd < 0)
		return -errno;
	*r = (struct ifreq){.ifr_ifindex = (int)index};
	if (ioctl(fd, SIOCGIFNAME, r) < 0 || (what != SIOCGIFNAME && ioctl(fd, what, r) < 0))
		e = errno == ENODEV ? -ENOENT : -errno;
	ignore_result(close(fd)); /* nothing was sent */
	return e;
}

static int show_index(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	synth_printf(text, "%u\n", (unsigned)node->arg);
	return 0;
}

static int show_mtu(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	struct ifreq r;
	int e = interface_ask(node->arg, SIOCGIFMTU, &r);

	if (e == 0)
		synth_printf(text, "%d\n", r.ifr_mtu);
	return e;
}

static int show_queue_length(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	struct ifreq r;
	int e = interface_ask(node->arg, SIOCGIFTXQLEN, &r);

	if (e == 0)
		synth_printf(text, "%d\n", r.ifr_qlen);
	return e;
}

static int show_address(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	struct ifreq r;
	int e = interface_ask(node->arg, SIOCGIFHWADDR, &r);

	for (int i = 0; e == 0 && i < 6; i++)
		synth_printf(text, "%02x%s", (uint8_t)r.ifr_hwaddr.sa_data[i], i < 5 ? ":" : "\n");
	return e;
}

static int show_broadcast(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	struct ifreq r;
	int e = interface_ask(node->arg, SIOCGIFFLAGS, &r);

	if (e == 0)
		synth_printf(text,
			     r.ifr_flags & IFF_LOOPBACK ? "00:00:00:00:00:00\n" : "ff:ff:ff:ff:ff:ff\n");
	return e;
}

static int show_type(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	struct ifreq r;
	int e = interface_ask(node->arg, SIOCGIFHWADDR, &r);

	if (e == 0)
		synth_printf(text, "%u\n", r.ifr_hwaddr.sa_family);
	return e;
}

static int show_flags(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	struct ifreq r;
	int e = interface_ask(node->arg, SIOCGIFFLAGS, &r);

	if (e == 0) /* without what is only derived */
		synth_printf(text, "0x%x\n", (uint16_t)r.ifr_flags & ~(unsigned)IFF_RUNNING);
	return e;
}

static int show_carrier(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	struct ifreq r;
	int e = interface_ask(node->arg, SIOCGIFFLAGS, &r);

	if (e == 0 && !(r.ifr_flags & IFF_UP))
		return -EINVAL; /* as the kernel has it */
	if (e == 0)
		synth_printf(text, "%d\n", (r.ifr_flags & IFF_RUNNING) != 0);
	return e;
}

static int show_state(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	struct ifreq r;
	int e = interface_ask(node->arg, SIOCGIFFLAGS, &r);

	if (e < 0)
		return e;
	if (r.ifr_flags & IFF_LOOPBACK)
		synth_printf(text, "unknown\n");
	else
		synth_printf(text, (r.ifr_flags & IFF_UP) && (r.ifr_flags & IFF_RUNNING) ? "up\n" : "down\n");
	return 0;
}

static int show_address_length(struct task *t unused, const struct synth_node *node unused,
			       struct synth_text *text)
{
	synth_printf(text, "6\n");
	return 0;
}

/* Columns of /proc/net/dev, in its order. */
static const char *const columns[] = {
	"rx_bytes",	  "rx_packets",	     "rx_errors",	  "rx_dropped",
	"rx_fifo_errors", "rx_frame_errors", "rx_compressed",	  "multicast",
	"tx_bytes",	  "tx_packets",	     "tx_errors",	  "tx_dropped",
	"tx_fifo_errors", "collisions",	     "tx_carrier_errors", "tx_compressed",
};

static int show_statistic(struct task *t unused, const struct synth_node *node, struct synth_text *text)
{
	struct ifreq r;
	char line[512];
	size_t column = 0;
	int e = interface_ask(node->arg, SIOCGIFNAME, &r);

	if (e < 0)
		return e;
	while (column < ARRAY_LEN(columns) && !streq(columns[column], tree_name(node)))
		column++;
	int fd = openat(kernel.proc_fd, "self/net/dev", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	FILE *f = fdopen(fd, "r");
	if (!f) {
		ignore_result(close(fd)); /* read only */
		return -ENOMEM;
	}
	e = -ENOENT;
	while (e < 0 && fgets(line, sizeof(line), f)) {
		char *at = line + strspn(line, " "), *colon = strchr(at, ':');
		if (!colon)
			continue;
		*colon = '\0';
		if (!streq(at, r.ifr_name))
			continue;
		unsigned long long v = 0;
		at = colon + 1;
		for (size_t i = 0; i <= column; i++)
			v = strtoull(at, &at, 10);
		synth_printf(text, "%llu\n", v);
		e = 0;
	}
	ignore_result(fclose(f)); /* read only */
	return e;
}

static const struct tree_entry statistics[] = {
	TREE_FILE("collisions", show_statistic),
	TREE_FILE("multicast", show_statistic),
	TREE_FILE("rx_bytes", show_statistic),
	TREE_FILE("rx_compressed", show_statistic),
	TREE_FILE("rx_dropped", show_statistic),
	TREE_FILE("rx_errors", show_statistic),
	TREE_FILE("rx_fifo_errors", show_statistic),
	TREE_FILE("rx_frame_errors", show_statistic),
	TREE_FILE("rx_packets", show_statistic),
	TREE_FILE("tx_bytes", show_statistic),
	TREE_FILE("tx_carrier_errors", show_statistic),
	TREE_FILE("tx_compressed", show_statistic),
	TREE_FILE("tx_dropped", show_statistic),
	TREE_FILE("tx_errors", show_statistic),
	TREE_FILE("tx_fifo_errors", show_statistic),
	TREE_FILE("tx_packets", show_statistic),
	TREE_END,
};
static const struct tree_entry one_interface[] = {
	TREE_FILE("addr_len", show_address_length),
	TREE_FILE("address", show_address),
	TREE_FILE("broadcast", show_broadcast),
	TREE_FILE("carrier", show_carrier),
	TREE_FILE("flags", show_flags),
	TREE_FILE("ifindex", show_index),
	TREE_FILE("iflink", show_index),
	TREE_FILE("mtu", show_mtu),
	TREE_FILE("operstate", show_state),
	TREE_DIR("statistics", statistics),
	TREE_FILE("tx_queue_len", show_queue_length),
	TREE_FILE("type", show_type),
	TREE_END,
};
static const struct tree_entry interface_instance = TREE_DIR(NULL, one_interface);

static int64_t find_interface(const char *name)
{
	unsigned n = if_nametoindex(name);

	return n ? (int64_t)n : -ENOENT;
}

static int64_t next_interface(uint64_t from, char *name, size_t size)
{
	struct if_nameindex *all = if_nameindex();
	int64_t best = -1;

	for (struct if_nameindex *i = all; i && i->if_index; i++)
		if (i->if_index >= from && (best < 0 || i->if_index < (uint64_t)best)) {
			best = i->if_index;
			ignore_result(snprintf(name, size, "%s", i->if_name)); /* 15 characters */
		}
	if_freenameindex(all);
	return best;
}

const struct tree_family sysfs_interfaces = {&interface_instance, find_interface, next_interface};
const struct tree_entry sysfs_net[] = {TREE_END};

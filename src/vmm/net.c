/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net (virtio 1.2, 5.1) on a tap.
 *
 * A packet goes whole or not at all: the tap is non-blocking by its own flag,
 * and what it does not take is lost, as on any wire.  Where the tap was made
 * with IFF_VNET_HDR, checksums and the cutting of large packets are left to
 * the host's kernel; otherwise the header is put before and cut off here.
 */
#include "vmm/device.h"

#include <linux/if_tun.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sys/ioctl.h>

#define FEATURE(n) (UINT64_C(1) << (n))
enum {
	RECEIVE,
	TRANSMIT,
	QUEUES,
	HEADER = sizeof(struct virtio_net_hdr_v1),
	ROUND = 256,
	PACKET_MAX = 65535 + 14 + HEADER
};

struct net {
	struct device d;
	struct loop_source tap;
	bool header;	 /* the tap takes and gives it */
	char rest[2048]; /* what does not fit into the guest's buffer is read to here: the packet is dropped
			  */
};

static int net_transmit(struct net *n)
{
	struct queue *q = &n->d.queues[TRANSMIT];
	struct iovec iov[QUEUE_IOV_MAX];
	struct chain c;
	int r;

	do {
		while ((r = queue_pop(q, &c)) > 0) {
			if (c.read_len > HEADER && c.read_len <= PACKET_MAX) {
				int count = (int)chain_rest(&c, false, n->header ? 0 : HEADER, SIZE_MAX, iov);
				ignore_result(writev(n->tap.fd, iov, count) < 0); /* lost */
			}
			queue_push(q, c.head, 0);
		}
		if (r < 0)
			return r;
		device_signal(&n->d, TRANSMIT);
	} while (queue_enable_kicks(q));
	return 0;
}

/* One packet into one chain.  The count of bytes; 0: it did not fit; -1: there is none. */
static ssize_t net_receive_one(struct net *n, const struct chain *c)
{
	static const struct virtio_net_hdr_v1 plain = {.num_buffers = 1};
	struct iovec iov[QUEUE_IOV_MAX + 1];
	size_t skip = n->header ? 0 : HEADER;
	unsigned count = chain_rest(c, true, skip, SIZE_MAX, iov);

	iov[count] = (struct iovec){n->rest, sizeof(n->rest)};
	ssize_t got = readv(n->tap.fd, iov, (int)MIN_OF(count + 1, 256U));
	if (got < 0)
		return -1;
	if ((size_t)got + skip > c->write_len)
		return 0;
	if (skip)
		(void)chain_put(c, 0, &plain, sizeof(plain));
	else /* the tap leaves it to us */
		(void)chain_put(c, offsetof(struct virtio_net_hdr_v1, num_buffers), &plain.num_buffers, 2);
	return got + (ssize_t)skip;
}

static int net_receive(struct net *n)
{
	struct queue *q = &n->d.queues[RECEIVE];
	struct chain c;
	bool more = true;
	int r = 0;

	for (int i = 0; i < ROUND && more; i++) {
		r = queue_next(q, &c);
		if (r < 0)
			return r;
		if (r == 0)
			break;
		if (c.write_len < HEADER || c.nread)
			return -EBADMSG;
		ssize_t got = net_receive_one(n, &c);
		if (got > 0)
			queue_push(q, c.head, (uint32_t)got);
		else
			queue_unpop(q);
		more = got >= 0;
	}
	device_signal(&n->d, RECEIVE);
	/* Without buffers the packets wait in the tap, which drops those that are too many. */
	loop_want(n->d.loop, &n->tap, queue_has(q) ? EPOLLIN : 0);
	return 0;
}

static int net_kicked(struct device *d, unsigned queue)
{
	struct net *n = container_of(d, struct net, d);

	return queue == TRANSMIT ? net_transmit(n) : net_receive(n);
}

static void on_tap(struct loop_source *s, unused uint32_t events)
{
	struct net *n = container_of(s, struct net, tap);

	(void)pthread_mutex_lock(&n->d.lock);
	if (device_live(&n->d))
		device_run(&n->d, RECEIVE);
	if (!device_live(&n->d))
		loop_want(n->d.loop, s, 0);
	(void)pthread_mutex_unlock(&n->d.lock);
}

static void net_start(struct device *d)
{
	struct net *n = container_of(d, struct net, d);

	/* What the guest takes half done; cut to its MTU in any case. */
	if (n->header) /* refused: the packets come complete */
		ignore_result(ioctl(n->tap.fd, TUNSETOFFLOAD,
				    device_has(d, VIRTIO_NET_F_GUEST_CSUM) ? TUN_F_CSUM : 0) < 0);
	loop_want(d->loop, &n->tap, EPOLLIN);
}

static void net_reset(struct device *d)
{
	loop_want(d->loop, &container_of(d, struct net, d)->tap, 0);
}

static const struct device_kind kind = {.name = "network card",
					.id = VIRTIO_ID_NET,
					.queues = QUEUES,
					.start = net_start,
					.kicked = net_kicked,
					.reset = net_reset};

int net_new(int tap_fd, const unsigned char mac[static 6], uint32_t mtu, const struct guest_memory *m,
	    struct loop *l, struct device **ret, struct err *err)
{
	struct virtio_net_config config = {.mtu = (uint16_t)mtu};
	struct ifreq ifr = {0};
	int size = HEADER;
	struct net *n = calloc(1, sizeof(*n));

	if (!n)
		return err_oom(err);
	*ret = &n->d;
	n->tap = (struct loop_source){.fd = tap_fd, .ready = on_tap};
	if (fd_set_nonblock(tap_fd, true) < 0 || ioctl(tap_fd, TUNGETIFF, &ifr) < 0)
		return err_sys(err, "a network card is no tap");
	n->header = ifr.ifr_flags & IFF_VNET_HDR;
	if (n->header && ioctl(tap_fd, TUNSETVNETHDRSZ, &size) < 0)
		return err_sys(err, "cannot set a tap's header");
	memcpy(config.mac, mac, sizeof(config.mac));
	memcpy(n->d.config, &config, MIN_OF(sizeof(config), sizeof(n->d.config)));
	n->d.config_len = MIN_OF(sizeof(config), sizeof(n->d.config));
	n->d.features = FEATURE(VIRTIO_NET_F_MAC);
	if (mtu >= 68 && mtu <= 65535)
		n->d.features |= FEATURE(VIRTIO_NET_F_MTU);
	if (n->header)
		n->d.features |= FEATURE(VIRTIO_NET_F_CSUM) | FEATURE(VIRTIO_NET_F_GUEST_CSUM) |
				 FEATURE(VIRTIO_NET_F_HOST_TSO4) | FEATURE(VIRTIO_NET_F_HOST_TSO6);
	return device_init(&n->d, &kind, m, l, err);
}

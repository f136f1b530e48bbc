/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile driver: the input is the guest's memory where the queues of a
 * device lie, and what is written to its registers meanwhile.
 *
 *	byte 0		which device; byte 1: features
 *	then 64 times	4 bytes: what to do, and with which queue, offset or value
 *	the rest	memory, from the first queue's descriptors on
 */
#include "vmm/device.h"
#include "vmm/state.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <sys/mman.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 1 << 20, KINDS = 4, STEPS = 64, QUEUE_BYTES = 0x1000, IMAGE = 0x1000 };

static struct guest_memory memory;
static struct loop loop;
static struct device *devices[KINDS];
static int peer;

static void must(int r)
{
	if (r < 0)
		abort();
}

static void once(void)
{
	struct err err;
	int agent[2], disk = memfd_create("disk", MFD_CLOEXEC);

	must(memory_open(&memory, MEMORY, MEMORY_ANONYMOUS, -1, 0, &err));
	must(loop_open(&loop, &err));
	must(ftruncate(disk, 64 << 10));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, agent));
	peer = agent[0];
	const struct console_ports ports = {-1, agent[1], -1};
	must(console_new(&ports, &memory, &loop, &devices[0], &err));
	must(blk_new(disk, false, &memory, &loop, &devices[1], &err));
	must(rng_new(&memory, &loop, &devices[2], &err));
	must(balloon_new(&memory, &loop, &devices[3], &err));
}

static void set(struct device *d, uint32_t offset, uint32_t v)
{
	device_mmio_write(d, offset, (const unsigned char *)&v, 4);
}

static void set_up(struct device *d, uint8_t features)
{
	set(d, VIRTIO_MMIO_STATUS, 0);
	set(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(d, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	set(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	set(d, VIRTIO_MMIO_DRIVER_FEATURES, (features & 1 ? 1U << 29 : 0) | (features & 2 ? 2U : 0));
	set(d, VIRTIO_MMIO_STATUS, 3 | VIRTIO_CONFIG_S_FEATURES_OK);
	for (unsigned i = 0; i < d->kind->queues; i++) {
		set(d, VIRTIO_MMIO_QUEUE_SEL, i);
		set(d, VIRTIO_MMIO_QUEUE_NUM, 16);
		set(d, VIRTIO_MMIO_QUEUE_DESC_LOW, IMAGE + i * QUEUE_BYTES);
		set(d, VIRTIO_MMIO_QUEUE_AVAIL_LOW, IMAGE + i * QUEUE_BYTES + 0x400);
		set(d, VIRTIO_MMIO_QUEUE_USED_LOW, IMAGE + i * QUEUE_BYTES + 0x800);
		if (!(features & 4))
			set(d, VIRTIO_MMIO_QUEUE_READY, 1);
	}
	set(d, VIRTIO_MMIO_STATUS, 3 | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

static void step(struct device *d, const uint8_t *p)
{
	unsigned char value[8] = {p[2], p[3]};
	char text[256];

	switch (p[0] % 8) {
	default:
		set(d, VIRTIO_MMIO_QUEUE_NOTIFY, p[1] % 8);
		break;
	case 1: /* any register */
		device_mmio_write(d, p[1] * 4U, value, 4);
		break;
	case 2:
		device_mmio_read(d, p[1] * 4U, value, p[2] % 9);
		break;
	case 3: /* a word of memory changes: often the index of a ring of available chains */
		ignore_result(memory_write(&memory, IMAGE + p[1] % 8U * QUEUE_BYTES + 0x402, value, 2));
		break;
	case 4:
		ignore_result(send(peer, "from outside", 12, MSG_DONTWAIT | MSG_NOSIGNAL) < 0);
		break;
	case 5:
		ignore_result(recv(peer, text, sizeof(text), MSG_DONTWAIT) < 0);
		break;
	}
	for (int i = 0; i < 8 && loop_once(&loop, 0) > 0; i++)
		;
}

static void save_and_restore(struct device *d, const uint8_t *data, size_t size)
{
	struct state_writer w = {0};
	struct err err;

	device_save(d, &w);
	for (size_t i = 0; i + 2 < size && w.bytes.s; i += 16) /* damaged here and there */
		w.bytes.s[(data[i] | data[i + 1] << 8) % w.bytes.len] ^= (char)data[i + 2];
	struct state_reader r = {w.bytes.s, w.bytes.len};
	set(d, VIRTIO_MMIO_STATUS, 0);
	ignore_result(device_restore(d, &r, &err) < 0);
	for (int i = 0; i < 8 && loop_once(&loop, 0) > 0; i++)
		;
	str_free(&w.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!memory.base)
		once();
	if (size < 2 + 4 * STEPS)
		return 0;
	struct device *d = devices[data[0] % KINDS];
	size_t rest = size - 2 - 4 * STEPS;
	memset(memory.base + IMAGE, 0, 16 * QUEUE_BYTES);
	if (rest)
		memcpy(memory.base + IMAGE, data + 2 + 4 * STEPS, MIN_OF(rest, (size_t)MEMORY / 2));
	set_up(d, data[1]);
	for (int i = 0; i < STEPS; i++)
		step(d, data + 2 + 4 * i);
	save_and_restore(d, data + 2, size - 2);
	set(d, VIRTIO_MMIO_STATUS, 0);
	return 0;
}

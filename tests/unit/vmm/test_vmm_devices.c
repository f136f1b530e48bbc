/* SPDX-License-Identifier: Apache-2.0 */
/* Devices as a driver meets them: registers, set-up, requests good and bad, no KVM. */
#include "ring.h"

#include "../test.h"
#include "vmm/state.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_console.h>
#include <linux/virtio_mmio.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define MEMORY (UINT64_C(4) << 20)
enum {
	ALL_OK = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK,
	QUEUE_STEP = 0x4000
};

static struct guest_memory memory;
static struct loop loop;
static struct err err;

static uint32_t get(struct device *d, uint32_t offset)
{
	uint32_t v;
	device_mmio_read(d, offset, (unsigned char *)&v, 4);
	return v;
}

static void set(struct device *d, uint32_t offset, uint32_t v)
{
	device_mmio_write(d, offset, (const unsigned char *)&v, 4);
}

static void set_up(struct device *d, uint32_t low_features, struct ring *rings, unsigned n)
{
	memset(memory.base, 0, memory.size);
	set(d, VIRTIO_MMIO_STATUS, 0);
	set(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(d, VIRTIO_MMIO_DRIVER_FEATURES, 1); /* VERSION_1 */
	set(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	set(d, VIRTIO_MMIO_DRIVER_FEATURES, low_features);
	set(d, VIRTIO_MMIO_STATUS, ALL_OK);
	CHECK_INT(get(d, VIRTIO_MMIO_STATUS), ALL_OK);
	for (unsigned i = 0; i < n; i++) {
		rings[i] = (struct ring){.m = &memory, .at = i * QUEUE_STEP};
		set(d, VIRTIO_MMIO_QUEUE_SEL, i);
		set(d, VIRTIO_MMIO_QUEUE_NUM, RING_SIZE);
		set(d, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)rings[i].at + RING_DESC);
		set(d, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)rings[i].at + RING_AVAIL);
		set(d, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)rings[i].at + RING_USED);
		set(d, VIRTIO_MMIO_QUEUE_READY, 1);
		CHECK_INT(get(d, VIRTIO_MMIO_QUEUE_READY), 1);
	}
	set(d, VIRTIO_MMIO_STATUS, ALL_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

static void kick(struct device *d, unsigned queue)
{
	set(d, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
	while (loop_once(&loop, 0) > 0)
		;
}

static void test_registers(void)
{
	struct device *d = NULL;
	unsigned char byte = 7;

	CHECK_INT(rng_new(&memory, &loop, &d, &err), 0);
	CHECK_INT(get(d, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	CHECK_INT(get(d, VIRTIO_MMIO_VERSION), 2);
	CHECK_INT(get(d, VIRTIO_MMIO_DEVICE_ID), 4);
	set(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	CHECK_INT(get(d, VIRTIO_MMIO_DEVICE_FEATURES), 1);
	set(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 9);
	CHECK_INT(get(d, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	/* Without VERSION_1, and with what was not offered: the bit does not stick. */
	set(d, VIRTIO_MMIO_STATUS, ALL_OK);
	CHECK(!(get(d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK));
	set(d, VIRTIO_MMIO_STATUS, ALL_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	CHECK(!device_live(d));
	set(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(d, VIRTIO_MMIO_DRIVER_FEATURES, 3);
	set(d, VIRTIO_MMIO_STATUS, ALL_OK);
	CHECK(!(get(d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK));
	/* A queue that is none, a selector beyond, odd accesses. */
	set(d, VIRTIO_MMIO_STATUS, 0);
	set(d, VIRTIO_MMIO_QUEUE_SEL, 77);
	CHECK_INT(get(d, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	set(d, VIRTIO_MMIO_QUEUE_READY, 1);
	set(d, VIRTIO_MMIO_QUEUE_NOTIFY, 77);
	set(d, 0xffc, 1);
	device_mmio_read(d, 1, &byte, 1);
	CHECK_INT(byte, 0);
	set(d, VIRTIO_MMIO_QUEUE_SEL, 0);
	CHECK_INT(get(d, VIRTIO_MMIO_QUEUE_NUM_MAX), QUEUE_SIZE_MAX);
	set(d, VIRTIO_MMIO_QUEUE_NUM, RING_SIZE);
	set(d, VIRTIO_MMIO_QUEUE_DESC_HIGH, 0xffffffff);
	set(d, VIRTIO_MMIO_QUEUE_READY, 1);
	CHECK_INT(get(d, VIRTIO_MMIO_QUEUE_READY), 0);
	CHECK(get(d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	set(d, VIRTIO_MMIO_STATUS, 0);
	CHECK_INT(get(d, VIRTIO_MMIO_STATUS), 0);
	device_free(d);
}

static void test_rng(void)
{
	static const unsigned char zero[64];
	struct device *d = NULL;
	struct ring r;

	CHECK_INT(rng_new(&memory, &loop, &d, &err), 0);
	set_up(d, 0, &r, 1);
	ring_desc(&r, 0, RING_DATA, 64, VRING_DESC_F_WRITE, 0);
	ring_offer(&r, 0);
	kick(d, 0);
	CHECK_INT(ring_used(&r), 1);
	CHECK_INT(ring_used_len(&r, 0), 64);
	CHECK(memcmp(memory.base + RING_DATA, zero, 64) != 0);
	CHECK_INT(get(d, VIRTIO_MMIO_INTERRUPT_STATUS), 1);
	set(d, VIRTIO_MMIO_INTERRUPT_ACK, 1);
	CHECK_INT(get(d, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	/* What is no chain stops the device, until it is reset. */
	ring_desc(&r, 0, MEMORY, 64, VRING_DESC_F_WRITE, 0);
	ring_offer(&r, 0);
	kick(d, 0);
	CHECK(get(d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	set_up(d, 0, &r, 1);
	ring_desc(&r, 0, RING_DATA, 8, VRING_DESC_F_WRITE, 0);
	ring_offer(&r, 0);
	kick(d, 0);
	CHECK_INT(ring_used(&r), 1);
	device_free(d);
}

/* Header, data, status; gives the status, or -1 where the request was not answered. */
static int request(struct device *d, struct ring *r, uint32_t type, uint64_t sector, uint32_t len,
		   bool to_device)
{
	const struct virtio_blk_outhdr h = {.type = type, .sector = sector};
	uint16_t used = ring_used(r);

	CHECK(memory_write(&memory, RING_DATA, &h, sizeof(h)));
	memory.base[RING_DATA + 0x100] = 0xee;
	ring_desc(r, 0, RING_DATA, sizeof(h), VRING_DESC_F_NEXT, 1);
	ring_desc(r, 1, RING_DATA + 0x1000, len,
		  (uint16_t)(VRING_DESC_F_NEXT | (to_device ? 0 : VRING_DESC_F_WRITE)), 2);
	ring_desc(r, 2, RING_DATA + 0x100, 1, VRING_DESC_F_WRITE, 0);
	ring_offer(r, 0);
	kick(d, 0);
	return ring_used(r) == (uint16_t)(used + 1) ? memory.base[RING_DATA + 0x100] : -1;
}

static void test_blk(void)
{
	autoclose int fd = memfd_create("disk", MFD_CLOEXEC);
	struct device *d = NULL;
	struct ring r;
	char back[8] = {0};

	CHECK(fd >= 0 && ftruncate(fd, 8 * 512 + 100) == 0);
	CHECK_INT(blk_new(fd, false, &memory, &loop, &d, &err), 0);
	CHECK_INT(get(d, VIRTIO_MMIO_CONFIG), 8);
	set_up(d, 0, &r, 1);
	memcpy(memory.base + RING_DATA + 0x1000, "written", 7);
	CHECK_INT(request(d, &r, VIRTIO_BLK_T_OUT, 7, 512, true), VIRTIO_BLK_S_OK);
	CHECK(pread(fd, back, 7, 7 * 512) == 7 && streq(back, "written"));
	memset(memory.base + RING_DATA + 0x1000, 0, 512);
	CHECK_INT(request(d, &r, VIRTIO_BLK_T_IN, 7, 512, false), VIRTIO_BLK_S_OK);
	CHECK(memcmp(memory.base + RING_DATA + 0x1000, "written", 7) == 0);
	CHECK_INT(ring_used_len(&r, 1), 513);
	CHECK_INT(request(d, &r, VIRTIO_BLK_T_GET_ID, 0, 20, false), VIRTIO_BLK_S_OK);
	CHECK_INT(request(d, &r, 1234, 0, 512, false), VIRTIO_BLK_S_UNSUPP);
	/* Beyond the end, far beyond, half a sector. */
	CHECK_INT(request(d, &r, VIRTIO_BLK_T_IN, 8, 512, false), VIRTIO_BLK_S_IOERR);
	CHECK_INT(request(d, &r, VIRTIO_BLK_T_IN, 7, 1024, false), VIRTIO_BLK_S_IOERR);
	CHECK_INT(request(d, &r, VIRTIO_BLK_T_IN, UINT64_MAX / 512 + 1, 512, false), VIRTIO_BLK_S_IOERR);
	CHECK_INT(request(d, &r, VIRTIO_BLK_T_OUT, UINT64_MAX, 512, true), VIRTIO_BLK_S_IOERR);
	CHECK_INT(request(d, &r, VIRTIO_BLK_T_OUT, 0, 100, true), VIRTIO_BLK_S_IOERR);
	/* The file is cut short meanwhile: an error, and no signal. */
	CHECK_INT(ftruncate(fd, 512), 0);
	CHECK_INT(request(d, &r, VIRTIO_BLK_T_IN, 7, 512, false), VIRTIO_BLK_S_IOERR);
	/* No header. */
	ring_desc(&r, 0, RING_DATA, 4, 0, 0);
	ring_offer(&r, 0);
	kick(d, 0);
	CHECK(get(d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	device_free(d);

	CHECK_INT(blk_new(fd, true, &memory, &loop, &d, &err), 0);
	set_up(d, 1U << VIRTIO_BLK_F_RO, &r, 1);
	CHECK_INT(request(d, &r, VIRTIO_BLK_T_OUT, 0, 512, true), VIRTIO_BLK_S_IOERR);
	CHECK_INT(request(d, &r, VIRTIO_BLK_T_IN, 0, 512, false), VIRTIO_BLK_S_OK);
	device_free(d);
}

enum { AGENT_IN = 4, AGENT_OUT, CONTROL_IN = 2, CONTROL_OUT, CONSOLE_QUEUES = 8 };

static void send_control(struct device *d, struct ring *r, uint32_t port, uint16_t event, uint16_t value)
{
	const struct virtio_console_control m = {port, event, value};

	CHECK(memory_write(&memory, RING_DATA, &m, sizeof(m)));
	ring_desc(&r[CONTROL_OUT], 0, RING_DATA, sizeof(m), 0, 0);
	ring_offer(&r[CONTROL_OUT], 0);
	kick(d, CONTROL_OUT);
}

static void open_port(struct device *d, struct ring *r, uint32_t port)
{
	send_control(d, r, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	send_control(d, r, port, VIRTIO_CONSOLE_PORT_READY, 1);
	send_control(d, r, port, VIRTIO_CONSOLE_PORT_OPEN, 1);
}

/* Linux fills a port's queue with pages of the guest's: what is offered, it takes; and no more may be set. */
static void check_few_buffers(struct device *d)
{
	set(d, VIRTIO_MMIO_QUEUE_SEL, 0);
	CHECK_INT(get(d, VIRTIO_MMIO_QUEUE_NUM_MAX), 64);
	set(d, VIRTIO_MMIO_QUEUE_NUM, 128);
	CHECK_INT(d->queues[0].size, 0);
}

static void test_console(void)
{
	struct device *d = NULL;
	struct ring r[CONSOLE_QUEUES];
	int pair[2], out[2];
	char text[64] = {0};

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe(out) == 0);
	const struct console_ports ports = {out[1], pair[1], -1};
	CHECK_INT(console_new(&ports, &memory, &loop, &d, &err), 0);
	check_few_buffers(d);
	set_up(d, 1U << VIRTIO_CONSOLE_F_MULTIPORT, r, CONSOLE_QUEUES);
	for (uint16_t i = 0; i < RING_SIZE; i++) {
		ring_desc(&r[CONTROL_IN], i, RING_DATA + 0x1000 + i * 64U, 64, VRING_DESC_F_WRITE, 0);
		ring_offer(&r[CONTROL_IN], i);
	}
	kick(d, CONTROL_IN);
	open_port(d, r, 1);
	CHECK_INT(ring_used(&r[CONTROL_IN]), 4); /* two ports, a name, open */
	CHECK(memcmp(memory.base + RING_DATA + 0x1000 + 128 + 8, "dev.coffer.agent", 16) == 0);
	/* Out. */
	memcpy(memory.base + RING_DATA + 0x2000, "hello", 5);
	ring_desc(&r[AGENT_OUT], 0, RING_DATA + 0x2000, 5, 0, 0);
	ring_offer(&r[AGENT_OUT], 0);
	kick(d, AGENT_OUT);
	CHECK(recv(pair[0], text, sizeof(text), MSG_DONTWAIT) == 5 && streq(text, "hello"));
	/* In: what comes before there is a buffer waits. */
	CHECK_INT(send(pair[0], "world", 5, 0), 5);
	while (loop_once(&loop, 0) > 0)
		;
	ring_desc(&r[AGENT_IN], 0, RING_DATA + 0x3000, 3, VRING_DESC_F_WRITE, 0);
	ring_desc(&r[AGENT_IN], 1, RING_DATA + 0x3100, 64, VRING_DESC_F_WRITE, 0);
	ring_offer(&r[AGENT_IN], 0);
	ring_offer(&r[AGENT_IN], 1);
	kick(d, AGENT_IN);
	CHECK_INT(ring_used(&r[AGENT_IN]), 2);
	CHECK(memcmp(memory.base + RING_DATA + 0x3000, "wor", 3) == 0 &&
	      memcmp(memory.base + RING_DATA + 0x3100, "ld", 2) == 0);
	/* hvc0's output. */
	ring_desc(&r[1], 0, RING_DATA + 0x2000, 5, 0, 0);
	ring_offer(&r[1], 0);
	kick(d, 1);
	CHECK(read(out[0], text, sizeof(text)) == 5);
	/* A peer that does not read holds up the queue, and nothing is lost. */
	for (int i = 0; i < 1000 && ring_used(&r[AGENT_OUT]) == r[AGENT_OUT].avail; i++) {
		ring_desc(&r[AGENT_OUT], 0, RING_DATA + 0x10000, 0x8000, 0, 0);
		ring_offer(&r[AGENT_OUT], 0);
		kick(d, AGENT_OUT);
	}
	CHECK_INT((uint16_t)(r[AGENT_OUT].avail - ring_used(&r[AGENT_OUT])), 1);
	size_t want = (size_t)(r[AGENT_OUT].avail - 1) * 0x8000, got = 0;
	for (ssize_t n = 1; n > 0;) {
		char buf[4096];
		n = recv(pair[0], buf, sizeof(buf), MSG_DONTWAIT);
		got += n > 0 ? (size_t)n : 0;
		while (loop_once(&loop, 0) > 0)
			;
	}
	CHECK_INT(got, want);
	CHECK_INT(ring_used(&r[AGENT_OUT]), r[AGENT_OUT].avail);
	/* Ports that are none; half a message. */
	send_control(d, r, 77, VIRTIO_CONSOLE_PORT_OPEN, 1);
	send_control(d, r, 2, VIRTIO_CONSOLE_PORT_READY, 1);
	CHECK(device_live(d));
	/* The peer ends: the guest hears of it. */
	uint16_t before = ring_used(&r[CONTROL_IN]);
	close(pair[0]);
	ring_offer(&r[AGENT_IN], 0);
	kick(d, AGENT_IN);
	CHECK_INT(ring_used(&r[CONTROL_IN]), before + 1);
	ring_desc(&r[CONTROL_OUT], 0, RING_DATA, 2, 0, 0);
	ring_offer(&r[CONTROL_OUT], 0);
	kick(d, CONTROL_OUT);
	CHECK(!device_live(d));
	device_free(d);
	close(pair[1]);
	close(out[0]);
	close(out[1]);
}

/*
 * Linux' driver waits busily for each message to be taken, and tells of one only where the device has asked
 * for it: behind the last one taken.
 */
static void test_console_asks_for_kicks(void)
{
	struct device *d = NULL;
	struct ring r[CONSOLE_QUEUES];
	int pair[2];
	uint16_t asked;

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	const struct console_ports ports = {-1, pair[1], -1};
	CHECK_INT(console_new(&ports, &memory, &loop, &d, &err), 0);
	set_up(d, 1U << VIRTIO_CONSOLE_F_MULTIPORT | 1U << VIRTIO_RING_F_EVENT_IDX, r, CONSOLE_QUEUES);
	for (uint16_t n = 1; n <= 3; n++) {
		send_control(d, r, 1, VIRTIO_CONSOLE_PORT_READY, 1);
		CHECK_INT(ring_used(&r[CONTROL_OUT]), n);
		CHECK(memory_read(&memory, r[CONTROL_OUT].at + RING_USED + 4 + 8 * RING_SIZE, &asked, 2));
		CHECK_INT(asked, n);
	}
	/* Answers that had no buffer go out when one is offered; the next offer is asked for, too. */
	for (uint16_t n = 1; n <= 2; n++) {
		CHECK(memory_read(&memory, r[CONTROL_IN].at + RING_USED + 4 + 8 * RING_SIZE, &asked, 2));
		CHECK_INT(asked, n - 1);
		ring_desc(&r[CONTROL_IN], 0, RING_DATA + 0x1000, 64, VRING_DESC_F_WRITE, 0);
		ring_offer(&r[CONTROL_IN], 0);
		kick(d, CONTROL_IN);
		CHECK_INT(ring_used(&r[CONTROL_IN]), n);
	}
	device_free(d);
	close(pair[0]);
	close(pair[1]);
}

static void test_balloon(void)
{
	struct device *d = NULL;
	struct ring r[3];

	CHECK_INT(balloon_new(&memory, &loop, &d, &err), 0);
	set_up(d, 1U << 5, r, 3);
	memset(memory.base + RING_DATA, 0x55, 3 * 4096);
	/* Half pages at both ends stay. */
	ring_desc(&r[2], 0, RING_DATA + 100, 2 * 4096, VRING_DESC_F_WRITE, 0);
	ring_offer(&r[2], 0);
	kick(d, 2);
	CHECK_INT(ring_used(&r[2]), 1);
	CHECK_INT(memory.base[RING_DATA + 4095], 0x55);
	CHECK_INT(memory.base[RING_DATA + 4096], 0);
	CHECK_INT(memory.base[RING_DATA + 8192], 0x55);
	/* Frames that are none are passed over. */
	const uint32_t frames[] = {UINT32_MAX, RING_DATA / 4096 + 2, (uint32_t)(MEMORY / 4096)};
	CHECK(memory_write(&memory, 0x200000, frames, sizeof(frames)));
	ring_desc(&r[0], 0, 0x200000, sizeof(frames) + 1, 0, 0);
	ring_offer(&r[0], 0);
	kick(d, 0);
	CHECK_INT(memory.base[RING_DATA + 8192], 0);
	CHECK(device_live(d));
	device_free(d);
}

static void test_state(void)
{
	struct device *a = NULL, *b = NULL;
	struct state_writer w = {0};
	struct ring r;

	CHECK_INT(rng_new(&memory, &loop, &a, &err), 0);
	CHECK_INT(rng_new(&memory, &loop, &b, &err), 0);
	set_up(a, 0, &r, 1);
	ring_desc(&r, 0, RING_DATA, 64, VRING_DESC_F_WRITE, 0);
	ring_offer(&r, 0);
	kick(a, 0);
	device_save(a, &w);
	struct state_reader whole = {w.bytes.s, w.bytes.len};
	CHECK_INT(device_restore(b, &whole, &err), 0);
	CHECK(device_live(b));
	ring_offer(&r, 0);
	kick(b, 0);
	CHECK_INT(ring_used(&r), 2);
	/* Cut short anywhere, and of a queue that lies elsewhere. */
	for (size_t n = 0; n < w.bytes.len; n++) {
		struct state_reader part = {w.bytes.s, n};
		CHECK(device_restore(b, &part, &err) < 0);
	}
	memset(w.bytes.s + 4 + sizeof(struct device_registers), 0xff, 8);
	whole = (struct state_reader){w.bytes.s, w.bytes.len};
	CHECK(device_restore(b, &whole, &err) < 0);
	str_free(&w.bytes);
	device_free(a);
	device_free(b);
}

int main(void)
{
	CHECK_INT(memory_open(&memory, MEMORY, MEMORY_ANONYMOUS, -1, 0, &err), 0);
	CHECK_INT(loop_open(&loop, &err), 0);
	test_registers();
	test_rng();
	test_blk();
	test_console();
	test_console_asks_for_kicks();
	test_balloon();
	test_state();
	memory_close(&memory);
	return test_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel of a few KB that drives devices, for tests of the monitor through
 * KVM: no set-up, no interrupts, the serial line for words.  What it is to do
 * stands on its command line as test=NAME.
 */
#include <stddef.h>
#include <stdint.h>

#define MMIO	0xd0000000UL
#define CMDLINE ((const char *)0x20000)
enum { CONSOLE, RNG, BALLOON, DISK, SIZE = 8 };

struct desc {
	uint64_t address;
	uint32_t len;
	uint16_t flags, next;
};

static struct queue {
	struct desc desc[SIZE];
	uint16_t avail[SIZE + 3] __attribute__((aligned(4)));
	volatile uint16_t used[4 * SIZE + 3] __attribute__((aligned(4)));
} queues[8] __attribute__((aligned(4096)));
static uint64_t tables[512] __attribute__((aligned(4096)));
static unsigned char data[4096] __attribute__((aligned(4096)));

static void out(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static void say(const char *text)
{
	for (; *text; text++)
		out(0x3f8, (uint8_t)*text);
}

static void say_number(uint64_t n)
{
	char text[21];
	int i = 20;

	text[i] = '\0';
	do
		text[--i] = (char)('0' + n % 10);
	while (n /= 10);
	say(text + i);
}

static volatile uint32_t *reg(unsigned device, unsigned offset)
{
	return (volatile uint32_t *)(MMIO + device * 0x1000UL + offset);
}

/* The page tables that we were started with end at 1 GiB. */
static void map_devices(void)
{
	uint64_t cr3;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	uint64_t *pdpt = (uint64_t *)(*(uint64_t *)(cr3 & ~0xfffUL) & ~0xfffUL);
	for (uint64_t i = 0; i < 512; i++)
		tables[i] = 0xc0000000UL + (i << 21) + 0x93; /* uncached */
	pdpt[3] = (uint64_t)tables | 3;
	__asm__ volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
}

static void set_up(unsigned device, unsigned nqueues)
{
	*reg(device, 0x70) = 0;
	*reg(device, 0x24) = 1;
	*reg(device, 0x20) = 1; /* VERSION_1 */
	*reg(device, 0x24) = 0;
	*reg(device, 0x20) = device == CONSOLE ? 2 : 0;
	*reg(device, 0x70) = 11;
	for (unsigned i = 0; i < nqueues; i++) {
		*reg(device, 0x30) = i;
		*reg(device, 0x38) = SIZE;
		*reg(device, 0x80) = (uint32_t)(uintptr_t)queues[i].desc;
		*reg(device, 0x90) = (uint32_t)(uintptr_t)queues[i].avail;
		*reg(device, 0xa0) = (uint32_t)(uintptr_t)queues[i].used;
		*reg(device, 0x44) = 1;
	}
	*reg(device, 0x70) = 15;
}

static void offer(unsigned device, unsigned queue, uint16_t head)
{
	struct queue *q = &queues[queue];

	q->avail[2 + q->avail[1] % SIZE] = head;
	__asm__ volatile("" : : : "memory");
	q->avail[1]++;
	*reg(device, 0x50) = queue;
}

/* Until the device is done with as much, or has given up. */
static int wait_used(unsigned device, unsigned queue, uint16_t count)
{
	while (queues[queue].used[1] != count)
		if (*reg(device, 0x70) & 64)
			return 0;
	return 1;
}

static void test_rng(void)
{
	unsigned sum = 0;

	set_up(RNG, 1);
	queues[0].desc[0] = (struct desc){(uint64_t)data, 64, 2, 0};
	offer(RNG, 0, 0);
	say(wait_used(RNG, 0, 1) ? "answered " : "gave up ");
	for (int i = 0; i < 64; i++)
		sum |= data[i];
	say(sum ? "random\n" : "zero\n");
}

static void test_hostile(void)
{
	set_up(RNG, 1);
	queues[0].desc[0] = (struct desc){0xffffffffffff0000UL, 64, 2, 0};
	offer(RNG, 0, 0);
	say(wait_used(RNG, 0, 1) ? "answered\n" : "gave up\n");
	queues[0] = (struct queue){0};
	test_rng();
}

static void test_disk(void)
{
	uint32_t header[4] = {0, 0, 1, 0}; /* read sector 1 */

	set_up(DISK, 1);
	queues[0].desc[0] = (struct desc){(uint64_t)header, 16, 1, 1};
	queues[0].desc[1] = (struct desc){(uint64_t)data, 512, 3, 2};
	queues[0].desc[2] = (struct desc){(uint64_t)data + 1024, 1, 2, 0};
	data[1024] = 0xff;
	offer(DISK, 0, 0);
	(void)wait_used(DISK, 0, 1);
	say(data[1024] ? "failed\n" : (const char *)data);
}

/* Says back on the agent's port what comes there. */
static void test_echo(void)
{
	static const struct {
		uint32_t id;
		uint16_t event, value;
	} open = {1, 6, 1};

	set_up(CONSOLE, 8);
	queues[3].desc[0] = (struct desc){(uint64_t)&open, sizeof(open), 0, 0};
	offer(CONSOLE, 3, 0);
	(void)wait_used(CONSOLE, 3, 1);
	say("open\n");
	for (uint16_t n = 1;; n++) {
		queues[4].desc[0] = (struct desc){(uint64_t)data, sizeof(data), 2, 0};
		offer(CONSOLE, 4, 0);
		if (!wait_used(CONSOLE, 4, n))
			break;
		uint32_t len = queues[4].used[2 + 4 * ((n - 1) % SIZE) + 2];
		queues[5].desc[0] = (struct desc){(uint64_t)data, len, 0, 0};
		offer(CONSOLE, 5, 0);
		if (!wait_used(CONSOLE, 5, n) || data[0] == '.')
			break;
	}
}

/* Numbers, for ever. */
static void test_count(void)
{
	for (uint64_t i = 1;; i++) {
		say_number(i);
		say("\n");
		for (volatile int k = 0; k < 5000; k++)
			;
	}
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {{"rng", test_rng},
	     {"hostile", test_hostile},
	     {"disk", test_disk},
	     {"echo", test_echo},
	     {"count", test_count}};

static int begins(const char *text, const char *with)
{
	while (*with && *text == *with)
		text++, with++;
	return !*with;
}

static const char *find(const char *in, const char *what)
{
	for (; *in; in++) {
		if (begins(in, what))
			return in + 5; /* test= */
	}
	return NULL;
}

void start(void);
void start(void)
{
	const char *name = find(CMDLINE, "test=");

	say("up\n");
	map_devices();
	for (size_t i = 0; name && i < sizeof(tests) / sizeof(tests[0]); i++)
		if (begins(name, tests[i].name))
			tests[i].run();
	out(0x64, 0xfe);
	for (;;)
		__asm__ volatile("hlt");
}

void *memset(void *p, int c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((volatile unsigned char *)p)[i] = (unsigned char)c;
	return p;
}

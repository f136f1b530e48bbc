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

/* ---- a ring 3 of our own ---- */

enum { USER = 0x1400000, KERNEL_CS = 0x10, USER_DS = 0x2b, USER_CS = 0x33, TSS = 0x38 };

static struct {
	uint32_t reserved;
	uint64_t rsp0;
	unsigned char rest[92];
} __attribute__((packed)) tss;
static uint64_t gdt[9] = {
	0, 0, 0x00af9a000000ffff, 0x00cf92000000ffff, 0, 0x00cff2000000ffff, 0x00affa000000ffff};
static struct {
	uint16_t low, selector, flags, middle;
	uint32_t high, zero;
} idt[32];
static unsigned char stack[8192] __attribute__((aligned(16)));

void on_fault(uint64_t rip, uint64_t address, uint64_t code);
void on_fault(uint64_t rip, uint64_t address, uint64_t code)
{
	say("fault ");
	say_number(code);
	say(address == 0x1300000 ? " there\n" : " elsewhere\n");
	if (address != 0x1300000) {
		say_number(rip);
		out(0x64, 0xfe);
	}
}

uint64_t on_syscall(uint64_t n);
uint64_t on_syscall(uint64_t n)
{
	say("syscall ");
	say_number(n);
	say("\n");
	if (n == 9)
		out(0x64, 0xfe);
	return n;
}

extern char fault_entry[], breakpoint_entry[], syscall_entry[], user_start[], user_end[];
__asm__("	.text\n"
	"fault_entry:\n" /* a fault at the one place expected is skipped: an instruction of 2 bytes */
	"	cld\n"
	"	push %rax; push %rcx; push %rdx; push %rsi; push %rdi; push %r8; push %r9; push %r10; push "
	"%r11\n"
	"	mov 80(%rsp), %rdi; mov %cr2, %rsi; mov 72(%rsp), %rdx\n"
	"	call on_fault\n"
	"	addq $2, 80(%rsp)\n"
	"	pop %r11; pop %r10; pop %r9; pop %r8; pop %rdi; pop %rsi; pop %rdx; pop %rcx; pop %rax\n"
	"	add $8, %rsp\n"
	"	iretq\n"
	"breakpoint_entry:\n"
	"	incl breakpoints\n"
	"	iretq\n"
	"syscall_entry:\n"
	"	mov %rsp, user_rsp\n"
	"	mov $stack + 4096, %rsp\n"
	"	push %rcx; push %r11\n"
	"	mov %rax, %rdi\n"
	"	call on_syscall\n"
	"	pop %r11; pop %rcx\n"
	"	mov user_rsp, %rsp\n"
	"	sysretq\n"
	"user_start:\n"
	"	mov $7, %eax\n"
	"	syscall\n"
	"	add $1, %eax\n"
	"	syscall\n"
	"	mov $0x1300000, %ebx\n"
	"	mov (%rbx), %ecx\n" /* the kernel's: a fault of another sort, which is skipped */
	"	add $1, %eax\n"
	"	syscall\n"
	"	jmp .\n"
	"user_end:\n");
unsigned breakpoints;
uint64_t user_rsp;

static void set_gate(unsigned vector, const char *to)
{
	uint64_t a = (uint64_t)to;

	idt[vector].low = (uint16_t)a;
	idt[vector].middle = (uint16_t)(a >> 16);
	idt[vector].high = (uint32_t)(a >> 32);
	idt[vector].selector = KERNEL_CS;
	idt[vector].flags = 0x8e00;
}

static void set_msr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

static void set_tables(void)
{
	uint64_t a = (uint64_t)&tss;
	struct {
		uint16_t len;
		uint64_t base;
	} __attribute__((packed)) g = {sizeof(gdt) - 1, (uint64_t)gdt}, i = {sizeof(idt) - 1, (uint64_t)idt};

	tss.rsp0 = (uint64_t)stack + sizeof(stack);
	gdt[7] = (sizeof(tss) - 1) | (a & 0xffffff) << 16 | 0x89UL << 40 | (a >> 24 & 0xff) << 56;
	gdt[8] = a >> 32;
	set_gate(14, fault_entry);
	set_gate(3, breakpoint_entry);
	__asm__ volatile("lgdt %0; lidt %1; ltr %w2" : : "m"(g), "m"(i), "r"(TSS));
	set_msr(0xc0000081, (uint64_t)0x23 << 48 | (uint64_t)KERNEL_CS << 32);
	set_msr(0xc0000082, (uint64_t)syscall_entry);
	set_msr(0xc0000084, 0x700);
	set_msr(0xc0000080, 0xd01); /* NX LMA LME SCE */
}

static void test_syscall(void)
{
	uint64_t cr3, *pml4, *pdpt, *pd;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	pml4 = (uint64_t *)(cr3 & ~0xfffUL);
	pdpt = (uint64_t *)(pml4[0] & ~0xfffUL);
	pd = (uint64_t *)(pdpt[0] & ~0xfffUL);
	pml4[0] |= 4;
	pdpt[0] |= 4;
	pd[USER >> 21] |= 4;
	__asm__ volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
	set_tables();
	for (long k = 0; k < user_end - user_start; k++)
		((volatile char *)USER)[k] = user_start[k];
	say("down\n");
	__asm__ volatile("push %0; push %1; push $0x2; push %2; push %3; iretq"
			 :
			 : "r"((uint64_t)USER_DS), "r"((uint64_t)USER + 0x8000), "r"((uint64_t)USER_CS),
			   "r"((uint64_t)USER));
}

/* What a kernel uses in ring 0. */
static void test_insn(void)
{
	static uint64_t pair[2] __attribute__((aligned(16)));
	uint64_t n, value = 0xf0f0, a = 0, d = 0;
	uint32_t csr = 0x1f80;

	set_tables();
	__asm__ volatile("popcnt %1, %0" : "=r"(n) : "r"(value));
	say_number(n);
	__asm__ volatile("int3");
	say(breakpoints == 1 ? " int3" : " none");
	__asm__ volatile("lock cmpxchg16b %0"
			 : "+m"(pair), "+a"(a), "+d"(d)
			 : "b"(5UL), "c"(6UL)
			 : "cc", "memory");
	say(pair[0] == 5 && pair[1] == 6 ? " cmpxchg16b" : " none");
	__asm__ volatile("fwait; ldmxcsr %0; stmxcsr %0" : "+m"(csr));
	say(csr == 0x1f80 ? " mxcsr\n" : " none\n");
}

/* The clock chip's year of the century, as two decimal digits. */
static void test_clock(void)
{
	unsigned char v;
	char text[] = "year 00\n";

	out(0x70, 9);
	__asm__ volatile("inb $0x71, %0" : "=a"(v));
	text[5] += (char)(v >> 4);
	text[6] += (char)(v & 15);
	say(text);
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {{"rng", test_rng},	    {"hostile", test_hostile}, {"disk", test_disk}, {"echo", test_echo},
	     {"count", test_count}, {"syscall", test_syscall}, {"insn", test_insn}, {"clock", test_clock}};

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

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MP table (Intel MultiProcessor Specification 1.4): without ACPI it is
 * how a kernel learns of processors and of the I/O APIC's lines.  All lines
 * are of an ISA bus, hence edge-triggered, as irqfd raises them.
 */
#include "vmm/machine.h"

enum {
	TABLE = 0x9fc00,
	TABLE_SIZE = 1024,
	LINES = 24,
	APIC_VERSION = 0x14,
	APIC = 0xfee00000,
	IOAPIC = 0xfec00000
};
enum { ENTRY_CPU, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_IRQ, ENTRY_LOCAL };
enum { IRQ_INT = 0, IRQ_NMI = 1, IRQ_EXTINT = 3, ALL_APICS = 0xff };

struct pointer {
	char signature[4];
	uint32_t table;
	uint8_t length, revision, checksum, feature[5];
};

struct header {
	char signature[4];
	uint16_t length;
	uint8_t revision, checksum;
	char oem[8], product[12];
	uint32_t oem_table;
	uint16_t oem_size, entries;
	uint32_t apic, reserved;
};

struct cpu {
	uint8_t type, apic, version, flags;
	uint32_t signature, features, reserved[2];
};

struct bus {
	uint8_t type, id;
	char name[6];
};

struct ioapic {
	uint8_t type, id, version, flags;
	uint32_t address;
};

struct irq {
	uint8_t type, kind;
	uint16_t flags;
	uint8_t bus, line, apic, pin;
};

struct builder {
	unsigned char bytes[TABLE_SIZE];
	size_t len;
};

static void add_mp_entry(struct builder *b, const void *entry, size_t len)
{
	struct header *h = (struct header *)(void *)(b->bytes + sizeof(struct pointer));

	memcpy(b->bytes + b->len, entry, len);
	b->len += len;
	h->entries++;
}

static uint8_t checksum(const void *data, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)data)[i]);
	return (uint8_t)-sum;
}

int mptable_write(const struct guest_memory *m, unsigned vcpus, struct err *err)
{
	_Static_assert(sizeof(struct pointer) + sizeof(struct header) +
				       MACHINE_VCPUS_MAX * sizeof(struct cpu) + sizeof(struct bus) +
				       sizeof(struct ioapic) + (LINES + 2) * sizeof(struct irq) <=
			       TABLE_SIZE,
		       "an MP table for all processors");
	_Alignas(8) struct builder b = {.len = sizeof(struct pointer) + sizeof(struct header)};
	struct pointer *p = (struct pointer *)(void *)b.bytes;
	struct header *h = (struct header *)(void *)(b.bytes + sizeof(*p));
	const uint8_t io = (uint8_t)vcpus; /* the I/O APIC's id comes behind the processors' */

	for (unsigned i = 0; i < vcpus; i++)
		add_mp_entry(&b,
			     &(struct cpu){ENTRY_CPU, (uint8_t)i, APIC_VERSION, i ? 1 : 3, 0x600, 0x201, {0}},
			     sizeof(struct cpu));
	add_mp_entry(&b, &(struct bus){ENTRY_BUS, 0, {'I', 'S', 'A', ' ', ' ', ' '}}, sizeof(struct bus));
	add_mp_entry(&b, &(struct ioapic){ENTRY_IOAPIC, io, APIC_VERSION, 1, IOAPIC}, sizeof(struct ioapic));
	/* The timer's line 0 is wired to pin 2, as KVM's routing has it. */
	for (unsigned i = 0; i < LINES; i++)
		if (i != 2)
			add_mp_entry(
				&b,
				&(struct irq){ENTRY_IRQ, IRQ_INT, 0, 0, (uint8_t)i, io, (uint8_t)(i ? i : 2)},
				sizeof(struct irq));
	add_mp_entry(&b, &(struct irq){ENTRY_LOCAL, IRQ_EXTINT, 0, 0, 0, ALL_APICS, 0}, sizeof(struct irq));
	add_mp_entry(&b, &(struct irq){ENTRY_LOCAL, IRQ_NMI, 0, 0, 0, ALL_APICS, 1}, sizeof(struct irq));

	memcpy(h->signature, "PCMP", 4);
	h->length = (uint16_t)(b.len - sizeof(*p));
	h->revision = 4;
	memcpy(h->oem, "COFFER  ", 8);
	memcpy(h->product, "VMM         ", 12);
	h->apic = APIC;
	h->checksum = checksum(h, h->length);
	memcpy(p->signature, "_MP_", 4);
	p->table = TABLE + sizeof(*p);
	p->length = 1;
	p->revision = 4;
	p->checksum = checksum(p, sizeof(*p));
	if (!memory_write(m, TABLE, b.bytes, b.len))
		return err_set(err, ENOMEM, "the guest has too little memory");
	return 0;
}

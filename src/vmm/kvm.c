/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the machine of KVM's parts. */
#include "vmm/machine.h"

#include <linux/virtio_mmio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum { CPUID_MAX = 256, IDENTITY_MAP = 0xfffbc000, TSS = 0xfffbd000 };
#define LEAF_TOPOLOGY	    0xb
#define LEAF_TOPOLOGY_V2    0x1f
#define LEAF_PMU	    0xa
#define LEAF_AMD_TOPOLOGY   0x8000001e
#define LEAF_CACHES	    4
#define LEAF_AMD_SIZES	    0x80000008
#define LEAF_AMD_CACHES	    0x8000001d
#define CACHE_ITSELF	    0x3fffU
#define AMD_CORES	    0xf0ffU
#define EDX_MANY_IN_PACKAGE (1U << 28)
#define ECX_TSC_DEADLINE    (1U << 24)
#define ECX_HYPERVISOR	    (1U << 31)

/* Lines of the I/O APIC that no legacy device has. */
static const unsigned char lines[] = {5, 6, 7, 9, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23, 12, 15};

unsigned machine_line(unsigned device)
{
	return lines[device % ARRAY_LEN(lines)];
}

static int add_memory(const struct machine *m, unsigned slot, uint64_t at, uint64_t from, uint64_t len,
		      struct err *err)
{
	struct kvm_userspace_memory_region r = {.slot = slot,
						.guest_phys_addr = at,
						.memory_size = len,
						.userspace_addr = (uintptr_t)(m->memory.base + from)};

	if (len && ioctl(m->vm_fd, KVM_SET_USER_MEMORY_REGION, &r) < 0)
		return err_sys(err, "KVM does not take the guest's memory");
	return 0;
}

/* Notifications of queues and interrupts go by descriptors, past the processor's thread. */
static int wire_device(const struct machine *m, struct device *d, struct err *err)
{
	struct kvm_irqfd irq = {.fd = (uint32_t)d->irq_fd, .gsi = machine_line(d->number)};

	if (ioctl(m->vm_fd, KVM_IRQFD, &irq) < 0)
		return err_sys(err, "KVM does not take a device's interrupt");
	for (unsigned i = 0; i < d->kind->queues; i++) {
		struct kvm_ioeventfd io = {.fd = d->kicks[i].source.fd,
					   .addr = MACHINE_MMIO + d->number * (uint64_t)MMIO_SIZE +
						   MMIO_NOTIFY,
					   .len = 4,
					   .datamatch = i,
					   .flags = KVM_IOEVENTFD_FLAG_DATAMATCH};
		/* Without it the kick comes as an exit, and means the same. */
		ignore_result(ioctl(m->vm_fd, KVM_IOEVENTFD, &io) < 0);
	}
	return 0;
}

static int make_devices(struct machine *m, const struct machine_plan *p, struct err *err)
{
	const struct console_ports ports = {p->console_fd, p->agent_fd, p->share_fd};
	int r = console_new(&ports, &m->memory, &m->loop, &m->devices[m->ndevices++], err);

	if (r == 0)
		r = rng_new(&m->memory, &m->loop, &m->devices[m->ndevices++], err);
	if (r == 0)
		r = balloon_new(&m->memory, &m->loop, &m->devices[m->ndevices++], err);
	for (size_t i = 0; r == 0 && i < p->ndisks; i++)
		r = blk_new(p->disks[i].fd, p->disks[i].readonly, &m->memory, &m->loop,
			    &m->devices[m->ndevices++], err);
	for (size_t i = 0; r == 0 && i < p->nnics; i++)
		r = net_new(p->nics[i].fd, p->nics[i].mac, p->nics[i].mtu, &m->memory, &m->loop,
			    &m->devices[m->ndevices++], err);
	for (unsigned i = 0; r == 0 && i < m->ndevices; i++) {
		m->devices[i]->number = i;
		r = wire_device(m, m->devices[i], err);
	}
	return r;
}

/* What the processor says of itself: what KVM supports, with this one's own number in the machine. */
static int set_cpuid(const struct machine *m, const struct vcpu *v, struct err *err)
{
	size_t size = sizeof(*m->cpuid) + m->cpuid->nent * sizeof(m->cpuid->entries[0]);
	autofree struct kvm_cpuid2 *c = malloc(size);

	if (!c)
		return err_oom(err);
	memcpy(c, m->cpuid, size);
	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];
		switch (e->function) {
		case 1:
			e->ebx = (e->ebx & 0x0000ffff) | v->number << 24 | 1U << 16;
			e->edx &= ~EDX_MANY_IN_PACKAGE;
			e->ecx |= ECX_HYPERVISOR | ECX_TSC_DEADLINE;
			break;
		case LEAF_CACHES: /* shared by nobody */
		case LEAF_AMD_CACHES:
			e->eax &= CACHE_ITSELF;
			break;
		case LEAF_AMD_SIZES:
			e->ecx &= ~AMD_CORES;
			break;
		case LEAF_TOPOLOGY: /* none: every processor is a package, as the MP table has it */
		case LEAF_TOPOLOGY_V2:
			e->eax = e->ebx = e->ecx = 0;
			e->edx = v->number;
			break;
		case LEAF_AMD_TOPOLOGY:
			e->eax = v->number;
			e->ebx = v->number;
			e->ecx = 0;
			break;
		case LEAF_PMU:
			e->eax = e->ebx = e->ecx = e->edx = 0;
			break;
		default:
			break;
		}
	}
	return ioctl(v->fd, KVM_SET_CPUID2, c) < 0
		       ? err_sys(err, "KVM does not take the processor's features")
		       : 0;
}

static int make_vcpu(struct machine *m, unsigned number, struct err *err)
{
	struct vcpu *v = &m->vcpus[number];

	v->machine = m;
	v->number = number;
	v->fd = ioctl(m->vm_fd, KVM_CREATE_VCPU, number);
	if (v->fd < 0)
		return err_sys(err, "cannot create virtual processor %u", number);
	v->run = mmap(NULL, m->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED)
		return err_sys(err, "cannot map virtual processor %u", number);
	return set_cpuid(m, v, err);
}

static int make_vm(struct machine *m, const struct machine_plan *p, struct err *err)
{
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	uint64_t identity = IDENTITY_MAP;
	int version = ioctl(p->kvm_fd, KVM_GET_API_VERSION, 0);

	if (version != KVM_API_VERSION)
		return err_set(err, ENOTSUP, "/dev/kvm is no KVM of version %d", KVM_API_VERSION);
	m->vm_fd = ioctl(p->kvm_fd, KVM_CREATE_VM, 0);
	int size = ioctl(p->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (m->vm_fd < 0 || size < (int)sizeof(struct kvm_run))
		return err_sys(err, "KVM cannot create a virtual machine");
	m->run_size = (size_t)size;
	/* Three pages that old Intel processors need, below the firmware's place. */
	ignore_result(ioctl(m->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0);
	ignore_result(ioctl(m->vm_fd, KVM_SET_TSS_ADDR, TSS) < 0);
	if (ioctl(m->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return err_sys(err, "KVM has no interrupt controllers");
	if (ioctl(m->vm_fd, KVM_CREATE_PIT2, &pit) < 0)
		return err_sys(err, "KVM has no timer chip");
	m->cpuid = calloc(1, sizeof(*m->cpuid) + CPUID_MAX * sizeof(m->cpuid->entries[0]));
	if (!m->cpuid)
		return err_oom(err);
	m->cpuid->nent = CPUID_MAX;
	if (ioctl(p->kvm_fd, KVM_GET_SUPPORTED_CPUID, m->cpuid) < 0)
		return err_sys(err, "KVM does not say what processors it has");
	return 0;
}

int machine_create(struct machine *m, const struct machine_plan *p, struct err *err)
{
	enum memory_kind kind = p->memory_fd < 0  ? MEMORY_ANONYMOUS
				: p->state_fd < 0 ? MEMORY_SHARED
						  : MEMORY_PRIVATE;

	m->kvm_fd = p->kvm_fd;
	m->console_fd = p->console_fd;
	m->nvcpus = p->vcpus;
	(void)pthread_mutex_init(&m->lock, NULL); /* cannot fail without attributes */
	(void)pthread_cond_init(&m->changed, NULL);
	m->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->end_fd < 0)
		return err_sys(err, "cannot make an event descriptor");
	int r = loop_open(&m->loop, err);
	if (r == 0)
		r = memory_open(&m->memory, p->memory, kind, p->memory_fd, p->memory_at, err);
	if (r == 0)
		r = make_vm(m, p, err);
	if (r == 0)
		r = add_memory(m, 0, 0, 0, memory_low(&m->memory), err);
	if (r == 0)
		r = add_memory(m, 1, MEMORY_GAP_END, memory_low(&m->memory), memory_high(&m->memory), err);
	for (unsigned i = 0; r == 0 && i < m->nvcpus; i++)
		r = make_vcpu(m, i, err);
	if (r == 0 && !p->quirks_off)
		r = quirks_probe(m, &m->quirks, err);
	return r == 0 ? make_devices(m, p, err) : r;
}

int machine_cmdline(const struct machine *m, const struct machine_plan *p,
		    char ret[static MACHINE_CMDLINE_MAX], struct err *err)
{
	/* A halt without ACPI is a loop; a reset by the keyboard's controller (legacy.c) ends the machine. */
	static const char fixed[] = "console=hvc0 reboot=k panic=-1 i8042.noaux i8042.nomux i8042.dumbkbd "
				    "no_timer_check tsc=reliable pci=off acpi=off quiet";
	struct str s autostr = {0};

	str_put(&s, fixed);
	int khz = ioctl(m->vcpus[0].fd, KVM_GET_TSC_KHZ, 0);
	if (khz > 0)
		str_putf(&s, " tsc_early_khz=%d", khz);
	if (m->quirks)
		str_putf(&s, " %s", quirks_cmdline);
	for (unsigned i = 0; i < m->ndevices; i++)
		str_putf(&s, " virtio_mmio.device=%d@0x%llx:%u", MMIO_SIZE,
			 (unsigned long long)MACHINE_MMIO + i * (unsigned long long)MMIO_SIZE,
			 machine_line(i));
	if (p->cmdline && *p->cmdline)
		str_putf(&s, " %s", p->cmdline);
	if (s.failed)
		return err_oom(err);
	if (s.len >= MACHINE_CMDLINE_MAX)
		return err_set(err, E2BIG, "the kernel's command line is too long");
	memcpy(ret, s.s, s.len + 1);
	return 0;
}

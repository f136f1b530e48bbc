/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU's command line.  Everything is by descriptor: sockets and taps by
 * number, disks by descriptor sets, and what QEMU can open by path alone
 * (kernel, initramfs, memory) below /fd, which the jail made.
 *
 * `-M microvm` has eight places for devices of virtio (twenty-four with a
 * second IO-APIC, which needs ACPI): ports and balloon take one, each disk and
 * card one.  The balloon is never blown up: it is there because by it the guest
 * reports pages that it has freed, and QEMU gives these back to the host.
 * microvm has no PCI here, no option ROMs, no display, no USB: what is not
 * there cannot be attacked.
 *
 * Emulation (TCG) runs all processors in one thread, and keeps little
 * translated code, for it counts against the container's memory.  `max` has
 * the instructions that images are built for today (x86-64-v3), without the
 * fifth level of page tables, which each walk would pay for; and its timer is
 * one that never stops (ARAT, which qemu64 lacks): with ACPI there is no
 * other, and the guest would sleep for ever.  Without ACPI nolapic_timer
 * saves a quarter of a second of calibration, and without tsc_early_khz the
 * calibration against the PIT hung in three boots of ten: the guest's TSC is
 * the host's under emulation.
 *
 * ARM64 has no microvm: its `virt` has thirty-two places for devices of
 * virtio, tells of all by a device tree, and has its timer in the processor.
 * Emulated it has a processor of the servers of today: `max` has what makes
 * emulation slow (pointer authentication).
 */
#include "vm/qemu_int.h"

#include "isolate/machine.h"

enum { PLACES_OURS = 2 };

static void put_arg(struct qemu_args *a, const char *text)
{
	char **bigger = a->failed ? NULL : realloc(a->v, (a->n + 2) * sizeof(*bigger));

	if (!bigger) {
		a->failed = true;
		return;
	}
	a->v = bigger;
	a->v[a->n] = strdup(text);
	a->failed = a->v[a->n] == NULL;
	if (!a->failed)
		a->n++;
	a->v[a->n] = NULL;
}

static void put_argf(struct qemu_args *a, const char *fmt, ...) printf_like(2, 3);
static void put_argf(struct qemu_args *a, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		a->failed = true;
		return;
	}
	put_arg(a, text);
	free(text);
}

static void keep_fd(struct qemu_args *a, int fd)
{
	for (size_t i = 0; i < a->nfds; i++)
		if (a->fds[i] == fd)
			return;
	if (a->nfds == ARRAY_LEN(a->fds))
		a->failed = true;
	else
		a->fds[a->nfds++] = fd;
}

void qemu_args_free(struct qemu_args *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->v[i]);
	free(a->v);
	*a = (struct qemu_args){0};
}

/* How many devices the board has room for. */
static size_t places_of(const struct qemu_plan *p)
{
	return p->board == QEMU_VIRT ? 32 : p->acpi ? 24 : 8;
}

static void add_board(struct qemu_args *a, const struct qemu_plan *p, unsigned places)
{
	const char *memory = p->memory_fd >= 0 ? ",memory-backend=ram" : "";
	bool kvm = p->spec->kvm_fd >= 0;

	put_arg(a, "-M");
	if (p->board == QEMU_VIRT)
		put_argf(a, "virt,acpi=off,its=off,gic-version=%s%s", kvm ? "host" : "3", memory);
	else /* The clocks and controllers of old: without ACPI the kernel finds no other ones. */
		put_argf(a, "microvm,acpi=%s,pit=on,pic=on,rtc=on,isa-serial=on%s%s", p->acpi ? "on" : "off",
			 places > 8 ? ",ioapic2=on" : "", memory);
	put_arg(a, "-accel");
	put_arg(a, kvm ? "kvm" : "tcg,thread=single,tb-size=64");
	put_arg(a, "-cpu");
	put_arg(a, kvm ? "host" : p->board == QEMU_VIRT ? "neoverse-n1" : "max,la57=off");
}

static void add_machine(struct qemu_args *a, const struct qemu_plan *p, unsigned places)
{
	const struct vm_spec *s = p->spec;
	unsigned long long mib = s->memory >> 20;

	put_arg(a, VM_QEMU);
	put_arg(a, "-nodefaults");
	put_arg(a, "-no-user-config");
	put_arg(a, "-nographic");
	put_arg(a, "-no-reboot"); /* the guest's reboot is the machine's end */
	put_arg(a, "-sandbox");
	put_arg(a, "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	add_board(a, p, places);
	put_arg(a, "-smp");
	put_argf(a, "%u", s->vcpus);
	put_arg(a, "-m");
	put_argf(a, "%llu", mib);
	if (p->memory_fd >= 0) {
		put_arg(a, "-object");
		put_argf(a, "memory-backend-file,id=ram,size=%lluM,mem-path=/fd/%d,share=on,prealloc=off",
			 mib, p->memory_fd);
		keep_fd(a, p->memory_fd);
	}
	/* The interface of 1.0: the older one has no way to say that a device failed. */
	put_arg(a, "-global");
	put_arg(a, "virtio-mmio.force-legacy=false");
}

static void add_kernel(struct qemu_args *a, const struct qemu_plan *p)
{
	const struct vm_spec *s = p->spec;
	autostr struct str line = {0};

	/* reboot=t: a triple fault, which every machine understands. */
	str_put(&line, p->board == QEMU_VIRT ? "console=ttyAMA0 quiet panic=-1"
					     : "console=ttyS0 quiet panic=-1 reboot=t");
	if (s->kvm_fd < 0 && p->board == QEMU_MICROVM) {
		str_put(&line, " tsc=reliable no_timer_check noreplace-smp");
		/* With ACPI the kernel knows of no PIT, and further processors have no other timer. */
		if (!p->acpi && s->vcpus == 1)
			str_put(&line, " nolapic_timer");
		if (p->tsc_khz)
			str_putf(&line, " tsc_early_khz=%u", p->tsc_khz);
	}
	if (s->cmdline && *s->cmdline)
		str_putf(&line, " %s", s->cmdline);
	put_arg(a, "-kernel");
	put_argf(a, "/fd/%d", s->kernel_fd);
	put_arg(a, "-initrd");
	put_argf(a, "/fd/%d", s->initramfs_fd);
	put_arg(a, "-append");
	a->failed |= line.failed;
	put_arg(a, line.s ? line.s : "");
	keep_fd(a, s->kernel_fd);
	keep_fd(a, s->initramfs_fd);
}

static void add_port(struct qemu_args *a, const char *id, const char *name, int fd, unsigned nr)
{
	put_arg(a, "-chardev");
	put_argf(a, "socket,id=%s,fd=%d", id, fd);
	put_arg(a, "-device");
	put_argf(a, "virtserialport,bus=ports.0,chardev=%s,name=%s,nr=%u", id, name, nr);
	keep_fd(a, fd);
}

static void add_devices(struct qemu_args *a, const struct vm_spec *s)
{
	put_arg(a, "-chardev");
	put_arg(a, "stdio,id=console,signal=off"); /* the jail made it console_fd */
	put_arg(a, "-serial");
	put_arg(a, "chardev:console");
	put_arg(a, "-device");
	put_argf(a, "virtio-serial-device,id=ports,max_ports=%d", VM_PORTS_MAX);
	add_port(a, "agent", "dev.coffer.agent", s->agent_fd, 1);
	add_port(a, "share", "dev.coffer.share", s->share_fd, 2);
	put_arg(a, "-device");
	put_arg(a, "virtio-balloon-device,free-page-reporting=on");
	for (size_t i = 0; i < s->ndisks; i++) {
		bool ro = s->disks[i].readonly;
		put_arg(a, "-add-fd");
		put_argf(a, "fd=%d,set=%zu", s->disks[i].fd, i);
		put_arg(a, "-blockdev");
		put_argf(a,
			 "driver=file,node-name=f%zu,filename=/dev/fdset/"
			 "%zu,locking=off,read-only=%s,auto-read-only=off",
			 i, i, ro ? "on" : "off");
		put_arg(a, "-blockdev");
		put_argf(a, "driver=raw,node-name=d%zu,file=f%zu,read-only=%s", i, i, ro ? "on" : "off");
		put_arg(a, "-device");
		put_argf(a, "virtio-blk-device,drive=d%zu,serial=disk%zu", i, i);
		keep_fd(a, s->disks[i].fd);
	}
	for (size_t i = 0; i < s->nnics; i++) {
		const unsigned char *m = s->nics[i].mac;
		put_arg(a, "-netdev");
		put_argf(a, "tap,id=n%zu,fd=%d", i, s->nics[i].tap_fd);
		put_arg(a, "-device");
		put_argf(a, "virtio-net-device,netdev=n%zu,mac=%02x:%02x:%02x:%02x:%02x:%02x", i, m[0], m[1],
			 m[2], m[3], m[4], m[5]);
		keep_fd(a, s->nics[i].tap_fd);
	}
}

int qemu_plan_args(const struct qemu_plan *p, struct qemu_args *ret, struct err *err)
{
	const struct vm_spec *s = p->spec;
	struct qemu_args a = {0};
	size_t places = PLACES_OURS + s->ndisks + s->nnics, most = places_of(p);

	if (places > most)
		return err_set(err, E2BIG,
			       "QEMU's %s has room for %zu disks and network cards with this kernel, "
			       "the container has %zu",
			       p->board == QEMU_VIRT ? "virt" : "microvm", most - PLACES_OURS,
			       places - PLACES_OURS);
	if (s->memory == 0 || s->memory % (1 << 20) || s->vcpus == 0 || s->vcpus > 255)
		return err_set(err, EINVAL,
			       "a machine of %llu bytes of memory and %u processors cannot be made",
			       (unsigned long long)s->memory, s->vcpus);
	add_machine(&a, p, (unsigned)places);
	add_kernel(&a, p);
	add_devices(&a, s);
	put_arg(&a, "-chardev");
	put_argf(&a, "socket,id=qmp,fd=%d", p->qmp_fd);
	put_arg(&a, "-mon");
	put_arg(&a, "chardev=qmp,mode=control");
	keep_fd(&a, p->qmp_fd);
	if (s->from) {
		put_arg(&a, "-incoming");
		put_arg(&a, "defer"); /* capabilities come first, and they have no option */
		keep_fd(&a, s->from->state_fd);
	}
	if (s->kvm_fd >= 0)
		keep_fd(&a, s->kvm_fd);
	if (a.failed) {
		qemu_args_free(&a);
		return err_oom(err);
	}
	*ret = a;
	return 0;
}

int qemu_kernel_is_elf(int fd, enum qemu_board board, struct err *err)
{
	unsigned char head[0x206];
	ssize_t n = pread(fd, head, sizeof(head), 0);

	if (n < 0)
		return err_sys(err, "cannot read the guest's kernel");
	if (n > 0 && board == QEMU_VIRT) {
		if (n >= 0x3c && memcmp(head + 0x38, "ARM\x64", 4) == 0)
			return 0;
		return err_set(err, ENOEXEC, "the guest's kernel is no ARM64 Image");
	}
	if (n >= 4 && memcmp(head, "\177ELF", 4) == 0)
		return 1;
	if (n == (ssize_t)sizeof(head) && memcmp(head + 0x202, "HdrS", 4) == 0)
		return 0;
	if (n == (ssize_t)sizeof(head) || n >= 4)
		return err_set(err, ENOEXEC, "the guest's kernel is neither an ELF file nor a bzImage");
	return err_set(err, ENOEXEC, "the guest's kernel is empty");
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine: what its parts know of one another.
 *
 * Address space: memory from 0, a gap for devices below 4 GiB, memory again.
 * Each virtio device has a page from MACHINE_MMIO on and one of the I/O
 * APIC's lines; it is announced on the kernel's command line.  There is no
 * ACPI and no PCI: an MP table names processors and lines.
 *
 * Threads: one a virtual processor (vcpu.c), and the loop's, which is the main
 * one and the only one that may end or pause the machine.
 */
#pragma once

#include "vmm/device.h"
#include "vmm/memory.h"
#include "vmm/state.h"

#include <linux/kvm.h>
#include <pthread.h>

enum {
	MACHINE_VCPUS_MAX = 32,
	MACHINE_DISKS_MAX = 64,
	MACHINE_NICS_MAX = 8,
	MACHINE_DEVICES_MAX = MACHINE_DISKS_MAX + MACHINE_NICS_MAX + 3,
	MACHINE_CMDLINE_MAX = 4096 + 2048,
};
#define MACHINE_MMIO UINT64_C(0xd0000000)

/* What the machine is to be; descriptors are the caller's. */
struct machine_plan {
	int kvm_fd, kernel_fd, initramfs_fd, agent_fd, share_fd, console_fd, control_fd;
	int memory_fd;		      /* MEMORY_SHARED or MEMORY_PRIVATE; -1: none */
	int state_fd;		      /* restored from; -1: boot */
	uint64_t memory_at, state_at; /* where in their files */
	const char *cmdline;
	uint64_t memory;
	unsigned vcpus;
	struct {
		int fd;
		bool readonly;
	} disks[MACHINE_DISKS_MAX];
	size_t ndisks;
	struct {
		int fd;
		unsigned char mac[6];
		uint32_t mtu;
	} nics[MACHINE_NICS_MAX];
	size_t nnics;
	bool quirks_off; /* never look for a host that needs kvm_pvm.c */
	bool no_jail;	 /* for debuggers */
};

struct machine;

struct vcpu {
	struct machine *machine;
	unsigned number;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	bool parked;		  /* under machine.lock */
	struct quirk_vcpu *quirk; /* kvm_pvm.c's; NULL: the host needs none */
};

enum machine_end { MACHINE_RUNS, MACHINE_RESET, MACHINE_FAILED };

struct machine {
	int kvm_fd; /* borrowed */
	int vm_fd;
	size_t run_size; /* of struct kvm_run's mapping */
	struct guest_memory memory;
	struct loop loop;
	int console_fd;
	struct device *devices[MACHINE_DEVICES_MAX];
	unsigned ndevices;
	struct vcpu vcpus[MACHINE_VCPUS_MAX];
	unsigned nvcpus;
	bool quirks;		  /* this host's KVM needs kvm_pvm.c */
	struct kvm_cpuid2 *cpuid; /* as the host's KVM supports it; owned */

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	bool paused; /* wanted */
	int end;     /* enum machine_end */
	int end_fd;  /* eventfd: tells the loop of `end` */
	char end_reason[256];
};

/* kvm.c: memory, interrupt controllers, processors without state, devices' lines. */
must_use int machine_create(struct machine *m, const struct machine_plan *p, struct err *err);
/* The devices' words for the kernel, after `cmdline`. */
must_use int machine_cmdline(const struct machine *m, const struct machine_plan *p,
			     char ret[static MACHINE_CMDLINE_MAX], struct err *err);
unsigned machine_line(unsigned device);

/* boot.c: the kernel into memory, and what it is told.  *ret_entry: where it starts, in 64-bit mode. */
must_use int boot_load(const struct guest_memory *m, const struct machine_plan *p, const char *cmdline,
		       uint64_t *ret_entry, struct err *err);
/* The registers of the first processor, about to enter the kernel. */
must_use int boot_vcpu(const struct machine *m, int vcpu_fd, uint64_t entry, struct err *err);
/* mptable.c */
must_use int mptable_write(const struct guest_memory *m, unsigned vcpus, struct err *err);

/* legacy.c: I/O ports.  false: the guest asked for a reset. */
void legacy_read(unsigned port, unsigned char *data, unsigned len);
must_use bool legacy_write(const struct machine *m, unsigned port, const unsigned char *data, unsigned len);

/* vcpu.c */
must_use int vcpus_start(struct machine *m, struct err *err);
/* Returns when all stand still; their state may be read. */
void vcpus_pause(struct machine *m);
void vcpus_resume(struct machine *m);
void machine_stop(struct machine *m, enum machine_end end, const char *fmt, ...) printf_like(3, 4);

/* snapshot.c */
/* memory_at: where in the file the memory goes; 0: it is in its own (MEMORY_SHARED). */
must_use int snapshot_save(struct machine *m, int fd, uint64_t at, uint64_t memory_at, struct err *err);
must_use int snapshot_restore(struct machine *m, int fd, uint64_t at, struct err *err);

/* kvm_pvm.c */
/*
 * Does this host's KVM emulate the guest's ring 0?  Runs a few thousand instructions on the first processor,
 * whose registers it leaves for boot or restore to set.
 */
must_use int quirks_probe(const struct machine *m, bool *ret, struct err *err);
extern const char quirks_cmdline[];
must_use int quirks_vcpu(struct vcpu *v, struct err *err);
/* An exit that KVM alone should not have made.  0: go on; -errno: it cannot be helped. */
must_use int quirks_exit(struct vcpu *v);
void quirks_before_run(struct vcpu *v);
/* pvm_kernel.c: of a kernel that is loaded, before it starts. */
void quirks_kernel(const struct guest_memory *m, int kernel_fd);

/* control.c */
must_use int control_open(struct machine *m, int fd, struct err *err);
void control_reply(int fd, const struct err *err);

/* confine.c: what is not needed any more to run goes.  Capabilities are a thread's own, KVM's workers
 * included: at the start; then the calls, of all threads at once. */
must_use int confine_privileges(struct err *err);
must_use int confine_calls(struct err *err);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hypervisor does for the keeper.  Two drivers: QEMU (qemu.c) and our
 * own monitor coffer-vmm (vmm.c).
 *
 * A machine is started with everything that it will ever have, but for ports:
 * each further container of a pod brings two (pod.c).  All comes as descriptors; the hypervisor's process
 * opens no path of the host's but its own program's libraries.  It is a child of the caller, jailed (jail.h),
 * and dies with it.
 */
#pragma once

#include "base/err.h"

enum {
	VM_DISKS_MAX = 64,
	VM_NICS_MAX = 8,
	VM_PORTS_MAX = 31, /* of the bus of ports, the reserved port 0 included */
};

struct vm_disk {
	int fd; /* borrowed */
	bool readonly;
};

struct vm_nic {
	int tap_fd; /* borrowed */
	unsigned char mac[6];
	uint32_t mtu;
};

/*
 * What a snapshot is kept in: the memory as it stands in the guest, from `memory_at` on (a multiple of 2
 * MiB), and the devices from `state_at` on.  Both may be parts of one file (template.h).
 */
struct vm_snapshot {
	int memory_fd, state_fd; /* borrowed */
	off_t memory_at, state_at;
};

struct vm_spec {
	int usr_tree; /* for the jail (jail.h); -1 with coffer-vmm, which needs none; borrowed */
	int proc_fd;  /* likewise; also where the driver finds its own descriptors again */
	/*
	 * An ELF vmlinux with a PVH note, or a bzImage, which always has ACPI.  Kernel and initramfs must be
	 * readable for everyone: the hypervisor is nobody.  Borrowed.
	 */
	int kernel_fd;
	int initramfs_fd;
	bool acpi; /* it learns of its devices by ACPI (a distribution's), not from its command line */
	const char *cmdline; /* what the kernel is told beside what the driver tells it; NULL = nothing */
	uint64_t memory;     /* bytes, whole MiB */
	unsigned vcpus;
	int agent_fd;	/* connected stream socket: the other end of GUEST_PORT_AGENT; borrowed */
	int share_fd;	/* likewise GUEST_PORT_SHARE */
	int console_fd; /* gets the guest's console; borrowed */
	int log_fd;	/* gets the hypervisor's own messages (stderr); borrowed */
	int kvm_fd;	/* /dev/kvm; -1: emulation */
	int answer_ms;	/* how long it may take for an answer of its; 0: the driver's own limit */
	int monitor_fd; /* coffer-vmm, open for execution, for its driver alone */
	struct vm_disk disks[VM_DISKS_MAX];
	size_t ndisks;
	struct vm_nic nics[VM_NICS_MAX];
	size_t nnics;
	const struct vm_snapshot *from; /* restore instead of boot; NULL = boot */
	/* Memory in this file (a memfd of vm_memory_new(), empty), to be saved later; NULL = no.  Together
	   with `from` coffer-vmm does not use it: then `save` writes the memory. */
	const struct vm_snapshot *memory_in;
};

struct vm {
	const struct hypervisor *driver;
	pid_t pid;   /* the hypervisor's process, child of the caller; its end is the machine's */
	int control; /* the driver's own channel to it; owned */
	void *data;  /* the driver's; owned */
};

struct hypervisor {
	const char *name; /* "qemu", "vmm" */
	/* Its guests are told how fast their timer runs: they measure nothing that could be wrong. */
	bool timer_told;
	/* The processor is virtual already when this returns: the guest boots.  On failure nothing is left.
	 */
	int (*start)(const struct vm_spec *spec, struct vm *ret, struct err *err);
	int (*pause)(struct vm *vm, struct err *err);
	int (*resume)(struct vm *vm, struct err *err);
	/*
	 * Of a paused machine: the devices.  And the memory where to->memory_fd, the same file, is not -1:
	 * coffer-vmm's that began with `from`; any other has it in `memory_in` already.
	 */
	int (*save)(struct vm *vm, const struct vm_snapshot *to, struct err *err);
	/* One line that names program and version as far as it matters to a snapshot: another one cannot use
	 * it. */
	int (*identity)(const struct vm_spec *spec, char *buf, size_t size, struct err *err);
	/*
	 * A further port of this name while the machine runs, as agent_fd is one; fd is borrowed.  The name
	 * is "dev.coffer.agent.7" and the like: letters, digits and dots.  NULL: the driver cannot.
	 */
	int (*plug_port)(struct vm *vm, const char *name, int fd, struct err *err);
	/* One that was plugged in.  -EIO: what is behind it is still busy: to be called again. */
	int (*unplug_port)(struct vm *vm, const char *name, struct err *err);
	/* Ends the process, and waits for it.  Idempotent. */
	void (*stop)(struct vm *vm);
};

extern const struct hypervisor hypervisor_qemu, hypervisor_vmm;

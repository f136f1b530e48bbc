/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hypervisor does for the keeper.  Two drivers: QEMU (qemu.c) and our
 * own monitor coffer-vmm (vmm.c).
 *
 * A machine is started with everything that it will ever have: nothing is
 * plugged in later.  All comes as descriptors; the hypervisor's process opens
 * no path of the host's but its own program's libraries.  It is a child of
 * the caller, jailed (jail.h), and dies with it.
 */
#pragma once

#include "base/err.h"

enum { VM_DISKS_MAX = 64, VM_NICS_MAX = 8 };

struct vm_disk {
	int fd; /* borrowed */
	bool readonly;
};

struct vm_nic {
	int tap_fd; /* borrowed */
	unsigned char mac[6];
	uint32_t mtu;
};

/* What a snapshot is kept in: memory, mapped privately by whoever restores, and devices. */
struct vm_snapshot {
	int memory_fd, state_fd;
};

struct vm_spec {
	int kernel_fd;	     /* an ELF vmlinux with a PVH note, or a bzImage; borrowed */
	int initramfs_fd;    /* borrowed */
	const char *cmdline; /* what the kernel is told beside what the driver tells it; NULL = nothing */
	uint64_t memory;     /* bytes, whole MiB */
	unsigned vcpus;
	int agent_fd;	/* connected stream socket: the other end of GUEST_PORT_AGENT; borrowed */
	int share_fd;	/* likewise GUEST_PORT_SHARE */
	int console_fd; /* gets the guest's console; borrowed */
	int log_fd;	/* gets the hypervisor's own messages (stderr); borrowed */
	int kvm_fd;	/* /dev/kvm; -1: emulation */
	struct vm_disk disks[VM_DISKS_MAX];
	size_t ndisks;
	struct vm_nic nics[VM_NICS_MAX];
	size_t nnics;
	const struct vm_snapshot *from;	     /* restore instead of boot; NULL = boot */
	const struct vm_snapshot *memory_in; /* boot with memory in this file, to be saved later; NULL = no */
};

struct vm {
	const struct hypervisor *driver;
	pid_t pid;   /* the hypervisor's process, child of the caller; its end is the machine's */
	int control; /* the driver's own channel to it; owned */
	void *data;  /* the driver's; owned */
};

struct hypervisor {
	const char *name; /* "qemu", "vmm" */
	/* The processor is virtual already when this returns: the guest boots.  On failure nothing is left.
	 */
	int (*start)(const struct vm_spec *spec, struct vm *ret, struct err *err);
	int (*pause)(struct vm *vm, struct err *err);
	int (*resume)(struct vm *vm, struct err *err);
	/* Of a paused machine that was started with `memory_in`. */
	int (*save)(struct vm *vm, const struct vm_snapshot *to, struct err *err);
	/* Ends the process, and waits for it.  Idempotent. */
	void (*stop)(struct vm *vm);
};

extern const struct hypervisor hypervisor_qemu, hypervisor_vmm;

/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this level share. */
#pragma once

#include "isolate/supervised.h"
#include "isolate/vm/level.h"

/* Where the agent mounts the share (vm/share/share.h): what the carrier made the container's root of. */
#define VM_GUEST_ROOT "/run/coffer/root"

extern char vm_keeper_program[];  /* "coffer-vm" */
extern char vm_monitor_program[]; /* "coffer-vmm" */

/* Of the machine. */
struct vm_size {
	uint64_t memory; /* bytes, whole MiB */
	unsigned vcpus;
};

enum {
	VM_MIB = 1 << 20,
	VM_KERNEL_MEMORY =
		64 * VM_MIB,	    /* what the guest's kernel and agent need beside the container's limit */
	VM_OVERHEAD = 256 * VM_MIB, /* of the hypervisor, the keeper and the share, on the host */
	VM_OWN_TASKS = 64,	    /* threads and processes of theirs */
};

/* What the keeper may: set up the machine's network and jail, serve files for any user of the container. */
extern const str_list vm_caps;
/* What the carrier makes.  size: of the machine; of a pod's further container: what it may use of it. */
must_use int vm_plan(const struct oci_config *config, bool member, const struct vm_size *size,
		     struct supervised_plan *ret, struct err *err);
/* Memory and processors of the machine: by the container's limits where there are any. */
void vm_plan_size(const struct oci_resources *r, const struct vm_size *usual, struct vm_size *ret);
/* Limits of the host's group: what is limited is the guest; the hypervisor comes on top. */
void vm_plan_limits(const struct oci_resources *r, uint64_t machine_memory, struct oci_resources *ret,
		    pair_list *ret_unified_owned);
bool vm_is_bind(const struct oci_mount *m);
/* The guest's kernel makes it itself; anything else is a piece of the host's. */
bool vm_knows_device(const struct oci_device *d);
/* What nobody could do for a guest, said before anything is made. */
must_use int vm_plan_check(const struct isolate_create *c, bool member, struct err *err);

/* ---- pod.c ---- */
/* The id of the container into whose machine this one goes; NULL: it gets one of its own.  *ret borrows. */
must_use int vm_pod_of(const struct sandbox *s, const char **ret, struct err *err);
bool vm_is_member(const struct sandbox *s);
/* A connection to the keeper of the machine of `pod`, which runs; else why there is none. */
must_use int vm_pod_connect(const struct sandbox *s, const char *pod, struct err *err);
/* Writes into the state directory of a container with a machine where it is told that it stands still. */
must_use int vm_pod_note_freezer(const struct sandbox *s, struct err *err);
/* 1: the container is a further one in a machine that is paused, and so nobody in it can be asked; 0; -errno.
 */
must_use int vm_pod_is_paused(const struct sandbox *s, struct err *err);
/* The same as a refusal: -EBUSY. */
must_use int vm_pod_check_awake(const struct sandbox *s, struct err *err);
/* Writes into the state directory of a container with a machine, which is about to start, what
 * vm_pod_check_pids() compares: may a further container have the pid namespace that it names? */
must_use int vm_pod_note_pids(const struct sandbox *s, struct err *err);
must_use int vm_pod_check_pids(const struct sandbox *s, const char *pod, struct err *err);
/* What the engine of a pod says that all of it will want: then that is the size of its machine. */
must_use int vm_pod_size(const struct oci_config *config, const struct vm_size *usual, struct vm_size *ret,
			 struct err *err);
/*
 * Weights of the host's group, where there is a pod: those of the sandbox container and of further ones are
 * meant for their programs, which work in the guest, and not for a hypervisor that works for all of them.
 */
must_use int vm_pod_weights(const struct oci_config *config, bool member, struct oci_cpu *cpu,
			    struct err *err);
/* VM_GUEST_SHM: what the agent has of the first container's /dev/shm. */
#define VM_GUEST_SHM "/run/coffer/shm"

/* The configuration for the guest's agent, as JSON in a memory file.  `text` is the user's own. */
must_use int vm_guest_config(const struct oci_config *config, bool member, const char *text, size_t len,
			     struct err *err);
/* A snapshot's machine, for reading; hostile names are refused. */
must_use int vm_snapshot_open(const char *name, struct err *err);
/* The empty file of one that guest_snapshot_begin() has begun. */
must_use int vm_snapshot_open_begun(const char *name, struct err *err);
/* One /dev/net/tun for each card of the guest, opened in the network namespace of `pid`; their number.  The
 * caller closes them. */
must_use int vm_open_tuns(pid_t pid, int ret[static SUPERVISOR_TUNS_MAX], struct err *err);
/* The part of the limits that the guest's kernel sets. */
void vm_guest_resources(struct json_out *out, const char *key, const struct oci_resources *r);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people ask about level `vm` without starting a container: its settings,
 * the kernels that there are, and what the processor does for it.
 */
#pragma once

#include "base/json.h"

/* ---- the table [vm] of coffer.toml; docs/coffer.toml describes each key ---- */

struct vm_settings {
	struct json_doc memory_of;	/* owns the texts */
	const char *kernel, *initramfs; /* absolute; NULL: of the newest kernel that is installed */
	const char *hypervisor;		/* "auto", "qemu", "vmm" */
	const char *accelerator;	/* "auto", "kvm", "tcg" */
	const char *memory;		/* as written: "512m" */
	uint64_t memory_bytes;		/* whole MiB */
	uint32_t vcpus;			/* 1..64 */
	uint32_t start_timeout;		/* seconds until the agent must be ready */
	uint32_t share_cache_ms;  /* how long the guest may believe names and attributes of its root; 0 = not
				     at all */
	uint32_t volume_cache_ms; /* the same of volumes, which others may write; 0..1000 */
};

/* Of struct vm_settings, for the command line's own reading of the file. */
extern const struct json_table vm_settings_table;

/* Fills what is not set, and refuses what makes no sense.  `where` names the file. */
must_use int vm_settings_complete(struct vm_settings *s, const char *where, struct err *err);
/*
 * ---- kernels ----
 *
 * The kernel that a virtual machine boots, and its initramfs.
 *
 * `coffer vm build-kernel` and `fetch-kernel` make a directory a kernel:
 *
 *	/var/lib/coffer/vm/NAME/	(COFFER_VM_DIR; root's, else the user's own first)
 *		kernel			an ELF vmlinux with a PVH note, or a bzImage
 *		modules.list		names of modules in the order of loading; may be empty
 *		modules/NAME		what they are
 *		info.json		written last: a directory without it is none
 *		initramfs-ID		made here when first needed, ID of the agent in it
 *
 * The initramfs is the agent of this very installation as /init, and the
 * modules.  It is made again when the agent has changed, so that agent and
 * keeper are of one version always.
 */

enum guest_devices {
	GUEST_DEVICES_CMDLINE, /* the kernel takes virtio_mmio.device=… */
	GUEST_DEVICES_ACPI,    /* it finds virtio-mmio devices by ACPI alone */
};

struct guest_kernel {
	char *name;		/* of the directory; owned */
	char *dir;		/* owned */
	char *source, *release; /* "linux-source-6.12 6.12.117-1", "6.12.117-coffer"; owned */
	enum guest_devices devices;
	int64_t made;	/* seconds since 1970 */
	uint64_t bytes; /* of the kernel */
};
struct guest_kernels {
	struct guest_kernel *v; /* the newest first */
	size_t n;
};
/* Every good one.  None, or no directory at all: n = 0 and no error. */
must_use int guest_kernels_list(struct guest_kernels *ret, struct err *err);
void guest_kernels_free(struct guest_kernels *k);
/* Where new ones go; the caller frees. */
must_use char *guest_kernels_dir(void);

/* Makes the initramfs of one kernel (again, where `anew`), and says where it is; the caller frees. */
must_use int guest_initramfs_make(const struct guest_kernel *k, bool anew, char **ret_path, struct err *err);

/*
 * ---- snapshots ----
 *
 * Machines that were saved with what ran in them, by name: vm/snapshots.c.
 */

/* A container with this annotation begins with the snapshot of that name. */
#define GUEST_SNAPSHOT_ANNOTATION "dev.coffer.vm.snapshot"
/* One with this annotation runs nothing: its machine is kept as the template of the snapshot that is under
 * way by that name, and it ends. */
#define GUEST_TEMPLATE_ANNOTATION "dev.coffer.vm.template-into"

/*
 * ---- pods ----
 *
 * A container with this annotation goes into the machine of the container of
 * that id (isolate/vm/pod.c has the others' ways to say so).
 */
#define GUEST_POD_ANNOTATION "dev.coffer.vm.pod"

struct guest_snapshot {
	int machine; /* empty, for SAVE (wire/supervisor.h) */
	int dir, lock, made;
	char *name, *inner;
};
/*
 * One under way; others wait.  `left` (may be NULL) hears of each that was begun or half removed by somebody
 * who was killed: what he made elsewhere is to be taken away.  -EEXIST: there is one of this name.
 */
must_use int guest_snapshot_begin(const char *name, void (*left)(void *data, const char *name), void *data,
				  struct guest_snapshot *ret, struct err *err);
/* It is there now, on disk, with this text beside it. */
must_use int guest_snapshot_finish(struct guest_snapshot *s, const char *info, struct err *err);
/* Finished or not. */
void guest_snapshot_drop(struct guest_snapshot *s);
/* `left` as above: also of this one. */
must_use int guest_snapshot_remove(const char *name, void (*left)(void *data, const char *name), void *data,
				   struct err *err);
/* The text; the caller frees. */
must_use int guest_snapshot_info(const char *name, char **ret, size_t *ret_len, struct err *err);
must_use int guest_snapshots_each(int (*each)(void *data, const char *name, const char *info, size_t len,
					      struct err *err),
				  void *data, struct err *err);

/*
 * ---- KVM ----
 *
 * Is there one, and does the processor run its guests?  Some machines, in
 * clouds without nested virtualization, have a /dev/kvm whose guests' kernel
 * mode is interpreted: slower than QEMU's own emulation, which compiles.
 */

enum kvm_kind {
	KVM_NONE,     /* no /dev/kvm, or none for us */
	KVM_EMULATED, /* it answers, and interprets */
	KVM_REAL,
};

struct kvm_answer {
	enum kvm_kind kind;
	uint32_t ns_per_instruction; /* of the loop; 0 with KVM_NONE */
	char why[160];		     /* one line, for people */
};
/* The processor can run guests, so that /dev/kvm, where there is one, has them run there: by what it says of
 * itself, in no time. */
bool kvm_is_hardware(void);
/*
 * A guest of a few bytes counts down in kernel mode, and is timed: about a
 * millisecond in all where KVM is real, 20 and more where not: keep the answer.  *ret_fd (may be NULL):
 * /dev/kvm, open, the caller's; -1 with KVM_NONE.
 */
void kvm_probe(struct kvm_answer *ret, int *ret_fd);

/* ---- which hypervisor a machine gets ---- */

#ifdef __aarch64__
#define VM_QEMU		"qemu-system-aarch64"
#define VM_QEMU_PACKAGE "qemu-system-arm"
#else
#define VM_QEMU		"qemu-system-x86_64"
#define VM_QEMU_PACKAGE "qemu-system-x86"
#endif
enum { VM_MONITOR_VCPUS = 32 }; /* of coffer-vmm, at most */

struct vm_choice {
	bool monitor; /* coffer-vmm; else QEMU */
	bool kvm;     /* with /dev/kvm; else it emulates */
	const char *why;
};
/*
 * With these settings (completed), a kernel of these devices, so many
 * processors.  *ret_kvm_fd (may be NULL): /dev/kvm, open, the caller's; -1
 * where it is not used.  Fails where coffer.toml wants what is not to be had.
 */
must_use int vm_choose(const struct vm_settings *s, enum guest_devices devices, unsigned vcpus,
		       struct vm_choice *ret, int *ret_kvm_fd, struct err *err);
/* Of the machine that the next container would get. */
must_use int vm_choose_newest(const struct vm_settings *s, struct vm_choice *ret, struct err *err);

/* SPDX-License-Identifier: Apache-2.0 */
/*
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
#pragma once

#include "isolate/vm/settings.h"

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

struct guest_files {
	int kernel_fd, initramfs_fd; /* owned */
	enum guest_devices devices;
	char *name; /* of the kernel, for messages: a directory's name or a path; owned */
};
/*
 * Opens what `s` names, or the newest kernel.  -ENOENT says what to type
 * where there is none.  Makes the initramfs if it has to.
 */
must_use int guest_files_open(const struct vm_settings *s, struct guest_files *ret, struct err *err);
void guest_files_close(struct guest_files *f);
/* Makes the initramfs of one kernel (again, where `anew`), and says where it is; the caller frees. */
must_use int guest_initramfs_make(const struct guest_kernel *k, bool anew, char **ret_path, struct err *err);

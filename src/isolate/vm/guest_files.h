/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel and initramfs of a machine that starts; isolate/machine.h says where they are. */
#pragma once

#include "isolate/machine.h"

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
/* How that kernel learns of its devices; nothing is made. */
must_use int guest_files_devices(const struct vm_settings *s, enum guest_devices *ret, struct err *err);
void guest_files_close(struct guest_files *f);

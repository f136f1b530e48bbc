/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "image/image.h"

/* Whether layers of this store are EROFS images: as configured, or (AUTO) where the kernel mounts one. */
bool layer_makes_erofs(struct image_store *s);
/*
 * Mounts an EROFS image by descriptor: a detached mount, read-only, nodev.  -ENOTBLK: the kernel
 * mounts no files (before 6.12), or not of this file system (overlayfs).
 */
must_use int layer_mount_erofs(int fd, struct err *err);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which kernel does what:
 *   5.2   fsopen() and its kin            5.4   EROFS
 *   5.12  id-mapped mounts (ext4, xfs…)   5.19  of EROFS, and overlayfs on them
 *   6.5   lowerdir+ (one layer an option) 6.12  EROFS on a file, without a block device
 *   6.13  overlayfs' layers by descriptor   6.15  out of detached mounts
 * A file on overlayfs or tmpfs cannot be mounted (ENOTBLK).  Loop devices could
 * stand in between 5.19 and 6.12; layers are directories there instead, which needs no
 * device and works without privileges.
 */
#include "image/layer_probe.h"

#include "base/fd.h"
#include "base/sys.h"
#include "image/content.h"
#include "image/erofs.h"

#include <sys/stat.h>

int layer_mount_erofs(int fd, struct err *err)
{
	autoclose int fs = sys_fsopen("erofs", FSOPEN_CLOEXEC);

	if (fs < 0)
		return err_sys(err, "cannot use EROFS (the kernel's module \"erofs\")");
	if (sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", fd_path(fd).s, 0) < 0)
		return err_sys(err, "cannot prepare an EROFS mount");
	if (sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
		if (errno == ENOTBLK)
			return err_set(
				err, ENOTBLK,
				"the kernel mounts no EROFS from files here (it takes Linux 6.12, and a "
				"store "
				"that is not on overlayfs or tmpfs): set storage.layers = \"directory\"");
		return err_sys(err, "cannot mount a layer's EROFS image");
	}
	int mount = sys_fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV);
	return mount < 0 ? err_sys(err, "cannot mount a layer's EROFS image") : mount;
}

/* An image of an empty root, for the trial. */
static int write_empty(int fd)
{
	static const uint8_t uuid[16];
	struct err err = {0};
	struct erofs_writer *w;
	struct erofs_attr a = {.mode = S_IFDIR | 0755, .nlink = 2};
	struct erofs_dir_place place = {0};
	struct erofs_name names[] = {{".", 1, EROFS_FT_DIR, 0}, {"..", 2, EROFS_FT_DIR, 0}};
	uint8_t bytes[64];
	uint64_t size;
	int r = erofs_writer_new(fd, &w, &err);

	if (r < 0)
		return r;
	r = erofs_dirs_begin(w, &err);
	if (r == 0)
		r = erofs_dir_place(w, &a, erofs_dir_size(names, 2), &place, &err);
	if (r == 0)
		r = erofs_dirs_placed(w, &err);
	names[0].nid = names[1].nid = place.nid;
	erofs_dir_fill(names, 2, bytes);
	if (r == 0)
		r = erofs_dir_write(w, &a, &place, bytes, &err);
	if (r == 0)
		r = erofs_finish(w, uuid, &size, &err);
	erofs_writer_free(w);
	return r;
}

bool layer_makes_erofs(struct image_store *s)
{
	struct err err = {0};

	if (image_store_layers(s) != IMAGE_LAYERS_AUTO)
		return image_store_layers(s) == IMAGE_LAYERS_EROFS;
	autoclose int fd = openat(image_store_dirfd(s), "layers", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 || write_empty(fd) < 0)
		return false;
	autoclose int mount = layer_mount_erofs(fd, &err);
	return mount >= 0;
}

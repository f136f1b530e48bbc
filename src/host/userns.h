/* SPDX-License-Identifier: Apache-2.0 */
/* User namespaces: id maps, newuidmap, subordinate ids, namespaces for idmapped mounts. */
#pragma once

#include "base/err.h"
#include "oci/config.h"

/*
 * Writes uid_map and gid_map of `pid`, from outside.  Where the kernel does
 * not let us: a single id that is our own goes with setgroups "deny";
 * otherwise by newuidmap and newgidmap, found in fixed directories.
 * `rootless`: we are not root on the host.  *ret_setgroups_denied (may be
 * NULL) tells whether setgroups was turned off for good.
 */
must_use int userns_write_maps(int procfs, pid_t pid, const idmap_list *uids, const idmap_list *gids,
			       bool rootless, bool *ret_setgroups_denied, struct err *err);

/*
 * The text of a map file, "0 100000 65536\n…", NUL-terminated; the caller
 * frees.  -EINVAL for more lines than the kernel takes (340), an empty or an
 * overflowing range, overlaps.
 */
must_use int userns_format_map(const idmap_list *map, char **ret, struct err *err);

/*
 * A descriptor of a fresh user namespace with these maps, for MOUNT_ATTR_IDMAP.  The process that it was made
 * with is killed and on its way to its end: who has something to do meanwhile waits for that end afterwards
 * (userns_holder_end()), whether it failed or not; until then `h` stays where it is, as the process stands on
 * it.
 */
struct userns_holder {
	pid_t pid;		       /* 0 = none */
	_Alignas(16) char stack[8192]; /* a signal puts the whole state of the processor there */
};
must_use int userns_hold(struct userns_holder *h, int procfs, const idmap_list *uids, const idmap_list *gids,
			 struct err *err);
void userns_holder_end(struct userns_holder *h);
/* Both at once. */
must_use int userns_fd(int procfs, const idmap_list *uids, const idmap_list *gids, struct err *err);

/* The host's id of a container's; -ENOENT where it has none. */
must_use int userns_host_id(const idmap_list *map, uint32_t container, uint32_t *ret);
/* The container's id of a host's; -ENOENT where it has none. */
must_use int userns_container_id(const idmap_list *map, uint32_t host, uint32_t *ret);

struct userns_subids {
	struct {
		uint32_t first, count;
	} * v;
	size_t n;
};
/*
 * The ranges of `file` ("/etc/subuid") for a user by name (may be NULL) or
 * number; the caller frees ret->v.  A missing file is no ranges.
 */
must_use int userns_subids(const char *file, const char *user, uid_t uid, struct userns_subids *ret,
			   struct err *err);

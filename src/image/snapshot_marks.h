/* SPDX-License-Identifier: Apache-2.0 */
/* What overlayfs writes into an upper directory, and how ids come back from there. */
#pragma once

#include "base/sys.h"
#include "image/image.h"
#include "image/walk.h"

bool snapshot_is_whiteout(const struct stat *st);
bool snapshot_is_opaque(const struct walk_entry *e, bool userxattr);
/* Ids of the host as the container has them; what has none there is left as it is. */
void snapshot_unshift(const struct snapshot *q, uint32_t *uid, uint32_t *gid);
void snapshot_unshift_maps(const idmap_list *uids, const idmap_list *gids, uint32_t *uid, uint32_t *gid);
/* The image's entry of this name, not through links. */
bool snapshot_base_stat(int base, const char *path, struct stat *ret);
/* Mode and owner, ids of the container's. */
bool snapshot_same_attributes(const struct snapshot *q, const struct stat *up, const struct stat *base);
/* Only there for a mount of the engine's: no change.  Nor is what is in it. */
bool snapshot_is_scaffold(const struct snapshot *q, int base, const struct walk_entry *e);

/* SPDX-License-Identifier: Apache-2.0 */
/* A tar's entries as files beneath a directory that others may be changing meanwhile. */
#pragma once

#include "image/layer.h"
#include "image/tar.h"

struct unpack_options {
	int root; /* borrowed */
	const struct layer_limits *limits;
	const idmap_list *uids, *gids; /* ids of the archive go through these; NULL = as they are */
	bool layer; /* whiteouts are honoured: a directory for overlayfs (user.overlay.* where `rootless`) */
	bool same_owner; /* else everything is the caller's, or (with maps) the root's of the maps */
	bool rootless;	 /* owners that may not be given are left out */
};
struct unpack;
must_use int unpack_new(const struct unpack_options *o, struct tar_events *ret_events, struct unpack **ret,
			struct err *err);
/* Times of directories, which come last. */
must_use int unpack_finish(struct unpack *u, struct err *err);
void unpack_free(struct unpack *u);

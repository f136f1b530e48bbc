/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One entry of a tree, with all that is below it, copied from one root to
 * another by descriptors alone: nothing that changes meanwhile on either side leads a step
 * out of the directories that were opened.
 */
#pragma once

#include "engine/engine_int.h"

struct engine_copier {
	const idmap_list *from_uids, *from_gids; /* ids of the source; NULL or empty: the host's */
	const idmap_list *to_uids, *to_gids;
	bool archive; /* owners are kept; else everything is `uid`'s and `gid`'s (host ids) */
	uint32_t uid, gid;
	bool drop_set_id; /* no set-user-id bits for files that go to the host */
	unsigned skipped; /* device nodes, sockets, kernel file systems */
};
/* `from`: O_PATH.  An existing file at the target is replaced, an existing directory is added to. */
must_use int engine_copy_entry(struct engine_copier *c, int from, int to_dir, const char *name,
			       struct err *err);
/* What is in the directory `from`, into the directory `to`. */
must_use int engine_copy_contents(struct engine_copier *c, int from, int to, struct err *err);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user namespace of an ordinary user: root in it is the user, the ids
 * above are the subordinate ones that /etc/subuid and /etc/subgid give.
 * What containers write belongs to those, so that whoever unpacks, reads or
 * removes it has to be in such a namespace as well.
 */
#pragma once

#include "base/err.h"
#include "oci/config.h"

struct userns_self {
	struct oci_idmap uid_maps[2], gid_maps[2];
	idmap_list uids, gids; /* into the above */
};
/*
 * The maps that a namespace of the caller's gets.  The first range of each
 * file, of at most 65,536 ids; the user's own id alone where there is none.
 * Of who is in such a namespace already: the same ids again.  `ret` must stay
 * where it is.
 */
void userns_self_maps(struct userns_self *ret);

/* What to tell a user who has one id alone. */
#define USERNS_SELF_LACK                                                                                     \
	"no subordinate ids in /etc/subuid: all files of images belong to root, and containers have no "     \
	"other "                                                                                             \
	"user (add ids: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER)"

/*
 * Makes the calling process, which has a single thread, root of a user
 * namespace with those maps and a mount namespace in it.  Nothing where it is
 * root already.  There is no way back.
 */
must_use int userns_self_enter(struct err *err);
/* Joins the user namespace of a process, as its root; likewise without a way back. */
must_use int userns_self_join(pid_t pid, struct err *err);
/* Calls `run` in a process of its own that entered one: of `pid`, or with 0 a new one. */
must_use int userns_self_run(pid_t pid, int (*run)(void *data, struct err *err), void *data, struct err *err);

/* Whether this is the machine's first user namespace, where alone EROFS can be mounted and trusted.* written.
 */
bool userns_is_first(void);

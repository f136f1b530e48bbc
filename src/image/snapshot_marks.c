/* SPDX-License-Identifier: Apache-2.0 */
#include "image/snapshot_marks.h"

#include "host/userns.h"
#include "image/snapshot_int.h"
#include "image/layer_usage.h"
#include "image/pack_links.h"

#include <sys/xattr.h>

bool snapshot_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

bool snapshot_is_opaque(const struct walk_entry *e, bool userxattr)
{
	autoclose int fd = walk_open(e, O_RDONLY | O_DIRECTORY);
	char value = 0;

	return fd >= 0 &&
	       fgetxattr(fd, userxattr ? "user.overlay.opaque" : "trusted.overlay.opaque", &value, 1) == 1 &&
	       value == 'y';
}

void snapshot_unshift_maps(const idmap_list *uids, const idmap_list *gids, uint32_t *uid, uint32_t *gid)
{
	if (uids && uids->n > 0)
		ignore_result(userns_container_id(uids, *uid, uid) < 0); /* left as it is */
	if (gids && gids->n > 0)
		ignore_result(userns_container_id(gids, *gid, gid) < 0); /* the same */
}

void snapshot_unshift(const struct snapshot *q, uint32_t *uid, uint32_t *gid)
{
	if (!q->rootless) /* who looks is inside of the namespace then */
		snapshot_unshift_maps(q->uids, q->gids, uid, gid);
}

/* ---- usage ---- */

struct usage {
	struct pack_links links;
	uint64_t bytes, inodes;
};

static int usage_each(void *data, const struct walk_entry *e, struct err *err)
{
	struct usage *u = data;

	if (!S_ISDIR(e->st.st_mode) && e->st.st_nlink > 1) {
		const char *first;
		int r = pack_links_find(&u->links, &e->st, NULL, &first, err);
		if (r != 0)
			return MIN_OF(r, 0);
	}
	u->inodes++;
	if (S_ISREG(e->st.st_mode))
		u->bytes += (uint64_t)e->st.st_size;
	return e->deepest; /* a figure is not worth an error */
}

int layer_usage(int dir, uint64_t *ret_bytes, uint64_t *ret_inodes, struct err *err)
{
	struct usage u = {0};
	int r = walk_tree(dir, usage_each, &u, err);

	pack_links_free(&u.links);
	if (r < 0)
		return r;
	*ret_bytes = u.bytes;
	*ret_inodes = u.inodes;
	return 0;
}

int snapshot_usage(const struct snapshot *q, uint64_t *ret_bytes, uint64_t *ret_inodes, struct err *err)
{
	*ret_bytes = *ret_inodes = 0;
	if (q->read_only)
		return 0;
	autoclose int upper = snapshot_open(q, SNAPSHOT_UPPER, err);
	if (upper == -ENOENT) /* not prepared yet, or removed */
		return 0;
	return upper < 0 ? upper : layer_usage(upper, ret_bytes, ret_inodes, err);
}

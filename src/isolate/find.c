/* SPDX-License-Identifier: Apache-2.0 */
/* Looking levels up.  The table itself is a program's choice: isolate.c, or guest_levels.c in a guest. */
#include "isolate/isolate.h"

#include "base/str.h"

int isolate_find(const char *name, const struct isolate_level **ret, struct err *err)
{
	struct str known autostr = {0};

	if (!name)
		name = isolate_levels[0]->name;
	for (size_t i = 0; isolate_levels[i]; i++) {
		if (streq(isolate_levels[i]->name, name)) {
			*ret = isolate_levels[i];
			return 0;
		}
		str_putf(&known, "%s%s", i ? ", " : "", isolate_levels[i]->name);
	}
	return err_set(err, EINVAL, "unknown isolation level \"%s\": this build has: %s", name,
		       known.s ? known.s : "none");
}

const char *isolate_feature_name(enum isolate_feature f)
{
	static const char *const names[ISOLATE_FEATURE_COUNT] = {
		[ISOLATE_EXEC] = "exec",
		[ISOLATE_TTY] = "tty",
		[ISOLATE_PAUSE] = "pause",
		[ISOLATE_UPDATE] = "update",
		[ISOLATE_STATS] = "stats",
		[ISOLATE_CHECKPOINT] = "checkpoint",
		[ISOLATE_HOOKS] = "hooks",
		[ISOLATE_JOIN_NAMESPACES] = "join-namespaces",
		[ISOLATE_BIND_MOUNTS] = "bind-mounts",
		[ISOLATE_IDMAPPED_MOUNTS] = "idmapped-mounts",
		[ISOLATE_DEVICES] = "devices",
		[ISOLATE_SECCOMP] = "seccomp",
		[ISOLATE_LANDLOCK] = "landlock",
		[ISOLATE_MACHINE] = "machine",
	};

	return names[f];
}

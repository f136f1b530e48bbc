/* SPDX-License-Identifier: Apache-2.0 */
#include "front/cli/places.h"

#include "base/str.h"
#include "front/cli/value.h"

#include <sys/stat.h>

static const char in_tmp[] = "/tmp/coffer-";

/* A directory of the user's that nobody else may write. */
static bool is_own(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
	       (st.st_mode & 022) == 0;
}

const char *places_run_root(struct json_doc *memory, uid_t uid)
{
	const char *base = getenv("XDG_RUNTIME_DIR");
	struct str path autostr = {0};
	char usual[32];

	(void)snprintf(usual, sizeof(usual), "/run/user/%u", uid); /* fits */
	if (base && *base == '/')
		str_putf(&path, "%s/coffer", base);
	else if (is_own(usual))
		str_putf(&path, "%s/coffer", usual);
	else
		str_putf(&path, "%s%u", in_tmp, uid);
	return memory_take(memory, &path);
}

int places_check(const char *run_root, struct err *err)
{
	if (!run_root || !str_starts(run_root, in_tmp) || strchr(run_root + strlen(in_tmp), '/'))
		return 0;
	if (mkdir(run_root, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "cannot make \"%s\"", run_root);
	if (!is_own(run_root))
		return err_set(
			err, EPERM,
			"\"%s\" is not yours alone, somebody else may have made it: set XDG_RUNTIME_DIR "
			"to a directory of yours",
			run_root);
	return 0;
}

bool places_user_manager(void)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");
	autofree char *socket = dir && *dir == '/' ? str_format("%s/systemd/private", dir) : NULL;

	return socket && access(socket, W_OK) == 0 && access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
}

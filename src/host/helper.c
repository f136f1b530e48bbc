/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the executable stands is asked for when a helper is needed, which is
 * seldom.  /proc/self/exe cannot tell any more once sealed_exe_ensure() has
 * done its work; but the path that the kernel was given (AT_EXECFN) can, and
 * is believed if the file there is the very one that we run; and a copy in
 * memory has its original's path for a name.
 */
#include "host/helper.h"

#include "base/fd.h"
#include "base/str.h"

#include <sys/auxv.h>
#include <sys/stat.h>

static bool is_our_exe(const char *path)
{
	struct stat ours, there;

	return stat("/proc/self/exe", &ours) == 0 && stat(path, &there) == 0 && ours.st_dev == there.st_dev &&
	       ours.st_ino == there.st_ino;
}

/* The executable's absolute path without links, or NULL. */
static char *exe_path(void)
{
	static const char memfd[] = "/memfd:", deleted[] = " (deleted)";
	char link[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", link, sizeof(link) - 1);
	const char *started = (const char *)getauxval(AT_EXECFN);

	if (n > 0) {
		link[n] = '\0';
		if (str_starts(link, memfd) && str_ends(link, deleted)) {
			link[n - (ssize_t)strlen(deleted)] = '\0';
			return link[strlen(memfd)] == '/' ? strdup(link + strlen(memfd)) : NULL;
		}
		if (is_our_exe(link))
			return strdup(link);
	}
	if (started && is_our_exe(started))
		return realpath(started, NULL);
	return NULL;
}

/* 1: *ret is the helper's path; 0: it is not there; -errno: it must not be used. */
static int try_dir(const char *dir, size_t dir_len, const char *name, char **ret, struct err *err)
{
	autofree char *path = str_format("%.*s/%s", (int)dir_len, dir, name);
	struct stat st;

	if (!path)
		return err_oom(err);
	if (*path != '/' || stat(path, &st) < 0 || !S_ISREG(st.st_mode) || access(path, X_OK) < 0)
		return 0;
	if (st.st_mode & S_IWOTH)
		return err_set(err, EPERM, "cannot use the helper program \"%s\": everybody may write it",
			       path);
	*ret = take_ptr(&path);
	return 1;
}

int helper_path(const char *name, char **ret, struct err *err)
{
	const char *set = secure_getenv("COFFER_LIBEXECDIR");
	autofree char *exe = NULL;
	int r = set ? try_dir(set, strlen(set), name, ret, err) : 0;

	if (r == 0 && (exe = exe_path()))
		r = try_dir(exe, (size_t)(strrchr(exe, '/') - exe), name, ret, err);
	if (r == 0)
		r = try_dir(COFFER_LIBEXECDIR, strlen(COFFER_LIBEXECDIR), name, ret, err);
	if (r == 0)
		return err_set(err, ENOENT, "cannot find the helper program \"%s\" in \"%s\"", name,
			       COFFER_LIBEXECDIR);
	return r < 0 ? r : 0;
}

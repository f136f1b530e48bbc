/* SPDX-License-Identifier: Apache-2.0 */
/* What holds for every verb: the root directory, and what the caller may do. */
#include "runtime/runtime.h"

#include "base/file.h"
#include "base/str.h"
#include "isolate/isolate.h"

#include <stdarg.h>
#include <strings.h>
#include <sys/stat.h>

enum { INITIAL_USER_NS_INODE = (int)0xEFFFFFFDU }; /* linux/proc_ns.h: PROC_USER_INIT_INO */

void runtime_warn(const struct runtime *rt, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;

	if (!rt->warn)
		return;
	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) >= 0)
		rt->warn(rt->warn_data, text);
	va_end(ap);
}

static bool in_user_namespace(void)
{
	struct stat st;

	/* The inode of the first user namespace is fixed: one call instead of reading uid_map. */
	return stat("/proc/self/ns/user", &st) == 0 && st.st_ino != (ino_t)(unsigned)INITIAL_USER_NS_INODE;
}

/* Absolute and without ".", ".." and doubled slashes; by the text alone. */
static char *clean_path(const char *path)
{
	struct str b autostr = {0};
	autofree char *cwd = NULL;

	if (path[0] != '/') {
		cwd = getcwd(NULL, 0);
		if (!cwd)
			return NULL;
		str_put(&b, cwd[1] ? cwd : "");
	}
	while (*path) {
		path += strspn(path, "/");
		size_t len = strcspn(path, "/");
		if (len == 2 && path[0] == '.' && path[1] == '.') {
			while (b.len > 0 && b.s[--b.len] != '/')
				;
			if (b.s)
				b.s[b.len] = '\0';
		} else if (len > 0 && !(len == 1 && path[0] == '.')) {
			str_put(&b, "/");
			str_put_n(&b, path, len);
		}
		path += len;
	}
	if (b.len == 0)
		str_put(&b, "/");
	return str_take(&b);
}

/*
 * Below $XDG_RUNTIME_DIR things that lack the sticky bit may be tidied away;
 * the user's own directory gets it.
 */
static int make_user_root(const char *root, struct err *err)
{
	int r = file_mkdir_all(root, 0700);

	if (r < 0)
		return err_num(
			err, r,
			"cannot make \"%s\": the path in $XDG_RUNTIME_DIR must be writable by the user",
			root);
	if (chmod(root, 0700 | S_ISVTX) < 0)
		return err_sys(err,
			       "cannot set the mode of \"%s\": you should check permission of the path in "
			       "$XDG_RUNTIME_DIR",
			       root);
	return 0;
}

static int default_root(struct runtime *rt, bool user_ns, struct err *err)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR"), *user = getenv("USER");
	/* Root of a user namespace is somebody's root, unless $USER says that it was root already. */
	bool own = rt->rootless || (user_ns && !(user && streq(user, "root")));

	rt->root_is_default = true;
	if (!own || !xdg || !*xdg) {
		rt->root = strdup("/run/coffer-oci");
		return rt->root ? 0 : err_oom(err);
	}
	rt->root = str_format("%s/coffer-oci", xdg);
	return rt->root ? make_user_root(rt->root, err) : err_oom(err);
}

static int take_rootless(const char *text, bool user_ns, struct runtime *rt, struct err *err)
{
	static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
	static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};

	rt->rootless_cgroup = rt->rootless || user_ns;
	if (!text || !*text || strcasecmp(text, "auto") == 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (streq(text, yes[i]) || streq(text, no[i])) {
			rt->rootless_cgroup = streq(text, yes[i]);
			return 0;
		}
	}
	return err_set(err, EINVAL, "invalid value \"%s\" for --rootless: expected true, false or auto",
		       text);
}

int runtime_setup(const struct runtime_flags *flags, struct runtime *ret, struct err *err)
{
	struct runtime rt = {.systemd_cgroup = flags->systemd_cgroup, .isolation = flags->isolation};
	bool user_ns = in_user_namespace();
	int r;

	/* Whatever the verb, a level that is not there is a mistake worth telling; "" is none. */
	const struct isolate_level *level;
	if (flags->isolation && isolate_find(flags->isolation, &level, err) < 0)
		return -err->code;
	rt.rootless = geteuid() != 0;
	r = take_rootless(flags->rootless, user_ns, &rt, err);
	if (r < 0)
		return r;
	if (flags->root) {
		rt.root = clean_path(flags->root);
		if (!rt.root)
			return err_oom(err);
		if (streq(rt.root, "/"))
			r = err_set(err, EINVAL, "Option --root argument should not be set to /");
	} else {
		r = default_root(&rt, user_ns, err);
	}
	if (r < 0) {
		runtime_close(&rt);
		return r;
	}
	*ret = rt;
	return 0;
}

void runtime_close(struct runtime *rt)
{
	free(rt->root);
	rt->root = NULL;
}

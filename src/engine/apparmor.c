/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The default AppArmor profile: who has it, and how the kernel gets it.
 *
 * Theory of operation.  The profile (coffer-default, beside this file) is the administrator's once it is
 * installed: they may change it, or switch it off as any other.  Each boot loads it with the rest of
 * /etc/apparmor.d; the first start after an installation finds that the kernel does not have it, and loads
 * it. That the kernel has it is asked anew at each start: whatever noted it would be wrong once somebody has
 * removed it.
 */
#include "engine/spec.h"

#include "base/proc.h"
#include "host/lsm.h"

#include <sys/file.h>

#define PROFILE	     "coffer-default"
#define PROFILE_FILE "/etc/apparmor.d/" PROFILE
enum { LOAD_MS = 60000, LOAD_OUTPUT = 4096 };

static const char *parser(void)
{
	static const char *const paths[] = {"/usr/sbin/apparmor_parser", "/sbin/apparmor_parser"};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (access(paths[i], X_OK) == 0)
			return paths[i];
	return NULL;
}

enum engine_apparmor engine_apparmor_state(void)
{
	if (!lsm_apparmor_there())
		return ENGINE_APPARMOR_OFF;
	if (lsm_apparmor_loaded(PROFILE))
		return ENGINE_APPARMOR_LOADED;
	if (access(PROFILE_FILE, R_OK) < 0)
		return ENGINE_APPARMOR_NO_FILE;
	/* As aa-disable(8) leaves it; the parser passes over it without a word. */
	if (access("/etc/apparmor.d/disable/" PROFILE, F_OK) == 0)
		return ENGINE_APPARMOR_DISABLED;
	return parser() ? ENGINE_APPARMOR_LOADABLE : ENGINE_APPARMOR_NO_PARSER;
}

/* One of those that start at the same time; the others wait for it, or they would run without. */
static bool load_profile(const struct engine *e)
{
	const char *const argv[] = {"apparmor_parser", "-r", PROFILE_FILE, NULL};
	const struct proc_run run = {
		.path = parser(), .argv = argv, .timeout_ms = LOAD_MS, .output_max = LOAD_OUTPUT};
	autofree char *output = NULL;
	struct err err = {0};
	autoclose int lock =
		openat(e->run_fd, "../apparmor.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (lock >= 0 && flock(lock, LOCK_EX) == 0 && lsm_apparmor_loaded(PROFILE))
		return true;
	int status = run.path ? proc_run(&run, &output, &err) : -ENOENT;
	if (status == 0 && lsm_apparmor_loaded(PROFILE))
		return true;
	engine_warn(
		e,
		"the AppArmor profile %s cannot be loaded, the container runs without it: apparmor_parser -r "
		"%s: %.*s",
		PROFILE, PROFILE_FILE, output ? (int)strcspn(output, "\n") : 0, output ? output : "");
	return false;
}

/* Others have no process of the container's on the host, or no say about the host's profiles. */
static bool may_have(const struct engine *e, const struct engine_record *r)
{
	return !e->o.rootless && (!r->isolation || streq(r->isolation, "ns"));
}

static const char *asked(const struct engine_security *sec)
{
	return streq(sec->apparmor, "unconfined") ? NULL : sec->apparmor;
}

const char *engine_apparmor_start(const struct engine *e, const struct engine_record *r,
				  const struct engine_security *sec)
{
	if (sec->apparmor)
		return asked(sec);
	if (!may_have(e, r))
		return NULL;
	enum engine_apparmor state = engine_apparmor_state();
	return state == ENGINE_APPARMOR_LOADED || (state == ENGINE_APPARMOR_LOADABLE && load_profile(e))
		       ? PROFILE
		       : NULL;
}

const char *engine_apparmor_exec(const struct engine *e, const struct engine_record *r,
				 const struct engine_security *sec, pid_t pid)
{
	if (sec->apparmor)
		return asked(sec);
	return may_have(e, r) && lsm_apparmor_there() && lsm_apparmor_confines(PROFILE, pid) ? PROFILE : NULL;
}

const char *engine_apparmor_shown(const struct engine *e, const struct engine_record *r,
				  const struct engine_security *sec, pid_t pid)
{
	bool there = lsm_apparmor_there();

	if (sec->apparmor)
		return there || asked(sec) ? sec->apparmor : "";
	if (pid > 0)
		return engine_apparmor_exec(e, r, sec, pid) ? PROFILE : "";
	return may_have(e, r) && there && lsm_apparmor_loaded(PROFILE) ? PROFILE : "";
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Isolation levels, cgroups, security modules, user namespaces, helper programs. */
#include "front/cli/doctor.h"

#include "base/file.h"
#include "engine/engine.h"
#include "host/caps.h"
#include "host/helper.h"
#include "host/landlock.h"
#include "host/lsm.h"
#include "host/userns_self.h"
#include "isolate/isolate.h"

#include <linux/magic.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>

enum { PROBE_TEXT_MAX = 1 << 16 };

void finding_add(struct findings *f, const char *topic, const char *name, enum finding_state state,
		 const char *advice, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	struct finding *x = memory_push(f->memory, &f->list, sizeof(*x));
	if (x)
		*x = (struct finding){topic, name, state, memory_text(f->memory, text), advice};
}

/* The first line of a small file, or "". */
static const char *first_line(struct findings *f, const char *path)
{
	autofree char *text = NULL;
	size_t len;

	if (file_read_at(AT_FDCWD, path, PROBE_TEXT_MAX, &text, &len) < 0)
		return "";
	return memory_text_n(f->memory, text, strcspn(text, "\n"));
}

void probe_isolation(struct findings *f)
{
	static const char topic[] = "Isolation levels";

	for (size_t i = 0; isolate_levels[i]; i++) {
		struct err err = {0};
		const struct isolate_level *level = isolate_levels[i];
		if (level->probe(&err) == 0)
			finding_add(f, topic, level->name, FINDING_OK, NULL, "%s", level->summary);
		else
			/* Without the default level nothing runs; without another one, what asks for it. */
			finding_add(f, topic, level->name, i == 0 ? FINDING_BAD : FINDING_NOTE,
				    i == 0 ? "the reason says what the kernel refuses; run as root, or see "
					     "the checks below"
					   : NULL,
				    "%s", err.msg);
		for (size_t k = 0; k < ISOLATE_FEATURE_COUNT; k++)
			if (level->lacks[k])
				finding_add(f, topic, level->name, FINDING_NOTE, NULL, "no %s: %s",
					    isolate_feature_name((enum isolate_feature)k), level->lacks[k]);
	}
	finding_add(f, topic, "wasm", FINDING_NOTE, NULL, "not in this build (a WebAssembly sandbox)");
}

/* Is the group that we are in ours to make groups in?  Only version 2 gives that to users. */
static bool own_cgroup_writable(struct findings *f)
{
	const char *line = first_line(f, "/proc/self/cgroup");
	struct str path autostr = {0};

	if (!str_starts(line, "0::/"))
		return false;
	str_putf(&path, "/sys/fs/cgroup%s", line + strlen("0::"));
	return path.s && access(path.s, W_OK) == 0;
}

static bool words_have(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = words; *(at += strspn(at, " ")); at += strcspn(at, " "))
		if (strcspn(at, " ") == len && memcmp(at, word, len) == 0)
			return true;
	return false;
}

static void probe_cgroups(struct findings *f)
{
	static const char topic[] = "Control groups";
	struct statfs st, unified;
	const char *wanted[] = {"cpu", "memory", "pids", "io", "cpuset"};

	if (statfs("/sys/fs/cgroup", &st) < 0) {
		finding_add(f, topic, "hierarchy", FINDING_BAD,
			    "mount it: mount -t cgroup2 none /sys/fs/cgroup", "/sys/fs/cgroup is not there");
		return;
	}
	bool v2 = st.f_type == CGROUP2_SUPER_MAGIC;
	bool hybrid = !v2 && statfs("/sys/fs/cgroup/unified", &unified) == 0 &&
		      unified.f_type == CGROUP2_SUPER_MAGIC;
	finding_add(f, topic, "hierarchy", v2 ? FINDING_OK : FINDING_NOTE,
		    v2 ? NULL : "boot with systemd.unified_cgroup_hierarchy=1 for cgroup v2",
		    v2	     ? "version 2"
		    : hybrid ? "version 1 and 2 (hybrid): limits by version 1"
			     : "version 1");
	if (geteuid() != 0 && !own_cgroup_writable(f)) {
		finding_add(f, topic, "limits", FINDING_LACK,
			    v2 ? "log in through systemd (loginctl enable-linger), or delegate a cgroup to "
				 "this user"
			       : "boot with systemd.unified_cgroup_hierarchy=1: only version 2 can be given "
				 "to users",
			    "this user may make no control groups: --memory, --cpus and --pids-limit are "
			    "refused");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		char path[80];
		const char *list = v2 ? first_line(f, "/sys/fs/cgroup/cgroup.controllers") : "";
		(void)snprintf(path, sizeof(path), "/sys/fs/cgroup/%s",
			       streq(wanted[i], "io") ? "blkio" : wanted[i]); /* fits */
		bool there = v2 ? words_have(list, wanted[i]) : access(path, F_OK) == 0;
		if (there)
			finding_add(f, topic, wanted[i], FINDING_OK, NULL, "limits of %s work", wanted[i]);
		else
			finding_add(f, topic, wanted[i], FINDING_LACK,
				    streq(wanted[i], "memory") ? "enable it at boot: cgroup_enable=memory on "
								 "the kernel's command line"
							       : "a kernel with this controller is needed; "
								 "rootless: delegate it to the user",
				    "no limits of %s: the controller is not there", wanted[i]);
	}
	if (access("/run/systemd/system", F_OK) == 0)
		finding_add(f, topic, "systemd", FINDING_NOTE, NULL,
			    "systemd manages this machine: --cgroup-manager systemd works too");
}

static void probe_apparmor(struct findings *f, const char *topic)
{
	static const struct {
		enum finding_state state;
		const char *advice, *text;
	} is[] = {
		[ENGINE_APPARMOR_LOADED] = {FINDING_OK, NULL, "containers have the profile coffer-default"},
		[ENGINE_APPARMOR_LOADABLE] = {FINDING_OK, NULL,
					      "the next container that starts loads the profile "
					      "coffer-default"},
		[ENGINE_APPARMOR_DISABLED] = {FINDING_NOTE, "aa-enable coffer-default",
					      "containers have no profile: coffer-default is disabled in "
					      "/etc/apparmor.d/disable"},
		[ENGINE_APPARMOR_NO_FILE] = {FINDING_LACK,
					     "install the whole package: make install, or apt install "
					     "./coffer_*.deb",
					     "containers have no profile: /etc/apparmor.d/coffer-default is "
					     "missing"},
		[ENGINE_APPARMOR_NO_PARSER] = {FINDING_LACK,
					       "apt install apparmor; apparmor_parser -r "
					       "/etc/apparmor.d/coffer-default",
					       "containers have no profile: apparmor_parser, which loads "
					       "coffer-default, is missing"},
	};
	enum engine_apparmor state = engine_apparmor_state();

	if (geteuid() != 0)
		finding_add(
			f, topic, "AppArmor", FINDING_NOTE, NULL,
			"containers of users have the profile that --security-opt apparmor= names, or none");
	else if (is[state].text)
		finding_add(f, topic, "AppArmor", is[state].state, is[state].advice, "%s", is[state].text);
}

static void probe_security(struct findings *f)
{
	static const char topic[] = "Security";
	const char *modules = first_line(f, "/sys/kernel/security/lsm");
	int abi = landlock_abi();

	finding_add(f, topic, "modules", FINDING_NOTE, NULL, "%s",
		    *modules ? modules : "(securityfs is not mounted)");
	if (lsm_apparmor_enabled())
		probe_apparmor(f, topic);
	else if (lsm_selinux_enabled())
		finding_add(f, topic, "SELinux", FINDING_OK, NULL, "labels are applied");
	else
		finding_add(f, topic, "AppArmor", FINDING_NOTE,
			    "to have it: apt install apparmor, and boot with security=apparmor",
			    "neither AppArmor nor SELinux is on: namespaces, capabilities and seccomp hold "
			    "alone");
	if (access("/proc/sys/kernel/seccomp/actions_avail", F_OK) == 0)
		finding_add(f, topic, "seccomp", FINDING_OK, NULL, "the default profile is applied");
	else
		finding_add(f, topic, "seccomp", FINDING_LACK,
			    "a kernel with CONFIG_SECCOMP_FILTER is needed", "no system call filters");
	if (abi > 0)
		finding_add(f, topic, "Landlock", FINDING_OK, NULL, "version %d: --landlock works", abi);
	else
		finding_add(f, topic, "Landlock", FINDING_LACK,
			    "add landlock to the list of lsm= on the kernel's command line (Linux 5.13 and "
			    "later)",
			    "off: --landlock is refused");
}

/* Can a child of ours get one? */
static int try_userns(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER) < 0 ? errno & 0xff : 0);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return EAGAIN;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EAGAIN;
}

static void probe_users(struct findings *f)
{
	static const char topic[] = "User namespaces";
	int code = try_userns();
	const char *restricted = first_line(f, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns");

	if (code == 0)
		finding_add(
			f, topic, "user namespaces", FINDING_OK, NULL,
			geteuid() ? "containers get users of their own, below this one"
				  : "each container gets users of its own (65,536 ids from 524288 upwards)");
	else
		finding_add(f, topic, "user namespaces", geteuid() ? FINDING_BAD : FINDING_LACK,
			    *first_line(f, "/proc/sys/user/max_user_namespaces") == '0'
				    ? "sysctl -w user.max_user_namespaces=15000"
			    : streq(restricted, "1")
				    ? "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or a "
				      "profile for coffer"
				    : "sysctl -w kernel.unprivileged_userns_clone=1; without: --userns host",
			    "not to be had: %s", err_text(code));
	if (geteuid() == 0)
		return;
	struct userns_self own;
	userns_self_maps(&own);
	for (size_t i = 0; i < 2; i++) {
		const char *file = i ? "/etc/subgid" : "/etc/subuid";
		const idmap_list *ids = i ? &own.gids : &own.uids;
		if (ids->n > 1)
			finding_add(f, topic, file, FINDING_OK, NULL, "%u ids from %u upwards for this user",
				    ids->v[1].size, ids->v[1].host);
		else
			finding_add(f, topic, file, FINDING_LACK,
				    "apt install uidmap; usermod --add-subuids 100000-165535 --add-subgids "
				    "100000-165535 "
				    "$USER",
				    "no ids for this user: containers have one user alone");
	}
}

void probe_kernel(struct findings *f)
{
	static const char topic[] = "Kernel";
	struct utsname u;
	unsigned major = 0, minor = 0;

	if (uname(&u) == 0 && sscanf(u.release, "%u.%u", &major, &minor) == 2) {
		bool old = major < 5 || (major == 5 && minor < 12);
		finding_add(f, topic, "version", old ? FINDING_LACK : FINDING_OK,
			    old ? "Linux 5.12 or later has all that is needed; 6.12 and later are fastest"
				: NULL,
			    "%s on %s", u.release, u.machine);
	}
	if (geteuid() == 0) {
		uint64_t have = caps_permitted();
		bool admin = have & CAP_BIT(CAP_NR_SYS_ADMIN), net = have & CAP_BIT(CAP_NR_NET_ADMIN);
		if (!admin)
			finding_add(
				f, topic, "capabilities", FINDING_BAD,
				"run where CAP_SYS_ADMIN is: this looks like a container without privileges",
				"root without CAP_SYS_ADMIN");
		if (!net)
			finding_add(f, topic, "capabilities", FINDING_LACK,
				    "use --network none or host, or add CAP_NET_ADMIN",
				    "root without CAP_NET_ADMIN: no bridge networks");
		if (!(have & CAP_BIT(CAP_NR_SYS_RESOURCE)))
			finding_add(f, topic, "capabilities", FINDING_NOTE, NULL,
				    "without CAP_SYS_RESOURCE limits above the caller's own cannot be given");
	} else {
		finding_add(f, topic, "rootless", FINDING_NOTE, NULL,
			    "you are not root: containers are your own user's");
	}
	probe_cgroups(f);
	probe_security(f);
	probe_users(f);
}

/* ---- programs ---- */

static bool in_path(const char *program)
{
	static const char *const dirs[] = {"/usr/sbin", "/usr/bin",	   "/sbin",
					   "/bin",	"/usr/local/sbin", "/usr/local/bin"};
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dirs[i], program); /* fits */
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

static void probe_helper(struct findings *f, const char *name, const char *what, enum finding_state without)
{
	struct err err = {0};
	autofree char *path = NULL;

	if (helper_path(name, &path, &err) == 0)
		finding_add(f, "Programs", name, FINDING_OK, NULL, "%s: %s", path, what);
	else
		finding_add(f, "Programs", name, without,
			    "install the whole package: make install, or apt install ./coffer_*.deb",
			    "missing: %s", what);
}

static void probe_optional(struct findings *f, const char *program, const char *package_advice,
			   const char *what)
{
	bool there = in_path(program);

	finding_add(f, "Programs", program, there ? FINDING_OK : FINDING_NOTE, there ? NULL : package_advice,
		    "%s%s", there ? "" : "not installed: ", what);
}

void probe_programs(struct findings *f)
{
	struct statvfs st;

	probe_helper(f, "coffer-monitor", "keeps output, exit code and restart policy of each container",
		     FINDING_BAD);
	probe_helper(f, "coffer-fetch", "talks to registries", FINDING_LACK);
	probe_helper(f, "coffer-init", "--init", FINDING_LACK);
	if (geteuid() != 0) {
		probe_optional(f, "newuidmap", "apt install uidmap",
			       "more than one id in a container of a user");
		probe_optional(f, "pasta", "apt install passt", "network of containers of users");
	}
	probe_optional(f, "criu", "apt install criu", "checkpoint and restore, of coffer-oci");
	if (statvfs(f->data_root, &st) == 0) {
		uint64_t free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
		finding_add(f, "Storage", "disk", free_bytes < 1ULL << 30 ? FINDING_LACK : FINDING_OK,
			    "make room: coffer system prune", "%.1f GB free in %s", (double)free_bytes / 1e9,
			    f->data_root);
	} else {
		finding_add(f, "Storage", "disk", FINDING_NOTE, NULL, "%s is yet to be made", f->data_root);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of config.md: process, root, mounts, hooks, annotations.  Fields
 * stand in the order of the specification's Go types, which is the order in
 * which most documents have them: the decoder looks behind the last hit first.
 */
#include "oci/config_tables.h"

_Static_assert(sizeof(struct oci_pair) == sizeof(struct json_pair), "JSON_PAIRS writes oci_pair");

/* ---- process ---- */

static const struct json_field console_fields[] = {
	F_U16(struct oci_process, console_height, "height", .required = true),
	F_U16(struct oci_process, console_width, "width", .required = true),
};
static const struct json_table console_table = JSON_TABLE(struct oci_process, console_fields);

static const struct json_field user_fields[] = {
	/* (uint32_t)-1 means "as it is" to the kernel: the program would stay root. */
	F_U32(struct oci_user, uid, "uid", .max = UINT32_MAX - 1),
	F_U32(struct oci_user, gid, "gid", .max = UINT32_MAX - 1),
	F_OPT_U32(struct oci_user, umask, "umask", .max = 0777),
	F_U32S(struct oci_user, additional_gids, "additionalGids"),
	F_TEXT(struct oci_user, username, "username"),
};
static const struct json_table user_table = JSON_TABLE(struct oci_user, user_fields);

static const struct json_field capabilities_fields[] = {
	F_STRS(struct oci_capabilities, bounding, "bounding"),
	F_STRS(struct oci_capabilities, effective, "effective"),
	F_STRS(struct oci_capabilities, inheritable, "inheritable"),
	F_STRS(struct oci_capabilities, permitted, "permitted"),
	F_STRS(struct oci_capabilities, ambient, "ambient"),
};
static const struct json_table capabilities_table = JSON_TABLE(struct oci_capabilities, capabilities_fields);

static const struct json_field rlimit_fields[] = {
	F_STR(struct oci_rlimit, type, "type", .required = true),
	F_U64(struct oci_rlimit, hard, "hard", .required = true),
	F_U64(struct oci_rlimit, soft, "soft", .required = true),
};
static const struct json_table rlimit_table = JSON_TABLE(struct oci_rlimit, rlimit_fields);

static const struct json_field scheduler_fields[] = {
	F_TEXT(struct oci_scheduler, policy, "policy"),	   F_I32(struct oci_scheduler, nice, "nice"),
	F_I32(struct oci_scheduler, priority, "priority"), F_STRS(struct oci_scheduler, flags, "flags"),
	F_U64(struct oci_scheduler, runtime, "runtime"),   F_U64(struct oci_scheduler, deadline, "deadline"),
	F_U64(struct oci_scheduler, period, "period"),
};
static const struct json_table scheduler_table = JSON_TABLE(struct oci_scheduler, scheduler_fields);

static const struct json_field io_priority_fields[] = {
	F_TEXT(struct oci_io_priority, class_, "class"),
	F_I32(struct oci_io_priority, priority, "priority"),
};
static const struct json_table io_priority_table = JSON_TABLE(struct oci_io_priority, io_priority_fields);

static const struct json_field affinity_fields[] = {
	F_TEXT(struct oci_cpu_affinity, initial, "initial"),
	F_TEXT(struct oci_cpu_affinity, final, "final"),
};
static const struct json_table affinity_table = JSON_TABLE(struct oci_cpu_affinity, affinity_fields);

#define P struct oci_process
static const struct json_field process_fields[] = {
	F_BOOL(P, terminal, "terminal"),
	F_SPREAD("consoleSize", &console_table),
	F_OBJECT(P, user, "user", struct oci_user, &user_table),
	F_STRS(P, args, "args"),
	F_STRS(P, env, "env"),
	F_TEXT(P, cwd, "cwd"),
	F_OBJECT(P, caps, "capabilities", struct oci_capabilities, &capabilities_table,
		 .present = JSON_PRESENT(P, caps.set)),
	F_OBJECTS(P, rlimits, "rlimits", struct oci_rlimit, &rlimit_table),
	F_BOOL(P, no_new_privileges, "noNewPrivileges"),
	F_TEXT(P, apparmor_profile, "apparmorProfile"),
	F_OPT_I64(P, oom_score_adj, "oomScoreAdj", .min = -1000, .max = 1000),
	F_OBJECT_PTR(P, scheduler, "scheduler", struct oci_scheduler, &scheduler_table),
	F_TEXT(P, selinux_label, "selinuxLabel"),
	F_OBJECT_PTR(P, io_priority, "ioPriority", struct oci_io_priority, &io_priority_table),
	F_OBJECT_PTR(P, exec_cpu_affinity, "execCPUAffinity", struct oci_cpu_affinity, &affinity_table),
};
#undef P
const struct json_table oci_process_table = JSON_TABLE(struct oci_process, process_fields);

/* ---- mounts and hooks ---- */

static const struct json_field idmap_fields[] = {
	F_U32(struct oci_idmap, container, "containerID", .required = true),
	F_U32(struct oci_idmap, host, "hostID", .required = true),
	F_U32(struct oci_idmap, size, "size", .required = true),
};
const struct json_table oci_idmap_table = JSON_TABLE(struct oci_idmap, idmap_fields);

static const struct json_field mount_fields[] = {
	F_TEXT(struct oci_mount, destination, "destination", .required = true),
	F_TEXT(struct oci_mount, type, "type"),
	F_TEXT(struct oci_mount, source, "source"),
	F_STRS(struct oci_mount, options, "options"),
	F_OBJECTS(struct oci_mount, uid_mappings, "uidMappings", struct oci_idmap, &oci_idmap_table),
	F_OBJECTS(struct oci_mount, gid_mappings, "gidMappings", struct oci_idmap, &oci_idmap_table),
};
static const struct json_table mount_table = JSON_TABLE(struct oci_mount, mount_fields);

static const struct json_field hook_fields[] = {
	F_TEXT(struct oci_hook, path, "path", .required = true),
	F_STRS(struct oci_hook, args, "args"),
	F_STRS(struct oci_hook, env, "env"),
	F_OPT_I64(struct oci_hook, timeout, "timeout", .min = 1, .max = INT32_MAX),
};
static const struct json_table hook_table = JSON_TABLE(struct oci_hook, hook_fields);

#define HOOKS(member, name) F_OBJECTS(struct oci_hooks, member, name, struct oci_hook, &hook_table)
static const struct json_field hooks_fields[] = {
	HOOKS(prestart, "prestart"),
	HOOKS(create_runtime, "createRuntime"),
	HOOKS(create_container, "createContainer"),
	HOOKS(start_container, "startContainer"),
	HOOKS(poststart, "poststart"),
	HOOKS(poststop, "poststop"),
};
static const struct json_table hooks_table = JSON_TABLE(struct oci_hooks, hooks_fields);

/* ---- the whole ---- */

static const struct json_field root_fields[] = {
	F_TEXT(struct oci_config, root_path, "path", .required = true),
	F_BOOL(struct oci_config, root_readonly, "readonly"),
};
static const struct json_table root_table = JSON_TABLE(struct oci_config, root_fields);

#define NOT_LINUX "not supported: coffer-oci runs Linux containers on Linux"

#define C struct oci_config
static const struct json_field config_fields[] = {
	F_TEXT(C, oci_version, "ociVersion", .required = true),
	F_OBJECT_PTR(C, process, "process", struct oci_process, &oci_process_table),
	F_SPREAD("root", &root_table),
	F_TEXT(C, hostname, "hostname"),
	F_TEXT(C, domainname, "domainname"),
	F_OBJECTS(C, mounts, "mounts", struct oci_mount, &mount_table),
	F_OBJECT(C, hooks, "hooks", struct oci_hooks, &hooks_table),
	F_PAIRS(C, annotations, "annotations", struct oci_pair),
	F_OBJECT(C, linux, "linux", struct oci_linux, &oci_linux_table),
	F_REFUSED("solaris", NOT_LINUX),
	F_REFUSED("windows", NOT_LINUX),
	F_REFUSED("zos", NOT_LINUX),
	F_REFUSED("freebsd", NOT_LINUX),
	F_REFUSED("vm",
		  "not supported: the isolation level is chosen by --isolation or dev.coffer.isolation"),
};
#undef C
const struct json_table oci_config_table = JSON_TABLE(struct oci_config, config_fields);

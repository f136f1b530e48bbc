/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of config-linux.md, resources apart (config_resources.c). */
#include "oci/config_tables.h"

static const struct json_field namespace_fields[] = {
	F_TEXT(struct oci_namespace_entry, type, "type", .required = true),
	F_TEXT(struct oci_namespace_entry, path, "path"),
};
static const struct json_table namespace_table = JSON_TABLE(struct oci_namespace_entry, namespace_fields);

static const struct json_field device_fields[] = {
	F_TEXT(struct oci_device, path, "path", .required = true),
	F_CHAR(struct oci_device, type, "type", "cubp", .required = true),
	F_I64(struct oci_device, major, "major", .min = -1, .max = UINT32_MAX),
	F_I64(struct oci_device, minor, "minor", .min = -1, .max = UINT32_MAX),
	F_OPT_U32(struct oci_device, file_mode, "fileMode"),
	F_OPT_U32(struct oci_device, uid, "uid"),
	F_OPT_U32(struct oci_device, gid, "gid"),
};
static const struct json_table device_table = JSON_TABLE(struct oci_device, device_fields);

static const struct json_field net_device_fields[] = {
	F_TEXT(struct oci_net_device, name, "name"),
};
static const struct json_table net_device_table = JSON_TABLE(
	struct oci_net_device, net_device_fields, .key = offsetof(struct oci_net_device, host_name));

/* ---- seccomp ---- */

static const struct json_field seccomp_arg_fields[] = {
	F_U32(struct oci_seccomp_arg, index, "index", .required = true, .max = 5),
	F_U64(struct oci_seccomp_arg, value, "value", .required = true),
	F_U64(struct oci_seccomp_arg, value_two, "valueTwo"),
	F_TEXT(struct oci_seccomp_arg, op, "op", .required = true),
};
static const struct json_table seccomp_arg_table = JSON_TABLE(struct oci_seccomp_arg, seccomp_arg_fields);

static const struct json_field seccomp_rule_fields[] = {
	F_STRS(struct oci_seccomp_rule, names, "names"),
	F_TEXT(struct oci_seccomp_rule, action, "action", .required = true),
	F_OPT_U32(struct oci_seccomp_rule, errno_ret, "errnoRet"),
	F_OBJECTS(struct oci_seccomp_rule, args, "args", struct oci_seccomp_arg, &seccomp_arg_table),
};
static const struct json_table seccomp_rule_table = JSON_TABLE(struct oci_seccomp_rule, seccomp_rule_fields);

#define S struct oci_seccomp
static const struct json_field seccomp_fields[] = {
	F_TEXT(S, default_action, "defaultAction"),
	F_OPT_U32(S, default_errno_ret, "defaultErrnoRet"),
	F_STRS(S, architectures, "architectures"),
	F_STRS(S, flags, "flags", .present = JSON_PRESENT(S, flags_set)),
	F_TEXT(S, listener_path, "listenerPath"),
	F_TEXT(S, listener_metadata, "listenerMetadata"),
	F_OBJECTS(S, syscalls, "syscalls", struct oci_seccomp_rule, &seccomp_rule_table),
};
#undef S
const struct json_table oci_seccomp_table = JSON_TABLE(struct oci_seccomp, seccomp_fields);

/* Notes where the object stands, which names a compiled filter in the cache. */
static int read_seccomp(struct json_in *in, void *object)
{
	static const struct json_field field = {.kind = JSON_STRUCT_PTR, .table = &oci_seccomp_table};
	struct oci_linux *l = object;
	size_t begin = json_offset(in);
	int r = json_decode_value(in, &field, &l->seccomp);

	if (r < 0)
		return r;
	l->seccomp->json_offset = begin;
	l->seccomp->json_len = json_offset(in) - begin;
	return 0;
}

/* ---- the rest ---- */

#define R struct oci_intel_rdt
static const struct json_field intel_rdt_fields[] = {
	F_TEXT(R, clos_id, "closID"),
	F_STRS(R, schemata, "schemata"),
	F_TEXT(R, l3_cache_schema, "l3CacheSchema"),
	F_TEXT(R, mem_bw_schema, "memBwSchema"),
	F_BOOL(R, enable_monitoring, "enableMonitoring"),
	F_BOOL(R, enable_cmt, "enableCMT"),
	F_BOOL(R, enable_mbm, "enableMBM"),
};
#undef R
static const struct json_table intel_rdt_table = JSON_TABLE(struct oci_intel_rdt, intel_rdt_fields);

static const struct json_field memory_policy_fields[] = {
	F_TEXT(struct oci_memory_policy, mode, "mode"),
	F_TEXT(struct oci_memory_policy, nodes, "nodes"),
	F_STRS(struct oci_memory_policy, flags, "flags"),
};
static const struct json_table memory_policy_table =
	JSON_TABLE(struct oci_memory_policy, memory_policy_fields);

static const struct json_field personality_fields[] = {
	F_TEXT(struct oci_personality, domain, "domain", .required = true),
	F_STRS(struct oci_personality, flags, "flags"),
};
static const struct json_table personality_table = JSON_TABLE(struct oci_personality, personality_fields);

static const struct json_field time_offset_fields[] = {
	F_I64(struct oci_time_offset_entry, secs, "secs"),
	F_U32(struct oci_time_offset_entry, nanosecs, "nanosecs", .max = 999999999),
};
static const struct json_table time_offset_table =
	JSON_TABLE(struct oci_time_offset_entry, time_offset_fields,
		   .key = offsetof(struct oci_time_offset_entry, clock));

#define L struct oci_linux
static const struct json_field linux_fields[] = {
	F_OBJECTS(L, uid_mappings, "uidMappings", struct oci_idmap, &oci_idmap_table),
	F_OBJECTS(L, gid_mappings, "gidMappings", struct oci_idmap, &oci_idmap_table),
	F_PAIRS(L, sysctl, "sysctl", struct oci_pair),
	F_OBJECT(L, resources, "resources", struct oci_resources, &oci_resources_table,
		 .present = JSON_PRESENT(L, has_resources)),
	F_TEXT(L, cgroups_path, "cgroupsPath"),
	F_OBJECTS(L, namespaces, "namespaces", struct oci_namespace_entry, &namespace_table),
	F_OBJECTS(L, devices, "devices", struct oci_device, &device_table),
	F_OBJECT_MAP(L, net_devices, "netDevices", struct oci_net_device, &net_device_table),
	F_CUSTOM("seccomp", read_seccomp),
	F_TEXT(L, rootfs_propagation, "rootfsPropagation"),
	F_STRS(L, masked_paths, "maskedPaths"),
	F_STRS(L, readonly_paths, "readonlyPaths"),
	F_TEXT(L, mount_label, "mountLabel"),
	F_OBJECT_PTR(L, intel_rdt, "intelRdt", struct oci_intel_rdt, &intel_rdt_table),
	F_OBJECT_PTR(L, memory_policy, "memoryPolicy", struct oci_memory_policy, &memory_policy_table),
	F_OBJECT_PTR(L, personality, "personality", struct oci_personality, &personality_table),
	F_OBJECT_MAP(L, time_offsets, "timeOffsets", struct oci_time_offset_entry, &time_offset_table),
};
#undef L
const struct json_table oci_linux_table = JSON_TABLE(struct oci_linux, linux_fields);

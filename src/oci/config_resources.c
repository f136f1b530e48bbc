/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of linux.resources (config-linux.md, "Control groups"), which `update --resources` takes alone. */
#include "oci/config_tables.h"

static const struct json_field rule_fields[] = {
	F_BOOL(struct oci_device_rule, allow, "allow"),
	F_CHAR(struct oci_device_rule, type, "type", "abc", .empty_is_null = true),
	F_OPT_I64(struct oci_device_rule, major, "major", .min = -1, .max = UINT32_MAX),
	F_OPT_I64(struct oci_device_rule, minor, "minor", .min = -1, .max = UINT32_MAX),
	F_TEXT(struct oci_device_rule, access, "access"),
};
static const struct json_table rule_table = JSON_TABLE(struct oci_device_rule, rule_fields);

#define M struct oci_memory
static const struct json_field memory_fields[] = {
	F_OPT_I64(M, limit, "limit"),
	F_OPT_I64(M, reservation, "reservation"),
	F_OPT_I64(M, swap, "swap"),
	F_OPT_I64(M, kernel, "kernel"),
	F_OPT_I64(M, kernel_tcp, "kernelTCP"),
	F_OPT_U64(M, swappiness, "swappiness"),
	F_OPT_BOOL(M, disable_oom_killer, "disableOOMKiller"),
	F_OPT_BOOL(M, use_hierarchy, "useHierarchy"),
	F_OPT_BOOL(M, check_before_update, "checkBeforeUpdate"),
};
#undef M
static const struct json_table memory_table = JSON_TABLE(struct oci_memory, memory_fields);

#define U struct oci_cpu
static const struct json_field cpu_fields[] = {
	F_OPT_U64(U, shares, "shares"),
	F_OPT_I64(U, quota, "quota"),
	F_OPT_U64(U, burst, "burst"),
	F_OPT_U64(U, period, "period"),
	F_OPT_I64(U, realtime_runtime, "realtimeRuntime"),
	F_OPT_U64(U, realtime_period, "realtimePeriod"),
	F_TEXT(U, cpus, "cpus"),
	F_TEXT(U, mems, "mems"),
	F_OPT_I64(U, idle, "idle"),
};
#undef U
static const struct json_table cpu_table = JSON_TABLE(struct oci_cpu, cpu_fields);

static const struct json_field pids_fields[] = {
	F_OPT_I64(struct oci_resources, pids_limit, "limit"),
};
static const struct json_table pids_table = JSON_TABLE(struct oci_resources, pids_fields);

#define W struct oci_weight_device
static const struct json_field weight_fields[] = {
	F_I64(W, major, "major", .required = true),
	F_I64(W, minor, "minor", .required = true),
	F_OPT_U32(W, weight, "weight", .max = UINT16_MAX),
	F_OPT_U32(W, leaf_weight, "leafWeight", .max = UINT16_MAX),
};
#undef W
static const struct json_table weight_table = JSON_TABLE(struct oci_weight_device, weight_fields);

static const struct json_field throttle_fields[] = {
	F_I64(struct oci_throttle_device, major, "major", .required = true),
	F_I64(struct oci_throttle_device, minor, "minor", .required = true),
	F_U64(struct oci_throttle_device, rate, "rate"),
};
static const struct json_table throttle_table = JSON_TABLE(struct oci_throttle_device, throttle_fields);

#define B		  struct oci_block_io
#define THROTTLE(m, name) F_OBJECTS(B, m, name, struct oci_throttle_device, &throttle_table)
static const struct json_field block_io_fields[] = {
	F_OPT_U32(B, weight, "weight", .max = UINT16_MAX),
	F_OPT_U32(B, leaf_weight, "leafWeight", .max = UINT16_MAX),
	F_OBJECTS(B, weight_devices, "weightDevice", struct oci_weight_device, &weight_table),
	THROTTLE(read_bps, "throttleReadBpsDevice"),
	THROTTLE(write_bps, "throttleWriteBpsDevice"),
	THROTTLE(read_iops, "throttleReadIOPSDevice"),
	THROTTLE(write_iops, "throttleWriteIOPSDevice"),
};
#undef B
static const struct json_table block_io_table = JSON_TABLE(struct oci_block_io, block_io_fields);

static const struct json_field hugepage_fields[] = {
	F_TEXT(struct oci_hugepage_limit, page_size, "pageSize", .required = true),
	F_U64(struct oci_hugepage_limit, limit, "limit", .required = true),
};
static const struct json_table hugepage_table = JSON_TABLE(struct oci_hugepage_limit, hugepage_fields);

static const struct json_field priority_fields[] = {
	F_TEXT(struct oci_if_prio, name, "name", .required = true),
	F_U32(struct oci_if_prio, priority, "priority", .required = true),
};
static const struct json_table priority_table = JSON_TABLE(struct oci_if_prio, priority_fields);

static const struct json_field network_fields[] = {
	F_OPT_U32(struct oci_resources, net_class_id, "classID"),
	F_OBJECTS(struct oci_resources, net_priorities, "priorities", struct oci_if_prio, &priority_table),
};
static const struct json_table network_table = JSON_TABLE(struct oci_resources, network_fields);

static const struct json_field rdma_fields[] = {
	F_OPT_U32(struct oci_rdma, hca_handles, "hcaHandles"),
	F_OPT_U32(struct oci_rdma, hca_objects, "hcaObjects"),
};
static const struct json_table rdma_table =
	JSON_TABLE(struct oci_rdma, rdma_fields, .key = offsetof(struct oci_rdma, device));

#define R struct oci_resources
static const struct json_field resources_fields[] = {
	F_OBJECTS(R, devices, "devices", struct oci_device_rule, &rule_table),
	F_OBJECT(R, memory, "memory", struct oci_memory, &memory_table),
	F_OBJECT(R, cpu, "cpu", struct oci_cpu, &cpu_table),
	F_SPREAD("pids", &pids_table),
	F_OBJECT(R, block_io, "blockIO", struct oci_block_io, &block_io_table),
	F_OBJECTS(R, hugepages, "hugepageLimits", struct oci_hugepage_limit, &hugepage_table),
	F_SPREAD("network", &network_table),
	F_OBJECT_MAP(R, rdma, "rdma", struct oci_rdma, &rdma_table),
	F_PAIRS(R, unified, "unified", struct oci_pair),
};
#undef R
const struct json_table oci_resources_table = JSON_TABLE(struct oci_resources, resources_fields);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime configuration (config.json of a bundle), OCI runtime
 * specification 1.2 and 1.3, as plain structs.
 *
 * Strings are borrowed from the parsed document, which the config owns:
 * everything lives until oci_config_free().  A string that the document lacks
 * or that is "" is NULL (in lists and maps "" stays); a list that it lacks has
 * n == 0; an optional number has set == false; an optional object is a NULL
 * pointer.  Values are checked for type and range here, and against the rules
 * of config_check.c; what they mean on this machine is the business of those
 * who use them.
 */
#pragma once

#include "base/json.h"

struct oci_pair {
	const char *key, *value;
};
typedef LIST_OF(struct oci_pair) pair_list;
/* The value of the first pair with that key, or NULL. */
const char *pair_find(const pair_list *l, const char *key);
/* Each key's first pair in the order of the keys, for who shows them; NULL at the end.  The caller frees;
 * NULL: out of memory. */
const struct oci_pair **pairs_by_key(const pair_list *l);

struct oci_idmap {
	uint32_t container, host, size; /* containerID, hostID, size */
};
typedef LIST_OF(struct oci_idmap) idmap_list;

struct oci_user {
	uint32_t uid, gid;
	struct opt_u32 umask;
	u32_list additional_gids;
	const char *username;
};

struct oci_rlimit {
	const char *type; /* "RLIMIT_NOFILE" */
	uint64_t hard, soft;
};

struct oci_scheduler {
	const char *policy; /* "SCHED_BATCH" */
	int32_t nice, priority;
	str_list flags;			    /* "SCHED_FLAG_RESET_ON_FORK" */
	uint64_t runtime, deadline, period; /* ns */
};

struct oci_io_priority {
	const char *class_; /* "IOPRIO_CLASS_BE" */
	int32_t priority;
};

struct oci_cpu_affinity {
	const char *initial, *final; /* "0-3,7" */
};

struct oci_capabilities {
	bool set; /* the object was there */
	str_list bounding, effective, inheritable, permitted, ambient;
};

struct oci_process {
	bool terminal;
	uint16_t console_height, console_width; /* 0 = not given */
	struct oci_user user;
	str_list args, env;
	const char *cwd;
	struct oci_capabilities caps;
	LIST_OF(struct oci_rlimit) rlimits;
	bool no_new_privileges;
	const char *apparmor_profile, *selinux_label;
	struct opt_i64 oom_score_adj;
	struct oci_scheduler *scheduler;
	struct oci_io_priority *io_priority;
	struct oci_cpu_affinity *exec_cpu_affinity;
};

struct oci_mount {
	const char *destination, *type, *source;
	str_list options;
	idmap_list uid_mappings, gid_mappings;
};

struct oci_hook {
	const char *path;
	str_list args, env;
	struct opt_i64 timeout; /* seconds, > 0 */
};
typedef LIST_OF(struct oci_hook) hook_list;

struct oci_hooks {
	hook_list prestart, create_runtime, create_container, start_container, poststart, poststop;
};

enum oci_ns {
	OCI_NS_USER,
	OCI_NS_PID,
	OCI_NS_MOUNT,
	OCI_NS_NETWORK,
	OCI_NS_IPC,
	OCI_NS_UTS,
	OCI_NS_CGROUP,
	OCI_NS_TIME,
	OCI_NS_COUNT,
};

struct oci_namespace {
	bool wanted;	  /* false: share the runtime's */
	const char *path; /* join this one; NULL = a new one */
};

struct oci_namespace_entry {
	const char *type, *path; /* "network" */
};

struct oci_device {
	const char *path;
	char type; /* 'c', 'u' (as c), 'b', 'p' */
	int64_t major, minor;
	struct opt_u32 file_mode, uid, gid;
};

struct oci_net_device {
	const char *host_name; /* the key */
	const char *name;      /* inside; NULL = as outside */
};

struct oci_device_rule {
	bool allow;
	char type;		     /* 'a', 'c', 'b'; an absent type is 'a' */
	struct opt_i64 major, minor; /* unset or -1 = any */
	const char *access;	     /* of "rwm"; NULL = all */
};

struct oci_memory {
	struct opt_i64 limit, reservation, swap, kernel, kernel_tcp; /* bytes; -1 = unlimited */
	struct opt_u64 swappiness;
	struct opt_bool disable_oom_killer, use_hierarchy, check_before_update;
};

struct oci_cpu {
	struct opt_u64 shares;
	struct opt_i64 quota;	      /* us */
	struct opt_u64 burst, period; /* us */
	struct opt_i64 realtime_runtime;
	struct opt_u64 realtime_period;
	const char *cpus, *mems;
	struct opt_i64 idle;
};

struct oci_weight_device {
	int64_t major, minor;
	struct opt_u32 weight, leaf_weight;
};

struct oci_throttle_device {
	int64_t major, minor;
	uint64_t rate;
};
typedef LIST_OF(struct oci_throttle_device) throttle_list;

struct oci_block_io {
	struct opt_u32 weight, leaf_weight;
	LIST_OF(struct oci_weight_device) weight_devices;
	throttle_list read_bps, write_bps, read_iops, write_iops;
};

struct oci_hugepage_limit {
	const char *page_size; /* "2MB" */
	uint64_t limit;
};

struct oci_if_prio {
	const char *name;
	uint32_t priority;
};

struct oci_rdma {
	const char *device; /* the key */
	struct opt_u32 hca_handles, hca_objects;
};

struct oci_resources {
	LIST_OF(struct oci_device_rule) devices;
	struct oci_memory memory;
	struct oci_cpu cpu;
	struct opt_i64 pids_limit;
	struct oci_block_io block_io;
	LIST_OF(struct oci_hugepage_limit) hugepages;
	struct opt_u32 net_class_id;
	LIST_OF(struct oci_if_prio) net_priorities;
	LIST_OF(struct oci_rdma) rdma;
	pair_list unified;
};

struct oci_seccomp_arg {
	uint32_t index;
	uint64_t value, value_two;
	const char *op; /* "SCMP_CMP_EQ" */
};

struct oci_seccomp_rule {
	str_list names;
	const char *action;
	struct opt_u32 errno_ret;
	LIST_OF(struct oci_seccomp_arg) args;
};

struct oci_seccomp {
	const char *default_action;
	struct opt_u32 default_errno_ret;
	str_list architectures, flags;
	bool flags_set; /* an empty list differs from none: none means the default flags */
	const char *listener_path, *listener_metadata;
	LIST_OF(struct oci_seccomp_rule) syscalls;
	size_t json_offset, json_len; /* where the object stands in the text that was parsed */
};

struct oci_intel_rdt {
	const char *clos_id;
	str_list schemata;
	const char *l3_cache_schema, *mem_bw_schema;
	bool enable_monitoring, enable_cmt, enable_mbm;
};

struct oci_memory_policy {
	const char *mode;  /* "MPOL_BIND" */
	const char *nodes; /* "0-1" */
	str_list flags;	   /* "MPOL_F_STATIC_NODES" */
};

struct oci_personality {
	const char *domain; /* "LINUX" or "LINUX32" */
	str_list flags;
};

struct oci_time_offset {
	bool set;
	int64_t secs;
	uint32_t nanosecs;
};

struct oci_time_offset_entry {
	const char *clock; /* the key: "monotonic", "boottime" */
	int64_t secs;
	uint32_t nanosecs;
};

struct oci_linux {
	idmap_list uid_mappings, gid_mappings;
	pair_list sysctl;
	struct oci_resources resources;
	bool has_resources; /* the object was there */
	const char *cgroups_path;
	LIST_OF(struct oci_namespace_entry) namespaces; /* as written; checked and sorted into: */
	struct oci_namespace ns[OCI_NS_COUNT];
	LIST_OF(struct oci_device) devices;
	LIST_OF(struct oci_net_device) net_devices;
	struct oci_seccomp *seccomp;
	const char *rootfs_propagation; /* "slave", "rshared", … */
	str_list masked_paths, readonly_paths;
	const char *mount_label;
	struct oci_intel_rdt *intel_rdt;
	struct oci_memory_policy *memory_policy;
	struct oci_personality *personality;
	LIST_OF(struct oci_time_offset_entry) time_offsets; /* as written; checked and sorted into: */
	struct oci_time_offset offset_monotonic, offset_boottime;
};

struct oci_config {
	const char *oci_version;
	struct oci_process *process; /* may be NULL: such a container can be created, not started */
	const char *root_path;	     /* as written; relative to the bundle */
	bool root_readonly;
	const char *hostname, *domainname;
	LIST_OF(struct oci_mount) mounts;
	struct oci_hooks hooks;
	pair_list annotations;
	struct oci_linux linux;

	struct oci_document *document; /* owns all of the above's memory */
};

enum {
	OCI_CONFIG_MAX = 16 << 20, /* bytes of a config.json, most that is read */
};

/*
 * Decodes and validates `text`.  `where` names it in messages
 * ("/b/config.json").  Errors name the JSON path and what was expected:
 *   /b/config.json: process.user.uid: expected a number from 0 to 4294967295, got a string
 */
must_use int oci_config_parse(const char *text, size_t len, const char *where, struct oci_config *ret,
			      struct err *err);
/* Reads BUNDLE/config.json and parses it; *ret_text (may be NULL) is its text, which the caller frees. */
must_use int oci_config_load(int bundle_dirfd, const char *bundle, struct oci_config *ret, char **ret_text,
			     size_t *ret_len, struct err *err);
void oci_config_free(struct oci_config *c);

/* A lone process object, as `exec --process FILE` takes it. The document owns the memory; free with
 * oci_document_free(). */
must_use int oci_process_parse(const char *text, size_t len, const char *where, struct oci_process *ret,
			       struct oci_document **ret_doc, struct err *err);
/* A lone resources object, as `update --resources FILE` takes it. */
must_use int oci_resources_parse(const char *text, size_t len, const char *where, struct oci_resources *ret,
				 struct oci_document **ret_doc, struct err *err);
void oci_document_free(struct oci_document *doc);

/* The annotation's value, or NULL. */
const char *oci_annotation(const struct oci_config *c, const char *key);

/* "pid", "network", … as config.json and as /proc/PID/ns ("net", "mnt") have it; the CLONE_NEW* flag. */
const char *oci_ns_name(enum oci_ns ns);
const char *oci_ns_file(enum oci_ns ns);
int oci_ns_flag(enum oci_ns ns);

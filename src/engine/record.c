/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/record.h"

#define M struct engine_record_mount
static const struct json_field mount_fields[] = {
	F_STR(M, type, "type", .required = true),
	F_STR(M, name, "name"),
	F_STR(M, source, "source"),
	F_STR(M, target, "target", .required = true),
	F_STR(M, mode, "mode"),
	F_STR(M, propagation, "propagation"),
	F_STR(M, options, "options"),
	F_STR(M, subpath, "subpath"),
	F_BOOL(M, read_only, "ro"),
	F_BOOL(M, no_copy, "nocopy"),
	F_BOOL(M, create_source, "create"),
	F_BOOL(M, recursive_read_only, "rro"),
	F_BOOL(M, idmap, "idmap"),
	F_BOOL(M, anonymous, "anonymous"),
	F_BOOL(M, from_image, "fromImage"),
	F_BOOL(M, by_mount, "byMount"),
	F_BOOL(M, non_recursive, "nonRecursive"),
};
#undef M
static const struct json_table mount_table = JSON_TABLE(struct engine_record_mount, mount_fields);

#define P struct engine_record_port
static const struct json_field port_fields[] = {
	F_STR(P, host_ip, "hostIp"),   F_STR(P, proto, "proto", .required = true),
	F_U16(P, host_port, "host"),   F_U16(P, container_port, "container", .required = true),
	F_U16(P, count, "count"),      F_U16(P, host_choices, "choices"),
	F_BOOL(P, exposed, "exposed"),
};
#undef P
static const struct json_table port_table = JSON_TABLE(struct engine_record_port, port_fields);

#define N struct net_join
static const struct json_field join_fields[] = {
	F_STR(N, network, "network", .required = true),
	F_STRS(N, aliases, "aliases"),
	F_STR(N, ip, "ip"),
	F_STR(N, ip6, "ip6"),
	F_STR(N, mac, "mac"),
};
#undef N
static const struct json_table join_table = JSON_TABLE(struct net_join, join_fields);

static const struct json_field device_fields[] = {
	F_STR(struct engine_device, host, "host"),
	F_STR(struct engine_device, container, "container"),
	F_STR(struct engine_device, access, "access"),
};
static const struct json_table device_table = JSON_TABLE(struct engine_device, device_fields);

static const struct json_field ulimit_fields[] = {
	F_STR(struct engine_ulimit, name, "name"),
	F_I64(struct engine_ulimit, soft, "soft"),
	F_I64(struct engine_ulimit, hard, "hard"),
};
static const struct json_table ulimit_table = JSON_TABLE(struct engine_ulimit, ulimit_fields);

static const struct json_field blkio_fields[] = {
	F_STR(struct engine_blkio, device, "device"),
	F_U64(struct engine_blkio, value, "value"),
};
static const struct json_table blkio_table = JSON_TABLE(struct engine_blkio, blkio_fields);

#define H struct oci_healthcheck
static const struct json_field health_fields[] = {
	F_STRS(H, test, "test"),
	F_I64(H, interval, "interval"),
	F_I64(H, timeout, "timeout"),
	F_I64(H, start_period, "startPeriod"),
	F_I64(H, start_interval, "startInterval"),
	F_I64(H, retries, "retries"),
};
#undef H
static const struct json_table health_table = JSON_TABLE(struct oci_healthcheck, health_fields);

#define C struct oci_image_config
static const struct json_field config_fields[] = {
	F_STR(C, user, "user"),
	F_STR(C, working_dir, "workdir"),
	F_STR(C, stop_signal, "stopSignal"),
	F_STRS(C, env, "env"),
	F_STRS(C, entrypoint, "entrypoint"),
	F_STRS(C, cmd, "cmd"),
	F_STRS(C, on_build, "onBuild"),
	F_STRS(C, shell, "shell"),
	F_STRS(C, exposed_ports, "exposed"),
	F_STRS(C, volumes, "volumes"),
	F_PAIRS(C, labels, "labels", struct oci_pair),
	F_OBJECT_PTR(C, healthcheck, "health", struct oci_healthcheck, &health_table),
};
#undef C
static const struct json_table config_table = JSON_TABLE(struct oci_image_config, config_fields);

#define Q struct engine_create
static const struct json_field asked_fields[] = {
	F_STR(Q, image, "image"),
	F_STR(Q, platform, "platform"),
	F_STRS(Q, command, "command"),
	F_STR(Q, entrypoint, "entrypoint"),
	F_BOOL(Q, entrypoint_set, "entrypointSet"),
	F_STR(Q, user, "user"),
	F_STR(Q, umask, "umask"),
	F_BOOL(Q, no_hosts, "noHosts"),
	F_BOOL(Q, no_hostname, "noHostname"),
	F_STR(Q, hostname, "hostname"),
	F_STR(Q, domainname, "domainname"),
	F_STRS(Q, group_add, "groupAdd"),
	F_PAIRS(Q, annotations, "annotations", struct oci_pair),
	F_BOOL(Q, tty, "tty"),
	F_BOOL(Q, interactive, "interactive"),
	F_BOOL(Q, stdin_once, "stdinOnce"),
	F_BOOL(Q, init, "init"),
	F_BOOL(Q, read_only, "readOnly"),
	F_BOOL(Q, privileged, "privileged"),
	F_BOOL(Q, auto_remove, "autoRemove"),
	F_BOOL(Q, publish_all, "publishAll"),
	F_BOOL(Q, attach_stdin, "attachStdin"),
	F_BOOL(Q, attach_stdout, "attachStdout"),
	F_BOOL(Q, attach_stderr, "attachStderr"),
	F_STRS(Q, volumes_from, "volumesFrom"),
	F_STR(Q, restart, "restart"),
	F_I32(Q, stop_timeout, "stopTimeout"),
	F_BOOL(Q, no_healthcheck, "noHealthcheck"),
	F_STR(Q, log_driver, "logDriver"),
	F_PAIRS(Q, log_opts, "logOpts", struct oci_pair),
	F_STR(Q, cidfile, "cidfile"),
	F_OBJECTS(Q, networks, "networks", struct net_join, &join_table),
	F_STR(Q, network_mode, "networkMode"),
	F_STRS(Q, expose, "expose"),
	F_STRS(Q, add_host, "addHost"),
	F_STRS(Q, dns, "dns"),
	F_STRS(Q, dns_search, "dnsSearch"),
	F_STRS(Q, dns_options, "dnsOptions"),
	F_STRS(Q, links, "links"),
	F_STR(Q, mac_address, "mac"),
};
static const struct json_table asked_table = JSON_TABLE(Q, asked_fields);

static const struct json_field limit_fields[] = {
	F_OBJECTS(Q, ulimits, "ulimits", struct engine_ulimit, &ulimit_table),
	F_I64(Q, memory, "memory"),
	F_I64(Q, memory_reservation, "memoryReservation"),
	F_I64(Q, memory_swap, "memorySwap"),
	F_I64(Q, kernel_memory, "kernelMemory"),
	F_I64(Q, shm_size, "shmSize"),
	F_I64(Q, nano_cpus, "nanoCpus"),
	F_I64(Q, cpu_period, "cpuPeriod"),
	F_I64(Q, cpu_quota, "cpuQuota"),
	F_I64(Q, cpu_shares, "cpuShares"),
	F_I64(Q, cpu_rt_period, "cpuRtPeriod"),
	F_I64(Q, cpu_rt_runtime, "cpuRtRuntime"),
	F_I64(Q, pids_limit, "pidsLimit"),
	F_STR(Q, cpuset_cpus, "cpusetCpus"),
	F_STR(Q, cpuset_mems, "cpusetMems"),
	F_I64(Q, memory_swappiness, "memorySwappiness"),
	F_I64(Q, oom_score_adj, "oomScoreAdj"),
	F_BOOL(Q, oom_kill_disable, "oomKillDisable"),
	F_U16(Q, blkio_weight, "blkioWeight"),
	F_OBJECTS(Q, device_read_bps, "readBps", struct engine_blkio, &blkio_table),
	F_OBJECTS(Q, device_write_bps, "writeBps", struct engine_blkio, &blkio_table),
	F_OBJECTS(Q, device_read_iops, "readIops", struct engine_blkio, &blkio_table),
	F_OBJECTS(Q, device_write_iops, "writeIops", struct engine_blkio, &blkio_table),
	F_OBJECTS(Q, weight_device, "weightDevice", struct engine_blkio, &blkio_table),
	F_PAIRS(Q, storage_opt, "storageOpt", struct oci_pair),
	F_PAIRS(Q, sysctls, "sysctls", struct oci_pair),
	F_OBJECTS(Q, devices, "devices", struct engine_device, &device_table),
	F_STRS(Q, device_cgroup_rules, "deviceCgroupRules"),
	F_STRS(Q, cap_add, "capAdd"),
	F_STRS(Q, cap_drop, "capDrop"),
	F_STRS(Q, security_opt, "securityOpt"),
	F_STR(Q, landlock, "landlock"),
	F_STR(Q, pid_mode, "pidMode"),
	F_STR(Q, ipc_mode, "ipcMode"),
	F_STR(Q, pod, "pod"),
	F_STR(Q, uts_mode, "utsMode"),
	F_STR(Q, userns_mode, "usernsMode"),
	F_STR(Q, cgroupns_mode, "cgroupnsMode"),
	F_STR(Q, cgroup_parent, "cgroupParent"),
};
static const struct json_table limit_table = JSON_TABLE(Q, limit_fields);
#undef Q

#define R struct engine_record
static const struct json_field record_fields[] = {
	F_U32(R, version, "version", .required = true),
	F_OBJECT(R, q, "asked", struct engine_create, &asked_table),
	F_OBJECT(R, q, "limits", struct engine_create, &limit_table),
	F_OBJECTS(R, mounts, "mounts", struct engine_record_mount, &mount_table),
	F_OBJECTS(R, ports, "ports", struct engine_record_port, &port_table),
	F_OBJECT(R, config, "config", struct oci_image_config, &config_table),
	F_STR(R, image_id, "imageId", .required = true),
	F_STR(R, image_ref, "imageRef"),
	F_STR(R, manifest_digest, "manifest"),
	F_STR(R, platform, "platform"),
	F_STRS(R, diff_ids, "diffIds"),
	F_STR(R, isolation, "isolation"),
	F_STR(R, net_container, "netContainer"),
	F_STR(R, pid_container, "pidContainer"),
	F_STR(R, ipc_container, "ipcContainer"),
	F_STR(R, user_container, "userContainer"),
	F_U32(R, user_base, "userBase"),
};
#undef R
const struct json_table engine_record_table = JSON_TABLE(struct engine_record, record_fields);

char *engine_record_write(const struct engine_record *r)
{
	struct json_out out autojsonout = {0};

	engine_table_write(&out, NULL, &engine_record_table, r);
	return json_take(&out);
}

int engine_record_read(const char *text, size_t len, const char *id, struct json_doc *doc,
		       struct engine_record *ret, struct err *err)
{
	struct engine_record r = {0};
	int e = json_decode(doc, text, len, id, &engine_record_table, &r, err);

	if (e < 0)
		return err_prefix(err, "the record of container");
	if (r.version != ENGINE_RECORD_VERSION)
		return err_set(err, EPROTO,
			       "container %.12s was made by another version of coffer (record %u, "
			       "this one knows %d)",
			       id, r.version, ENGINE_RECORD_VERSION);
	*ret = r;
	return 0;
}

int engine_record_ports(const struct engine_record *r, struct net_port **ret, size_t *ret_n, struct err *err)
{
	struct net_port *v = calloc(r->ports.n ? r->ports.n : 1, sizeof(*v));

	if (!v)
		return err_oom(err);
	for (size_t i = 0; i < r->ports.n; i++) {
		const struct engine_record_port *p = &r->ports.v[i];
		v[i].host_ip = p->host_ip;
		v[i].host_port = p->host_port;
		v[i].container_port = p->container_port;
		v[i].count = p->count ? p->count : 1;
		v[i].host_choices = p->host_choices;
		for (size_t k = 0; k + 1 < sizeof(v[i].proto) && p->proto[k]; k++)
			v[i].proto[k] = p->proto[k];
	}
	*ret = v;
	*ret_n = r->ports.n;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Every field of the tables arrives where it belongs. */
#include "test.h"

#include "oci/config.h"

#include <sched.h>
#include <sys/stat.h>

static struct err err;

static bool parse(const char *text, struct oci_config *c)
{
	err = (struct err){0};
	int r = oci_config_parse(text, strlen(text), "c.json", c, &err);
	CHECK_STR(err.msg, "");
	CHECK_INT(r, 0);
	return r == 0;
}

static const char process_text[] =
	"{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"process\":{"
	"\"terminal\":true,\"consoleSize\":{\"height\":25,\"width\":80},"
	"\"user\":{\"uid\":1,\"gid\":2,\"umask\":63,\"additionalGids\":[5,6],\"username\":\"u\"},"
	"\"args\":[\"sh\",\"-c\",\"\"],\"env\":[\"A=b\",\"EMPTY=\"],\"cwd\":\"/w\","
	"\"capabilities\":{\"bounding\":[\"CAP_KILL\"],\"effective\":[\"CAP_CHOWN\",\"CAP_FOWNER\"],"
	"\"inheritable\":[\"CAP_A\"],\"permitted\":[\"CAP_B\"],\"ambient\":[\"CAP_C\"]},"
	"\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"hard\":18446744073709551615,\"soft\":1},"
	"{\"type\":\"RLIMIT_NOFILE\",\"hard\":3,\"soft\":2}],"
	"\"noNewPrivileges\":true,\"apparmorProfile\":\"aa\",\"oomScoreAdj\":-999,"
	"\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"nice\":5,\"flags\":[\"SCHED_FLAG_RECLAIM\"],"
	"\"runtime\":2010,\"deadline\":2020,\"period\":2030},\"selinuxLabel\":\"se\","
	"\"ioPriority\":{\"class\":\"IOPRIO_CLASS_IDLE\",\"priority\":4},"
	"\"execCPUAffinity\":{\"initial\":\"0-3,7\",\"final\":\"1\"}}}";

static void test_process(void)
{
	struct oci_config c;

	if (!parse(process_text, &c))
		return;
	const struct oci_process *p = c.process;
	CHECK_STR(c.oci_version, "1.2.0");
	CHECK_STR(c.root_path, "rootfs");
	CHECK(c.root_readonly && p->terminal && p->no_new_privileges);
	CHECK(p->console_height == 25 && p->console_width == 80);
	CHECK(p->user.uid == 1 && p->user.gid == 2 && p->user.umask.set && p->user.umask.v == 077);
	CHECK(p->user.additional_gids.n == 2 && p->user.additional_gids.v[1] == 6);
	CHECK_STR(p->user.username, "u");
	CHECK_INT(p->args.n, 3);
	CHECK_STR(p->args.v[2], "");
	CHECK_STR(p->env.v[1], "EMPTY=");
	CHECK_STR(p->cwd, "/w");
	CHECK(p->caps.set && p->caps.bounding.n == 1 && p->caps.effective.n == 2);
	CHECK_STR(p->caps.bounding.v[0], "CAP_KILL");
	CHECK_STR(p->caps.effective.v[1], "CAP_FOWNER");
	CHECK_STR(p->caps.inheritable.v[0], "CAP_A");
	CHECK_STR(p->caps.permitted.v[0], "CAP_B");
	CHECK_STR(p->caps.ambient.v[0], "CAP_C");
	CHECK_INT(p->rlimits.n, 2);
	CHECK_STR(p->rlimits.v[0].type, "RLIMIT_CORE");
	CHECK(p->rlimits.v[0].hard == UINT64_MAX && p->rlimits.v[0].soft == 1);
	CHECK_STR(p->apparmor_profile, "aa");
	CHECK_STR(p->selinux_label, "se");
	CHECK(p->oom_score_adj.set && p->oom_score_adj.v == -999);
	CHECK_STR(p->scheduler->policy, "SCHED_DEADLINE");
	CHECK(p->scheduler->nice == 5 && p->scheduler->priority == 0);
	CHECK_STR(p->scheduler->flags.v[0], "SCHED_FLAG_RECLAIM");
	CHECK(p->scheduler->runtime == 2010 && p->scheduler->deadline == 2020 &&
	      p->scheduler->period == 2030);
	CHECK_STR(p->io_priority->class_, "IOPRIO_CLASS_IDLE");
	CHECK_INT(p->io_priority->priority, 4);
	CHECK_STR(p->exec_cpu_affinity->initial, "0-3,7");
	CHECK_STR(p->exec_cpu_affinity->final, "1");
	oci_config_free(&c);
	CHECK(!c.process && !c.document);
	oci_config_free(&c); /* twice does no harm */
}

static const char mounts_text[] =
	"{\"ociVersion\":\"1.0.2-dev\",\"root\":{\"path\":\"/r\"},\"hostname\":\"h\",\"domainname\":\"d\","
	"\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
	"{\"destination\":\"rel/x\",\"source\":\"/src\",\"options\":[\"rbind\",\"ro\"],"
	"\"uidMappings\":[{\"containerID\":0,\"hostID\":1000,\"size\":10}],"
	"\"gidMappings\":[{\"containerID\":1,\"hostID\":2000,\"size\":20}]},"
	"{\"destination\":\"/i\",\"source\":\"/src\",\"options\":[\"bind\",\"idmap\"]}],"
	"\"hooks\":{\"prestart\":[{\"path\":\"/a\",\"args\":[\"a\",\"b\"],\"env\":[\"K=v\"],\"timeout\":3}],"
	"\"createRuntime\":[{\"path\":\"/b\"}],\"createContainer\":[{\"path\":\"/c\"}],"
	"\"startContainer\":[{\"path\":\"/d\"}],\"poststart\":[{\"path\":\"/e\"}],"
	"\"poststop\":[{\"path\":\"/f\"},{\"path\":\"/g\"}]},"
	"\"annotations\":{\"com.example.a\":\"1\",\"b\":\"\"},"
	"\"linux\":{\"namespaces\":[{\"type\":\"user\"},{\"type\":\"uts\"}],"
	"\"uidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}],"
	"\"gidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}]}}";

static void test_mounts_and_hooks(void)
{
	struct oci_config c;

	if (!parse(mounts_text, &c))
		return;
	CHECK(!c.process && !c.root_readonly);
	CHECK_STR(c.hostname, "h");
	CHECK_STR(c.domainname, "d");
	CHECK_INT(c.mounts.n, 3);
	CHECK_STR(c.mounts.v[0].destination, "/proc");
	CHECK_STR(c.mounts.v[0].type, "proc");
	CHECK_STR(c.mounts.v[0].source, "proc");
	CHECK_STR(c.mounts.v[1].destination, "/rel/x"); /* config.md: relative to "/" */
	CHECK(!c.mounts.v[1].type);
	CHECK_STR(c.mounts.v[1].options.v[1], "ro");
	CHECK(c.mounts.v[1].uid_mappings.v[0].host == 1000 && c.mounts.v[1].uid_mappings.v[0].size == 10);
	CHECK(c.mounts.v[1].gid_mappings.v[0].container == 1 && c.mounts.v[1].gid_mappings.v[0].host == 2000);
	const struct oci_hook *h = &c.hooks.prestart.v[0];
	CHECK_STR(h->path, "/a");
	CHECK_STR(h->args.v[1], "b");
	CHECK_STR(h->env.v[0], "K=v");
	CHECK(h->timeout.set && h->timeout.v == 3);
	CHECK_STR(c.hooks.create_runtime.v[0].path, "/b");
	CHECK(!c.hooks.create_runtime.v[0].timeout.set);
	CHECK_STR(c.hooks.create_container.v[0].path, "/c");
	CHECK_STR(c.hooks.start_container.v[0].path, "/d");
	CHECK_STR(c.hooks.poststart.v[0].path, "/e");
	CHECK_STR(c.hooks.poststop.v[1].path, "/g");
	CHECK_STR(oci_annotation(&c, "com.example.a"), "1");
	CHECK_STR(oci_annotation(&c, "b"), "");
	CHECK(!oci_annotation(&c, "c"));
	CHECK(c.linux.uid_mappings.v[0].host == 100000 && c.linux.gid_mappings.v[0].size == 65536);
	oci_config_free(&c);
}

#define HEAD "{\"ociVersion\":\"1.3.0\",\"root\":{\"path\":\"r\"},"

static const char linux_text[] = HEAD
	"\"linux\":{\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"},\"cgroupsPath\":\"/a/b\","
	"\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\",\"path\":\"/run/netns/"
	"x\"},{\"type\":\"ipc\"},"
	"{\"type\":\"uts\"},{\"type\":\"mount\"},{\"type\":\"cgroup\"},{\"type\":\"time\",\"path\":\"\"}],"
	"\"devices\":[{\"path\":\"/dev/"
	"a\",\"type\":\"c\",\"major\":10,\"minor\":229,\"fileMode\":8630,\"uid\":1,"
	"\"gid\":2},{\"path\":\"dev/p\",\"type\":\"p\"}],"
	"\"netDevices\":{\"eth0\":{\"name\":\"in0\"},\"eth1\":{}},"
	"\"rootfsPropagation\":\"rslave\",\"maskedPaths\":[\"/proc/kcore\"],\"readonlyPaths\":[\"/proc/sys\","
	"\"/proc/bus\"],\"mountLabel\":\"ml\","
	"\"intelRdt\":{\"closID\":\"g\",\"schemata\":[\"L3:0=f\"],\"l3CacheSchema\":\"L3:0=7f0\","
	"\"memBwSchema\":\"MB:0=20\",\"enableMonitoring\":true,\"enableCMT\":true,\"enableMBM\":true},"
	"\"memoryPolicy\":{\"mode\":\"MPOL_BIND\",\"nodes\":\"0-1\",\"flags\":[\"MPOL_F_STATIC_NODES\"]},"
	"\"personality\":{\"domain\":\"LINUX32\",\"flags\":[]},"
	"\"timeOffsets\":{\"monotonic\":{\"secs\":-7,\"nanosecs\":999999999},\"boottime\":{\"secs\":8}}}}";

static void test_linux(void)
{
	struct oci_config c;

	if (!parse(linux_text, &c))
		return;
	const struct oci_linux *l = &c.linux;
	CHECK_STR(l->sysctl.v[0].key, "net.ipv4.ip_forward");
	CHECK_STR(l->sysctl.v[0].value, "1");
	CHECK_STR(l->cgroups_path, "/a/b");
	CHECK(!l->has_resources && !l->seccomp);
	CHECK(l->ns[OCI_NS_PID].wanted && !l->ns[OCI_NS_PID].path && !l->ns[OCI_NS_USER].wanted);
	CHECK_STR(l->ns[OCI_NS_NETWORK].path, "/run/netns/x");
	CHECK(l->ns[OCI_NS_IPC].wanted && l->ns[OCI_NS_UTS].wanted && l->ns[OCI_NS_MOUNT].wanted);
	CHECK(l->ns[OCI_NS_CGROUP].wanted && l->ns[OCI_NS_TIME].wanted && !l->ns[OCI_NS_TIME].path);
	CHECK_STR(l->devices.v[0].path, "/dev/a");
	CHECK(l->devices.v[0].type == 'c' && l->devices.v[0].major == 10 && l->devices.v[0].minor == 229);
	CHECK(l->devices.v[0].file_mode.set && l->devices.v[0].file_mode.v == 0666); /* 0020666 */
	CHECK(l->devices.v[0].uid.v == 1 && l->devices.v[0].gid.v == 2);
	CHECK_STR(l->devices.v[1].path, "/dev/p");
	CHECK(l->devices.v[1].type == 'p' && !l->devices.v[1].file_mode.set && !l->devices.v[1].uid.set);
	CHECK_STR(l->net_devices.v[0].host_name, "eth0");
	CHECK_STR(l->net_devices.v[0].name, "in0");
	CHECK_STR(l->net_devices.v[1].host_name, "eth1");
	CHECK(!l->net_devices.v[1].name);
	CHECK_STR(l->rootfs_propagation, "rslave");
	CHECK_STR(l->masked_paths.v[0], "/proc/kcore");
	CHECK_STR(l->readonly_paths.v[1], "/proc/bus");
	CHECK_STR(l->mount_label, "ml");
	CHECK_STR(l->intel_rdt->clos_id, "g");
	CHECK_STR(l->intel_rdt->schemata.v[0], "L3:0=f");
	CHECK_STR(l->intel_rdt->l3_cache_schema, "L3:0=7f0");
	CHECK_STR(l->intel_rdt->mem_bw_schema, "MB:0=20");
	CHECK(l->intel_rdt->enable_monitoring && l->intel_rdt->enable_cmt && l->intel_rdt->enable_mbm);
	CHECK_STR(l->memory_policy->mode, "MPOL_BIND");
	CHECK_STR(l->memory_policy->nodes, "0-1");
	CHECK_STR(l->memory_policy->flags.v[0], "MPOL_F_STATIC_NODES");
	CHECK_STR(l->personality->domain, "LINUX32");
	oci_config_free(&c);
}

static void test_time_offsets(void)
{
	/* Offsets need a time namespace of the container's own: the document above gives it no path. */
	struct oci_config c;

	if (!parse(linux_text, &c))
		return;
	const struct oci_linux *l = &c.linux;
	CHECK(l->offset_monotonic.set && l->offset_monotonic.secs == -7 &&
	      l->offset_monotonic.nanosecs == 999999999);
	CHECK(l->offset_boottime.set && l->offset_boottime.secs == 8 && l->offset_boottime.nanosecs == 0);
	oci_config_free(&c);
}

static const char resources_text[] =
	"{\"devices\":[{\"allow\":false,\"access\":\"rwm\"},{\"allow\":true,\"type\":\"c\",\"major\":1,"
	"\"minor\":-1,"
	"\"access\":\"rw\"},{\"allow\":true,\"type\":\"\"}],"
	"\"memory\":{\"limit\":-1,\"reservation\":2,\"swap\":3,\"kernel\":4,\"kernelTCP\":5,\"swappiness\":"
	"60,"
	"\"disableOOMKiller\":true,\"useHierarchy\":false,\"checkBeforeUpdate\":true},"
	"\"cpu\":{\"shares\":1024,\"quota\":-1,\"burst\":7,\"period\":100000,\"realtimeRuntime\":9,"
	"\"realtimePeriod\":10,\"cpus\":\"0-1\",\"mems\":\"0\",\"idle\":1},\"pids\":{\"limit\":99},"
	"\"blockIO\":{\"weight\":10,\"leafWeight\":11,\"weightDevice\":[{\"major\":8,\"minor\":1,\"weight\":"
	"500,"
	"\"leafWeight\":300}],\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":1}],"
	"\"throttleWriteBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":2}],"
	"\"throttleReadIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":3}],"
	"\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":4}]},"
	"\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":9223372036854771712}],"
	"\"network\":{\"classID\":1048577,\"priorities\":[{\"name\":\"eth0\",\"priority\":500}]},"
	"\"rdma\":{\"mlx5_1\":{\"hcaHandles\":3,\"hcaObjects\":10000},\"rxe3\":{\"hcaObjects\":5}},"
	"\"unified\":{\"memory.high\":\"1073741824\"}}";

static void check_resources(const struct oci_resources *r)
{
	CHECK_INT(r->devices.n, 3);
	CHECK(!r->devices.v[0].allow && r->devices.v[0].type == 'a' && !r->devices.v[0].major.set);
	CHECK_STR(r->devices.v[0].access, "rwm");
	CHECK(r->devices.v[1].allow && r->devices.v[1].type == 'c' && r->devices.v[1].major.v == 1);
	CHECK(r->devices.v[1].minor.set && r->devices.v[1].minor.v == -1);
	CHECK(r->devices.v[2].type == 'a' && !r->devices.v[2].access);
	CHECK(r->memory.limit.v == -1 && r->memory.reservation.v == 2 && r->memory.swap.v == 3);
	CHECK(r->memory.kernel.v == 4 && r->memory.kernel_tcp.v == 5 && r->memory.swappiness.v == 60);
	CHECK(r->memory.disable_oom_killer.v && r->memory.use_hierarchy.set && !r->memory.use_hierarchy.v);
	CHECK(r->memory.check_before_update.v);
	CHECK(r->cpu.shares.v == 1024 && r->cpu.quota.v == -1 && r->cpu.burst.v == 7 &&
	      r->cpu.period.v == 100000);
	CHECK(r->cpu.realtime_runtime.v == 9 && r->cpu.realtime_period.v == 10 && r->cpu.idle.v == 1);
	CHECK_STR(r->cpu.cpus, "0-1");
	CHECK_STR(r->cpu.mems, "0");
	CHECK(r->pids_limit.set && r->pids_limit.v == 99);
	const struct oci_block_io *b = &r->block_io;
	CHECK(b->weight.v == 10 && b->leaf_weight.v == 11 && b->weight_devices.v[0].weight.v == 500);
	CHECK(b->weight_devices.v[0].major == 8 && b->weight_devices.v[0].minor == 1);
	CHECK(b->weight_devices.v[0].leaf_weight.v == 300 && b->read_bps.v[0].rate == 1);
	CHECK(b->write_bps.v[0].rate == 2 && b->read_iops.v[0].rate == 3 && b->write_iops.v[0].rate == 4);
	CHECK_STR(r->hugepages.v[0].page_size, "2MB");
	CHECK_INT(r->hugepages.v[0].limit, 9223372036854771712);
	CHECK_INT(r->net_class_id.v, 1048577);
	CHECK_STR(r->net_priorities.v[0].name, "eth0");
	CHECK_INT(r->net_priorities.v[0].priority, 500);
	CHECK_STR(r->rdma.v[0].device, "mlx5_1");
	CHECK(r->rdma.v[0].hca_handles.v == 3 && r->rdma.v[0].hca_objects.v == 10000);
	CHECK(!r->rdma.v[1].hca_handles.set && r->rdma.v[1].hca_objects.v == 5);
	CHECK_STR(r->unified.v[0].key, "memory.high");
	CHECK_STR(r->unified.v[0].value, "1073741824");
}

static void test_resources(void)
{
	struct oci_config c;
	struct oci_resources r;
	struct oci_document *doc = NULL;
	char whole[4096];

	(void)snprintf(whole, sizeof(whole), HEAD "\"linux\":{\"resources\":%s}}", resources_text);
	if (parse(whole, &c)) {
		CHECK(c.linux.has_resources);
		check_resources(&c.linux.resources);
		oci_config_free(&c);
	}
	CHECK_INT(oci_resources_parse(resources_text, strlen(resources_text), "r.json", &r, &doc, &err), 0);
	if (doc)
		check_resources(&r);
	oci_document_free(doc);
	CHECK_INT(oci_resources_parse("{\"pids\":{\"limit\":\"x\"}}", 22, "r.json", &r, &doc, &err), -EINVAL);
	CHECK_STR(err.msg, "r.json: pids.limit: expected a number from -9223372036854775808 to "
			   "9223372036854775807, got a string");
}

static void test_seccomp(void)
{
	static const char text[] =
		HEAD "\"linux\":{\"seccomp\": {\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,"
		     "\"architectures\":[\"SCMP_ARCH_X86_64\"],\"flags\":[],\"listenerPath\":\"/s\","
		     "\"listenerMetadata\":\"m\",\"syscalls\":[{\"names\":[\"read\",\"write\"],"
		     "\"action\":\"SCMP_ACT_ALLOW\"},{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ERRNO\","
		     "\"errnoRet\":1,\"args\":[{\"index\":5,\"value\":2114060288,\"valueTwo\":3,"
		     "\"op\":\"SCMP_CMP_MASKED_EQ\"}]}]} }}";
	struct oci_config c;

	if (!parse(text, &c))
		return;
	const struct oci_seccomp *s = c.linux.seccomp;
	CHECK_STR(s->default_action, "SCMP_ACT_ERRNO");
	CHECK_INT(s->default_errno_ret.v, 38);
	CHECK_STR(s->architectures.v[0], "SCMP_ARCH_X86_64");
	CHECK(s->flags_set && s->flags.n == 0);
	CHECK_STR(s->listener_path, "/s");
	CHECK_STR(s->listener_metadata, "m");
	CHECK_INT(s->syscalls.n, 2);
	CHECK_STR(s->syscalls.v[0].names.v[1], "write");
	CHECK(!s->syscalls.v[0].errno_ret.set);
	CHECK_STR(s->syscalls.v[1].action, "SCMP_ACT_ERRNO");
	CHECK_INT(s->syscalls.v[1].errno_ret.v, 1);
	const struct oci_seccomp_arg *a = &s->syscalls.v[1].args.v[0];
	CHECK(a->index == 5 && a->value == 2114060288 && a->value_two == 3);
	CHECK_STR(a->op, "SCMP_CMP_MASKED_EQ");
	/* The span is the object to the byte. */
	CHECK(text[s->json_offset] == '{' && text[s->json_offset + s->json_len - 1] == '}' &&
	      text[s->json_offset + s->json_len] == ' ' && text[s->json_offset - 1] == ' ');
	oci_config_free(&c);
	/* Nothing asked for is no seccomp, as with runc. */
	if (parse(HEAD "\"linux\":{\"seccomp\":{\"defaultAction\":\"\"}}}", &c)) {
		CHECK(!c.linux.seccomp);
		oci_config_free(&c);
	}
}

static void test_lone_process(void)
{
	static const char text[] = "{\"args\":[\"id\"],\"cwd\":\"/\",\"user\":{\"uid\":7}}";
	struct oci_process p;
	struct oci_document *doc = NULL;

	CHECK_INT(oci_process_parse(text, strlen(text), "p.json", &p, &doc, &err), 0);
	CHECK_INT(p.user.uid, 7);
	CHECK(!p.caps.set && !p.scheduler);
	oci_document_free(doc);
	CHECK_INT(oci_process_parse("{\"cwd\":\"/\"}", 11, "p.json", &p, &doc, &err), -EINVAL);
	CHECK_STR(err.msg, "p.json: args: args must not be empty");
	oci_document_free(NULL);
}

static void test_load(void)
{
	char dir[] = "/tmp/coffer-unit-XXXXXX", *text = NULL;
	struct oci_config c;
	size_t len = 0;

	CHECK(mkdtemp(dir) != NULL);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(oci_config_load(fd, "/b", &c, &text, &len, &err), -ENOENT);
	CHECK_STR(err.msg, "JSON specification file /b/config.json not found");
	int file = openat(fd, "config.json", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	CHECK_INT(write(file, process_text, strlen(process_text)), strlen(process_text));
	CHECK_INT(oci_config_load(fd, "/b", &c, &text, &len, &err), 0);
	CHECK_STR(text, process_text);
	CHECK_INT(len, strlen(process_text));
	oci_config_free(&c);
	free(text);
	CHECK_INT(oci_config_load(fd, "/b", &c, NULL, NULL, &err), 0);
	oci_config_free(&c);
	CHECK_INT(ftruncate(file, OCI_CONFIG_MAX + 1), 0);
	CHECK_INT(oci_config_load(fd, "/b", &c, NULL, NULL, &err), -EFBIG);
	CHECK_STR(err.msg, "/b/config.json: larger than 16777216 bytes");
	CHECK_INT(ftruncate(file, 20), 0);
	CHECK_INT(oci_config_load(fd, "/b", &c, NULL, NULL, &err), -EINVAL);
	CHECK(str_starts(err.msg, "/b/config.json: line 1, column "));
	(void)close(file);
	CHECK_INT(unlinkat(fd, "config.json", 0), 0);
	CHECK_INT(mkdirat(fd, "config.json", 0700), 0);
	CHECK_INT(oci_config_load(fd, "/b", &c, NULL, NULL, &err), -EISDIR);
	CHECK_STR(err.msg, "cannot read /b/config.json: Is a directory");
	CHECK_INT(unlinkat(fd, "config.json", AT_REMOVEDIR), 0);
	(void)close(fd);
	(void)rmdir(dir);
}

static void test_namespaces(void)
{
	CHECK_STR(oci_ns_name(OCI_NS_NETWORK), "network");
	CHECK_STR(oci_ns_file(OCI_NS_NETWORK), "net");
	CHECK_STR(oci_ns_file(OCI_NS_MOUNT), "mnt");
	CHECK_INT(oci_ns_flag(OCI_NS_MOUNT), CLONE_NEWNS);
	CHECK_INT(oci_ns_flag(OCI_NS_TIME), 0x80);
	int all = 0;
	for (unsigned i = 0; i < OCI_NS_COUNT; i++)
		all |= oci_ns_flag((enum oci_ns)i);
	CHECK_INT(__builtin_popcount((unsigned)all), OCI_NS_COUNT);
}

int main(void)
{
	test_process();
	test_mounts_and_hooks();
	test_linux();
	test_time_offsets();
	test_resources();
	test_seccomp();
	test_lone_process();
	test_load();
	test_namespaces();
	return test_end();
}

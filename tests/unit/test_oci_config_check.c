/* SPDX-License-Identifier: Apache-2.0 */
/* What is refused, and in which words; and what is not, though it looks odd. */
#include "test.h"

#include "oci/config.h"
#include "oci/config_tables.h"

static int parse(const char *text, struct err *err)
{
	struct oci_config c;
	int r = oci_config_parse(text, strlen(text), "F", &c, err);

	if (r == 0)
		oci_config_free(&c);
	return r;
}

struct bad {
	const char *part, *message; /* NULL = fine */
};

/* `head`, the part and `tail` make a document. */
static void check_parts(const char *head, const char *tail, const struct bad *bad, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct err err = {0};
		char text[2048], want[512] = "";

		(void)snprintf(text, sizeof(text), "%s%s%s", head, bad[i].part, tail);
		if (bad[i].message)
			(void)snprintf(want, sizeof(want), "F: %s", bad[i].message);
		CHECK_INT(parse(text, &err), bad[i].message ? -EINVAL : 0);
		CHECK_STR(err.msg, want);
	}
}

static void test_version(void)
{
	static const struct bad bad[] = {
		{"1.0.0", NULL},
		{"1.0.0-rc5", NULL},
		{"1.0.2-dev", NULL},
		{"1.3.0+dev", NULL},
		{"1.99.0", NULL},
		{"", "ociVersion: must not be empty"},
		{"2.0.0", "ociVersion: version 2.0.0 is not supported, only 1.x is"},
		{"0.6.0", "ociVersion: version 0.6.0 is not supported, only 1.x is"},
		{"10.0.0", "ociVersion: version 10.0.0 is not supported, only 1.x is"},
		{"1.0", "ociVersion: expected a version like \"1.2.0\", got \"1.0\""},
		{"1", "ociVersion: expected a version like \"1.2.0\", got \"1\""},
		{"1.0.0.0", "ociVersion: expected a version like \"1.2.0\", got \"1.0.0.0\""},
		{"1.0.0-", "ociVersion: expected a version like \"1.2.0\", got \"1.0.0-\""},
		{"1.0.0x", "ociVersion: expected a version like \"1.2.0\", got \"1.0.0x\""},
		{"01.0.0", "ociVersion: expected a version like \"1.2.0\", got \"01.0.0\""},
		{"v1.0.0", "ociVersion: expected a version like \"1.2.0\", got \"v1.0.0\""},
	};

	check_parts("{\"root\":{\"path\":\"r\"},\"ociVersion\":\"", "\"}", bad, ARRAY_LEN(bad));
}

static void test_top(void)
{
	static const struct bad bad[] = {
		{"\"root\":{\"path\":\"r\"}", NULL},
		{"\"root\":null", "root: root must be specified"},
		{"\"root\":{}", "root.path: expected a string, got nothing"},
		{"\"root\":{\"path\":\"\"}", "root.path: must not be empty"},
		{"\"root\":{\"path\":\"r\"},\"windows\":{}",
		 "windows: not supported: coffer-oci runs Linux containers on Linux"},
		{"\"root\":{\"path\":\"r\"},\"solaris\":{}",
		 "solaris: not supported: coffer-oci runs Linux containers on Linux"},
		{"\"root\":{\"path\":\"r\"},\"vm\":{\"kernel\":{\"path\":\"/k\"}}",
		 "vm: not supported: the isolation level is chosen by --isolation or dev.coffer.isolation"},
		{"\"root\":{\"path\":\"r\"},\"windows\":null,\"later\":{\"x\":[]}", NULL},
		{"\"root\":{\"path\":\"r\"},\"annotations\":{\"\":\"x\"}",
		 "annotations: a key must not be empty"},
		{"\"root\":{\"path\":\"r\"},\"annotations\":{\"a\":1}",
		 "annotations[\"a\"]: expected a string, got a number"},
		{"\"root\":{\"path\":\"r\"},\"hostname\":\"h\"",
		 "hostname: unable to set hostname without a private UTS namespace"},
		{"\"root\":{\"path\":\"r\"},\"hostname\":\"\"", NULL},
		{"\"root\":{\"path\":\"r\"},\"domainname\":\"d\"",
		 "domainname: unable to set domainname without a private UTS namespace"},
		{"\"root\":{\"path\":\"r\"},\"linux\":{\"namespaces\":[{\"type\":\"uts\"}]},\"hostname\":"
		 "\"0123456789012345678901234567890123456789012345678901234567890123x\"",
		 "hostname: longer than 64 bytes"},
		{"\"root\":{\"path\":\"r\"},\"hooks\":{\"poststop\":[{\"path\":\"/a\"},{\"path\":\"b\"}]}",
		 "hooks.poststop[1].path: expected an absolute path, got \"b\""},
		{"\"root\":{\"path\":\"r\"},\"hooks\":{\"startContainer\":[{\"path\":\"/a\",\"timeout\":0}]}",
		 "hooks.startContainer[0].timeout: expected a number from 1 to 2147483647, got 0"},
		{"\"root\":{\"path\":\"r\"},\"hooks\":{\"prestart\":[{\"args\":[]}]}",
		 "hooks.prestart[0].path: expected a string, got nothing"},
	};

	check_parts("{\"ociVersion\":\"1.2.0\",", "}", bad, ARRAY_LEN(bad));
}

static void test_process(void)
{
	static const struct bad bad[] = {
		{"\"args\":[\"a\"],\"cwd\":\"/\"", NULL},
		{"\"args\":[\"a\"]", "process.cwd: Cwd property must not be empty"},
		{"\"args\":[\"a\"],\"cwd\":\"\"", "process.cwd: Cwd property must not be empty"},
		{"\"args\":[\"a\"],\"cwd\":\"w\"", "process.cwd: Cwd must be an absolute path"},
		{"\"cwd\":\"/\"", "process.args: args must not be empty"},
		{"\"cwd\":\"/\",\"args\":[]", "process.args: args must not be empty"},
		{"\"cwd\":\"/\",\"args\":[\"\"]", NULL},
		{"\"args\":[\"a\"],\"cwd\":\"/\",\"user\":{\"uid\":\"root\"}",
		 "process.user.uid: expected a number from 0 to 4294967294, got a string"},
		{"\"args\":[\"a\"],\"cwd\":\"/\",\"user\":{\"umask\":512}",
		 "process.user.umask: expected a number from 0 to 511, got 512"},
		{"\"args\":[\"a\"],\"cwd\":\"/\",\"oomScoreAdj\":1001",
		 "process.oomScoreAdj: expected a number from -1000 to 1000, got 1001"},
		{"\"args\":[\"a\"],\"cwd\":\"/\",\"oomScoreAdj\":0.5",
		 "process.oomScoreAdj: expected a number from -1000 to 1000, got 0.5"},
	};

	check_parts("{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"process\":{", "}}", bad,
		    ARRAY_LEN(bad));
}

static void test_process_settings(void)
{
	static const struct bad bad[] = {
		{"\"env\":[\"A=1\",\"B\"]", "process.env[1]: invalid environment variable: missing '='"},
		{"\"env\":[\"=x\"]", "process.env[0]: invalid environment variable: name cannot be empty"},
		{"\"rlimits\":[{\"type\":\"RLIMIT_X\",\"hard\":1,\"soft\":1}]",
		 "process.rlimits[0].type: wrong rlimit value: RLIMIT_X"},
		{"\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"hard\":1,\"soft\":1},{\"type\":\"RLIMIT_CPU\","
		 "\"hard\":1,"
		 "\"soft\":1}]",
		 "process.rlimits[1].type: duplicated rlimit RLIMIT_CPU"},
		{"\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"hard\":1}]",
		 "process.rlimits[0].soft: expected a number from 0 to 18446744073709551615, got nothing"},
		{"\"scheduler\":{}", "process.scheduler.policy: scheduler policy is required"},
		{"\"scheduler\":{\"policy\":\"X\"}", "process.scheduler.policy: invalid scheduler policy: X"},
		{"\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"nice\":20}",
		 "process.scheduler.nice: invalid scheduler.nice: 20 when scheduler.policy is SCHED_OTHER"},
		{"\"scheduler\":{\"policy\":\"SCHED_BATCH\",\"priority\":1}",
		 "process.scheduler.priority: scheduler.priority can only be specified for SchedFIFO or "
		 "SchedRR "
		 "policy"},
		{"\"scheduler\":{\"policy\":\"SCHED_FIFO\",\"priority\":1}", NULL},
		{"\"scheduler\":{\"policy\":\"SCHED_RR\",\"period\":1}",
		 "process.scheduler: scheduler runtime/deadline/period can only be specified for "
		 "SchedDeadline "
		 "policy"},
		{"\"scheduler\":{\"policy\":\"SCHED_IDLE\",\"flags\":[\"Y\"]}",
		 "process.scheduler.flags: invalid scheduler flag: Y"},
		{"\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":8}",
		 "process.ioPriority.priority: invalid ioPriority.Priority: 8"},
		{"\"ioPriority\":{\"class\":\"X\",\"priority\":1}",
		 "process.ioPriority.class: invalid ioPriority.Class: \"X\""},
		{"\"ioPriority\":{}", "process.ioPriority.class: invalid ioPriority.Class: \"\""},
		{"\"execCPUAffinity\":{\"initial\":\"0-3\",\"final\":\"\"}", NULL},
		{"\"execCPUAffinity\":{\"initial\":\"3-1\"}",
		 "process.execCPUAffinity.initial: bad CPUAffinity.Initial: \"3-1\""},
		{"\"execCPUAffinity\":{\"final\":\"a\"}",
		 "process.execCPUAffinity.final: bad CPUAffinity.Final: \"a\""},
		{"\"consoleSize\":{\"height\":1}",
		 "process.consoleSize.width: expected a number from 0 to 65535, got nothing"},
	};

	check_parts("{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"process\":{\"args\":[\"a\"],"
		    "\"cwd\":\"/\",",
		    "}}", bad, ARRAY_LEN(bad));
}

#define MAPS                                                                                                 \
	"\"uidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":1}],"                                     \
	"\"gidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":1}]"

static void test_namespaces(void)
{
	static const struct bad bad[] = {
		{"\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"foo\"}]",
		 "linux.namespaces[1].type: invalid namespace type: namespace {\"foo\" \"\"} does not exist"},
		{"\"namespaces\":[{\"path\":\"/x\"}]",
		 "linux.namespaces[0].type: expected a string, got nothing"},
		{"\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"pid\",\"path\":\"/x\"}]",
		 "linux.namespaces[1]: malformed spec file: duplicated ns {\"pid\" \"/x\"}"},
		{"\"namespaces\":[{\"type\":\"pid\",\"path\":\"x\"}]",
		 "linux.namespaces[0].path: expected an absolute path, got \"x\""},
		{"\"namespaces\":[{\"type\":\"user\"}]", "linux.uidMappings: user namespaces enabled, but no "
							 "namespace path to join nor mappings to apply "
							 "specified"},
		{"\"namespaces\":[{\"type\":\"user\",\"path\":\"/x\"}]", NULL},
		{"\"namespaces\":[{\"type\":\"user\",\"path\":\"/x\"}]," MAPS, NULL},
		{"\"namespaces\":[{\"type\":\"user\"}]," MAPS, NULL},
		{MAPS,
		 "linux.uidMappings: user namespace mappings specified, but user namespace isn't enabled in "
		 "the config"},
		{"\"namespaces\":[{\"type\":\"user\"}],\"gidMappings\":[{\"containerID\":0,\"hostID\":1,"
		 "\"size\":1}]",
		 "linux.uidMappings: user namespaces enabled, but no uid mappings found"},
		{"\"namespaces\":[{\"type\":\"user\"}],\"uidMappings\":[{\"containerID\":0,\"hostID\":1,"
		 "\"size\":1}]",
		 "linux.gidMappings: user namespaces enabled, but no gid mappings found"},
		{"\"namespaces\":[{\"type\":\"user\",\"path\":\"/x\"}],\"uidMappings\":[{\"containerID\":0,"
		 "\"hostID\":1,\"size\":0}]",
		 "linux.uidMappings[0].size: expected a number that leaves the ids below 4294967295, got 0"},
		{"\"namespaces\":[{\"type\":\"user\",\"path\":\"/x\"}],\"gidMappings\":[{\"containerID\":0,"
		 "\"hostID\":4294967295,\"size\":1}]",
		 "linux.gidMappings[0].size: expected a number that leaves the ids below 4294967295, got 1"},
		{"\"namespaces\":[{\"type\":\"user\",\"path\":\"/x\"}],\"uidMappings\":[{\"containerID\":0,"
		 "\"hostID\":0,\"size\":4294967295}]",
		 NULL},
		{"\"timeOffsets\":{\"monotonic\":{}}", "linux.timeOffsets: time namespace offsets specified, "
						       "but time namespace isn't enabled in the "
						       "config"},
		{"\"namespaces\":[{\"type\":\"time\",\"path\":\"/x\"}],\"timeOffsets\":{\"monotonic\":{}}",
		 "linux.timeOffsets: time namespace enabled, but both namespace path and time offsets "
		 "specified "
		 "-- you may only provide one"},
		{"\"namespaces\":[{\"type\":\"time\"}],\"timeOffsets\":{\"realtime\":{}}",
		 "linux.timeOffsets: expected the clocks \"monotonic\" or \"boottime\", got \"realtime\""},
		{"\"namespaces\":[{\"type\":\"time\"}],\"timeOffsets\":{\"boottime\":{\"nanosecs\":"
		 "1000000000}}",
		 "linux.timeOffsets[\"boottime\"].nanosecs: expected a number from 0 to 999999999, got "
		 "1000000000"},
		{"\"maskedPaths\":[\"/x\"]",
		 "linux.maskedPaths: unable to restrict sys entries without a private MNT namespace"},
		{"\"readonlyPaths\":[\"/x\"]",
		 "linux.readonlyPaths: unable to restrict sys entries without a private MNT namespace"},
		{"\"namespaces\":[{\"type\":\"mount\"}],\"maskedPaths\":[\"/x\",\"y\"]",
		 "linux.maskedPaths[1]: expected an absolute path, got \"y\""},
	};

	check_parts("{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"linux\":{", "}}", bad,
		    ARRAY_LEN(bad));
}

static void test_linux(void)
{
	static const struct bad bad[] = {
		{"\"devices\":[{\"path\":\"/d\",\"type\":\"x\"}]",
		 "linux.devices[0].type: expected \"c\", \"u\", \"b\" or \"p\", got \"x\""},
		{"\"devices\":[{\"path\":\"/d\"}]",
		 "linux.devices[0].type: expected \"c\", \"u\", \"b\" or \"p\", got nothing"},
		{"\"devices\":[{\"type\":\"c\"}]", "linux.devices[0].path: expected a string, got nothing"},
		{"\"devices\":[{\"path\":\"/d\",\"type\":\"c\",\"major\":-1,\"minor\":0}]",
		 "linux.devices[0]: /d: expected the device's major and minor number"},
		{"\"devices\":[{\"path\":\"/d\",\"type\":\"p\",\"major\":-1}]", NULL},
		{"\"netDevices\":{\"eth0\":{}}",
		 "linux.netDevices: unable to move network devices without a NET namespace"},
		{"\"namespaces\":[{\"type\":\"network\"}],\"netDevices\":{\"a/b\":{}}",
		 "linux.netDevices: invalid network device name \"a/b\""},
		{"\"namespaces\":[{\"type\":\"network\"}],\"netDevices\":{\"0123456789abcdef\":{}}",
		 "linux.netDevices: invalid network device name \"0123456789abcdef\""},
		{"\"namespaces\":[{\"type\":\"network\"}],\"netDevices\":{\"0123456789abcde\":{}}", NULL},
		{"\"namespaces\":[{\"type\":\"network\"}],\"netDevices\":{\"eth0\":{\"name\":\"..\"}}",
		 "linux.netDevices[\"eth0\"].name: invalid network device name \"..\""},
		{"\"rootfsPropagation\":\"x\"",
		 "linux.rootfsPropagation: rootfsPropagation=x is not supported"},
		{"\"rootfsPropagation\":\"runbindable\"", NULL},
		{"\"intelRdt\":{\"closID\":\"..\"}", "linux.intelRdt.closID: invalid intelRdt.ClosID \"..\""},
		{"\"intelRdt\":{\"closID\":\"a/b\"}",
		 "linux.intelRdt.closID: invalid intelRdt.ClosID \"a/b\""},
		{"\"intelRdt\":{\"closID\":\"/\"}", NULL},
		{"\"intelRdt\":{\"schemata\":[\"a\\nb\"]}",
		 "linux.intelRdt.schemata[0]: must not hold a newline"},
		{"\"memoryPolicy\":{\"mode\":\"X\"}",
		 "linux.memoryPolicy.mode: invalid memory policy mode \"X\""},
		{"\"memoryPolicy\":{\"mode\":\"MPOL_LOCAL\",\"nodes\":\"0-1\"}",
		 "linux.memoryPolicy.nodes: memory policy mode requires 0 nodes but got 2"},
		{"\"memoryPolicy\":{\"mode\":\"MPOL_BIND\"}",
		 "linux.memoryPolicy.nodes: memory policy mode requires at least one node but got 0"},
		{"\"memoryPolicy\":{\"mode\":\"MPOL_BIND\",\"nodes\":\"x\"}",
		 "linux.memoryPolicy.nodes: invalid memory policy nodes \"x\""},
		{"\"memoryPolicy\":{\"mode\":\"MPOL_PREFERRED\",\"flags\":[\"F\"]}",
		 "linux.memoryPolicy.flags: invalid memory policy flag \"F\""},
		{"\"memoryPolicy\":{\"mode\":\"MPOL_PREFERRED\"}", NULL},
		{"\"personality\":{\"domain\":\"X\"}",
		 "linux.personality.domain: invalid personality domain X"},
		{"\"personality\":{\"domain\":\"LINUX\",\"flags\":[\"F\"]}",
		 "linux.personality.flags: \"F\" is not supported"},
	};

	check_parts("{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"linux\":{", "}}", bad,
		    ARRAY_LEN(bad));
}

static void test_seccomp(void)
{
	static const struct bad bad[] = {
		{"\"defaultAction\":\"X\"",
		 "linux.seccomp.defaultAction: string X is not a valid action for seccomp"},
		{"\"syscalls\":[{\"names\":[\"a\"],\"action\":\"SCMP_ACT_ALLOW\"}]",
		 "linux.seccomp.defaultAction: string  is not a valid action for seccomp"},
		{"\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"amd64\"]",
		 "linux.seccomp.architectures: string amd64 is not a valid arch for seccomp"},
		{"\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"F\"]",
		 "linux.seccomp.flags: seccomp flag not known to coffer: F"},
		{"\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_TSYNC\"]", NULL},
		{"\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"a\"],\"action\":\"Y\"}]",
		 "linux.seccomp.syscalls[0].action: string Y is not a valid action for seccomp"},
		{"\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[],\"action\":\"SCMP_ACT_"
		 "LOG\"}]",
		 "linux.seccomp.syscalls[0].names: must not be empty"},
		{"\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"a\"],\"action\":\"SCMP_"
		 "ACT_LOG\","
		 "\"args\":[{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"},{\"index\":1,\"value\":1,\"op\":"
		 "\"=\"}]}]",
		 "linux.seccomp.syscalls[0].args[1].op: string = is not a valid operator for seccomp"},
		{"\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"a\"],\"action\":\"SCMP_"
		 "ACT_LOG\","
		 "\"args\":[{\"index\":6,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]}]",
		 "linux.seccomp.syscalls[0].args[0].index: expected a number from 0 to 5, got 6"},
		{"\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"a\"],"
		 "\"action\":\"SCMP_ACT_NOTIFY\"}]",
		 "linux.seccomp.listenerPath: seccomp listenerPath is not set"},
		{"\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerMetadata\":\"m\"",
		 "linux.seccomp.listenerMetadata: must not be set without listenerPath"},
	};

	check_parts("{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"linux\":{\"seccomp\":{", "}}}",
		    bad, ARRAY_LEN(bad));
}

static void test_resources(void)
{
	static const struct bad bad[] = {
		{"\"devices\":[{\"allow\":true,\"type\":\"p\"}]",
		 "linux.resources.devices[0].type: expected \"a\", \"b\" or \"c\", got \"p\""},
		{"\"hugepageLimits\":[{\"pageSize\":\"../x\",\"limit\":1}]",
		 "linux.resources.hugepageLimits[0].pageSize: expected a size like \"2MB\", got \"../x\""},
		{"\"hugepageLimits\":[{\"pageSize\":\"64KB\",\"limit\":1},{\"pageSize\":\"1GB\",\"limit\":1}"
		 "]",
		 NULL},
		{"\"hugepageLimits\":[{\"pageSize\":\"2\",\"limit\":1}]",
		 "linux.resources.hugepageLimits[0].pageSize: expected a size like \"2MB\", got \"2\""},
		{"\"network\":{\"priorities\":[{\"name\":\"a b\",\"priority\":1}]}",
		 "linux.resources.network.priorities[0].name: invalid network device name \"a b\""},
		{"\"rdma\":{\"a\\nb\":{}}", "linux.resources.rdma: invalid device name \"a?b\""},
		{"\"unified\":{\"../../x\":\"1\"}",
		 "linux.resources.unified: unified resource \"../../x\" must be a file name (no slashes)"},
		{"\"unified\":{\"..\":\"1\"}",
		 "linux.resources.unified: unified resource \"..\" must be a file name (no slashes)"},
		{"\"cpu\":{\"idle\":2}", "linux.resources.cpu.idle: expected 0 or 1, got 2"},
		{"\"memory\":{\"limit\":\"1g\"}",
		 "linux.resources.memory.limit: expected a number from -9223372036854775808 to "
		 "9223372036854775807, got a string"},
		{"\"blockIO\":{\"weight\":65536}",
		 "linux.resources.blockIO.weight: expected a number from 0 to 65535, got 65536"},
	};

	check_parts("{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"linux\":{\"resources\":{", "}}}",
		    bad, ARRAY_LEN(bad));
}

static void test_mounts(void)
{
	static const struct bad bad[] = {
		{"{\"type\":\"proc\"}", "mounts[0].destination: expected a string, got nothing"},
		{"{\"destination\":\"\"}", "mounts[0].destination: must not be empty"},
		{"{\"destination\":\"/a\"},{\"destination\":\"/b\",\"options\":\"ro\"}",
		 "mounts[1].options: expected a list of strings, got a string"},
		{"{\"destination\":\"/a\",\"options\":[\"idmap\"]}",
		 "mounts[0]: invalid mount /a: id-mapped mounts are only supported for bind-mounts"},
		{"{\"destination\":\"/a\",\"options\":[\"rbind\",\"ridmap\"]}",
		 "mounts[0]: invalid mount /a: id-mapped mounts must have both uid and gid mappings "
		 "specified"},
		{"{\"destination\":\"/"
		 "a\",\"options\":[\"bind\"],\"uidMappings\":[{\"containerID\":0,\"hostID\":1,"
		 "\"size\":1}]}",
		 "mounts[0]: invalid mount /a: id-mapped mounts must have both uid and gid mappings "
		 "specified"},
		{"{\"destination\":\"/a\",\"options\":[\"bind\"]," MAPS "}", NULL},
	};

	check_parts("{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"mounts\":[", "]}", bad,
		    ARRAY_LEN(bad));
}

static void test_cpu_lists(void)
{
	static const struct {
		const char *text;
		size_t count; /* 0 = no list */
	} lists[] = {{"0", 1},	 {"0-3,7", 5}, {" 1 , 3 ", 2}, {"1,,2", 2}, {"65536", 1},
		     {"", 0},	 {",", 0},     {"-1", 0},      {"1-", 0},   {"1-2-3", 0},
		     {"2-1", 0}, {"65537", 0}, {"0x1", 0},     {"1 2", 0},  {"99999999999999999999", 0}};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		CHECK_INT(oci_is_cpu_list(lists[i].text), lists[i].count > 0);
		CHECK_INT(oci_cpu_list_count(lists[i].text), lists[i].count);
	}
}

int main(void)
{
	test_version();
	test_top();
	test_process();
	test_process_settings();
	test_namespaces();
	test_linux();
	test_seccomp();
	test_resources();
	test_mounts();
	test_cpu_lists();
	return test_end();
}

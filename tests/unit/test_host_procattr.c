/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/proc.h"
#include "base/str.h"
#include "host/procattr.h"
#include "host/procfs.h"

#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

static const char *list(const char *text)
{
	static char out[512];
	unsigned long bits[PROCATTR_CPU_MAX / (8 * sizeof(long))];
	struct str s = {0};
	int max;

	if (procattr_parse_list(text, bits, &max) < 0)
		return "bad";
	for (int i = 0; i <= max; i++)
		if (bits[i / 64] >> i % 64 & 1)
			str_putf(&s, "%d ", i);
	(void)snprintf(out, sizeof(out), "%s", s.s ? s.s : "");
	str_free(&s);
	return out;
}

static void test_list(void)
{
	CHECK_STR(list("0-3,7"), "0 1 2 3 7 ");
	CHECK_STR(list(""), "");
	CHECK_STR(list(" 1 , 63-65,,8191 "), "1 63 64 65 8191 ");
	CHECK_STR(list("8192"), "bad");
	CHECK_STR(list("3-1"), "bad");
	CHECK_STR(list("1-"), "bad");
	CHECK_STR(list("-1"), "bad");
	CHECK_STR(list("1 2"), "bad");
	CHECK_STR(list("99999999999999999999"), "bad");
	CHECK_STR(list("0x1"), "bad");
}

static const char *check(const struct oci_process *p, const struct oci_linux *l)
{
	static struct err err;

	err = (struct err){0};
	return procattr_check(p, l, &err) < 0 ? err.msg : "ok";
}

static const char *check_sched(const char *policy, int nice, int priority, uint64_t runtime, const char *flag)
{
	struct oci_scheduler s = {.policy = policy,
				  .nice = nice,
				  .priority = priority,
				  .runtime = runtime,
				  .flags = {.v = &flag, .n = flag != NULL}};
	struct oci_process p = {.scheduler = &s};

	return check(&p, NULL);
}

static const char *check_policy(const char *mode, const char *nodes, const char *flag)
{
	struct oci_memory_policy m = {.mode = mode, .nodes = nodes, .flags = {.v = &flag, .n = flag != NULL}};
	struct oci_linux l = {.memory_policy = &m};

	return check(NULL, &l);
}

static void test_check(void)
{
	struct oci_rlimit limits[] = {
		{"RLIMIT_NOFILE", 10, 5}, {"RLIMIT_CORE", 0, 0}, {"RLIMIT_NOFILE", 1, 1}};
	struct oci_process p = {.rlimits = {.v = (void *)limits, .n = 2}};
	struct oci_io_priority io = {.class_ = "IOPRIO_CLASS_BE", .priority = 8};
	struct oci_cpu_affinity aff = {.initial = "0", .final = "x"};
	struct oci_personality pers = {.domain = "LINUX64"};
	struct oci_linux l = {.personality = &pers};

	CHECK_STR(check(&p, NULL), "ok");
	p.rlimits.n = 3;
	CHECK_STR(check(&p, NULL), "process.rlimits: RLIMIT_NOFILE is there twice");
	limits[0].type = "RLIMIT_FOO";
	CHECK_STR(check(&p, NULL), "wrong rlimit value: RLIMIT_FOO");
	CHECK_STR(check_sched("SCHED_BATCH", 19, 0, 0, "SCHED_FLAG_RESET_ON_FORK"), "ok");
	CHECK_STR(check_sched("SCHED_OTHER", 20, 0, 0, NULL),
		  "invalid scheduler.nice: 20 when scheduler.policy is SCHED_OTHER");
	CHECK_STR(check_sched("SCHED_OTHER", 0, 1, 0, NULL),
		  "scheduler.priority can only be specified for SchedFIFO or SchedRR policy");
	CHECK_STR(check_sched("SCHED_FIFO", 0, 1, 1, NULL),
		  "scheduler runtime/deadline/period can only be specified for SchedDeadline policy");
	CHECK_STR(check_sched("SCHED_X", 0, 0, 0, NULL), "invalid scheduler policy: SCHED_X");
	CHECK_STR(check_sched(NULL, 0, 0, 0, NULL), "scheduler policy is required");
	CHECK_STR(check_sched("SCHED_RR", 0, 5, 0, "X"), "invalid scheduler flag: X");
	p = (struct oci_process){.io_priority = &io};
	CHECK_STR(check(&p, NULL), "invalid ioPriority.Priority: 8");
	io = (struct oci_io_priority){.class_ = "X", .priority = 1};
	CHECK_STR(check(&p, NULL), "invalid ioPriority.Class: \"X\"");
	p = (struct oci_process){.exec_cpu_affinity = &aff};
	CHECK_STR(check(&p, NULL), "bad CPUAffinity.Final: \"x\" is not a list of CPUs");
	CHECK_STR(check(NULL, &l), "invalid personality domain LINUX64");
	CHECK_STR(check_policy("MPOL_BIND", "0", "MPOL_F_STATIC_NODES"), "ok");
	CHECK_STR(check_policy("MPOL_BIND", NULL, NULL),
		  "memory policy mode requires at least one node but got 0");
	CHECK_STR(check_policy("MPOL_LOCAL", "0", NULL), "memory policy mode requires 0 nodes but got \"0\"");
	CHECK_STR(check_policy("MPOL_X", "0", NULL), "invalid memory policy mode \"MPOL_X\"");
	CHECK_STR(check_policy("MPOL_BIND", "a", NULL), "invalid memory policy nodes \"a\"");
	CHECK_STR(check_policy("MPOL_BIND", "0", "F"), "invalid memory policy flag \"F\"");
}

#define STEP(expr)                                                                                           \
	do {                                                                                                 \
		if (!(expr)) {                                                                               \
			fprintf(stderr, "%s: %s\n", #expr, err.msg);                                         \
			return 1;                                                                            \
		}                                                                                            \
	} while (0)

static int apply(void)
{
	struct oci_rlimit limits[] = {{"RLIMIT_NOFILE", 900, 200}, {"RLIMIT_CORE", 0, 0}};
	struct oci_process p = {.rlimits = {.v = (void *)limits, .n = 2}};
	struct oci_scheduler s = {.policy = "SCHED_BATCH", .nice = 5};
	struct oci_io_priority io = {.class_ = "IOPRIO_CLASS_BE", .priority = 6};
	struct oci_personality pers = {.domain = "LINUX32"};
	struct err err = {0};
	struct rlimit now;
	struct utsname u;
	int proc = procfs_open(&err);

	STEP(procattr_rlimits(&p, 0, &err) == 0);
	STEP(getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur == 200 && now.rlim_max == 900);
	STEP(procattr_scheduler(&s, &err) == 0);
	STEP(sched_getscheduler(0) == SCHED_BATCH && getpriority(PRIO_PROCESS, 0) == 5);
	STEP(procattr_io_priority(&io, &err) == 0);
	STEP(syscall(SYS_ioprio_get, 1, 0) == (2 << 13 | 6));
	STEP(procattr_oom_score_adj(proc, 0, 321, &err) == 0);
	autofree char *text = NULL;
	STEP(procfs_read(proc, "self/oom_score_adj", 32, &text, &err) == 0 && streq(text, "321\n"));
	STEP(procattr_personality(&pers, &err) == 0);
	STEP(uname(&u) == 0 && personality(0xffffffff) == PER_LINUX32);
	STEP(procattr_affinity(0, "0", &err) == 0);
	cpu_set_t set;
	STEP(sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) == 1 && CPU_ISSET(0, &set));
	STEP(procattr_affinity(0, "8191", &err) == -EINVAL);
	return 0;
}

static int policy(void)
{
	const char *flag = "MPOL_F_STATIC_NODES";
	struct oci_memory_policy m = {.mode = "MPOL_BIND", .nodes = "0", .flags = {.v = &flag, .n = 1}};
	struct oci_memory_policy def = {.mode = "MPOL_DEFAULT"};
	unsigned long nodes[16] = {0};
	struct err err = {0};
	int mode = 0;

	if (syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0) < 0)
		return 77; /* no NUMA in this kernel */
	STEP(procattr_memory_policy(&m, &err) == 0);
	STEP(syscall(SYS_get_mempolicy, &mode, nodes, sizeof(nodes) * 8, NULL, 0) == 0);
	STEP(mode == (2 | 1 << 15) && nodes[0] == 1);
	STEP(procattr_memory_policy(&def, &err) == 0);
	return 0;
}

static int raise_limit(void)
{
	struct oci_rlimit low[] = {{"RLIMIT_NOFILE", 10, 10}}, high[] = {{"RLIMIT_NOFILE", 20, 20}};
	struct oci_process p = {.rlimits = {.v = (void *)low, .n = 1}};
	struct err err = {0};

	STEP(setresuid(1234, 1234, 1234) == 0 || geteuid() != 0);
	STEP(procattr_rlimits(&p, 0, &err) == 0);
	p.rlimits.v = (void *)high;
	STEP(procattr_rlimits(&p, 0, &err) == -EPERM);
	return streq(err.msg, "error setting rlimit type 7: operation not permitted") ? 0 : 2;
}

static int in_child(int (*body)(void))
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(body());
	return proc_exit_code(proc_wait(pid));
}

int main(void)
{
	test_list();
	test_check();
	CHECK_INT(in_child(apply), 0);
	CHECK_INT(in_child(raise_limit), 0);
	int r = in_child(policy);
	CHECK(r == 0 || r == 77);
	CHECK_INT(procattr_rlimit_number("RLIMIT_NOFILE"), RLIMIT_NOFILE);
	CHECK_INT(procattr_rlimit_number("NOFILE"), -1);
	return test_end();
}

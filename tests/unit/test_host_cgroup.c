/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups for real, on whatever the machine has: v1, hybrid or v2.  Everything
 * happens below /coffer-unit-<pid> and is gone at the end.  What needs a
 * controller that is not there, or privileges, is left out and said.
 */
#include "host/cgroup_int.h"
#include "host/cgroup_stats.h"
#include "base/sys.h"
#include "test.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>

#define SET(field, value) ((field).v = (value), (field).set = true)

static void skip(const char *what, const char *why)
{
	printf("skip %s: %s\n", what, why);
}

static bool has_controller(const struct cgroup *cg, enum cgroup_v1 v1, const char *v2)
{
	autodir struct cgroup_dir d = {.fd = -1};
	struct err err = {0};
	char have[512];

	if (!cg->v2)
		return cg->v1_dir[v1] != NULL;
	return cgroup_dir_open(cg->v2_dir, &d, &err) == 0 &&
	       cgroup_get(&d, "cgroup.controllers", have, sizeof(have)) >= 0 && cgroup_list_has(have, v2);
}

static void expect_file(const char *dir, const char *file, const char *want)
{
	autodir struct cgroup_dir d = {.fd = -1};
	struct err err = {0};
	char got[256] = "";

	CHECK_INT(cgroup_dir_open(dir, &d, &err), 0);
	CHECK(cgroup_get(&d, file, got, sizeof(got)) >= 0);
	CHECK_STR(got, want);
}

/* A child in the group, in which `run` decides the exit status. */
static pid_t spawn(const struct cgroup *cg, int (*run)(void))
{
	struct err err = {0};
	struct cgroup_join j;
	autoclose int dir = cgroup_open_dir(cg, NULL, &err);
	struct clone_args args = {.exit_signal = SIGCHLD};

	if (dir >= 0) {
		args.flags = CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)dir;
	}
	CHECK_INT(cgroup_join_open(cg, NULL, dir >= 0, &j, &err), 0);
	pid_t pid = sys_clone3(&args);
	if (pid == 0) {
		if (cgroup_join_self(&j, &err) < 0)
			_exit(99);
		_exit(run());
	}
	cgroup_join_close(&j);
	if (pid < 0) { /* to kill "it" would be to kill every process of the machine */
		perror("clone3");
		exit(1);
	}
	return pid;
}

static int wait_status(pid_t pid)
{
	int status = 0;

	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void pause_ms(long ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	(void)nanosleep(&t, NULL); /* cut short is fine */
}

static int run_sleep(void)
{
	pause_ms(60000);
	return 0;
}

static int run_burn(void)
{
	enum { SIZE = 4 << 20 };
	volatile char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct timespec t;

	for (size_t i = 0; i < SIZE; i += 4096)
		p[i] = 1;
	do {
		(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* cannot fail */
	} while (t.tv_nsec < 30000000);
	pause_ms(60000);
	return 0;
}

static int run_forks(void)
{
	int made = 0;

	while (made < 20) {
		pid_t p = fork();
		if (p < 0)
			return made;
		if (p == 0)
			run_sleep();
		made++;
	}
	return 100;
}

static int run_eat(void)
{
	enum { SIZE = 64 << 20 };
	pause_ms(50); /* so that the watcher is there */
	volatile char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; i < SIZE; i += 4096)
		p[i] = 1;
	return 0;
}

static int can_open(const char *path, int flags)
{
	autoclose int fd = open(path, flags | O_CLOEXEC);

	return fd >= 0 ? 0 : errno;
}

static int run_devices(void)
{
	if (can_open("/dev/null", O_RDWR) != 0)
		return 1;
	if (can_open("/dev/zero", O_RDONLY) != 0)
		return 2;
	if (can_open("/dev/kmsg", O_RDONLY) != EPERM)
		return 3;
	/* fuse, 10:229, was allowed for reading only */
	if (mknod("/tmp/coffer-unit-fuse", S_IFCHR | 0600, makedev(10, 229)) < 0)
		return 4;
	int writing = can_open("/tmp/coffer-unit-fuse", O_RDWR),
	    reading = can_open("/tmp/coffer-unit-fuse", O_RDONLY);
	(void)unlink("/tmp/coffer-unit-fuse"); /* the test's result is known */
	if (writing != EPERM)
		return 5;
	return reading == EPERM ? 6 : 0; /* ENODEV or ENXIO where the driver is not there */
}

/* --- the tests --- */

static void plan(struct cgroup *cg, const char *path)
{
	struct cgroup_request q = {.id = "unit", .cgroups_path = path};
	struct err err = {0};

	CHECK_INT(cgroup_plan(&q, cg, &err), 0);
	CHECK_STR(err.msg, "");
}

static void create(struct cgroup *cg, const struct oci_resources *r)
{
	struct cgroup_request q = {.id = "unit", .cgroups_path = cg->path};
	struct err err = {0};

	CHECK_INT(cgroup_create(cg, r, &q, 0, &err), 0);
	CHECK_STR(err.msg, "");
	CHECK(cgroup_exists(cg));
}

static void destroy(struct cgroup *cg)
{
	struct err err = {0};

	CHECK_INT(cgroup_kill(cg, &err), 0);
	while (waitpid(-1, NULL, 0) > 0)
		;
	CHECK_INT(cgroup_remove(cg, &err), 0);
	CHECK_STR(err.msg, "");
	CHECK(!cgroup_exists(cg));
	CHECK_INT(cgroup_remove(cg, &err), 0); /* a second time is fine */
	cgroup_free(cg);
}

static void test_limits(const char *path)
{
	struct oci_resources r = {0};
	struct err err = {0};
	struct cgroup cg;
	bool pids, memory, cpu;

	plan(&cg, path);
	create(&cg, &r);
	pids = has_controller(&cg, CG_PIDS, "pids");
	memory = has_controller(&cg, CG_MEMORY, "memory");
	cpu = has_controller(&cg, CG_CPU, "cpu");
	if (pids)
		SET(r.pids_limit, 50);
	if (memory) {
		SET(r.memory.limit, 64 << 20);
		SET(r.memory.reservation, 32 << 20);
	}
	if (cpu) {
		SET(r.cpu.shares, 512);
		SET(r.cpu.quota, 50000);
		SET(r.cpu.period, 100000);
	}
	CHECK_INT(cgroup_update(&cg, &r, &err), 0);
	CHECK_STR(err.msg, "");
	if (pids)
		expect_file(cg.v2 ? cg.v2_dir : cg.v1_dir[CG_PIDS], "pids.max", "50");
	if (memory && cg.v2) {
		expect_file(cg.v2_dir, "memory.max", "67108864");
		expect_file(cg.v2_dir, "memory.low", "33554432");
	} else if (memory) {
		expect_file(cg.v1_dir[CG_MEMORY], "memory.limit_in_bytes", "67108864");
	}
	if (cpu && cg.v2) {
		expect_file(cg.v2_dir, "cpu.max", "50000 100000");
		expect_file(cg.v2_dir, "cpu.weight", "59");
	} else if (cpu) {
		expect_file(cg.v1_dir[CG_CPU], "cpu.shares", "512");
		expect_file(cg.v1_dir[CG_CPU], "cpu.cfs_quota_us", "50000");
	}
	/* down, and up again */
	r.memory.limit.v = 16 << 20;
	CHECK_INT(cgroup_update(&cg, &r, &err), 0);
	r.memory.limit.v = -1;
	CHECK_INT(cgroup_update(&cg, &r, &err), 0);
	CHECK_STR(err.msg, "");
	/* a bad value names the file */
	if (cpu) {
		r.cpu.quota.v = 1;
		CHECK(cgroup_update(&cg, &r, &err) < 0);
		CHECK(strstr(err.msg, "invalid argument") != NULL);
	}
	destroy(&cg);
}

static void test_refusals(const char *path)
{
	struct cgroup_request q = {.id = "unit", .cgroups_path = "/.."};
	const struct oci_resources none = {0};
	struct err err = {0};
	struct cgroup cg, other;

	CHECK(cgroup_plan(&q, &other, &err) < 0); /* the root */
	err = (struct err){0};
	plan(&cg, path);
	create(&cg, &none);
	pid_t p = spawn(&cg, run_sleep);
	pause_ms(20);
	plan(&other, path);
	q.cgroups_path = path;
	CHECK(cgroup_create(&other, &none, &q, 0, &err) < 0);
	CHECK_STR(err.msg, "container's cgroup is not empty: 1 process(es) found");
	CHECK_INT(cgroup_remove(&other, &err), 0);
	CHECK(cgroup_exists(&cg)); /* not `other`'s to remove */
	cgroup_free(&other);
	CHECK(kill(p, SIGKILL) == 0);
	destroy(&cg);

	plan(&cg, path);
	struct oci_resources r = {0};
	struct oci_pair bad = {"memory/../x", "1"};
	r.unified.v = &bad;
	r.unified.n = 1;
	CHECK(cgroup_create(&cg, &r, &q, 0, &err) < 0);
	CHECK_STR(err.msg, cg.v2 ? "unified resource \"memory/../x\" must be a file name (no slashes)"
				 : "invalid configuration: cannot use unified on cgroup v1");
	CHECK(access(cg.v2_dir ? cg.v2_dir : cg.v1_dir[CG_PIDS], F_OK) < 0); /* nothing is left behind */
	if (cg.v2) {
		cg.none = false;
		bad = (struct oci_pair){"nosuch.max", "1"};
		CHECK(cgroup_create(&cg, &r, &q, 0, &err) < 0);
		CHECK_STR(
			err.msg,
			"unified resource \"nosuch.max\" can't be set: controller \"nosuch\" not available");
	}
	cgroup_free(&cg);
}

/* What somebody else has made is the caller's, with its end; what that one could not make is looked at. */
static void test_promise(const char *path)
{
	struct cgroup_request q = {.id = "unit", .cgroups_path = path};
	const struct oci_resources none = {0};
	struct oci_pair bad = {"memory/../x", "1"};
	struct oci_resources refused = {.unified = {.v = &bad, .n = 1}};
	struct err err = {0};
	struct cgroup cg;
	int pair[2];

	for (int busy = 0; busy < 2; busy++) {
		plan(&cg, path);
		if (busy)
			create(&cg, &none);
		pid_t p = busy ? spawn(&cg, run_sleep) : 0;
		pause_ms(20);
		CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
		cgroup_make_dirs(&cg, pair[1]);
		(void)close(pair[1]); /* the word, or that there is none */
		q.promise = pair[0];
		CHECK(cgroup_exists(&cg));
		CHECK(cgroup_create(&cg, &refused, &q, 0, &err) < 0);
		CHECK((strstr(err.msg, "is not empty") != NULL) == busy);
		(void)close(pair[0]); /* nobody reads */
		cg.none = false;
		CHECK(cgroup_exists(&cg) == busy);
		err = (struct err){0};
		if (busy && p > 0)
			CHECK(kill(p, SIGKILL) == 0);
		destroy(&cg);
	}
}

static void test_processes(const char *path)
{
	const struct oci_resources none = {0};
	struct err err = {0};
	struct cgroup cg;
	autofree pid_t *pids = NULL;
	size_t n = 0;

	plan(&cg, path);
	create(&cg, &none);
	pid_t p = spawn(&cg, run_burn);
	pause_ms(100);
	CHECK_INT(cgroup_pids(&cg, &pids, &n, &err), 0);
	CHECK(n == 1 && pids[0] == p);

	struct cgroup_stats s;
	CHECK_INT(cgroup_stats_read(&cg, &s, &err), 0);
	CHECK_INT(s.pids.current, 1);
	if (has_controller(&cg, CG_CPUACCT, "cpu"))
		CHECK(s.cpu.total > 1000000);
	if (has_controller(&cg, CG_MEMORY, "memory")) {
		CHECK(s.memory.usage.usage > 0);
		CHECK(s.memory.raw.n > 5);
	}
	cgroup_stats_free(&s);

	CHECK_INT(cgroup_is_frozen(&cg, &err), 0);
	CHECK_INT(cgroup_freeze(&cg, true, &err), 0);
	CHECK_INT(cgroup_is_frozen(&cg, &err), 1);
	/* killed although frozen */
	CHECK_INT(cgroup_kill(&cg, &err), 0);
	CHECK_INT(wait_status(p), 128 + SIGKILL);
	if (!cg.v2)
		CHECK_INT(cgroup_is_frozen(&cg, &err), 0);
	CHECK_INT(cgroup_freeze(&cg, false, &err), 0);
	CHECK_STR(err.msg, "");

	/* A new group: after cgroup.kill Linux 6.x kills what is cloned into the old one. */
	destroy(&cg);
	plan(&cg, path);
	create(&cg, &none);
	p = spawn(&cg, run_sleep);
	pause_ms(20);
	CHECK_INT(cgroup_signal_all(&cg, SIGTERM, &err), 0);
	CHECK_INT(wait_status(p), 128 + SIGTERM);
	destroy(&cg);
}

/* What a container makes in its own group: deep, and with processes in it. */
static void test_nested(const char *path)
{
	const struct oci_resources none = {0};
	struct err err = {0};
	struct cgroup cg, inner;
	struct str deep autostr = {0};
	autofree pid_t *pids = NULL;
	size_t n = 0;

	plan(&cg, path);
	create(&cg, &none);
	str_put(&deep, path);
	for (int i = 0; i < 12; i++)
		str_putf(&deep, "/d%d", i);
	plan(&inner, deep.s);
	create(&inner, &none);
	pid_t p = spawn(&inner, run_sleep);
	pause_ms(20);
	CHECK_INT(cgroup_pids(&cg, &pids, &n, &err), 0);
	CHECK(n == 1 && pids[0] == p);
	if (cg.v2_dir) {
		struct cgroup elsewhere;
		struct cgroup_own where = {0};
		pid_t q = spawn(&cg, run_sleep);
		CHECK_INT(cgroup_attach_beside(&cg, p, q, &err), 0);
		CHECK_INT(cgroup_own_read(q, &where, &err), 0);
		CHECK(where.v2 && str_ends(where.v2, deep.s));
		cgroup_own_free(&where);
		/* Not beside what is not below: the group itself, which is not there. */
		plan(&elsewhere, "/coffer-unit-elsewhere");
		CHECK(cgroup_attach_beside(&elsewhere, p, q, &err) < 0);
		err = (struct err){0};
		cgroup_free(&elsewhere);
		int fd = cgroup_open_dir(&cg, "d0/d1", &err);
		CHECK(fd >= 0);
		fd_drop(&fd);
		CHECK_INT(cgroup_open_dir(&cg, "../x", &err), -EINVAL);
		CHECK_STR(err.msg, "bad sub cgroup path: ../x");
	}
	cgroup_free(&inner);
	destroy(&cg);
}

static void test_pids(const char *path)
{
	struct oci_resources r = {0};
	struct cgroup cg;

	plan(&cg, path);
	create(&cg, &r);
	if (has_controller(&cg, CG_PIDS, "pids")) {
		struct err err = {0};
		SET(r.pids_limit, 5);
		CHECK_INT(cgroup_update(&cg, &r, &err), 0);
		CHECK_INT(wait_status(spawn(&cg, run_forks)), 4);
	} else {
		skip("pids", "no such controller");
	}
	destroy(&cg);
}

static void test_oom(const char *path)
{
	struct oci_resources r = {0};
	struct err err = {0};
	struct cgroup cg;
	short events = 0;
	uint64_t kills = 0;

	plan(&cg, path);
	create(&cg, &r);
	if (!has_controller(&cg, CG_MEMORY, "memory")) {
		skip("oom", "no memory controller");
		destroy(&cg);
		return;
	}
	SET(r.memory.limit, 8 << 20);
	SET(r.memory.swap, 8 << 20);
	if (cgroup_update(&cg, &r, &err) < 0) { /* a kernel that does not count swap */
		r.memory.swap.set = false;
		err = (struct err){0};
		CHECK_INT(cgroup_update(&cg, &r, &err), 0);
	}
	autoclose int fd = cgroup_oom_watch(&cg, &events, &err);
	CHECK(fd >= 0);
	struct pollfd p = {.fd = fd, .events = events};
	CHECK_INT(poll(&p, 1, 0), 0);
	pid_t pid = spawn(&cg, run_eat);
	CHECK_INT(poll(&p, 1, 5000), 1);
	CHECK(p.revents & events);
	CHECK_INT(wait_status(pid), 128 + SIGKILL);
	pause_ms(20);
	CHECK_INT(cgroup_oom_seen(&cg, fd, &kills), 1);
	CHECK(cgroup_oom_kills(&cg) >= 1);
	CHECK_INT(cgroup_oom_seen(&cg, fd, &kills), 0);
	destroy(&cg);
}

static void test_devices(const char *path)
{
	struct oci_device_rule rules[] = {
		{.allow = false, .type = 'a', .access = "rwm"},
		{.allow = true, .type = 'c', .major = {10, true}, .minor = {229, true}, .access = "r"},
		{.allow = true, .type = 'c', .major = {10, true}, .minor = {229, true}, .access = "m"},
	};
	struct oci_resources r = {0};
	struct err err = {0};
	struct cgroup cg;

	r.devices.v = rules;
	r.devices.n = ARRAY_LEN(rules);
	plan(&cg, path);
	create(&cg, &r);
	for (int i = 0; i < 2; i++) { /* the second time replaces the first */
		CHECK_INT(cgroup_set_devices(&cg, &r, false, &err), 0);
		CHECK_STR(err.msg, "");
		CHECK_INT(wait_status(spawn(&cg, run_devices)), 0);
	}
	if (!cg.v2)
		expect_file(cg.v1_dir[CG_DEVICES], "devices.list",
			    "c 10:229 rm\nc *:* m\nb *:* m\nc 1:3 rwm\nc 1:8 rwm\nc 1:7 rwm\nc 5:0 rwm\nc "
			    "1:5 rwm\n"
			    "c 1:9 rwm\nc 136:* rwm\nc 5:2 rwm\nc 10:200 rwm");
	/* everything, as --privileged has it */
	rules[0].allow = true;
	r.devices.n = 1;
	CHECK_INT(cgroup_set_devices(&cg, &r, false, &err), 0);
	CHECK_STR(err.msg, "");
	CHECK_INT(wait_status(spawn(&cg, run_devices)), 3);
	destroy(&cg);
}

static void test_relative(void)
{
	struct cgroup_request q = {.id = "coffer-unit-rel", .cgroups_path = "../../coffer-unit-x/./y"};
	struct err err = {0};
	struct cgroup cg;

	CHECK_INT(cgroup_plan(&q, &cg, &err), 0);
	CHECK(str_ends(cg.path, "/coffer-unit-x/y"));
	cgroup_free(&cg);
	q.cgroups_path = NULL;
	CHECK_INT(cgroup_plan(&q, &cg, &err), 0);
	CHECK(str_ends(cg.path, "/coffer-unit-rel"));
	cgroup_free(&cg);
	q.systemd = true;
	if (access("/run/systemd/system", F_OK) < 0) {
		CHECK(cgroup_plan(&q, &cg, &err) < 0);
		CHECK_STR(err.msg, "systemd not running on this host, cannot use systemd cgroups manager");
	}
}

/* The parent directory, which stays as it does for other clients. */
static void remove_parent(const char *path)
{
	struct cgroup cg;

	plan(&cg, path);
	for (int c = 0; c <= CG_V1_COUNT; c++) {
		char *dir = c < CG_V1_COUNT ? cg.v1_dir[c] : cg.v2_dir;
		if (dir)
			CHECK(rmdir(dir) == 0);
	}
	cgroup_free(&cg);
}

int main(void)
{
	char parent[64], path[80];
	struct cgroup_machine m;

	cgroup_machine(&m);
	printf("v1 %d, v2 %d, hybrid %d, systemd %d\n", m.v1, m.v2, m.hybrid, m.systemd);
	if (getuid() != 0 || (!m.v1 && !m.v2)) {
		skip("all", "needs root and cgroups");
		return 77;
	}
	(void)snprintf(parent, sizeof(parent), "/coffer-unit-%d", getpid()); /* fits */
	(void)snprintf(path, sizeof(path), "%s/c", parent);
	test_limits(path);
	test_refusals(path);
	test_promise(path);
	test_processes(path);
	test_nested(path);
	test_pids(path);
	test_oom(path);
	test_devices(path);
	test_relative();
	remove_parent(parent);
	return test_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "test_isolate_case.h"

#define DOCKER_MOUNTS                                                                                        \
	"\"mounts\": ["                                                                                      \
	"{\"destination\": \"/proc\", \"type\": \"proc\", \"source\": \"proc\", \"options\": [\"nosuid\", "  \
	"\"noexec\", \"nodev\"]},"                                                                           \
	"{\"destination\": \"/dev\", \"type\": \"tmpfs\", \"source\": \"tmpfs\", \"options\": [\"nosuid\", " \
	"\"strictatime\", \"mode=755\", \"size=65536k\"]},"                                                  \
	"{\"destination\": \"/dev/pts\", \"type\": \"devpts\", \"source\": \"devpts\", \"options\": "        \
	"[\"nosuid\", \"noexec\", \"newinstance\", \"ptmxmode=0666\", \"mode=0620\", \"gid=5\"]},"           \
	"{\"destination\": \"/sys\", \"type\": \"sysfs\", \"source\": \"sysfs\", \"options\": [\"nosuid\", " \
	"\"noexec\", \"nodev\", \"ro\"]},"                                                                   \
	"{\"destination\": \"/sys/fs/cgroup\", \"type\": \"cgroup\", \"source\": \"cgroup\", \"options\": "  \
	"[\"ro\", \"nosuid\", \"noexec\", \"nodev\"]},"                                                      \
	"{\"destination\": \"/dev/mqueue\", \"type\": \"mqueue\", \"source\": \"mqueue\", \"options\": "     \
	"[\"nosuid\", \"noexec\", \"nodev\"]},"                                                              \
	"{\"destination\": \"/dev/shm\", \"type\": \"tmpfs\", \"source\": \"shm\", \"options\": "            \
	"[\"nosuid\", "                                                                                      \
	"\"noexec\", \"nodev\", \"mode=1777\", \"size=65536k\"]},"                                           \
	"{\"destination\": \"/etc/hosts\", \"type\": \"bind\", \"source\": \"hosts\", \"options\": "         \
	"[\"rbind\", "                                                                                       \
	"\"rprivate\"]}]"
#define DOCKER_PATHS                                                                                         \
	"\"maskedPaths\": [\"/proc/asound\", \"/proc/acpi\", \"/proc/kcore\", \"/proc/keys\", "              \
	"\"/proc/latency_stats\", \"/proc/timer_list\", \"/proc/timer_stats\", \"/proc/sched_debug\", "      \
	"\"/proc/scsi\", \"/sys/firmware\"], \"readonlyPaths\": [\"/proc/bus\", \"/proc/fs\", "              \
	"\"/proc/irq\", \"/proc/sys\", \"/proc/sysrq-trigger\"]"
#define NAMESPACES  "\"namespaces\": [{\"type\": \"mount\"}, {\"type\": \"pid\"}, {\"type\": \"cgroup\"}]"
#define LINUX(more) "\"linux\": {" NAMESPACES more "}"

enum { ALL = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP };

static void prepare_docker(void)
{
	autoclose int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0)
		_exit(2);
	make_file("../hosts", "from the bundle\n");
	make_dir("etc");
	make_dir("proc");
}

static void inside_docker(void)
{
	struct stat null, in;
	char buf[4096];

	CHECK(mounted("/proc", " - proc proc "));
	CHECK(mounted("/proc", " rw,nosuid,nodev,noexec,relatime"));
	CHECK(mounted("/dev", " rw,nosuid - tmpfs tmpfs rw,size=65536k"));
	CHECK(mounted("/dev/pts", "gid=5,mode=620,ptmxmode=666"));
	CHECK(mounted("/sys", " ro,nosuid,nodev,noexec,relatime"));
	CHECK(mounted("/sys/fs/cgroup", " ro,nosuid,nodev,noexec"));
	CHECK(mounted("/dev/mqueue", " - mqueue mqueue"));
	CHECK(mounted("/dev/shm", " - tmpfs shm rw,size=65536k"));
	CHECK(mounted("/etc/hosts", "/hosts /etc/hosts "));
	CHECK(file_has("/etc/hosts", "from the bundle\n"));
	if (access("/sys/fs/cgroup/cgroup.procs", F_OK) < 0) {
		CHECK(mounted("/sys/fs/cgroup/pids", " - cgroup cgroup "));
		CHECK(mounted("/sys/fs/cgroup/pids", " ro,nosuid,nodev,noexec"));
		CHECK(mounted("/sys/fs/cgroup/systemd", "name=systemd"));
		CHECK(!can_write("/sys/fs/cgroup/x"));
	}
	CHECK(is_node("/dev/null", S_IFCHR | 0666, 1, 3));
	CHECK(is_node("/dev/zero", S_IFCHR | 0666, 1, 5));
	CHECK(is_node("/dev/full", S_IFCHR | 0666, 1, 7));
	CHECK(is_node("/dev/random", S_IFCHR | 0666, 1, 8));
	CHECK(is_node("/dev/urandom", S_IFCHR | 0666, 1, 9));
	CHECK(is_node("/dev/tty", S_IFCHR | 0666, 5, 0));
	CHECK(readlink("/dev/ptmx", buf, sizeof(buf)) == 8 && memcmp(buf, "pts/ptmx", 8) == 0);
	CHECK(readlink("/dev/stdin", buf, sizeof(buf)) == 15 && memcmp(buf, "/proc/self/fd/0", 15) == 0);
	/* Which of these are there is the kernel's configuration. */
	if (access("/proc/kcore", F_OK) == 0)
		CHECK(mounted("/proc/kcore", "/null /proc/kcore"));
	CHECK(mounted("/proc/timer_list", "/null /proc/timer_list"));
	CHECK(is_node("/proc/timer_list", S_IFCHR | 0666, 1, 3));
	CHECK(mounted("/proc/sys", " ro,nosuid,nodev,noexec"));
	CHECK(mounted("/proc/irq", " ro,nosuid,nodev,noexec"));
	CHECK(!can_write("/proc/sys/vm/swappiness"));
	CHECK(!is_mounted("/proc/latency_stats/none"));
	if (access("/sys/firmware", F_OK) == 0)
		CHECK(mounted("/sys/firmware", " - tmpfs ") && !can_write("/sys/firmware/x"));
	/* Descriptors 0-2 lead to the container's null device. */
	CHECK(stat("/dev/null", &null) == 0 && fstat(0, &in) == 0 && in.st_dev == null.st_dev);
	/* The host is gone. */
	CHECK(mounted("/", " / "));
	CHECK(access(case_bundle, F_OK) < 0);
	CHECK(getcwd(buf, sizeof(buf)) && streq(buf, "/"));
	CHECK(can_write("/new"));
}

static void test_docker(void)
{
	const char *config = DOCKER_MOUNTS ", " LINUX(", " DOCKER_PATHS);

	RUN(.config = config, .prepare = prepare_docker, .inside = inside_docker, .unshare = ALL);
	RUN(.config = config, .prepare = prepare_docker, .inside = inside_docker, .unshare = ALL,
	    .no_setattr = true);
	RUN(.config = config, .prepare = prepare_docker, .inside = inside_docker, .unshare = ALL,
	    .no_api = true);
}

/* --- a root file system that means harm --- */

static void proc_is_link(void)
{
	make_dir("elsewhere");
	make_link("elsewhere", "proc");
}

static void proc_is_link_out(void)
{
	make_dir("../outside");
	make_link("../../outside", "proc");
}

static void proc_is_file(void)
{
	make_file("proc", "");
}

static void sys_parent_is_link(void)
{
	make_dir("a");
	make_link("a", "b");
}

static void link_into_proc(void)
{
	make_link("/proc/sys", "innocent");
	make_link("proc/self/attr", "labels");
	make_dir("../volume");
}

static void links_out(void)
{
	make_dir("../volume");
	make_file("../volume/secret", "in the volume\n");
	make_dir("../outside");
	make_link("../../../../../../../../../..", "up");
	autofree char *text = str_format("%s/outside", case_bundle);
	make_link(text, "absolute");
	make_link("/proc/1/root", "magic");
}

static void inside_links_out(void)
{
	/* The targets were made in the root, nothing outside was touched. */
	autofree char *inner = str_format("%s/outside/secret", case_bundle);

	CHECK(file_has("/vol1/secret", "in the volume\n"));
	CHECK(file_has(inner, "in the volume\n"));
}

/* The text of a magic link is followed like any other's, in the root. */
static void inside_magic(void)
{
	CHECK(file_has("/x/secret", "in the volume\n"));
}

static void dev_is_link(void)
{
	make_dir("../outside");
	make_link("../../outside", "dev");
}

static void inside_dev_is_link(void)
{
	CHECK(is_node("/outside/null", S_IFCHR | 0666, 1, 3));
	CHECK(is_node("/dev/null", S_IFCHR | 0666, 1, 3));
}

static void null_is_link(void)
{
	make_dir("dev");
	make_file("../target", "untouched");
	make_link("/etc/passwd", "dev/null");
}

static void null_is_other(void)
{
	make_dir("dev");
	if (mknod("dev/null", S_IFCHR | 0666, makedev(1, 5)) < 0)
		_exit(2);
}

static void null_is_good(void)
{
	make_dir("dev");
	if (mknod("dev/null", S_IFCHR | 0600, makedev(1, 3)) < 0)
		_exit(2);
	make_link("/etc/passwd", "dev/ptmx");
	make_link("/etc/passwd", "dev/stdin");
}

static void inside_null_is_good(void)
{
	char buf[64];

	CHECK(is_node("/dev/null", S_IFCHR | 0600, 1, 3));
	CHECK(readlink("/dev/ptmx", buf, sizeof(buf)) == 8);
	CHECK(readlink("/dev/stdin", buf, sizeof(buf)) == 11);
}

static void volume(void)
{
	make_dir("../volume/sub");
	make_file("../volume/f", "");
}

static void test_hostile(void)
{
	const char *on_directory = "must be mounted on ordinary directory";

	RUN(.config = ONLY(PROC), .prepare = proc_is_link, .fails = on_directory);
	RUN(.config = ONLY(PROC), .prepare = proc_is_link_out, .fails = on_directory);
	RUN(.config = ONLY(PROC), .prepare = proc_is_file, .fails = on_directory);
	RUN(.config = ONLY(MOUNT("/b/sys", "sysfs", "sysfs", "")), .prepare = sys_parent_is_link,
	    .fails = on_directory, .unshare = CLONE_NEWNET);
	RUN(.config = ONLY(PROC "," BIND("/innocent", "volume", "")), .prepare = link_into_proc,
	    .fails = "error mounting \"/");
	RUN(.config = ONLY(PROC "," BIND("/innocent", "volume", "")), .prepare = link_into_proc,
	    .fails = "\"/proc/sys\" cannot be mounted because it is inside /proc");
	RUN(.config = ONLY(PROC "," BIND("/labels", "volume", "")), .prepare = link_into_proc,
	    .fails = "because it is inside /proc");
	RUN(.config = ONLY(PROC "," MOUNT("/proc/self/attr", "tmpfs", "tmpfs", "")),
	    .fails = "because it is inside /proc");
	RUN(.config = ONLY(MOUNT("/proc", "tmpfs", "tmpfs", "")), .fails = "because it is not of type proc");
	RUN(.config = ONLY(BIND("/proc", "volume", "")), .prepare = volume,
	    .fails = "because it is not of type proc");
	RUN(.config = ONLY(BIND("/vol1", "volume", "") "," BIND("/up/absolute", "volume", "")),
	    .prepare = links_out, .inside = inside_links_out);
	RUN(.config = ONLY(PROC "," BIND("/magic/x", "volume", "")), .prepare = links_out,
	    .inside = inside_magic);
	RUN(.config = ONLY(""), .prepare = dev_is_link, .inside = inside_dev_is_link);
	RUN(.config = ONLY(""), .prepare = null_is_link, .fails = "is not the device c 1:3");
	RUN(.config = ONLY(""), .prepare = null_is_other, .fails = "is not the device c 1:3");
	RUN(.config = ONLY(""), .prepare = null_is_good, .inside = inside_null_is_good);
}

/* --- the terminal --- */

static void inside_console(void)
{
	struct stat st;

	CHECK(mounted("/dev/console", "/0 /dev/console ") && mounted("/dev/console", " - devpts "));
	CHECK(stat("/dev/console", &st) == 0 && S_ISCHR(st.st_mode));
}

static void console_is_link(void)
{
	make_dir("dev/pts");
	make_link("/etc/passwd", "dev/console");
}

static void console_is_file(void)
{
	make_file("../untouched", "x");
	make_dir("dev/pts");
	make_file("dev/console", "");
}

static void test_console(void)
{
	const char *own = ONLY(DEV "," MOUNT("/dev/pts", "devpts", "devpts", "\"newinstance\""));
	const char *roots = ONLY(MOUNT("/dev/pts", "devpts", "devpts", "\"newinstance\""));

	RUN(.config = own, .inside = inside_console, .console = true);
	RUN(.config = own, .inside = inside_console, .console = true, .no_api = true);
	RUN(.config = roots, .prepare = console_is_file, .inside = inside_console, .console = true);
	RUN(.config = roots, .prepare = console_is_link, .fails = "too many levels of symbolic links",
	    .console = true);
}

/* --- without a mount namespace --- */

static void inside_chroot(void)
{
	CHECK(access(case_bundle, F_OK) < 0);
	CHECK(access("/proc/self/status", F_OK) == 0);
	CHECK(is_node("/dev/null", S_IFCHR | 0666, 1, 3));
}

static void test_chroot(void)
{
	RUN(.config = "\"mounts\": [" PROC "," DEV "]", .inside = inside_chroot, .no_mount_ns = true);
	RUN(.config = "\"mounts\": [" PROC "," DEV "]", .inside = inside_chroot, .no_mount_ns = true,
	    .no_api = true);
}

static void inside_nothing(void)
{
	CHECK(test_checks >= 0);
}

static void test_refused(void)
{
	RUN(.config = ONLY(MOUNT("/", "tmpfs", "tmpfs", "")), .fails = "is on the top of rootfs");
	RUN(.config = ONLY(MOUNT("/x/..", "tmpfs", "tmpfs", "")), .fails = "is on the top of rootfs");
	RUN(.config = ONLY(BIND("/x", "nope", "")), .fails = "/nope: no such file or directory");
	RUN(.config = ONLY(BIND("/f", "volume", "") "," BIND("/f/sub", "volume/f", "")), .prepare = volume,
	    .fails = "not a directory");
	RUN(.config = ONLY(MOUNT("/x", "nofs", "x", "")), .fails = "mount of type \"nofs\": no such device");
	RUN(.config = ONLY(MOUNT("/x", "tmpfs", "x", "\"size=zzz\"")), .fails = "invalid argument");
	RUN(.config = ONLY(MOUNT("/x", "tmpfs", "x", "\"size=zzz\"")), .fails = "invalid argument",
	    .no_api = true);
	RUN(.config = ONLY(MOUNT("/x", "tmpfs", "x", "\"idmap\"")),
	    .fails = "only supported for bind-mounts");
	RUN(.config = ONLY(BIND("/x", "volume", ", \"idmap\"")), .prepare = volume,
	    .fails = "must have both uid and gid mappings specified");
	RUN(.config = "\"linux\": {\"maskedPaths\": [\"/x\"]}", .fails = "without a private MNT namespace");
	RUN(.config = "\"linux\": {\"rootfsPropagation\": \"ro\", \"namespaces\": [{\"type\": \"mount\"}]}",
	    .fails = "rootfsPropagation");
	RUN(.config = ONLY(BIND("/x", "volume", ", \"mode=755\", \"size=1k\"")), .prepare = volume,
	    .inside = inside_nothing);
}

int main(void)
{
	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root\n");
		return CASE_SKIPPED;
	}
	test_docker();
	test_hostile();
	test_refused();
	test_console();
	test_chroot();
	return test_end();
}

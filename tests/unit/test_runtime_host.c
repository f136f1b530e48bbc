/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct create_host: a container whose root is a detached overlay, in a user
 * namespace of its own, as the engine makes it.  Real namespaces and a real
 * program (busybox): without root or busybox there is nothing to test.
 */
#include "runtime/runtime.h"

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "host/mount.h"
#include "test.h"

#include <sys/prctl.h>
#include <sys/stat.h>

enum { SHIFT = 700000 };

static char top[] = "/tmp/coffer-host-XXXXXX";

static const char config[] =
	"{\"ociVersion\": \"1.2.0\", \"root\": {\"path\": \"rootfs\"}, \"hostname\": \"inside\","
	"\"process\": {\"cwd\": \"/\", \"user\": {\"uid\": 0, \"gid\": 0}, \"env\": [\"PATH=/bin\"], "
	"\"args\": "
	"[\"/bin/sh\", \"-c\", \"echo $(cat /mark) $(hostname) $(id -u) > /out; [ -e /network ] && exit "
	"7\"]},"
	"\"mounts\": [{\"destination\": \"/proc\", \"type\": \"proc\", \"source\": \"proc\"}],"
	"\"linux\": {\"cgroupsPath\": \"/coffer-test-host\", \"namespaces\": [{\"type\": \"pid\"}, "
	"{\"type\": \"mount\"}, {\"type\": \"uts\"},"
	"{\"type\": \"ipc\"}, {\"type\": \"network\"}, {\"type\": \"user\"}],"
	"\"uidMappings\": [{\"containerID\": 0, \"hostID\": 700000, \"size\": 65536}],"
	"\"gidMappings\": [{\"containerID\": 0, \"hostID\": 700000, \"size\": 65536}]}}";

static void in_top(const char *name, mode_t mode, uid_t owner)
{
	autofree char *path = str_format("%s/%s", top, name);

	CHECK(path && file_mkdir_all(path, mode) == 0 && chown(path, owner, owner) == 0);
}

static void put(const char *name, const char *text)
{
	autofree char *path = str_format("%s/%s", top, name);

	CHECK(path && file_replace_at(AT_FDCWD, path, text, strlen(text), 0644, false) == 0);
}

static int overlay(struct err *err)
{
	autofree char *data =
		str_format("lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", top, top, top);
	struct mount_request q = {.type = "overlay", .data = data};

	return mount_new(&q, err);
}

static bool network_called;

static int on_network(void *data, pid_t pid, struct err *err)
{
	struct stat ours, theirs;
	autofree char *path = str_format("/proc/%d/ns/net", pid);

	CHECK(stat("/proc/self/ns/net", &ours) == 0 && stat(path, &theirs) == 0 &&
	      ours.st_ino != theirs.st_ino);
	network_called = true;
	put("upper/network", "");
	return data ? err_set(err, ENETDOWN, "no network today") : 0;
}

static int run(struct create_host *host, struct err *err)
{
	autofree char *root = str_format("%s/state", top), *bundle = str_format("%s/bundle", top);
	struct runtime_flags flags = {.root = root};
	struct create_options o = {.id = "host", .bundle = bundle, .host = host, .detach = true};
	struct runtime rt;
	int status = 0;

	CHECK_INT(runtime_setup(&flags, &rt, err), 0);
	host->rootfs_tree = overlay(err);
	CHECK(host->rootfs_tree >= 0);
	int r = runtime_run(&rt, &o, &status, err);
	fd_drop(&host->rootfs_tree);
	if (r == 0)
		CHECK_INT(proc_exit_code(proc_wait(*host->ret_pid)), 7);
	struct err gone = {0};
	int d = runtime_delete(&rt, "host", true, &gone);
	CHECK_INT(d, 0);
	runtime_close(&rt);
	return r;
}

static void test_root_and_network(void)
{
	struct err err = {0};
	pid_t pid = 0;
	struct create_host host = {.network = on_network, .ret_pid = &pid};
	autofree char *path = str_format("%s/upper/out", top), *text = NULL;
	struct stat st;
	size_t len;

	int r = run(&host, &err);
	CHECK_INT(r, 0);
	if (r < 0)
		fprintf(stderr, "%s\n", err.msg);
	CHECK(pid > 0 && network_called);
	CHECK(file_read_at(AT_FDCWD, path, 100, &text, &len) == 0);
	CHECK_STR(text, "marked inside 0\n");
	CHECK(stat(path, &st) == 0 && st.st_uid == SHIFT);
}

static void test_network_fails(void)
{
	struct err err = {0};
	pid_t pid = 0;
	struct create_host host = {.network = on_network, .data = top, .ret_pid = &pid};

	CHECK_INT(run(&host, &err), -ENETDOWN);
	CHECK(strstr(err.msg, "no network today"));
	CHECK_INT(pid, 0);
}

int main(void)
{
	if (geteuid() != 0 || access("/bin/busybox", X_OK) < 0) {
		puts("skipped: needs root and busybox-static");
		return 77;
	}
	if (!mkdtemp(top) || chmod(top, 0755) < 0)
		return 1;
	in_top("bundle/rootfs", 0755, 0);
	in_top("lower/bin", 0755, 0);
	in_top("lower/proc", 0755, 0);
	in_top("upper", 0755, SHIFT);
	in_top("work", 0755, SHIFT);
	put("bundle/config.json", config);
	put("lower/mark", "marked");
	autofree char *busybox = str_format("%s/lower/bin/busybox", top),
		      *sh = str_format("%s/lower/bin/sh", top);
	const char *const copy[] = {"/bin/cp", "/bin/busybox", busybox, NULL};
	struct proc_run cp = {.argv = copy};
	struct err err = {0};
	CHECK_INT(proc_run(&cp, NULL, &err), 0);
	for (const char *const *name = (const char *const[]){"sh", "cat", "hostname", "id", NULL}; *name;
	     name++) {
		autofree char *link = str_format("%s/lower/bin/%s", top, *name);
		CHECK_INT(symlink("busybox", link), 0);
	}
	/* Detached, the container's process is still a child of ours. */
	test_root_and_network();
	test_network_fails();
	autoclose int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(file_remove_tree_at(tmp, top + strlen("/tmp/")), 0);
	return test_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/fd.h"
#include "base/str.h"
#include "isolate/machine.h"
#include "isolate/vm/vm.h"

#include <sys/stat.h>

static const struct {
	const char *notes; /* KEY=VALUE, by commas */
	const char *pod, *why;
} wishes[] = {
	{"", NULL, NULL},
	{"dev.coffer.vm.pod=a", "a", NULL},
	{"dev.coffer.vm.pod=A-b_c.d+9", "A-b_c.d+9", NULL},
	{"dev.coffer.vm.pod=", NULL, "\"\" is no id"},
	{"dev.coffer.vm.pod=..", NULL, "is no id"},
	{"dev.coffer.vm.pod=.", NULL, "is no id"},
	{"dev.coffer.vm.pod=a/b", NULL, "is no id"},
	{"dev.coffer.vm.pod=own", NULL, "in its own machine"},
	{"io.kubernetes.cri.container-type=sandbox,io.kubernetes.cri.sandbox-id=own", NULL, NULL},
	{"io.kubernetes.cri.container-type=container,io.kubernetes.cri.sandbox-id=s", "s", NULL},
	{"io.kubernetes.cri.container-type=container", NULL, "sandbox-id is not there"},
	{"io.kubernetes.cri.sandbox-id=s", NULL, NULL},
	{"io.kubernetes.cri-o.ContainerType=container,io.kubernetes.cri-o.SandboxID=s", "s", NULL},
	{"io.kubernetes.cri-o.ContainerType=sandbox,io.kubernetes.cri-o.SandboxID=s", NULL, NULL},
	{"io.kubernetes.cri-o.ContainerType=container", NULL, "SandboxID is not there"},
	/* Ours counts. */
	{"io.kubernetes.cri.container-type=container,io.kubernetes.cri.sandbox-id=s,dev.coffer.vm.pod=a", "a",
	 NULL},
};

/* Into `text`, which is cut up. */
static size_t read_notes(char *text, struct oci_pair *v)
{
	size_t n = 0;

	for (char *item, *rest = text; (item = strsep(&rest, ","));) {
		char *value = strchr(item, '=');
		if (!value)
			continue;
		*value = '\0';
		v[n++] = (struct oci_pair){.key = item, .value = value + 1};
	}
	return n;
}

static void test_wishes(void)
{
	for (size_t i = 0; i < ARRAY_LEN(wishes); i++) {
		autofree char *text = strdup(wishes[i].notes);
		struct oci_pair v[4];
		struct oci_config config = {0};
		const struct sandbox s = {.config = &config, .id = "own"};
		const char *pod = "unset";
		struct err err = {0};
		config.annotations.n = read_notes(text, v);
		config.annotations.v = v;
		int r = vm_pod_of(&s, &pod, &err);
		CHECK_INT(r < 0, wishes[i].why != NULL);
		if (r < 0) {
			CHECK(wishes[i].why && strstr(err.msg, wishes[i].why));
			continue;
		}
		CHECK_INT(pod != NULL, wishes[i].pod != NULL);
		if (pod && wishes[i].pod)
			CHECK_STR(pod, wishes[i].pod);
		CHECK_INT(vm_is_member(&s), wishes[i].pod != NULL);
	}
}

static const struct {
	const char *notes;
	uint64_t memory; /* MiB, with the kernel's */
	unsigned vcpus;
	bool wrong;
} sizes[] = {
	{"", 512 + 64, 1, false},
	{"io.kubernetes.cri.container-type=sandbox", 512 + 64, 1, false},
	{"io.kubernetes.cri.container-type=sandbox,io.kubernetes.cri.sandbox-memory=209715200", 200 + 64, 1,
	 false},
	{"io.kubernetes.cri.container-type=sandbox,io.kubernetes.cri.sandbox-memory=0", 512 + 64, 1, false},
	{"io.kubernetes.cri.container-type=sandbox,io.kubernetes.cri.sandbox-cpu-quota=-1", 512 + 64, 1,
	 false},
	{"io.kubernetes.cri.container-type=sandbox,io.kubernetes.cri.sandbox-memory=much", 0, 0, true},
	{"io.kubernetes.cri.sandbox-memory=209715200", 512 + 64, 1, false},
};

static void test_sizes(void)
{
	const struct vm_size usual = {.memory = 512 << 20, .vcpus = 1};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		autofree char *text = strdup(sizes[i].notes);
		struct oci_pair v[4];
		struct oci_config config = {0};
		struct vm_size size = {0};
		struct err err = {0};
		config.annotations.n = read_notes(text, v);
		config.annotations.v = v;
		CHECK_INT(vm_pod_size(&config, &usual, &size, &err) < 0, sizes[i].wrong);
		CHECK_INT(size.memory >> 20, sizes[i].memory);
		CHECK_INT(size.vcpus, sizes[i].vcpus);
	}
}

static int connect_to(int dir, const char *pod, struct err *err)
{
	const struct sandbox s = {.state_dirfd = dir, .id = "own"};

	*err = (struct err){0};
	return vm_pod_connect(&s, pod, err);
}

/* What is found beside a state directory, as far as it can be told without a machine. */
static void test_places(void)
{
	char top[] = "/tmp/test-pod-XXXXXX";
	struct err err;

	CHECK(mkdtemp(top) != NULL);
	autoclose int root = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(mkdirat(root, "own", 0711) == 0 && mkdirat(root, "pod", 0711) == 0);
	CHECK(symlinkat("pod", root, "link") == 0);
	autoclose int own = openat(root, "own", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclose int pod = openat(root, "pod", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(connect_to(own, "nobody", &err), -ENOENT);
	CHECK_INT(connect_to(own, "pod", &err), -EINVAL);
	CHECK(strstr(err.msg, "is not of isolation level") != NULL);
	autoclose int console = openat(pod, ISOLATE_CONSOLE_FILE, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	CHECK_INT(connect_to(own, "pod", &err), -ESRCH);
	CHECK(strstr(err.msg, "has ended") != NULL);
	autoclose int listener = supervisor_listen(pod, &err);
	autoclose int waits = openat(pod, "start.sock", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	CHECK_INT(connect_to(own, "pod", &err), -ESRCH);
	CHECK(strstr(err.msg, "has not been started") != NULL);
	CHECK_INT(unlinkat(pod, "start.sock", 0), 0);
	autoclose int sock = connect_to(own, "pod", &err);
	CHECK(sock >= 0);
	CHECK(connect_to(own, "link", &err) < 0);
	fd_drop(&listener);
	CHECK_INT(connect_to(own, "pod", &err), -ESRCH);
	CHECK(unlinkat(pod, ISOLATE_CONSOLE_FILE, 0) == 0 && unlinkat(pod, "control.sock", 0) == 0);
	CHECK(unlinkat(root, "pod", AT_REMOVEDIR) == 0 && unlinkat(root, "own", AT_REMOVEDIR) == 0 &&
	      unlinkat(root, "link", 0) == 0 && rmdir(top) == 0);
}

static void put_file(int dir, const char *name, const char *text)
{
	autoclose int fd = openat(dir, name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && fd_write_all(fd, text, strlen(text)) == 0);
}

/* A machine that stands still is told by the freezer that its state directory names. */
static void test_stands_still(void)
{
	char top[] = "/tmp/test-pod-XXXXXX";
	struct oci_pair note = {GUEST_POD_ANNOTATION, "pod"};
	struct oci_config config = {.annotations = {.v = &note, .n = 1}};
	const struct oci_config alone = {0};
	struct err err = {0};

	CHECK(mkdtemp(top) != NULL);
	autoclose int root = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(mkdirat(root, "own", 0711) == 0 && mkdirat(root, "pod", 0711) == 0);
	autoclose int own = openat(root, "own", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclose int pod = openat(root, "pod", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct sandbox s = {.state_dirfd = own, .id = "own", .config = &config};
	struct cgroup cg = {.v2 = true, .v2_dir = top};
	const struct sandbox first = {.state_dirfd = pod, .id = "pod", .config = &alone, .cgroup = &cg};

	CHECK_INT(vm_pod_is_paused(&s, &err), 0); /* of a machine that has gone nothing is known */
	CHECK_INT(vm_pod_note_freezer(&first, &err), 0);
	put_file(root, "cgroup.freeze", "0\n");
	CHECK_INT(vm_pod_is_paused(&s, &err), 0);
	CHECK_INT(vm_pod_check_awake(&s, &err), 0);
	put_file(root, "cgroup.freeze", "1\n");
	CHECK_INT(vm_pod_is_paused(&s, &err), 1);
	CHECK_INT(vm_pod_check_awake(&s, &err), -EBUSY);
	CHECK(strstr(err.msg, "that of container \"pod\"") != NULL);
	s.config = &alone; /* in a machine of its own */
	CHECK_INT(vm_pod_is_paused(&s, &err), 0);
	s.config = &config;
	put_file(pod, "freezer", "v2 /nowhere/at/all");
	CHECK_INT(vm_pod_is_paused(&s, &err), 0);
	put_file(pod, "freezer", "v1");
	CHECK_INT(vm_pod_is_paused(&s, &err), 0);
	CHECK(unlinkat(pod, "freezer", 0) == 0 && unlinkat(root, "cgroup.freeze", 0) == 0 &&
	      unlinkat(root, "pod", AT_REMOVEDIR) == 0 && unlinkat(root, "own", AT_REMOVEDIR) == 0 &&
	      rmdir(top) == 0);
}

int main(void)
{
	test_stands_still();
	test_wishes();
	test_sizes();
	test_places();
	return test_end();
}

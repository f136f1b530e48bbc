/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which machine a container goes into, by its annotations:
 *
 *	dev.coffer.vm.pod=ID				ours
 *	io.kubernetes.cri.container-type=container	containerd; the machine of the sandbox
 *	io.kubernetes.cri.sandbox-id=ID			container, which is of type "sandbox"
 *	io.kubernetes.cri-o.ContainerType=container	CRI-O, likewise
 *	io.kubernetes.cri-o.SandboxID=ID
 *
 * The other container is found beside this one's state directory: whoever may
 * name it there may also stop it.  What its keeper then believes is the
 * socket's peer (wire/supervisor.h).
 */
#include "isolate/vm/vm.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/str.h"
#include "host/cgroup.h"
#include "isolate/machine.h"

#include <sys/stat.h>

struct convention {
	const char *type, *id; /* keys */
};
static const struct convention conventions[] = {
	{"io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id"},
	{"io.kubernetes.cri-o.ContainerType", "io.kubernetes.cri-o.SandboxID"},
};

/* As the runtime's ids are: no path, and nothing but one component. */
static bool is_container_id(const char *s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.";
	size_t n = strspn(s, letters);

	return n > 0 && n <= NAME_MAX && s[n] == '\0' && !streq(s, ".") && !streq(s, "..");
}

int vm_pod_of(const struct sandbox *s, const char **ret, struct err *err)
{
	const struct oci_config *config = s->config;
	const char *pod = oci_annotation(config, GUEST_POD_ANNOTATION), *key = GUEST_POD_ANNOTATION;

	for (size_t i = 0; i < ARRAY_LEN(conventions) && !pod; i++) {
		const char *type = oci_annotation(config, conventions[i].type);
		if (!type || !streq(type, "container"))
			continue;
		key = conventions[i].id;
		pod = oci_annotation(config, key);
		if (!pod)
			return err_set(err, EINVAL, "annotation %s says \"container\", and %s is not there",
				       conventions[i].type, key);
	}
	if (pod && !is_container_id(pod))
		return err_set(err, EINVAL, "annotation %s: \"%s\" is no id of a container", key, pod);
	if (pod && oci_annotation(config, GUEST_SNAPSHOT_ANNOTATION))
		return err_set(err, EINVAL,
			       "annotations %s and " GUEST_SNAPSHOT_ANNOTATION
			       ": a container cannot both go into a machine and begin with a saved one",
			       key);
	if (pod && s->id && streq(pod, s->id))
		return err_set(err, EINVAL,
			       "annotation %s: a container cannot be in its own machine as a further one",
			       key);
	*ret = pod;
	return 0;
}

bool vm_is_member(const struct sandbox *s)
{
	const char *pod = NULL;
	struct err ignored = {0};

	return vm_pod_of(s, &pod, &ignored) == 0 && pod;
}

int vm_pod_connect(const struct sandbox *s, const char *pod, struct err *err)
{
	autofree char *path = str_format("../%s", pod);
	struct stat st;

	if (!path)
		return err_oom(err);
	autoclose int dir = openat(s->state_dirfd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 && errno == ENOENT)
		return err_set(err, ENOENT,
			       "there is no container \"%s\", into whose machine this one is to go", pod);
	if (dir < 0)
		return err_sys(err, "cannot look at the container \"%s\"", pod);
	if (fstatat(dir, ISOLATE_CONSOLE_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(err, EINVAL,
			       "the container \"%s\" is not of isolation level \"vm\": it has no machine "
			       "for others",
			       pod);
	if (fstatat(dir, "start.sock", &st, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(err, ESRCH, "the machine of container \"%s\" has not been started", pod);
	int sock = supervisor_connect(dir, err);
	return sock == -ESRCH
		       ? err_set(err, ESRCH, "the container \"%s\" has ended, and its machine with it", pod)
		       : sock;
}

/* ---- does it stand still? ---- */

/* "v1 " or "v2 ", and the directory of the machine's freezer. */
#define FREEZER_FILE "freezer"
enum { FREEZER_KIND = 3, FREEZER_MAX = 2 * PATH_MAX };

int vm_pod_note_freezer(const struct sandbox *s, struct err *err)
{
	const struct cgroup *cg = s->cgroup;
	bool v1 = !cg->v2 && cg->v1_dir[CG_FREEZER];
	const char *dir = cg->none ? NULL : v1 ? cg->v1_dir[CG_FREEZER] : cg->v2_dir;
	autofree char *text = dir ? str_format("%s %s", v1 ? "v1" : "v2", dir) : NULL;

	if (!dir)
		return 0;
	if (!text)
		return err_oom(err);
	autoclose int fd = openat(s->state_dirfd, FREEZER_FILE,
				  O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
	return r < 0 ? err_num(err, r, "cannot make \"" FREEZER_FILE "\" in the container's state directory")
		     : 0;
}

/* What cannot be read (the machine has gone, or its cgroup) is not paused: whoever asks it hears the rest. */
static int machine_is_paused(const struct sandbox *s, const char *pod, struct err *err)
{
	autofree char *path = str_format("../%s/" FREEZER_FILE, pod), *text = NULL;
	struct cgroup cg = {0};
	size_t len;

	if (!path)
		return err_oom(err);
	if (file_read_at(s->state_dirfd, path, FREEZER_MAX, &text, &len) < 0 || len <= FREEZER_KIND)
		return 0;
	cg.v2 = str_starts(text, "v2 ");
	if (cg.v2)
		cg.v2_dir = text + FREEZER_KIND;
	else
		cg.v1_dir[CG_FREEZER] = text + FREEZER_KIND;
	return cgroup_is_frozen(&cg, err);
}

int vm_pod_is_paused(const struct sandbox *s, struct err *err)
{
	const char *pod = NULL;
	int r = vm_pod_of(s, &pod, err);

	return r < 0 || !pod ? r : machine_is_paused(s, pod, err);
}

int vm_pod_check_awake(const struct sandbox *s, struct err *err)
{
	const char *pod = NULL;
	int r = vm_pod_of(s, &pod, err);

	if (r == 0 && pod)
		r = machine_is_paused(s, pod, err);
	return r > 0 ? err_set(err, EBUSY,
			       "the container's machine is paused, which is that of container \"%s\": nobody "
			       "in "
			       "it can be asked before that one goes on",
			       pod)
		     : r;
}

/* ---- whose processes ---- */

/* Which pid namespace the machine's keeper is first in: who wants the first container's processes names it.
 */
#define PIDS_FILE "pids"
enum { PIDS_MAX = 64 };

static int name_pids(const char *path, char ret[static PIDS_MAX], struct err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_sys(err, "cannot look at the pid namespace %s", path);
	(void)snprintf(ret, PIDS_MAX, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino); /* fits */
	return 0;
}

int vm_pod_note_pids(const struct sandbox *s, struct err *err)
{
	char path[40], text[PIDS_MAX];
	struct err hidden = {0};

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)s->pid); /* fits */
	if (name_pids(path, text, &hidden) < 0)
		return 0; /* who may not look at it has nobody join it either */
	int r = file_replace_at(s->state_dirfd, PIDS_FILE, text, strlen(text), 0600, false);
	return r < 0 ? err_num(err, r, "cannot make \"" PIDS_FILE "\" in the container's state directory")
		     : 0;
}

int vm_pod_check_pids(const struct sandbox *s, const char *pod, struct err *err)
{
	const char *wanted = s->config->linux.ns[OCI_NS_PID].path;
	autofree char *path = str_format("../%s/" PIDS_FILE, pod), *text = NULL;
	char name[PIDS_MAX];
	size_t len;

	if (!wanted)
		return 0;
	if (!path)
		return err_oom(err);
	int r = name_pids(wanted, name, err);
	if (r < 0)
		return r;
	r = file_read_at(s->state_dirfd, path, PIDS_MAX, &text, &len);
	if (r < 0)
		return err_num(err, r, "cannot read which processes container \"%s\" has", pod);
	return streq(text, name)
		       ? 0
		       : err_set(err, ENOTSUP,
				 "isolation level \"vm\" cannot join the pid namespace %s: a container of a "
				 "pod has the processes of the pod's first container, or its own",
				 wanted);
}

/* ---- how large ---- */

static int pod_sum(const struct oci_config *config, const char *key, int64_t *ret, struct err *err)
{
	const char *text = oci_annotation(config, key);
	uint64_t n = 0;

	*ret = 0;
	if (!text || !*text || *text == '-') /* "-1": unlimited */
		return 0;
	if (str_to_u64(text, 10, &n) < 0 || n > INT64_MAX)
		return err_set(err, EINVAL, "annotation %s: \"%s\" is no number", key, text);
	*ret = (int64_t)n;
	return 0;
}

static bool is_sandbox(const struct oci_config *config)
{
	bool is = false;

	for (size_t i = 0; i < ARRAY_LEN(conventions); i++) {
		const char *type = oci_annotation(config, conventions[i].type);
		is |= type && streq(type, "sandbox");
	}
	return is;
}

/* Kubernetes gives its sandbox containers the least weight that there is: a machine would starve with it. */
int vm_pod_weights(const struct oci_config *config, bool member, struct oci_cpu *cpu, struct err *err)
{
	bool sandbox = !member && is_sandbox(config);
	int64_t shares = 0;
	int r = sandbox ? pod_sum(config, "io.kubernetes.cri.sandbox-cpu-shares", &shares, err) : 0;

	if (r < 0 || (!sandbox && !member))
		return r;
	cpu->shares.set = shares > 2; /* 2: nobody has asked for any */
	cpu->shares.v = (uint64_t)shares;
	return 0;
}

/*
 * containerd tells its sandbox container what all of the pod's may use, as far as they are limited.  The
 * sandbox's own limits are not those of the pod, for its own program does nothing.
 */
int vm_pod_size(const struct oci_config *config, const struct vm_size *usual, struct vm_size *ret,
		struct err *err)
{
	struct oci_resources all = config->linux.resources;
	int64_t memory, quota, period;
	int r;

	if (!is_sandbox(config)) {
		vm_plan_size(&all, usual, ret);
		return 0;
	}
	r = pod_sum(config, "io.kubernetes.cri.sandbox-memory", &memory, err);
	if (r == 0)
		r = pod_sum(config, "io.kubernetes.cri.sandbox-cpu-quota", &quota, err);
	if (r == 0)
		r = pod_sum(config, "io.kubernetes.cri.sandbox-cpu-period", &period, err);
	if (r < 0)
		return r;
	if (memory > 0) {
		all.memory.limit.set = true;
		all.memory.limit.v = memory;
	}
	if (quota > 0) {
		all.cpu.quota.set = true;
		all.cpu.quota.v = quota;
		all.cpu.period.set = period > 0;
		all.cpu.period.v = (uint64_t)period;
	}
	vm_plan_size(&all, usual, ret);
	return 0;
}

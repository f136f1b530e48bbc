/* SPDX-License-Identifier: Apache-2.0 */
#include "isolate/vm/level.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/sys.h"
#include "host/cgroup_stats.h"
#include "isolate/carrier.h"
#include "isolate/vm/exec.h"
#include "isolate/vm/guest_files.h"
#include "isolate/vm/settings.h"
#include "wire/guest.h"

#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

char vm_keeper_program[] = "coffer-vm";

#define autosettings __attribute__((cleanup(vm_settings_free)))

static int plan_size(const struct oci_config *config, const struct vm_settings *settings, struct vm_size *ret,
		     struct err *err)
{
	const struct vm_size usual = {.memory = settings->memory_bytes, .vcpus = settings->vcpus};

	return vm_pod_size(config, &usual, ret, err);
}

static int check_machine(struct err *err)
{
#if !defined(__x86_64__) && !defined(__aarch64__)
	return err_set(err, ENOTSUP, "isolation level \"vm\" is built for x86-64 and ARM64 only");
#endif
	autoclose int keeper = supervised_open(vm_keeper_program, err);
	return keeper < 0 ? keeper : isolate_carrier->probe(err);
}

static int vm_probe(struct err *err)
{
	autosettings struct vm_settings settings = {0};
	struct vm_choice choice;
	int r = check_machine(err);

	if (r == 0)
		r = vm_settings_load(&settings, err);
	return r < 0 ? r : vm_choose_newest(&settings, &choice, err);
}

static int add_files(const struct vm_settings *settings, struct supervised *l, enum guest_devices *ret,
		     struct err *err)
{
	struct guest_files files;
	int r = guest_files_open(settings, &files, err);

	if (r < 0)
		return r;
	r = supervised_add_fd(l, "kernel", take_fd(&files.kernel_fd), err);
	if (r == 0)
		r = supervised_add_fd(l, "initramfs", take_fd(&files.initramfs_fd), err);
	if (r == 0)
		r = supervised_add_number(l, "acpi", files.devices == GUEST_DEVICES_ACPI, err);
	*ret = files.devices;
	guest_files_close(&files);
	return r;
}

static int usr_tree(void)
{
	return sys_open_tree(AT_FDCWD, "/usr", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
}

/* Ordinary users may clone mounts in user namespaces alone: a child goes into one, and hands the clone over.
 */
static int usr_tree_of_user(struct err *err)
{
	int pair[2], fd = -1, why = 0;
	size_t n = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "cannot make a socket pair");
	autoclose int ours = pair[0], theirs = pair[1];
	pid_t pid = fork();
	if (pid == 0) {
		fd = unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ? -1 : usr_tree();
		why = fd < 0 ? errno : 0;
		_exit(fd_send(theirs, &why, sizeof(why), &fd, fd >= 0) < 0);
	}
	fd_drop(&theirs);
	if (pid < 0)
		return err_sys(err, "cannot fork");
	ssize_t got = fd_recv(ours, &why, sizeof(why), &fd, 1, &n);
	ignore_result(proc_wait(pid)); /* what it sent tells */
	if (got == (ssize_t)sizeof(why) && n == 1)
		return fd;
	return err_num(err, got == (ssize_t)sizeof(why) && why > 0 ? -why : -EIO,
		       "cannot clone the mount of /usr for the hypervisor in a user namespace");
}

/*
 * QEMU's jail is made in the container's namespaces, where the host's /usr is not to be found.  What was
 * attached once cannot be again: after a template that was no good there is a second start.
 */
static int add_usr(struct supervised *l, struct err *err)
{
	static const char *const names[] = {"usr", "usr2"};
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(names) && r == 0; i++) {
		int usr = usr_tree();
		if (usr < 0 && errno != EPERM)
			return err_sys(err, "cannot clone the mount of /usr for the hypervisor");
		if (usr < 0)
			usr = usr_tree_of_user(err);
		r = usr < 0 ? usr : supervised_add_fd(l, names[i], usr, err);
	}
	return r;
}

static int add_hypervisor(const struct vm_settings *settings, enum guest_devices devices, unsigned vcpus,
			  struct supervised *l, struct err *err)
{
	struct vm_choice choice;
	int kvm = -1;
	int r = vm_choose(settings, devices, vcpus, &choice, &kvm, err);

	if (r == 0)
		r = supervised_add_fd(l, "kvm", kvm, err);
	if (r < 0)
		return r;
	if (!choice.monitor)
		return add_usr(l, err);
	int program = supervised_open(vm_monitor_program, err);
	return program < 0 ? program : supervised_add_fd(l, "monitor", program, err);
}

/*
 * Booted machines that others begin with, beside the kernels.  The keeper of a container in a user namespace
 * of its own may read there alone.  Where there can be no folder there are no templates, and each machine
 * boots.
 */
static int add_templates(struct supervised *l, struct err *err)
{
	autofree char *kernels = guest_kernels_dir();
	autofree char *path = kernels ? str_format("%s/templates", kernels) : NULL;

	if (!path)
		return err_oom(err);
	ignore_result(file_mkdir_all(path, 0755) < 0); /* then it cannot be opened */
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? 0 : supervised_add_fd(l, "templates", fd, err);
}

static int add_snapshot(const struct isolate_create *c, struct supervised *l, struct err *err)
{
	const pair_list *a = &c->config->annotations;

	const char *from = pair_find(a, GUEST_SNAPSHOT_ANNOTATION);
	const char *into = pair_find(a, GUEST_TEMPLATE_ANNOTATION);

	if (from && into)
		return err_set(err, EINVAL,
			       "a template cannot be made of a machine that begins with a snapshot");
	if (!from && !into)
		return 0;
	int fd = from ? vm_snapshot_open(from, err) : vm_snapshot_open_begun(into, err);
	return fd < 0 ? fd : supervised_add_fd(l, from ? "from" : "into", fd, err);
}

static int add_logs(const struct isolate_create *c, struct supervised *l, struct err *err)
{
	int console = openat(c->sandbox.state_dirfd, ISOLATE_CONSOLE_FILE,
			     O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (console < 0)
		return err_sys(err,
			       "cannot make " ISOLATE_CONSOLE_FILE " in the container's state directory");
	int r = supervised_add_fd(l, "console", console, err);
	int oom = r < 0 ? -1
			: openat(c->sandbox.state_dirfd, ISOLATE_OOM_FILE,
				 O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (r == 0 && oom < 0)
		r = err_sys(err, "cannot make " ISOLATE_OOM_FILE " in the container's state directory");
	if (r == 0)
		r = supervised_add_fd(l, "oom", oom, err);
	int log = r < 0 ? -1 : supervised_open_log("COFFER_VM_LOG", err);
	if (log < -1)
		return log;
	return r < 0 ? r : supervised_add_fd(l, "log", log, err);
}

static int guest_config(const struct isolate_create *c, struct err *err)
{
	autofree char *text = NULL;
	size_t len = 0;
	int r = file_read_at(c->sandbox.state_dirfd, "config.json", OCI_CONFIG_MAX, &text, &len);

	if (r < 0)
		return err_num(err, r, "cannot read the container's config.json");
	return vm_guest_config(c->config, vm_is_member(&c->sandbox), text, len, err);
}

/* The environment's is for tests of what happens when a machine does not come up. */
static uint64_t start_seconds(const struct vm_settings *settings)
{
	const char *text = getenv("COFFER_VM_START_SECONDS");
	uint64_t n;

	return text && str_to_u64(text, 10, &n) == 0 && n > 0 && n <= 3600 ? n : settings->start_timeout;
}

static int add_numbers(const struct isolate_create *c, const struct vm_settings *settings,
		       const struct vm_size *size, struct supervised *l, struct err *err)
{
	const struct {
		const char *key;
		uint64_t n;
	} numbers[] = {
		{"memory", size->memory},
		{"vcpus", size->vcpus},
		{"seconds", start_seconds(settings)},
		{"cache", settings->share_cache_ms},
		{"volume-cache", settings->volume_cache_ms},
		{"terminal", c->config->process && c->config->process->terminal},
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(numbers) && r == 0; i++)
		r = supervised_add_number(l, numbers[i].key, numbers[i].n, err);
	return r;
}

static int vm_launch(const struct isolate_create *c, const struct vm_settings *settings,
		     const struct vm_size *size, struct supervised *l, struct err *err)
{
	autoclose int config = guest_config(c, err);
	enum guest_devices devices;
	int r = config < 0 ? config : supervised_prepare(c, vm_keeper_program, config, l, err);

	if (r == 0)
		r = add_files(settings, l, &devices, err);
	if (r == 0)
		r = add_hypervisor(settings, devices, size->vcpus, l, err);
	if (r == 0)
		r = add_templates(l, err);
	if (r == 0)
		r = add_snapshot(c, l, err);
	if (r == 0)
		r = vm_pod_note_freezer(&c->sandbox, err);
	if (r == 0)
		r = add_logs(c, l, err);
	return r < 0 ? r : add_numbers(c, settings, size, l, err);
}

/* A further container of a pod has a keeper, and no machine. */
static int member_launch(const struct isolate_create *c, const struct vm_settings *settings,
			 const struct vm_size *size, struct supervised *l, struct err *err)
{
	autoclose int config = guest_config(c, err);
	int r = config < 0 ? config : supervised_prepare(c, vm_keeper_program, config, l, err);

	if (r == 0)
		r = add_logs(c, l, err);
	if (r == 0)
		r = supervised_add_number(l, "pod", 1, err);
	if (r == 0)
		r = supervised_add_number(l, "pids", c->config->linux.ns[OCI_NS_PID].path != NULL, err);
	return r < 0 ? r : add_numbers(c, settings, size, l, err);
}

/* Said now, if the machine is not there, and not when it is to be started. */
static int check_pod(const struct sandbox *s, const char *pod, struct err *err)
{
	int sock = vm_pod_connect(s, pod, err);

	if (sock < 0)
		return sock;
	(void)close(sock); /* its keeper sees one come and go */
	return 0;
}

static void member_size(const struct oci_resources *r, struct vm_size *ret)
{
	*ret = (struct vm_size){
		.memory = r->memory.limit.set && r->memory.limit.v > 0 ? (uint64_t)r->memory.limit.v : 0,
		.vcpus = 1};
}

static int vm_create(const struct isolate_create *c, struct sandbox *ret, struct err *err)
{
	autosupervisedplan struct supervised_plan plan = {0};
	autosupervised struct supervised l = {.exe = -1};
	autosettings struct vm_settings settings = {0};
	const char *pod = NULL;
	struct vm_size size;
	int r = vm_pod_of(&c->sandbox, &pod, err);

	if (r == 0)
		r = vm_plan_check(c, pod != NULL, err);
	if (r == 0)
		r = check_machine(err);
	if (r == 0)
		r = vm_settings_load(&settings, err);
	if (r == 0 && pod)
		r = check_pod(&c->sandbox, pod, err);
	if (r == 0 && pod)
		r = vm_pod_check_pids(&c->sandbox, pod, err);
	if (r < 0)
		return r;
	if (pod)
		member_size(&c->config->linux.resources, &size);
	else
		r = plan_size(c->config, &settings, &size, err);
	if (r == 0)
		r = vm_plan(c->config, pod != NULL, &size, &plan, err);
	if (r == 0)
		r = (pod ? member_launch : vm_launch)(c, &settings, &size, &l, err);
	return r < 0 ? r : supervised_create(c, &plan, &l, ret, err);
}

static int member_start(const struct sandbox *s, const char *pod, struct err *err)
{
	autoclose int sock = vm_pod_connect(s, pod, err);
	int r = sock < 0 ? sock : vm_pod_check_awake(s, err);

	return r < 0 ? r : supervised_start_with(s, &sock, 1, err);
}

/* Of `run`, the process may have ended by now, for a hook's sake, say: the carrier knows, and nothing starts.
 */
static int say_why_it_ended(const struct sandbox *s, struct err *err)
{
	struct err told = {0};

	if (supervised_start_with(s, NULL, 0, &told) < 0)
		*err = told;
	return -err->code;
}

static int vm_start(const struct sandbox *s, struct err *err)
{
	int tuns[SUPERVISOR_TUNS_MAX];
	const char *pod = NULL;
	int r = vm_pod_of(s, &pod, err);

	if (r < 0 || pod)
		return r < 0 ? r : member_start(s, pod, err);
	r = vm_pod_note_pids(s, err);
	if (r < 0)
		return r;
	int n = vm_open_tuns(s->pid, tuns, err);
	if (n == -ENOENT) /* its namespaces */
		return say_why_it_ended(s, err);
	r = n < 0 ? n : supervised_start_with(s, tuns, (size_t)n, err);

	for (int i = 0; i < n; i++)
		(void)close(tuns[i]); /* the keeper has its own */
	return r;
}

/* None of them has a pid here: what stands for the container is its keeper and what that has started. */
static int vm_processes(const struct sandbox *s, pid_t **ret, size_t *ret_n, struct err *err)
{
	return isolate_carrier->processes(s, ret, ret_n, err);
}

/* A machine stands still with its hypervisor; one of several containers in one by its own kernel first. */
static int vm_pause(const struct sandbox *s, struct err *err)
{
	struct err ignored = {0};
	bool member = vm_is_member(s);
	int r = member ? vm_stand(s, true, err) : 0;

	if (r < 0)
		return r;
	r = isolate_carrier->pause(s, err);
	if (r < 0 && member)
		ignore_result(vm_stand(s, false, &ignored)); /* why it is not paused is what counts */
	return r;
}

static int vm_resume(const struct sandbox *s, struct err *err)
{
	struct err late = {0};
	bool member = vm_is_member(s);
	/* Before its keeper goes on: half of it would be paused, and nobody could tell any more. */
	int r = member ? vm_pod_check_awake(s, err) : 0;

	if (r == 0)
		r = isolate_carrier->resume(s, err);
	if (member)
		return r < 0 ? r : vm_stand(s, false, err);
	/* The machine runs again; a clock that is behind is worth telling, and no failure. */
	if (r == 0 && vm_set_clock(s, &late) < 0 && s->warn)
		s->warn(s->warn_data, late.msg);
	return r;
}

static int vm_paused(const struct sandbox *s, struct err *err)
{
	return isolate_carrier->paused(s, err);
}

static int vm_update(const struct sandbox *s, const struct oci_resources *wanted, struct err *err)
{
	autosettings struct vm_settings settings = {0};
	autofree struct oci_pair *kept = calloc(wanted->unified.n + 1, sizeof(*kept));
	pair_list unified = {.v = kept};
	struct oci_resources host;
	struct vm_size size;
	bool member = vm_is_member(s);
	int r = kept ? vm_settings_load(&settings, err) : err_oom(err);

	if (r < 0)
		return r;
	if (member)
		member_size(wanted, &size);
	else
		r = plan_size(s->config, &settings, &size, err);
	if (r < 0)
		return r;
	/* The pod's machine bounds its containers together, whatever the limit of each. */
	if (!member && wanted->memory.limit.set &&
	    wanted->memory.limit.v > (int64_t)(size.memory - VM_KERNEL_MEMORY))
		return err_set(
			err, ENOTSUP,
			"cannot limit the memory to %lld bytes: the machine was started with %llu, and "
			"a running one cannot grow",
			(long long)wanted->memory.limit.v,
			(unsigned long long)(size.memory - VM_KERNEL_MEMORY));
	vm_plan_limits(wanted, size.memory, &host, &unified);
	r = vm_pod_weights(s->config, member, &host.cpu, err);
	if (r < 0)
		return r;
	/* An unlimited guest is one of the whole machine, which the host still limits. */
	if (wanted->memory.limit.set && wanted->memory.limit.v <= 0)
		host.memory.limit.set = host.memory.swap.set = false;
	if (supervised_waits(s))
		return err_set(err, EBUSY, "the machine has not been started: it cannot be told new limits");
	r = isolate_carrier->paused(s, err);
	if (r > 0)
		return err_set(err, EBUSY, "the container is paused: its machine cannot be told new limits");
	if (r == 0)
		r = vm_pod_check_awake(s, err);
	if (r == 0)
		r = vm_update_guest(s, wanted, err);
	return r < 0 ? r : isolate_carrier->update(s, &host, err);
}

static int vm_stats(const struct sandbox *s, struct cgroup_stats *ret, struct err *err)
{
	struct guest_stats guest;
	struct err ignored = {0};
	int r = isolate_carrier->stats(s, ret, err);

	if (r < 0)
		return r;
	if (ret->pids.limit > VM_OWN_TASKS)
		ret->pids.limit -= VM_OWN_TASKS;
	/* A machine that does not answer (it is paused) leaves the host's numbers, which are of the
	 * hypervisor. */
	if (vm_guest_stats(s, &guest, &ignored) < 0)
		return 0;
	ret->pids.current = guest.pids;
	ret->memory.usage = (struct cgroup_memory_entry){.usage = guest.memory,
							 .max = guest.memory_peak,
							 .failcnt = guest.memory_failures,
							 .limit = guest.memory_limit};
	for (size_t i = 0; i < ret->memory.raw.n; i++)
		if (str_ends(ret->memory.raw.v[i].key, "inactive_file"))
			ret->memory.raw.v[i].value = guest.inactive_file;
	return 0;
}

static int vm_destroy(const struct sandbox *s, struct err *err)
{
	return isolate_carrier->destroy(s, err);
}

const struct isolate_level vm_level = {
	.name = "vm",
	.summary = "a virtual machine with a kernel of its own, as runV and Kata do",
	.lacks =
		{
			[ISOLATE_CHECKPOINT] = "the machine's state is not saved",
		},
	.probe = vm_probe,
	.create = vm_create,
	.start = vm_start,
	.exec = vm_exec,
	.signal = supervised_signal,
	.processes = vm_processes,
	.inner_processes = vm_inner_processes,
	.pause = vm_pause,
	.resume = vm_resume,
	.paused = vm_paused,
	.update = vm_update,
	.stats = vm_stats,
	.save = vm_save,
	.destroy = vm_destroy,
};

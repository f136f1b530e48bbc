/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU as hypervisor: emulation (TCG) where there is no KVM, or KVM.
 *
 * qemu_args.c says with what arguments, qemu_qmp.c talks to it, jail.c is
 * where it runs.
 *
 * Memory.  A machine has a memfd, mapped shared: when it stands still, the
 * memfd is its memory, and only the devices have to be asked for (migration
 * with x-ignore-shared, which leaves shared memory out).  Into a restored
 * one's the kept pages are copied, holes left out.  Mapping the kept file
 * itself privately would save the copy, but this
 * QEMU opens a file of memory for writing or not at all, and a machine must
 * not be able to write what the next one begins with.
 */
#include "base/clock.h"
#include "base/fd.h"
#include "base/proc.h"
#include "isolate/machine.h"
#include "vm/jail.h"
#include "vm/qemu_int.h"
#include "vm/template.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define QEMU_BELOW_USR "bin/" VM_QEMU

/* A copy of a kept machine's memory, which this machine may write. */
static int copy_memory(const struct vm_snapshot *from, int to, uint64_t size, struct err *err)
{
	struct stat st;

	if (fstat(from->memory_fd, &st) < 0 || st.st_size < from->memory_at + (off_t)size)
		return err_set(err, EINVAL, "the kept machine's memory is cut short");
	int r = vm_memory_copy(from->memory_fd, from->memory_at, to, 0, size);
	return r < 0 ? err_num(err, r, "cannot copy the kept machine's memory") : 0;
}

/* The guest's TSC is the host's; 2 ms tell it to 0.01 %. */
static unsigned host_tsc_khz(void)
{
#ifdef __x86_64__
	struct timespec pause = {.tv_nsec = 2000000};
	uint64_t ticks[2];
	int64_t ns[2];

	for (int i = 0; i < 2; i++) {
		uint64_t best = UINT64_MAX;
		for (int k = 0; k < 8; k++) { /* the pair that nothing came between */
			uint64_t a = __builtin_ia32_rdtsc();
			int64_t t = clock_ns(CLOCK_MONOTONIC_RAW);
			uint64_t b = __builtin_ia32_rdtsc();
			if (b - a >= best)
				continue;
			best = b - a;
			ticks[i] = a + best / 2;
			ns[i] = t;
		}
		if (i == 0)
			(void)nanosleep(&pause, NULL); /* shorter is as good */
	}
	return ns[1] > ns[0] ? (unsigned)((ticks[1] - ticks[0]) * 1000000 / (uint64_t)(ns[1] - ns[0])) : 0;
#else
	return 0;
#endif
}

static int check_readable(int fd, const char *what, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "cannot look at the guest's %s", what);
	/* Of a memfd all may read. */
	if (!S_ISREG(st.st_mode) || !(st.st_mode & S_IROTH))
		return err_set(err, EACCES,
			       "the guest's %s is no file that everyone may read, and the hypervisor has no "
			       "rights; type `chmod a+r` on it",
			       what);
	return 0;
}

static int qemu_memory(const struct vm_spec *s, struct err *err)
{
	if (!s->memory_in && !s->from)
		return -1;
	autoclose int fd =
		s->memory_in ? fcntl(s->memory_in->memory_fd, F_DUPFD_CLOEXEC, 3) : vm_memory_new(s->memory);
	if (fd < 0)
		return err_sys(err, "cannot make a file for the machine's memory");
	int r = s->from ? copy_memory(s->from, fd, s->memory, err) : 0;
	return r < 0 ? r : take_fd(&fd);
}

/* Shared memory, which is all that there is of size, stays out of the stream; and QEMU tells of the end. */
static const char capabilities[] = "{\"capabilities\":[{\"capability\":\"x-ignore-shared\",\"state\":true},"
				   "{\"capability\":\"events\",\"state\":true}]}";

static int qemu_restore(struct qmp *q, const struct vm_spec *s, struct err *err)
{
	autofree char *uri = str_format("{\"uri\":\"fd:%d\"}", s->from->state_fd);

	if (!uri)
		return err_oom(err);
	if (lseek(s->from->state_fd, s->from->state_at, SEEK_SET) < 0)
		return err_sys(err, "cannot read the template's devices");
	int r = qmp_command(q, "migrate-set-capabilities", capabilities, -1, "restore the machine", err);
	/* The cards have another machine's addresses still: nobody is to be told of them. */
	if (r == 0)
		r = qmp_command(q, "migrate-set-parameters", "{\"announce-rounds\":0}", -1,
				"restore the machine", err);
	if (r == 0)
		r = qmp_command(q, "migrate-incoming", uri, -1, "restore the machine", err);
	if (r == 0)
		r = qmp_wait_migration(q, "restore the machine", err);
	/* It was paused when it was saved, and comes back so. */
	return r < 0 ? r : qmp_command(q, "cont", NULL, -1, "let the restored machine go on", err);
}

static void qemu_stop(struct vm *vm)
{
	struct qmp *q = vm->data;

	if (vm->pid > 0) {
		(void)kill(vm->pid, SIGKILL);	   /* it may be a zombie already */
		ignore_result(proc_wait(vm->pid)); /* ours */
	}
	vm->pid = 0;
	if (q)
		qmp_close(q);
	free(q);
	vm->data = NULL;
	fd_drop(&vm->control);
}

static int qemu_launch(const struct vm_spec *s, const struct qemu_plan *plan, pid_t *ret, struct err *err)
{
	static char *const none[] = {NULL};
	struct qemu_args args = {0};

	int r = qemu_plan_args(plan, &args, err);
	if (r < 0)
		return r;
	const struct jail j = {.usr_tree = s->usr_tree,
			       .exe = -1,
			       .path = "/usr/" QEMU_BELOW_USR,
			       .argv = args.v,
			       .envp = none,
			       .fds = args.fds,
			       .nfds = args.nfds,
			       .proc_fd = s->proc_fd,
			       .kvm = s->kvm_fd >= 0,
			       .kvm_fd = s->kvm_fd,
			       .out_fd = s->console_fd,
			       .log_fd = s->log_fd};
	r = jail_start(&j, ret, err);
	qemu_args_free(&args);
	return r;
}

static int qemu_start(const struct vm_spec *s, struct vm *ret, struct err *err)
{
	int ends[2];
	int elf = qemu_kernel_is_elf(s->kernel_fd, QEMU_BOARD_HERE, err);

	int r = elf < 0 ? elf : check_readable(s->kernel_fd, "kernel", err);
	if (r == 0)
		r = check_readable(s->initramfs_fd, "initramfs", err);
	if (r < 0)
		return r;
	err->code = 0;
	autoclose int memory = qemu_memory(s, err);
	if (memory < 0 && err->code != 0)
		return memory;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(err, "cannot make QEMU's control channel");
	autoclose int ours = ends[0], theirs = ends[1];
	struct vm vm = {.driver = &hypervisor_qemu, .control = -1, .data = calloc(1, sizeof(struct qmp))};
	if (!vm.data)
		return err_oom(err);
	const struct qemu_plan plan = {.spec = s,
				       .board = QEMU_BOARD_HERE,
				       .qmp_fd = theirs,
				       .memory_fd = memory,
				       .acpi = s->acpi || !elf,
				       .tsc_khz = s->kvm_fd < 0 ? host_tsc_khz() : 0};
	r = qemu_launch(s, &plan, &vm.pid, err);
	((struct qmp *)vm.data)->wait_ms = s->answer_ms;
	vm.control = take_fd(&ours);
	fd_drop(&theirs);
	if (r == 0)
		r = qmp_open(vm.data, vm.control, err);
	if (r == 0 && s->from)
		r = qemu_restore(vm.data, s, err);
	if (r < 0) {
		qemu_stop(&vm);
		return r;
	}
	*ret = vm;
	return 0;
}

static int qemu_pause(struct vm *vm, struct err *err)
{
	return qmp_command(vm->data, "stop", NULL, -1, "pause the machine", err);
}

static int qemu_resume(struct vm *vm, struct err *err)
{
	return qmp_command(vm->data, "cont", NULL, -1, "let the machine go on", err);
}

static int qemu_save(struct vm *vm, const struct vm_snapshot *to, struct err *err)
{
	struct qmp *q = vm->data;

	q->migration[0] = '\0';
	if (lseek(to->state_fd, to->state_at, SEEK_SET) < 0)
		return err_sys(err, "cannot save the machine");
	int r = qmp_command(q, "migrate-set-capabilities", capabilities, -1, "save the machine", err);
	if (r == 0)
		r = qmp_command(q, "getfd", "{\"fdname\":\"state\"}", to->state_fd, "save the machine", err);
	if (r == 0)
		r = qmp_command(q, "migrate", "{\"uri\":\"fd:state\"}", -1, "save the machine", err);
	return r < 0 ? r : qmp_wait_migration(q, "save the machine", err);
}

/* By ids that are the port's name and one made of it. */
static int qemu_plug_port(struct vm *vm, const char *name, int fd, struct err *err)
{
	static const char what[] = "give the machine a further port";
	autofree char *backend =
		str_format("{\"id\":\"of.%s\",\"backend\":{\"type\":\"socket\",\"data\":{\"server\":"
			   "false,\"addr\":{\"type\":\"fd\",\"data\":{\"str\":\"port\"}}}}}",
			   name);
	autofree char *device = str_format("{\"driver\":\"virtserialport\",\"bus\":\"ports.0\",\"id\":\"%s\","
					   "\"chardev\":\"of.%s\",\"name\":\"%s\"}",
					   name, name, name);
	struct err ignored = {0};

	if (!backend || !device)
		return err_oom(err);
	int r = qmp_command(vm->data, "getfd", "{\"fdname\":\"port\"}", fd, what, err);
	if (r == 0)
		r = qmp_command(vm->data, "chardev-add", backend, -1, what, err);
	if (r == 0)
		r = qmp_command(vm->data, "device_add", device, -1, what, err);
	if (r < 0)
		ignore_result(vm->driver->unplug_port(vm, name, &ignored)); /* why not is what counts */
	return r;
}

/* The device goes at once, and lets go of its socket a little later: until then QEMU calls that busy. */
static int qemu_unplug_port(struct vm *vm, const char *name, struct err *err)
{
	static const char what[] = "take a port from the machine";
	autofree char *device = str_format("{\"id\":\"%s\"}", name),
		      *backend = str_format("{\"id\":\"of.%s\"}", name);
	struct err gone = {0};

	if (!backend || !device)
		return err_oom(err);
	ignore_result(
		qmp_command(vm->data, "device_del", device, -1, what, &gone)); /* it may have gone before */
	return qmp_command(vm->data, "chardev-remove", backend, -1, what, err);
}

static int qemu_identity(const struct vm_spec *s, char *buf, size_t size, struct err *err)
{
	struct stat st;

	if (fstatat(s->usr_tree, QEMU_BELOW_USR, &st, 0) < 0)
		return err_sys(err, "cannot look at /usr/%s", QEMU_BELOW_USR);
	/* The TSC's rate is what the guest's kernel was told; two measurements differ in the last digits. */
	(void)snprintf(buf, size, "qemu 3 %lld %lld.%09ld %s %u", (long long)st.st_size,
		       (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, s->kvm_fd >= 0 ? "kvm" : "tcg",
		       (host_tsc_khz() + 5000) / 10000);
	return 0;
}

const struct hypervisor hypervisor_qemu = {.name = "qemu",
					   .start = qemu_start,
					   .pause = qemu_pause,
					   .resume = qemu_resume,
					   .save = qemu_save,
					   .identity = qemu_identity,
					   .plug_port = qemu_plug_port,
					   .unplug_port = qemu_unplug_port,
					   .stop = qemu_stop};

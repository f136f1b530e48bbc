/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver of coffer-vmm, our own monitor on /dev/kvm (src/vmm/main.c).
 * Everything that it is to have goes as a descriptor, named on its command
 * line; wire/vmm.h is what is said afterwards.
 */
#include "vm/hypervisor.h"

#include "base/fd.h"
#include "base/proc.h"
#include "base/str.h"
#include "vm/jail.h"
#include "wire/vmm.h"

#include <signal.h>
#include <sys/socket.h>

enum { ARGUMENTS = 24 + VM_DISKS_MAX + VM_NICS_MAX };

struct line {
	char *v[ARGUMENTS + 1]; /* owned */
	size_t n;
	int fds[ARGUMENTS];
	size_t nfds;
	bool failed;
};

static void line_put(struct line *l, char *text)
{
	l->failed |= !text || l->n == ARGUMENTS;
	if (l->failed)
		free(text);
	else
		l->v[l->n++] = text;
}

static void line_fd(struct line *l, const char *name, int fd, const char *behind)
{
	if (fd < 0)
		return;
	if (l->nfds < ARGUMENTS)
		l->fds[l->nfds++] = fd;
	line_put(l, str_format("%s=%d%s", name, fd, behind));
}

static void line_number(struct line *l, const char *name, uint64_t n)
{
	line_put(l, str_format("%s=%llu", name, (unsigned long long)n));
}

static void line_free(struct line *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
}

static void line_snapshot(struct line *l, const struct vm_spec *s)
{
	const struct vm_snapshot *memory = s->from ? s->from : s->memory_in;

	if (memory) {
		line_fd(l, "memory-file", memory->memory_fd, "");
		line_number(l, "memory-at", (uint64_t)memory->memory_at);
	}
	if (s->from) {
		line_fd(l, "state", s->from->state_fd, "");
		line_number(l, "state-at", (uint64_t)s->from->state_at);
	}
}

static void line_make(struct line *l, const struct vm_spec *s, int control)
{
	line_put(l, str_format("coffer-vmm"));
	line_put(l, str_format("run"));
	line_fd(l, "control", control, "");
	line_fd(l, "kvm", s->kvm_fd, "");
	if (!s->from) {
		line_fd(l, "kernel", s->kernel_fd, "");
		line_fd(l, "initramfs", s->initramfs_fd, "");
	}
	line_fd(l, "agent", s->agent_fd, "");
	line_fd(l, "share", s->share_fd, "");
	line_fd(l, "console", s->console_fd, "");
	line_number(l, "memory", s->memory);
	line_number(l, "vcpus", s->vcpus ? s->vcpus : 1);
	if (s->cmdline)
		line_put(l, str_format("cmdline=%s", s->cmdline));
	for (size_t i = 0; i < s->ndisks; i++)
		line_fd(l, "disk", s->disks[i].fd, s->disks[i].readonly ? ",ro" : "");
	for (size_t i = 0; i < s->nnics; i++) {
		const unsigned char *m = s->nics[i].mac;
		autofree char *rest = str_format(",%02x%02x%02x%02x%02x%02x,%u", m[0], m[1], m[2], m[3], m[4],
						 m[5], s->nics[i].mtu);
		l->failed |= !rest;
		line_fd(l, "nic", s->nics[i].tap_fd, rest ? rest : "");
	}
	line_snapshot(l, s);
}

/* One answer.  The process' end is one too. */
static int receive_reply(struct vm *vm, struct err *err)
{
	struct vmm_reply r;
	ssize_t n;

	do
		n = recv(vm->control, &r, sizeof(r), 0);
	while (n < 0 && errno == EINTR);
	if (n != sizeof(r))
		return err_set(err, EIO, "coffer-vmm has ended; its log says why");
	r.msg[sizeof(r.msg) - 1] = '\0';
	return r.code < 0 ? err_set(err, -r.code, "%s", r.msg) : 0;
}

static int ask_vmm(struct vm *vm, uint32_t type, const struct vm_snapshot *to, struct err *err)
{
	const struct vmm_request q = {.type = type, .at = to ? (uint64_t)to->state_at : 0};
	int r = fd_send(vm->control, &q, sizeof(q), to ? &to->state_fd : NULL, to != NULL);

	return r < 0 ? err_num(err, r, "cannot ask_vmm coffer-vmm") : receive_reply(vm, err);
}

static void stop_vmm(struct vm *vm)
{
	if (vm->pid > 0) {
		(void)kill(vm->pid, SIGKILL);	       /* ended already: not yet waited for, so still ours */
		ignore_result(proc_wait(vm->pid) < 0); /* waited for by the keeper's loop */
	}
	vm->pid = -1;
	fd_drop(&vm->control);
}

/* Devices are announced on the command line, processors by an MP table: distributions' kernels know neither.
 */
static int check_kernel(const struct vm_spec *s, struct err *err)
{
	char magic[4];

	if (s->from)
		return 0;
	if (pread(s->kernel_fd, magic, sizeof(magic), 0) != sizeof(magic))
		return err_set(err, ENOEXEC, "the guest's kernel is cut short");
	if (memcmp(magic, "\177ELF", sizeof(magic)) != 0)
		return err_set(err, ENOTSUP,
			       "coffer-vmm has no ACPI, which a distribution's kernel needs; type `coffer vm "
			       "build-kernel`");
	return 0;
}

static int start_vmm(const struct vm_spec *spec, struct vm *ret, struct err *err)
{
	static char *const no_environment[] = {NULL};
	struct vm vm = {.driver = &hypervisor_vmm, .pid = -1, .control = -1};
	struct line l = {.n = 0};
	int pair[2];

	if (spec->kvm_fd < 0)
		return err_set(err, ENOTSUP, "coffer-vmm needs /dev/kvm");
	int r = check_kernel(spec, err);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "cannot make a socket pair");
	autoclose int theirs = pair[1];
	vm.control = pair[0];
	line_make(&l, spec, theirs);
	const struct jail jail = {.usr_tree = spec->usr_tree,
				  .exe = -1,
				  .path = COFFER_LIBEXECDIR
				  "/coffer-vmm", /* below /usr: all that the jail has */
				  .argv = l.v,
				  .envp = no_environment,
				  .fds = l.fds,
				  .nfds = l.nfds,
				  .proc_fd = -1,
				  .kvm = true,
				  .kvm_fd = spec->kvm_fd,
				  .out_fd = -1,
				  .log_fd = spec->log_fd};
	r = l.failed ? err_oom(err) : jail_start(&jail, &vm.pid, err);
	line_free(&l);
	fd_drop(&theirs);
	if (r == 0)
		r = receive_reply(&vm, err);
	if (r < 0) {
		stop_vmm(&vm);
		return r;
	}
	*ret = vm;
	return 0;
}

static int pause_vmm(struct vm *vm, struct err *err)
{
	return ask_vmm(vm, VMM_PAUSE, NULL, err);
}

static int resume_vmm(struct vm *vm, struct err *err)
{
	return ask_vmm(vm, VMM_RESUME, NULL, err);
}

static int save_vmm(struct vm *vm, const struct vm_snapshot *to, struct err *err)
{
	return ask_vmm(vm, VMM_SAVE, to, err);
}

/* The state's own header refuses what another build wrote; this keeps such files apart to begin with. */
static int identify_vmm(unused const struct vm_spec *spec, char *buf, size_t size, struct err *err)
{
	int n = snprintf(buf, size, "coffer-vmm " COFFER_VERSION " state %d", VMM_STATE_VERSION);

	return n < 0 || (size_t)n >= size ? err_set(err, ENAMETOOLONG, "coffer-vmm's name is too long") : 0;
}

const struct hypervisor hypervisor_vmm = {
	.name = "vmm",
	.start = start_vmm,
	.pause = pause_vmm,
	.resume = resume_vmm,
	.save = save_vmm,
	.identity = identify_vmm,
	.stop = stop_vmm,
};

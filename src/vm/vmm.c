/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver of coffer-vmm, our own monitor on /dev/kvm (src/vmm/main.c).
 * Everything that it is to have goes as a descriptor, named on its command
 * line; wire/vmm.h is what is said afterwards.
 */
#include "vm/hypervisor.h"

#include "base/fd.h"
#include "base/hash.h"
#include "base/proc.h"
#include "base/str.h"
#include "vm/jail.h"
#include "wire/vmm.h"

#include <linux/kvm.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum {
	ARGUMENTS = 24 + VM_DISKS_MAX + VM_NICS_MAX,
	CPUID_ENTRIES = 256,
	CPUID_TOPOLOGY = 0xb,
	CPUID_TOPOLOGY_V2 = 0x1f,
};
#define CPUID_AMD_TOPOLOGY 0x8000001eU

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
	const struct vmm_request q = {.type = type,
				      .at = to ? (uint64_t)to->state_at : 0,
				      .memory_at = to && to->memory_fd >= 0 ? (uint64_t)to->memory_at : 0};
	int r = fd_send(vm->control, &q, sizeof(q), to ? &to->state_fd : NULL, to != NULL);

	return r < 0 ? err_num(err, r, "cannot ask coffer-vmm") : receive_reply(vm, err);
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

	if (spec->kvm_fd < 0 || spec->monitor_fd < 0)
		return err_set(err, ENOTSUP, "coffer-vmm needs /dev/kvm");
	int r = check_kernel(spec, err);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "cannot make a socket pair");
	autoclose int theirs = pair[1];
	vm.control = pair[0];
	line_make(&l, spec, theirs);
	const struct jail jail = {.usr_tree = -1,
				  .exe = spec->monitor_fd,
				  .argv = l.v,
				  .envp = no_environment,
				  .fds = l.fds,
				  .nfds = l.nfds,
				  .proc_fd = spec->proc_fd,
				  .bare = true,
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

/*
 * The processor as KVM shows it to guests, which have asked once, at their boot: after an update of the
 * host's kernel, or on another host with the same file system, it may be another.  What tells of this very
 * processor among its likes stays out.  0 or -1 with errno.
 */
static int hash_processor(int kvm_fd, uint64_t *ret)
{
#ifdef __x86_64__
	autofree struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + CPUID_ENTRIES * sizeof(c->entries[0]));

	if (!c)
		return -1;
	c->nent = CPUID_ENTRIES;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, c) < 0)
		return -1;
	*ret = FNV_START;
	for (uint32_t i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &c->entries[i];
		const uint32_t words[] = {e->function, e->index, e->eax, e->function == 1 ? 0 : e->ebx,
					  e->ecx,      e->edx};
		if (e->function == CPUID_TOPOLOGY || e->function == CPUID_TOPOLOGY_V2 ||
		    e->function == CPUID_AMD_TOPOLOGY)
			continue;
		for (size_t k = 0; k < ARRAY_LEN(words); k++)
			*ret = fnv_step(*ret, words[k]);
	}
	return 0;
#else
	(void)kvm_fd;
	(void)ret;
	errno = ENOTSUP; /* there is no coffer-vmm */
	return -1;
#endif
}

/* The state's own header refuses what another build wrote; this keeps such files apart to begin with. */
static int identify_vmm(const struct vm_spec *spec, char *buf, size_t size, struct err *err)
{
	uint64_t processor;
	struct stat st;

	if (fstat(spec->monitor_fd, &st) < 0 || hash_processor(spec->kvm_fd, &processor) < 0)
		return err_sys(err, "cannot tell what coffer-vmm and its KVM are");
	(void)snprintf(buf, size, "coffer-vmm state %d %lld %lld.%09ld processor %016llx", VMM_STATE_VERSION,
		       (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
		       (unsigned long long)processor); /* fits */
	return 0;
}

const struct hypervisor hypervisor_vmm = {
	.name = "vmm",
	.timer_told = true,
	.start = start_vmm,
	.pause = pause_vmm,
	.resume = resume_vmm,
	.save = save_vmm,
	.identity = identify_vmm,
	.stop = stop_vmm,
};

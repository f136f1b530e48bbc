/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coffer-vmm: the monitor of one microVM, on /dev/kvm.  A threader: it never
 * forks.  It opens nothing: all descriptors come from the keeper (vm/vmm.c),
 * named by arguments KEY=VALUE, and what is of no use any more once the guest
 * runs is given up (confine.c).
 *
 * machine.h says what the machine looks like; the files are
 *	memory, queue		the only ways to the guest's bytes
 *	mmio, device.h		the transport
 *	console, blk, net, rng, balloon		the devices
 *	kvm, boot, mptable, legacy, vcpu	the machine
 *	snapshot, state		keeping it
 *	kvm_pvm, pvm_*		hosts whose KVM emulates the guest's ring 0
 */
#include "vmm/machine.h"

#include "base/str.h"

#include <malloc.h>
#include <net/ethernet.h>
#include <signal.h>
#include <sys/prctl.h>

enum { DRAIN_ROUNDS = 64, DRAIN_MS = 200 };

static bool take_int(const char *text, int *to)
{
	uint64_t n;

	if (str_to_u64(text, 10, &n) < 0 || n > INT_MAX)
		return false;
	*to = (int)n;
	return true;
}

/* FD[,ro] */
static bool take_disk(struct machine_plan *p, const char *text)
{
	char number[16] = {0};
	size_t len = strcspn(text, ",");

	if (p->ndisks == MACHINE_DISKS_MAX || len >= sizeof(number))
		return false;
	memcpy(number, text, len);
	p->disks[p->ndisks].readonly = streq(text + len, ",ro");
	return (text[len] == '\0' || p->disks[p->ndisks].readonly) &&
	       take_int(number, &p->disks[p->ndisks++].fd);
}

/* FD,MAC in 12 hexadecimal digits,MTU */
static bool take_nic(struct machine_plan *p, const char *text)
{
	char number[16] = {0}, mac[13] = {0};
	uint64_t mac_number, mtu;
	size_t len = strcspn(text, ",");

	if (p->nnics == MACHINE_NICS_MAX || len >= sizeof(number) || strlen(text) < len + 15 ||
	    text[len + 13] != ',')
		return false;
	memcpy(number, text, len);
	memcpy(mac, text + len + 1, 12);
	if (str_to_u64(mac, 16, &mac_number) < 0 || str_to_u64(text + len + 14, 10, &mtu) < 0 || mtu > 65535)
		return false;
	for (int i = 0; i < 6; i++)
		p->nics[p->nnics].mac[i] = (unsigned char)(mac_number >> (40 - 8 * i));
	p->nics[p->nnics].mtu = (uint32_t)mtu;
	return take_int(number, &p->nics[p->nnics++].fd);
}

static bool take_argument(struct machine_plan *p, const char *arg)
{
	const struct {
		const char *name;
		int *to;
	} fds[] = {{"kvm=", &p->kvm_fd},
		   {"kernel=", &p->kernel_fd},
		   {"initramfs=", &p->initramfs_fd},
		   {"agent=", &p->agent_fd},
		   {"share=", &p->share_fd},
		   {"console=", &p->console_fd},
		   {"control=", &p->control_fd},
		   {"memory-file=", &p->memory_fd},
		   {"state=", &p->state_fd}};
	uint64_t n;

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (str_starts(arg, fds[i].name))
			return take_int(arg + strlen(fds[i].name), fds[i].to);
	if (str_starts(arg, "disk="))
		return take_disk(p, arg + 5);
	if (str_starts(arg, "nic="))
		return take_nic(p, arg + 4);
	if (str_starts(arg, "memory="))
		return str_to_u64(arg + 7, 10, &p->memory) == 0;
	if (str_starts(arg, "memory-at="))
		return str_to_u64(arg + 10, 10, &p->memory_at) == 0;
	if (str_starts(arg, "state-at="))
		return str_to_u64(arg + 9, 10, &p->state_at) == 0;
	if (str_starts(arg, "cmdline=")) {
		p->cmdline = arg + 8;
		return true;
	}
	if (str_starts(arg, "vcpus=")) {
		bool ok = str_to_u64(arg + 6, 10, &n) == 0 && n >= 1 && n <= MACHINE_VCPUS_MAX;
		p->vcpus = ok ? (unsigned)n : 0;
		return ok;
	}
	if (streq(arg, "quirks=off")) {
		p->quirks_off = true;
		return true;
	}
	p->no_jail |= streq(arg, "jail=off");
	return streq(arg, "jail=off");
}

static int parse_plan(int argc, char **argv, struct machine_plan *p, struct err *err)
{
	if (argc < 2 || !streq(argv[1], "run"))
		return err_set(err, EINVAL,
			       "coffer-vmm is started by coffer, with descriptors that nobody else has; type "
			       "`coffer run --isolation=vm IMAGE`");
	for (int i = 2; i < argc; i++)
		if (!take_argument(p, argv[i]))
			return err_set(err, EINVAL, "coffer-vmm: cannot do with \"%s\"", argv[i]);
	if (p->kvm_fd < 0 || p->memory == 0 || (p->state_fd < 0 ? p->kernel_fd < 0 : p->memory_fd < 0))
		return err_set(err, EINVAL,
			       "coffer-vmm: a machine takes kvm=, memory=, and either kernel= or "
			       "state= and memory-file=");
	return 0;
}

static int load_guest(struct machine *m, const struct machine_plan *p, struct err *err)
{
	char cmdline[MACHINE_CMDLINE_MAX];
	uint64_t entry = 0;
	int r = 0;

	for (unsigned i = 0; r == 0 && m->quirks && i < m->nvcpus; i++)
		r = quirks_vcpu(&m->vcpus[i], err);
	if (r == 0 && p->state_fd >= 0)
		return snapshot_restore(m, p->state_fd, p->state_at, err);
	if (r == 0)
		r = machine_cmdline(m, p, cmdline, err);
	if (r == 0)
		r = boot_load(&m->memory, p, cmdline, &entry, err);
	if (r == 0 && m->quirks)
		quirks_kernel(&m->memory, p->kernel_fd);
	if (r == 0)
		r = mptable_write(&m->memory, m->nvcpus, err);
	return r < 0 ? r : boot_vcpu(m, m->vcpus[0].fd, entry, err);
}

static void on_machine_end(struct loop_source *s, unused uint32_t events)
{
	ignore_result(read(s->fd, &(uint64_t){0}, sizeof(uint64_t)) < 0); /* m->end tells */
}

/* The loop: until the machine ends; then what the guest said last goes out, as far as it is taken. */
static void run_loop(struct machine *m)
{
	struct loop_source end = {.fd = m->end_fd, .ready = on_machine_end};

	loop_want(&m->loop, &end, EPOLLIN);
	while (__atomic_load_n(&m->end, __ATOMIC_ACQUIRE) == MACHINE_RUNS)
		if (loop_once(&m->loop, -1) < 0)
			machine_stop(m, MACHINE_FAILED, "the loop of coffer-vmm failed");
	for (int i = 0; i < DRAIN_ROUNDS; i++)
		if (loop_once(&m->loop, i == 0 ? 0 : DRAIN_MS / DRAIN_ROUNDS) <= 0 && i > 1)
			break;
}

int main(int argc, char **argv)
{
	struct machine_plan p = {.kvm_fd = -1,
				 .kernel_fd = -1,
				 .initramfs_fd = -1,
				 .agent_fd = -1,
				 .share_fd = -1,
				 .console_fd = -1,
				 .control_fd = -1,
				 .memory_fd = -1,
				 .state_fd = -1,
				 .vcpus = 1};
	static struct machine m;
	struct err err = {0};

	/* No call that maps memory is left once the guest runs: the heap grows by brk, for all threads. */
	(void)mallopt(M_MMAP_MAX, 0);
	(void)mallopt(M_ARENA_MAX, 1);
	int r = parse_plan(argc, argv, &p, &err);
	/* Whoever started us holds the guest's life: it ends with him. */
	if (r == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		r = err_sys(&err, "coffer-vmm cannot tie itself to its keeper");
	if (r == 0 && !p.no_jail)
		r = confine_privileges(&err);
	if (r == 0)
		r = machine_create(&m, &p, &err);
	if (r == 0)
		r = load_guest(&m, &p, &err);
	if (r == 0 && p.control_fd >= 0)
		r = control_open(&m, p.control_fd, &err);
	/* The threads stand until the filter, which is for all of them, is in. */
	m.paused = true;
	for (unsigned i = 0; r == 0 && i < m.nvcpus; i++)
		m.vcpus[i].run->immediate_exit = 1;
	if (r == 0)
		r = vcpus_start(&m, &err);
	if (r == 0)
		vcpus_pause(&m); /* each has come as far as to stand */
	if (r == 0 && !p.no_jail)
		r = confine_calls(&err);
	if (r < 0) {
		(void)fprintf(stderr, "%s\n", err.msg);
		if (p.control_fd >= 0)
			control_reply(p.control_fd, &err);
		_exit(1); /* threads may be there */
	}
	vcpus_resume(&m);
	if (p.control_fd >= 0)
		control_reply(p.control_fd, &(struct err){0});
	run_loop(&m);
	(void)fprintf(stderr, "%s\n", m.end_reason);
	_exit(m.end == MACHINE_RESET ? 0 : 1);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A keeper without a container: starts a machine through the driver of QEMU
 * and copies its agent port to standard output, and standard input to it.
 *
 *	vm-drive kernel=FILE initramfs=FILE [memory=MIB] [vcpus=N] [disk=FILE]... [templates=DIR] [tun=FILE]
 *	         [cmdline=TEXT] [kvm=FILE]
 *
 * The first bytes from the port count as READY.  "drive: ..." on standard
 * error says what was done and how long it took.
 */
#include "base/clock.h"
#include "base/fd.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/sys.h"
#include "vm/net.h"
#include "vm/template.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

struct drive {
	struct vm_spec spec;
	int agent; /* our end */
	int templates, tun;
	int64_t began;
};

static void say(const struct drive *d, const char *what)
{
	(void)fprintf(stderr, "drive: %6.1f ms: %s\n", (double)(clock_ns(CLOCK_MONOTONIC) - d->began) / 1e6,
		      what);
}

static int open_of(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		(void)fprintf(stderr, "drive: cannot open %s: %s\n", path, err_text(errno));
	return fd;
}

static bool parse(struct drive *d, char **argv)
{
	struct vm_spec *s = &d->spec;
	uint64_t n = 0;

	for (; *argv; argv++) {
		char *value = strchr(*argv, '=');
		if (!value++)
			return false;
		if (str_starts(*argv, "kernel="))
			s->kernel_fd = open_of(value, O_RDONLY);
		else if (str_starts(*argv, "initramfs="))
			s->initramfs_fd = open_of(value, O_RDONLY);
		else if (str_starts(*argv, "kvm="))
			s->kvm_fd = open_of(value, O_RDWR);
		else if (str_starts(*argv, "templates="))
			d->templates = open_of(value, O_RDONLY | O_DIRECTORY);
		else if (str_starts(*argv, "tun="))
			d->tun = open_of(value, O_RDWR);
		else if (str_starts(*argv, "cmdline="))
			s->cmdline = value;
		else if (str_starts(*argv, "memory=") && str_to_u64(value, 10, &n) == 0)
			s->memory = n << 20;
		else if (str_starts(*argv, "vcpus=") && str_to_u64(value, 10, &n) == 0)
			s->vcpus = (unsigned)n;
		else if (str_starts(*argv, "disk=") && s->ndisks < VM_DISKS_MAX)
			s->disks[s->ndisks++] =
				(struct vm_disk){.fd = open_of(value, O_RDONLY), .readonly = true};
		else
			return false;
	}
	return s->kernel_fd >= 0 && s->initramfs_fd >= 0;
}

static int begin(struct drive *d, struct vm_template *t, struct vm *vm, struct err *err)
{
	int r = vm_template_open(t, d->templates, &hypervisor_qemu, &d->spec, err);

	if (err->code)
		(void)fprintf(stderr, "drive: no template: %s\n", err->msg);
	say(d, r == 1 ? "restoring" : t->writable ? "booting, for a template" : "booting");
	int s = hypervisor_qemu.start(&d->spec, vm, err);
	if (s < 0 && r == 1) {
		(void)fprintf(stderr, "drive: template refused: %s\n", err->msg);
		vm_template_refuse(t, &d->spec);
		s = hypervisor_qemu.start(&d->spec, vm, err);
	}
	if (s == 0)
		say(d, "started");
	return s;
}

/* Until standard input has ended and the port says no more, or the machine ends. */
static int relay(struct drive *d, struct vm_template *t, struct vm *vm, struct err *err)
{
	struct pollfd p[] = {{.fd = d->agent, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
	bool ready = d->spec.from != NULL;
	char buf[4096];

	if (ready)
		p[1].fd = 0;
	for (;;) {
		if (poll(p, 2, p[1].fd < 0 && ready ? 3000 : 120000) <= 0)
			return 0;
		if (p[0].revents) {
			ssize_t n = read(d->agent, buf, sizeof(buf));
			if (n <= 0)
				return 0;
			if (!ready) {
				say(d, "ready");
				bool kept = t->writable;
				int r = vm_template_save(t, vm, &d->spec, err);
				if (r < 0)
					return r;
				if (kept)
					say(d, "template saved");
				p[1].fd = 0;
			}
			ready = true;
			if (fd_write_all(1, buf, (size_t)n) < 0)
				return 0;
		}
		if (p[1].fd >= 0 && p[1].revents) {
			ssize_t n = read(0, buf, sizeof(buf));
			if (n <= 0)
				p[1].fd = -1;
			else if (fd_write_all(d->agent, buf, (size_t)n) < 0)
				return 0;
		}
	}
}

static int run(struct drive *d, struct err *err)
{
	struct vm_template t = {.file = -1, .memory = -1};
	struct vm_net net = {0};
	struct vm vm = {.control = -1};

	if (d->tun >= 0) {
		int r = vm_net_open(&d->tun, 1, -1, &net, err);
		if (r < 0)
			return r;
		(void)fprintf(stderr, "drive: network: %s\n", net.json);
		memcpy(d->spec.nics, net.nics, sizeof(net.nics));
		d->spec.nnics = net.n;
	}
	int r = begin(d, &t, &vm, err);
	if (r == 0)
		r = relay(d, &t, &vm, err);
	if (vm.pid > 0)
		vm.driver->stop(&vm);
	say(d, "stopped");
	vm_template_close(&t);
	vm_net_close(&net);
	return r;
}

int main(unused int argc, char **argv)
{
	struct drive d = {
		.spec = {.kernel_fd = -1, .initramfs_fd = -1, .kvm_fd = -1, .memory = 256 << 20, .vcpus = 1},
		.templates = -1,
		.tun = -1,
		.began = clock_ns(CLOCK_MONOTONIC)};
	struct err err = {0};
	int agent[2], share[2];

	if (!parse(&d, argv + 1) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, agent) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, share) < 0)
		return 2;
	(void)signal(SIGPIPE, SIG_IGN);
	d.agent = agent[0];
	d.spec.agent_fd = agent[1];
	d.spec.share_fd = share[1];
	d.spec.console_fd = 2;
	d.spec.log_fd = 2;
	d.spec.proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	d.spec.usr_tree = sys_open_tree(AT_FDCWD, "/usr", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (run(&d, &err) < 0) {
		(void)fprintf(stderr, "drive: %s\n", err.msg);
		return 1;
	}
	return 0;
}

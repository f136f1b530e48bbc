/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which hypervisor a machine gets.  QEMU, with KVM where the processor runs the
 * guest; our own monitor where coffer.toml names it.  What is named is what is
 * taken, or the start is refused with the reason.
 */
#include "isolate/vm/vm.h"

#include "base/fd.h"
#include "base/str.h"
#include "isolate/vm/guest_files.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>

char vm_monitor_program[] = "coffer-vmm";

static bool finds_qemu(void)
{
	return access("/usr/bin/" VM_QEMU, X_OK) == 0;
}

/* What is there but does not work, or is not for us, is as good as not there: -1. */
static int open_kvm(void)
{
	autoclose int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	return fd >= 0 && ioctl(fd, KVM_GET_API_VERSION, 0) == KVM_API_VERSION ? take_fd(&fd) : -1;
}

/* NULL: coffer-vmm can be the machine's hypervisor; or why not. */
static const char *why_not_monitor(enum guest_devices devices, unsigned vcpus, bool kvm)
{
#ifndef __x86_64__
	return "coffer-vmm is built for x86-64 only";
#endif
	if (!kvm)
		return "coffer-vmm works with KVM alone, and there is no /dev/kvm to be used";
	if (devices != GUEST_DEVICES_CMDLINE)
		return "the guest's kernel finds its devices by ACPI, which coffer-vmm lacks (`coffer vm "
		       "build-kernel` makes one that needs none)";
	return vcpus > VM_MONITOR_VCPUS ? "coffer-vmm has at most 32 processors" : NULL;
}

/* "auto". */
static const char *why_qemu(const struct vm_settings *s, bool kvm, bool hardware)
{
	if (streq(s->accelerator, "tcg"))
		return "coffer.toml wants emulation";
#ifndef __x86_64__
	if (kvm)
		return "coffer-vmm is built for x86-64 only";
#endif
	if (kvm)
		return hardware ? "coffer-vmm has not been seen with a container on such a machine: "
				  "coffer.toml "
				  "has to name it"
				: "/dev/kvm is there, but the processor does not run its guests";
	return "there is no /dev/kvm to be used";
}

int vm_choose(const struct vm_settings *s, enum guest_devices devices, unsigned vcpus, struct vm_choice *ret,
	      int *ret_kvm_fd, struct err *err)
{
	bool insist = streq(s->accelerator, "kvm"), hardware = kvm_is_hardware();
	bool named = !streq(s->hypervisor, "auto"), monitor = streq(s->hypervisor, "vmm");
	autoclose int kvm = streq(s->accelerator, "tcg") ? -1 : open_kvm();
	const char *why;

	if (kvm < 0 && insist)
		return err_set(err, ENODEV,
			       "coffer.toml wants vm.accelerator = \"kvm\", and /dev/kvm cannot be used");
	if (monitor && (why = why_not_monitor(devices, vcpus, kvm >= 0)) != NULL)
		return err_set(err, ENOTSUP, "coffer.toml wants vm.hypervisor = \"vmm\": %s", why);
	if (!monitor && !finds_qemu())
		return err_set(err, ENOENT,
			       "isolation level \"vm\" needs /usr/bin/" VM_QEMU
			       " here: install " VM_QEMU_PACKAGE " (apt install " VM_QEMU_PACKAGE ")");
	ret->monitor = monitor;
	ret->kvm = kvm >= 0 && (monitor || insist || hardware);
	ret->why = named ? "coffer.toml wants it" : why_qemu(s, kvm >= 0, hardware);
	if (ret_kvm_fd)
		*ret_kvm_fd = ret->kvm ? take_fd(&kvm) : -1;
	return 0;
}

int vm_choose_newest(const struct vm_settings *s, struct vm_choice *ret, struct err *err)
{
	enum guest_devices devices;
	int r = guest_files_devices(s, &devices, err);

	return r < 0 ? r : vm_choose(s, devices, s->vcpus, ret, NULL, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What level `vm` has to run on: hypervisors, the processor's help, a guest kernel. */
#include "front/cli/doctor.h"

#include "host/helper.h"
#include "isolate/machine.h"

static const char topic[] = "Virtual machines";

static void probe_hypervisors(struct findings *f, const struct kvm_answer *kvm)
{
	struct err err = {0};
	/* Only below /usr: no other directory of the host's is in a hypervisor's jail. */
	static const char qemu[] = "/usr/bin/" VM_QEMU;
	autofree char *vmm = NULL;

	if (access(qemu, X_OK) == 0)
		finding_add(f, topic, "qemu", FINDING_OK, NULL, "%s", qemu);
	else
		finding_add(f, topic, "qemu", FINDING_NOTE, "apt install " VM_QEMU_PACKAGE,
			    "not installed: without KVM, machines need it");
	if (helper_path("coffer-vmm", &vmm, &err) < 0)
		finding_add(f, topic, "coffer-vmm", FINDING_NOTE, NULL, "not installed");
	else
		finding_add(f, topic, "coffer-vmm", kvm->kind == KVM_NONE ? FINDING_NOTE : FINDING_OK, NULL,
			    "%s%s", vmm, kvm->kind == KVM_NONE ? ": works with KVM alone" : "");
}

/* What the next machine would run on, and why. */
static void probe_choice(struct findings *f, const struct kvm_answer *kvm, const struct vm_settings *settings)
{
	static const char *const advice[] = {
		[KVM_NONE] =
			"use a machine with virtualization, or nested virtualization where it is one itself",
		[KVM_EMULATED] = "use a machine with nested virtualization",
		[KVM_REAL] = NULL,
	};
	struct vm_choice choice = {0};
	struct err err = {0};
	int r = vm_choose_newest(settings, &choice, &err);

	if (r < 0)
		finding_add(f, topic, "hypervisor", FINDING_NOTE, NULL, "none: %s", err.msg);
	else
		finding_add(f, topic, "hypervisor", FINDING_OK, NULL, "%s: %s",
			    choice.monitor ? "coffer-vmm" : "qemu", choice.why);
	finding_add(f, topic, "accelerator", choice.kvm && kvm->kind == KVM_REAL ? FINDING_OK : FINDING_NOTE,
		    advice[kvm->kind], "%s: %s", kvm->why,
		    choice.kvm ? "kvm"
		    : r < 0    ? "no machine runs"
			       : "QEMU emulates (tcg), some ten times slower than a processor");
}

static void probe_guest_kernel(struct findings *f, const char *kernel)
{
#ifdef __x86_64__
	static const char advice[] = "coffer vm fetch-kernel, or coffer vm build-kernel for a faster one";
#else
	static const char advice[] = "coffer vm fetch-kernel"; /* the small one's configuration is x86-64's */
#endif
	struct guest_kernels all = {0};
	struct err err = {0};

	if (kernel)
		finding_add(f, topic, "guest kernel", access(kernel, R_OK) == 0 ? FINDING_OK : FINDING_LACK,
			    "give vm.kernel a file that can be read", "%s, of coffer.toml", kernel);
	else if (guest_kernels_list(&all, &err) < 0)
		finding_add(f, topic, "guest kernel", FINDING_NOTE, NULL, "%s", err.msg);
	else if (!all.n)
		finding_add(f, topic, "guest kernel", FINDING_NOTE, advice, "none: --isolation vm needs one");
	else
		finding_add(f, topic, "guest kernel", FINDING_OK, NULL, "%s (%s)", all.v[0].name,
			    all.v[0].release);
	guest_kernels_free(&all);
}

void probe_vm(struct findings *f, const struct vm_settings *settings)
{
	struct vm_settings complete = *settings;
	struct kvm_answer kvm;
	struct err err = {0};

	/* The file was refused already where it is wrong. */
	ignore_result(vm_settings_complete(&complete, "coffer.toml", &err) < 0);
	kvm_probe(&kvm, NULL);
	probe_hypervisors(f, &kvm);
	probe_guest_kernel(f, settings->kernel);
	probe_choice(f, &kvm, &complete);
}

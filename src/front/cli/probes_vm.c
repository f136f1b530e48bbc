/* SPDX-License-Identifier: Apache-2.0 */
/* What level `vm` has to run on: hypervisors, the processor's help, a guest kernel. */
#include "front/cli/doctor.h"

#include "host/helper.h"
#include "isolate/machine.h"

#include <sys/utsname.h>

static const char topic[] = "Virtual machines";

/* Only below /usr: no other directory of the host's is in a hypervisor's jail. */
static bool find_qemu(char *ret, size_t size)
{
	struct utsname u;

	if (uname(&u) < 0)
		return false;
	(void)snprintf(ret, size, "/usr/bin/qemu-system-%s", u.machine); /* fits */
	return access(ret, X_OK) == 0;
}

static void probe_hypervisors(struct findings *f, const struct kvm_answer *kvm)
{
	struct err err = {0};
	char qemu[128];
	autofree char *vmm = NULL;

	if (find_qemu(qemu, sizeof(qemu)))
		finding_add(f, topic, "qemu", FINDING_OK, NULL, "%s", qemu);
	else
		finding_add(f, topic, "qemu", FINDING_NOTE, "apt install qemu-system-x86",
			    "not installed: without KVM, machines need it");
	if (helper_path("coffer-vmm", &vmm, &err) < 0)
		finding_add(f, topic, "coffer-vmm", FINDING_NOTE, NULL, "not installed");
	else
		finding_add(f, topic, "coffer-vmm", kvm->kind == KVM_NONE ? FINDING_NOTE : FINDING_OK, NULL,
			    "%s%s", vmm, kvm->kind == KVM_NONE ? ": works with KVM alone" : "");
}

static void probe_accelerator(struct findings *f, const struct kvm_answer *kvm)
{
	static const struct {
		enum finding_state state;
		const char *then, *advice;
	} words[] = {
		[KVM_NONE] = {FINDING_NOTE, "QEMU emulates (tcg), some ten times slower",
			      "use a machine with virtualization, or nested virtualization where it is one "
			      "itself"},
		[KVM_EMULATED] = {FINDING_NOTE, "QEMU emulates (tcg), which is faster than that",
				  "use a machine with nested virtualization"},
		[KVM_REAL] = {FINDING_OK, "kvm", NULL},
	};

	finding_add(f, topic, "accelerator", words[kvm->kind].state, words[kvm->kind].advice, "%s: %s",
		    kvm->why, words[kvm->kind].then);
}

static void probe_guest_kernel(struct findings *f, const char *kernel)
{
	struct guest_kernels all = {0};
	struct err err = {0};

	if (kernel)
		finding_add(f, topic, "guest kernel", access(kernel, R_OK) == 0 ? FINDING_OK : FINDING_LACK,
			    "give vm.kernel a file that can be read", "%s, of coffer.toml", kernel);
	else if (guest_kernels_list(&all, &err) < 0)
		finding_add(f, topic, "guest kernel", FINDING_NOTE, NULL, "%s", err.msg);
	else if (!all.n)
		finding_add(f, topic, "guest kernel", FINDING_NOTE,
			    "coffer vm fetch-kernel, or coffer vm build-kernel for a faster one",
			    "none: --isolation vm needs one");
	else
		finding_add(f, topic, "guest kernel", FINDING_OK, NULL, "%s (%s)", all.v[0].name,
			    all.v[0].release);
	guest_kernels_free(&all);
}

void probe_vm(struct findings *f, const char *kernel)
{
	struct kvm_answer kvm;

	kvm_probe(&kvm, NULL);
	probe_hypervisors(f, &kvm);
	probe_accelerator(f, &kvm);
	probe_guest_kernel(f, kernel);
}

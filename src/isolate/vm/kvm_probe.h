/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is there a KVM, and does the processor run its guests?  Some machines, in
 * clouds without nested virtualization, have a /dev/kvm whose guests' kernel
 * mode is interpreted: slower than QEMU's own emulation, which compiles.
 */
#pragma once

#include "base/err.h"

enum kvm_kind {
	KVM_NONE,     /* no /dev/kvm, or none for us */
	KVM_EMULATED, /* it answers, and interprets */
	KVM_REAL,
};

struct kvm_answer {
	enum kvm_kind kind;
	uint32_t ns_per_instruction; /* of the loop; 0 with KVM_NONE */
	char why[160];		     /* one line, for people */
};
/*
 * A guest of a few bytes counts down in kernel mode, and is timed: about a
 * millisecond in all where KVM is real, 20 and more where not: keep the answer.  *ret_fd (may be NULL):
 * /dev/kvm, open, the caller's; -1 with KVM_NONE.
 */
void kvm_probe(struct kvm_answer *ret, int *ret_fd);

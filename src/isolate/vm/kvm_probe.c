/* SPDX-License-Identifier: Apache-2.0 */
#include "isolate/machine.h"

#include "base/clock.h"
#include "base/fd.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#ifdef __x86_64__
#include <cpuid.h>
#include <linux/kvm.h>

enum {
	CODE_AT = 0x1000,
	ROUNDS = 4000, /* of two instructions: some 10 us; 3-20 ms where they are interpreted */
	REAL_NS = 50,  /* for an instruction; what is slower is measured again */
};

bool kvm_is_hardware(void)
{
	const unsigned vmx = 1U << 5, svm = 1U << 2; /* both in ECX */
	unsigned a, b, c, d;

	if (__get_cpuid(1, &a, &b, &c, &d) && (c & vmx))
		return true;
	return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & svm);
}

/* `step`: what is tried, for `why`. */
struct trial {
	int kvm, vm, vcpu;
	void *memory;
	struct kvm_run *run;
	size_t run_len;
	const char *step;
};

static bool make_machine(struct trial *t)
{
	/* mov $ROUNDS,%ecx; 1: dec %ecx; jnz 1b; hlt; in 16-bit code, as a processor starts. */
	static const unsigned char code[] = {0x66, 0xb9, ROUNDS & 0xff, ROUNDS >> 8, 0,	  0,
					     0x66, 0x49, 0x75,		0xfc,	     0xf4};
	struct kvm_userspace_memory_region region = {.guest_phys_addr = CODE_AT, .memory_size = 4096};
	struct kvm_regs regs = {.rip = CODE_AT, .rflags = 2};
	struct kvm_sregs sregs;

	t->step = "KVM_CREATE_VM";
	t->vm = ioctl(t->kvm, KVM_CREATE_VM, 0);
	if (t->vm < 0)
		return false;
	t->step = "memory";
	t->memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (t->memory == MAP_FAILED)
		return false;
	memcpy(t->memory, code, sizeof(code));
	region.userspace_addr = (uintptr_t)t->memory;
	t->step = "KVM_SET_USER_MEMORY_REGION";
	if (ioctl(t->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return false;
	t->step = "KVM_CREATE_VCPU";
	t->vcpu = ioctl(t->vm, KVM_CREATE_VCPU, 0);
	int len = t->vcpu < 0 ? -1 : ioctl(t->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (len < (int)sizeof(*t->run))
		return false;
	t->run_len = (size_t)len;
	t->run = mmap(NULL, t->run_len, PROT_READ | PROT_WRITE, MAP_SHARED, t->vcpu, 0);
	t->step = "registers";
	if (t->run == MAP_FAILED || ioctl(t->vcpu, KVM_GET_SREGS, &sregs) < 0)
		return false;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	return ioctl(t->vcpu, KVM_SET_SREGS, &sregs) == 0 && ioctl(t->vcpu, KVM_SET_REGS, &regs) == 0;
}

static void end_machine(struct trial *t)
{
	if (t->run != MAP_FAILED)
		(void)munmap(t->run, t->run_len); /* ours */
	fd_drop(&t->vcpu);
	fd_drop(&t->vm);
	if (t->memory != MAP_FAILED)
		(void)munmap(t->memory, 4096); /* ours */
}

static bool count_down(struct trial *t, uint64_t *ret_ns)
{
	uint64_t start = (uint64_t)clock_ns(CLOCK_MONOTONIC);

	t->step = "KVM_RUN";
	/* A signal interrupts, and costs the measure little. */
	while (ioctl(t->vcpu, KVM_RUN, 0) < 0)
		if (errno != EINTR)
			return false;
	*ret_ns = (uint64_t)clock_ns(CLOCK_MONOTONIC) - start;
	if (t->run->exit_reason == KVM_EXIT_HLT)
		return true;
	errno = EIO;
	return false;
}

void kvm_probe(struct kvm_answer *ret, int *ret_fd)
{
	autoclose int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct trial t = {
		.kvm = kvm, .vm = -1, .vcpu = -1, .memory = MAP_FAILED, .run = MAP_FAILED, .step = "open"};
	uint64_t first = 0, ns = 0;

	*ret = (struct kvm_answer){0};
	if (ret_fd)
		*ret_fd = -1;
	/* The first run makes page tables; only the better one counts. */
	bool good = kvm >= 0 && make_machine(&t) && count_down(&t, &first);
	ns = first;
	if (good && first / ((uint64_t)2 * ROUNDS) >= REAL_NS) {
		struct kvm_regs again = {.rip = CODE_AT, .rflags = 2};
		uint64_t second;
		if (ioctl(t.vcpu, KVM_SET_REGS, &again) == 0 && count_down(&t, &second) && second < ns)
			ns = second;
	}
	int why = errno;
	end_machine(&t);
	if (!good) {
		(void)snprintf(ret->why, sizeof(ret->why), "/dev/kvm: %s: %s", t.step,
			       err_text(why)); /* fits */
		return;
	}
	ret->ns_per_instruction = (uint32_t)(ns / ((uint64_t)2 * ROUNDS));
	ret->kind = kvm_is_hardware() ? KVM_REAL : KVM_EMULATED;
	(void)snprintf(ret->why, sizeof(ret->why),
		       ret->kind == KVM_REAL
			       ? "/dev/kvm runs guests on the processor (%u ns an instruction)"
			       : "/dev/kvm interprets the guest's kernel mode (%u ns an instruction)",
		       ret->ns_per_instruction); /* fits */
	if (ret_fd)
		*ret_fd = take_fd(&kvm);
}
#else
/* Of other processors no machine is known whose KVM interprets. */
bool kvm_is_hardware(void)
{
	return true;
}

void kvm_probe(struct kvm_answer *ret, int *ret_fd)
{
	autoclose int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	*ret = (struct kvm_answer){.kind = kvm < 0 ? KVM_NONE : KVM_REAL};
	(void)snprintf(ret->why, sizeof(ret->why), "/dev/kvm%s%s", kvm < 0 ? ": " : " is there",
		       kvm < 0 ? err_text(errno) : ""); /* fits */
	if (ret_fd)
		*ret_fd = take_fd(&kvm);
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts without virtualization in hardware whose KVM runs the guest's ring 3
 * natively and emulates its ring 0, instruction by instruction (about 2 million
 * a second).  Such a KVM is enough to test a machine with, and slow.  It needs
 * help, which is all in this file and pvm_insn.c, and on only where the probe
 * has found such a host:
 *
 * 1. KVM_SET_CPUID2 has no effect: features that the emulator lacks are taken
 *    from the guest on its command line.
 * 2. Instructions that the emulator lacks and that cannot be taken away end in
 *    KVM_EXIT_INTERNAL_ERROR: they are done here, and the guest goes on.
 * 3. SYSCALL jumps to LSTAR without leaving ring 3, and the guest gets a page
 *    fault at LSTAR.  A hardware breakpoint on its page-fault handler lets us
 *    see it: a frame of ring 3 whose RIP is LSTAR is taken off the stack, and
 *    the processor put where SYSCALL should have led.  Any other fault goes on
 *    behind the handler's first instruction, which is done here, since the
 *    breakpoint stands on it.
 * 4. A tick of the guest's timer costs it thousands of instructions, which are
 *    milliseconds, and more of the clock's where the host is busy: ticks each
 *    10 ms can be all that it does.  So the next one of a processor that has
 *    worked for BUSY_MS without a rest comes no sooner than TICK_MS.  One that
 *    rests is woken when it asked to be.  Before the first program it is much later:
 *    a tick between the kernel's change to a better clock and its change to
 *    single ticks makes up for each that was missed, one after the other,
 *    which does not end where one costs more than its period.
 */
#include "vmm/machine.h"
#include "vmm/pvm_insn.h"

#include "base/clock.h"

#include <sys/ioctl.h>
#include <sys/resource.h>

enum {
	BUSY_MS = 20, /* of its own time */
	TICK_MS = 50,
	EARLY_TICK_MS = 1000,
	PROBE_AT = 0x1000,
	PROBE_LOOPS = 500,
	PROBE_TIMES = 3,
	PROBE_NS = 150000,
	PROBE_PORT = 0x80,
	PAGE = 4096,
	FAULT_VECTOR = 14,
	TRAP_VECTOR = 3,
	DR7_FIRST = 0x402,
	XSAVE_MXCSR = 6, /* in words of 32 bits */
	XSAVE_FEATURES = 128,
	XFEATURE_SSE = 2,
	MSR_TSC = 0x10,
	MSR_TSC_DEADLINE = 0x6e0,
	MSR_LSTAR = 0xc0000082,
	MSR_FMASK = 0xc0000084,
};

/* nokaslr-like words are not needed: addresses are found in the guest's own tables. */
const char quirks_cmdline[] =
	"noxsave nosmap nosmep clearcpuid=308,307,151,141 lpj=4600000 nopti mitigations=off noreplace-smp "
	"rcupdate.rcu_cpu_stall_suppress=1";

struct quirk_vcpu {
	uint64_t lstar, handler; /* 0: not known yet */
	uint64_t fmask;
	bool stepping; /* over the handler's first instruction */
	bool programs; /* some have run */
	long rests;    /* how often the thread has waited, when the timer was set last */
	int64_t since; /* of the thread's processor time, in ns: the first time after it had waited */
};

/* ---- the probe ---- */

static int set_flat(int vcpu_fd)
{
	const struct kvm_segment code = {
		.limit = UINT32_MAX, .selector = 8, .type = 11, .present = 1, .s = 1, .db = 1, .g = 1};
	const struct kvm_segment data = {
		.limit = UINT32_MAX, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
	const struct kvm_regs regs = {.rip = PROBE_AT, .rflags = 2};
	struct kvm_sregs s;

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &s) < 0)
		return -errno;
	s.cs = code;
	s.ds = s.es = s.ss = s.fs = s.gs = data;
	s.cr0 |= 1;
	return ioctl(vcpu_fd, KVM_SET_SREGS, &s) < 0 || ioctl(vcpu_fd, KVM_SET_REGS, &regs) < 0 ? -errno : 0;
}

int quirks_probe(const struct machine *m, bool *ret, struct err *err)
{
	/* mov ecx, PROBE_LOOPS; dec ecx; jnz -3; out PROBE_PORT, al: two instructions a loop */
	static const uint8_t code[] = {0xb9, PROBE_LOOPS & 0xff, PROBE_LOOPS >> 8, 0, 0, 0x49, 0x75, 0xfd,
				       0xe6, PROBE_PORT};
	const struct vcpu *v = &m->vcpus[0];
	uint8_t saved[sizeof(code)];
	struct kvm_sregs sregs;
	int64_t best = INT64_MAX;
	int r = 0;

	if (ioctl(v->fd, KVM_GET_SREGS, &sregs) < 0 ||
	    !memory_read(&m->memory, PROBE_AT, saved, sizeof(saved)) ||
	    !memory_write(&m->memory, PROBE_AT, code, sizeof(code)))
		return err_set(err, EIO, "cannot look at what KVM this host has");
	/* The shortest of a few: a neighbour on the processor makes it longer, nothing makes it shorter. */
	for (int i = 0; r == 0 && i < PROBE_TIMES && best > PROBE_NS; i++) {
		r = set_flat(v->fd);
		int64_t start = clock_ns(CLOCK_MONOTONIC);
		while (r == 0 && ioctl(v->fd, KVM_RUN, 0) < 0)
			r = errno == EINTR || errno == EAGAIN ? 0 : -errno;
		best = MIN_OF(best, clock_ns(CLOCK_MONOTONIC) - start);
		if (r == 0 && (v->run->exit_reason != KVM_EXIT_IO || v->run->io.port != PROBE_PORT))
			r = -EIO;
		/* The exit is finished by the next KVM_RUN, which shall do nothing else. */
		v->run->immediate_exit = 1;
		ignore_result(ioctl(v->fd, KVM_RUN, 0) == 0);
		v->run->immediate_exit = 0;
	}
	if (r < 0 || !memory_write(&m->memory, PROBE_AT, saved, sizeof(saved)) ||
	    ioctl(v->fd, KVM_SET_SREGS, &sregs) < 0)
		return err_set(err, EIO, "KVM cannot run a virtual processor (exit %u)", v->run->exit_reason);
	*ret = best > PROBE_NS;
	return 0;
}

/*
 * A write to LSTAR is an exit: the moment from which system calls may come, on each processor.  Where KVM
 * cannot do that, some exit before the first system call serves as well, with one processor for certain.
 * And one to the timer.
 */
static void watch_registers(const struct machine *m)
{
	const struct kvm_enable_cap cap = {.cap = KVM_CAP_X86_USER_SPACE_MSR,
					   .args = {KVM_MSR_EXIT_REASON_FILTER}};
	uint8_t none = 0;
	const struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
		.ranges = {{.flags = KVM_MSR_FILTER_WRITE, .nmsrs = 1, .base = MSR_LSTAR, .bitmap = &none},
			   {.flags = KVM_MSR_FILTER_WRITE,
			    .nmsrs = 1,
			    .base = MSR_TSC_DEADLINE,
			    .bitmap = &none}}};

	if (ioctl(m->vm_fd, KVM_ENABLE_CAP, &cap) == 0)
		ignore_result(ioctl(m->vm_fd, KVM_X86_SET_MSR_FILTER, &filter) < 0);
}

int quirks_vcpu(struct vcpu *v, struct err *err)
{
	if (v->number == 0)
		watch_registers(v->machine);
	v->quirk = calloc(1, sizeof(*v->quirk));
	return v->quirk ? 0 : err_oom(err);
}

/* ---- the guest's memory, by its own page tables ---- */

/* len bytes at a linear address, within a page. */
static void *at_linear(void *data, uint64_t linear, size_t len)
{
	const struct vcpu *v = data;
	struct kvm_translation t = {.linear_address = linear};

	if (linear % PAGE + len > PAGE || ioctl(v->fd, KVM_TRANSLATE, &t) < 0 || !t.valid)
		return NULL;
	return memory_at(&v->machine->memory, t.physical_address, len);
}

/* May lie across two pages.  The count of bytes that there are. */
static size_t fetch(const struct vcpu *v, uint64_t linear, uint8_t *to, size_t len)
{
	size_t done = 0;

	while (done < len) {
		size_t part = MIN_OF(len - done, (size_t)(PAGE - (linear + done) % PAGE));
		const void *p = at_linear((void *)(uintptr_t)v, linear + done, part);
		if (!p)
			break;
		memcpy(to + done, p, part);
		done += part;
	}
	return done;
}

/* ---- 3: system calls ---- */

static uint64_t read_msr(const struct vcpu *v, uint32_t index)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} c = {.head.nmsrs = 1, .entry.index = index};

	return ioctl(v->fd, KVM_GET_MSRS, &c) == 1 ? c.entry.data : 0;
}

/* When the timer may go off that the guest has set to `wanted`. */
static uint64_t next_tick(struct vcpu *v, uint64_t wanted)
{
	int khz = ioctl(v->fd, KVM_GET_TSC_KHZ, 0);
	struct rusage use;

	if (getrusage(RUSAGE_THREAD, &use) < 0 || khz <= 0 || wanted == 0)
		return wanted;
	int64_t now = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	bool rested = use.ru_nvcsw != v->quirk->rests;
	uint64_t ms = v->quirk->programs ? TICK_MS : EARLY_TICK_MS;
	if (rested) {
		v->quirk->rests = use.ru_nvcsw;
		v->quirk->since = now;
	}
	if (rested || (v->quirk->programs && now - v->quirk->since < BUSY_MS * INT64_C(1000000)))
		return wanted;
	return MAX_OF(wanted, read_msr(v, MSR_TSC) + (uint64_t)khz * ms);
}

static int on_msr_write(struct vcpu *v)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} c = {.head.nmsrs = 1, .entry = {.index = v->run->msr.index, .data = v->run->msr.data}};

	if (c.entry.index == MSR_LSTAR)
		v->quirk->handler = 0; /* looked for again */
	else
		c.entry.data = next_tick(v, c.entry.data);
	v->run->msr.error = ioctl(v->fd, KVM_SET_MSRS, &c) != 1;
	return 0;
}

static int set_debug(const struct vcpu *v, bool step)
{
	struct kvm_guest_debug d = {.control = KVM_GUESTDBG_ENABLE};

	if (step) {
		d.control |= KVM_GUESTDBG_SINGLESTEP;
	} else {
		d.control |= KVM_GUESTDBG_USE_HW_BP;
		d.arch.debugreg[0] = v->quirk->handler;
		d.arch.debugreg[7] = DR7_FIRST;
	}
	return ioctl(v->fd, KVM_SET_GUEST_DEBUG, &d) < 0 ? -errno : 0;
}

/* Once the guest has a place for system calls, its page-fault handler is the one that stays. */
void quirks_before_run(struct vcpu *v)
{
	struct quirk_vcpu *q = v->quirk;
	uint16_t gate[8];
	struct kvm_sregs s;

	if (q->handler)
		return;
	uint64_t lstar = read_msr(v, MSR_LSTAR);
	if (!lstar || ioctl(v->fd, KVM_GET_SREGS, &s) < 0 ||
	    fetch(v, s.idt.base + FAULT_VECTOR * sizeof(gate), (uint8_t *)gate, sizeof(gate)) != sizeof(gate))
		return;
	q->lstar = lstar;
	q->fmask = read_msr(v, MSR_FMASK);
	q->handler = gate[0] | (uint64_t)gate[3] << 16 | (uint64_t)gate[4] << 32 | (uint64_t)gate[5] << 48;
	if (set_debug(v, false) < 0)
		q->handler = 0;
}

#define FLAG_IF UINT64_C(0x200)
#define FLAG_RF UINT64_C(0x10000)

struct fault_frame {
	uint64_t error, rip, cs, rflags, rsp, ss;
};

static int on_debug(struct vcpu *v)
{
	struct quirk_vcpu *q = v->quirk;
	struct fault_frame f;
	struct kvm_regs r;
	uint8_t code[4];

	if (q->stepping) {
		q->stepping = false;
		return set_debug(v, false);
	}
	if (ioctl(v->fd, KVM_GET_REGS, &r) < 0 || r.rip != q->handler ||
	    fetch(v, r.rsp, (uint8_t *)&f, sizeof(f)) != sizeof(f))
		return -EIO;
	q->programs |= (f.cs & 3) == 3;
	if (f.rip == q->lstar && (f.cs & 3) == 3) {
		r.rip = q->lstar;
		r.rsp = f.rsp;
		/* The frame's flags are masked already; those of before are where SYSCALL puts them. */
		if (!(r.r11 & FLAG_IF))
			r.r11 = f.rflags | FLAG_IF; /* of which a program has always this one */
		r.rflags = (f.rflags & ~q->fmask & ~FLAG_RF) | 2;
	} else if (insn_skip_prologue(&r, code, fetch(v, r.rip, code, sizeof(code))) < 0) {
		q->stepping = true;
		return set_debug(v, true);
	}
	return ioctl(v->fd, KVM_SET_REGS, &r) < 0 ? -errno : 0;
}

/* ---- 2: instructions ---- */

static int raise_breakpoint(const struct vcpu *v)
{
	struct kvm_vcpu_events e;

	if (ioctl(v->fd, KVM_GET_VCPU_EVENTS, &e) < 0)
		return -errno;
	e.exception.injected = 1;
	e.exception.nr = TRAP_VECTOR;
	e.exception.has_error_code = 0;
	return ioctl(v->fd, KVM_SET_VCPU_EVENTS, &e) < 0 ? -errno : 0;
}

static int emulate(struct vcpu *v)
{
	struct insn_cpu c = {.at = at_linear, .data = v, .xcr0 = 1};
	uint8_t code[INSN_MAX];
	struct kvm_sregs s;
	struct kvm_xsave x;

	if (ioctl(v->fd, KVM_GET_REGS, &c.regs) < 0 || ioctl(v->fd, KVM_GET_SREGS, &s) < 0 ||
	    ioctl(v->fd, KVM_GET_XSAVE, &x) < 0)
		return -errno;
	c.mxcsr = x.region[XSAVE_MXCSR];
	c.fs = s.fs.base;
	c.gs = s.gs.base;
	insn_bind(&c);
	size_t len = fetch(v, c.regs.rip, code, sizeof(code));
	int r = insn_do(&c, code, len);
	if (r < 0) {
		char text[3 * INSN_MAX + 1] = "";
		for (size_t i = 0; i < len; i++)
			ignore_result(snprintf(text + 3 * i, 4, " %02x", code[i]) < 0);
		(void)fprintf(stderr, "KVM's emulator and coffer-vmm both lack the instruction%s\n", text);
		return r;
	}
	x.region[XSAVE_MXCSR] = c.mxcsr;
	x.region[XSAVE_FEATURES] |= XFEATURE_SSE; /* of which the register is a part */
	if (ioctl(v->fd, KVM_SET_REGS, &c.regs) < 0 ||
	    (c.mxcsr_changed && ioctl(v->fd, KVM_SET_XSAVE, &x) < 0))
		return -errno;
	return c.breakpoint ? raise_breakpoint(v) : 0;
}

int quirks_exit(struct vcpu *v)
{
	switch (v->run->exit_reason) {
	case KVM_EXIT_DEBUG:
		return on_debug(v);
	case KVM_EXIT_X86_WRMSR:
		return on_msr_write(v);
	case KVM_EXIT_INTERNAL_ERROR:
		return v->run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION ? emulate(v) : -EIO;
	default:
		return -EIO;
	}
}

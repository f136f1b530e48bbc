/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a paused machine is, beside its memory: a header, each processor, the
 * interrupt controllers, the clocks, each device, and a checksum.
 *
 * The memory is a file of its own.  It was the machine's from its start
 * (MEMORY_SHARED), so that nothing of it is copied here; who restores maps it
 * privately, and pays for the pages that it touches.  When such a machine is
 * saved in its turn, its memory is written beside the state.
 *
 * Order matters on the way back: the LAPIC before the TSC deadline, which it
 * would else forget (the guest would sleep for ever); system registers before
 * the others.
 *
 * A file that is damaged or cut short is refused by its sum and its sizes.
 * What a forged one may say ends where a guest's own bytes would: device_restore()
 * checks queues as if the driver had set them up, KVM checks the processors.
 */
#include "vmm/machine.h"

#include "base/hash.h"
#include "wire/vmm.h"

#include <sys/ioctl.h>
#include <sys/stat.h>

enum { MSRS_MAX = 256, XSAVE_SIZE = sizeof(struct kvm_xsave), MSR_TSC_DEADLINE = 0x6e0 };

struct state_header {
	char magic[8];
	uint32_t version, vcpus, devices, quirks;
	uint64_t memory;
	uint64_t size; /* of all, this and the checksum included */
};

struct saved_msrs {
	uint32_t n, zero;
	struct kvm_msr_entry v[MSRS_MAX];
};

struct saved_vcpu {
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct kvm_xsave xsave;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp_state;
	struct kvm_vcpu_events events;
	struct saved_msrs msrs;
};

struct saved_chips {
	struct kvm_irqchip irqchip[3];
	struct kvm_pit_state2 pit;
	struct kvm_clock_data clock;
};

/* A KVM call and the part of a processor that it is about, in the order of restoring. */
static const struct part {
	unsigned long get, set;
	size_t offset;
	const char *what;
} parts[] = {
	{KVM_GET_SREGS, KVM_SET_SREGS, offsetof(struct saved_vcpu, sregs), "system registers"},
	{KVM_GET_REGS, KVM_SET_REGS, offsetof(struct saved_vcpu, regs), "registers"},
	{KVM_GET_XCRS, KVM_SET_XCRS, offsetof(struct saved_vcpu, xcrs), "vector state's control"},
	{KVM_GET_XSAVE, KVM_SET_XSAVE, offsetof(struct saved_vcpu, xsave), "vector state"},
	{KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, offsetof(struct saved_vcpu, debugregs), "debug registers"},
	{KVM_GET_LAPIC, KVM_SET_LAPIC, offsetof(struct saved_vcpu, lapic), "interrupt controller"},
	{KVM_GET_MP_STATE, KVM_SET_MP_STATE, offsetof(struct saved_vcpu, mp_state), "activity"},
	{KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, offsetof(struct saved_vcpu, events), "events"},
};

static uint64_t state_sum(const void *data, size_t len)
{
	return fnv_bytes(FNV_START, data, len); /* against damage, not against forgery */
}

/* ---- registers by number ---- */

struct msr_call {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

static bool msr_one(int vcpu_fd, unsigned long call, struct kvm_msr_entry *e)
{
	struct msr_call c = {.head.nmsrs = 1, .entry = *e};

	if (ioctl(vcpu_fd, call, &c) != 1)
		return false;
	*e = c.entry;
	return true;
}

static int save_msrs(int kvm_fd, int vcpu_fd, struct saved_msrs *m, struct err *err)
{
	struct {
		struct kvm_msr_list head;
		uint32_t v[MSRS_MAX];
	} list = {.head.nmsrs = MSRS_MAX - 1};
	uint32_t n;

	if (ioctl(kvm_fd, KVM_GET_MSR_INDEX_LIST, &list) < 0)
		return err_sys(err, "cannot list the processor's registers");
	n = list.head.nmsrs;
	list.v[n++] = MSR_TSC_DEADLINE;
	for (uint32_t i = 0; i < n; i++) {
		struct kvm_msr_entry e = {.index = list.v[i]};
		bool last = i == n - 1;
		if ((last || e.index != MSR_TSC_DEADLINE) && msr_one(vcpu_fd, KVM_GET_MSRS, &e))
			m->v[m->n++] = e;
	}
	return 0;
}

static int save_vcpu(const struct machine *m, const struct vcpu *v, struct state_writer *w, struct err *err)
{
	autofree struct saved_vcpu *s = calloc(1, sizeof(*s));

	if (!s)
		return err_oom(err);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (ioctl(v->fd, parts[i].get, (char *)s + parts[i].offset) < 0)
			return err_sys(err, "cannot read virtual processor %u's %s", v->number,
				       parts[i].what);
	int r = save_msrs(m->kvm_fd, v->fd, &s->msrs, err);
	if (r == 0)
		state_put(w, s, sizeof(*s));
	return r;
}

static int restore_vcpu(const struct vcpu *v, struct state_reader *r, struct err *err)
{
	autofree struct saved_vcpu *s = calloc(1, sizeof(*s));

	if (!s)
		return err_oom(err);
	if (!state_get(r, s, sizeof(*s)) || s->msrs.n > MSRS_MAX)
		return err_set(err, EBADMSG, "the snapshot is cut short");
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (ioctl(v->fd, parts[i].set, (char *)s + parts[i].offset) < 0)
			return err_sys(err, "cannot set virtual processor %u's %s", v->number, parts[i].what);
	/* One that cannot be set had no other value: those are of the host. */
	for (uint32_t i = 0; i < s->msrs.n; i++)
		ignore_result(msr_one(v->fd, KVM_SET_MSRS, &s->msrs.v[i]));
	return 0;
}

/* ---- what all processors share ---- */

static int save_chips(const struct machine *m, struct state_writer *w, struct err *err)
{
	struct saved_chips c = {0};

	for (uint32_t i = 0; i < ARRAY_LEN(c.irqchip); i++) {
		c.irqchip[i].chip_id = i;
		if (ioctl(m->vm_fd, KVM_GET_IRQCHIP, &c.irqchip[i]) < 0)
			return err_sys(err, "cannot read an interrupt controller");
	}
	if (ioctl(m->vm_fd, KVM_GET_PIT2, &c.pit) < 0 || ioctl(m->vm_fd, KVM_GET_CLOCK, &c.clock) < 0)
		return err_sys(err, "cannot read the machine's clocks");
	state_put(w, &c, sizeof(c));
	return 0;
}

static int restore_chips(const struct machine *m, struct state_reader *r, struct err *err)
{
	struct saved_chips c;

	if (!state_get(r, &c, sizeof(c)))
		return err_set(err, EBADMSG, "the snapshot is cut short");
	for (uint32_t i = 0; i < ARRAY_LEN(c.irqchip); i++) {
		c.irqchip[i].chip_id = i;
		if (ioctl(m->vm_fd, KVM_SET_IRQCHIP, &c.irqchip[i]) < 0)
			return err_sys(err, "cannot set an interrupt controller");
	}
	/* The guest's clock goes on from where it stood; flags tell of the host's clocks at that time. */
	c.clock.flags = 0;
	if (ioctl(m->vm_fd, KVM_SET_PIT2, &c.pit) < 0 || ioctl(m->vm_fd, KVM_SET_CLOCK, &c.clock) < 0)
		return err_sys(err, "cannot set the machine's clocks");
	return 0;
}

static struct state_header header_of(const struct machine *m)
{
	return (struct state_header){.magic = {'C', 'O', 'F', 'F', 'E', 'R', 'V', 'M'},
				     .version = VMM_STATE_VERSION,
				     .vcpus = m->nvcpus,
				     .devices = m->ndevices,
				     .quirks = m->quirks,
				     .memory = m->memory.size};
}

static int write_state(struct str *s, int fd, uint64_t at, struct err *err)
{
	uint64_t size = s->len + sizeof(uint64_t), sum;

	memcpy(s->s + offsetof(struct state_header, size), &size, sizeof(size));
	sum = state_sum(s->s, s->len);
	str_put_n(s, &sum, sizeof(sum));
	if (s->failed)
		return err_oom(err);
	int r = at > INT64_MAX || lseek(fd, (off_t)at, SEEK_SET) < 0 ? -EINVAL
								     : fd_write_all(fd, s->s, s->len);
	return r < 0 ? err_num(err, r, "cannot write the snapshot") : 0;
}

/* The whole of it, its sum checked; the caller frees *ret. */
static int read_state(int fd, uint64_t at, char **ret, size_t *ret_len, struct err *err)
{
	struct state_header h;
	uint64_t sum;

	if (at > INT64_MAX || pread(fd, &h, sizeof(h), (off_t)at) != sizeof(h) || h.size > STATE_MAX ||
	    h.size < sizeof(h) + sizeof(sum))
		return err_set(err, EBADMSG, "the snapshot is none, or cut short");
	autofree char *text = malloc(h.size);
	if (!text)
		return err_oom(err);
	if (lseek(fd, (off_t)at, SEEK_SET) < 0 || fd_read_full(fd, text, h.size) != (ssize_t)h.size)
		return err_set(err, EBADMSG, "the snapshot is cut short");
	memcpy(&sum, text + h.size - sizeof(sum), sizeof(sum));
	if (sum != state_sum(text, h.size - sizeof(sum)))
		return err_set(err, EBADMSG, "the snapshot is damaged");
	*ret_len = h.size - sizeof(sum);
	*ret = take_ptr(&text);
	return 0;
}

static int write_memory(const struct guest_memory *m, int fd, uint64_t at, struct err *err)
{
	uint64_t end;

	if (__builtin_add_overflow(at, m->size, &end) || end > INT64_MAX)
		return err_set(err, EINVAL, "the machine's memory has no place in the file");
	int r = fd_write_sparse(fd, (off_t)at, m->base, m->size);
	return r < 0 ? err_num(err, r, "cannot write the machine's memory") : 0;
}

int snapshot_save(struct machine *m, int fd, uint64_t at, uint64_t memory_at, struct err *err)
{
	struct state_writer w = {0};
	const struct state_header h = header_of(m);

	if (!memory_at && m->memory.kind != MEMORY_SHARED)
		return err_set(err, EINVAL, "the machine's memory is in no file that could be kept");
	state_put(&w, &h, sizeof(h));
	int r = 0;
	for (unsigned i = 0; r == 0 && i < m->nvcpus; i++)
		r = save_vcpu(m, &m->vcpus[i], &w, err);
	if (r == 0)
		r = save_chips(m, &w, err);
	for (unsigned i = 0; r == 0 && i < m->ndevices; i++)
		device_save(m->devices[i], &w);
	if (r == 0)
		r = w.bytes.failed ? err_oom(err) : write_state(&w.bytes, fd, at, err);
	if (r == 0 && memory_at)
		r = write_memory(&m->memory, fd, memory_at, err);
	str_free(&w.bytes);
	return r;
}

int snapshot_restore(struct machine *m, int fd, uint64_t at, struct err *err)
{
	struct state_header h, mine = header_of(m);
	autofree char *text = NULL;
	size_t len = 0;

	int r = read_state(fd, at, &text, &len, err);
	if (r < 0)
		return r;
	struct state_reader s = {text, len};
	mine.size = len + sizeof(uint64_t);
	if (!state_get(&s, &h, sizeof(h)) || memcmp(&h, &mine, sizeof(h)) != 0)
		return err_set(err, EBADMSG,
			       "the snapshot is of another machine, or of another version of coffer");
	for (unsigned i = 0; r == 0 && i < m->nvcpus; i++)
		r = restore_vcpu(&m->vcpus[i], &s, err);
	if (r == 0)
		r = restore_chips(m, &s, err);
	for (unsigned i = 0; r == 0 && i < m->ndevices; i++)
		r = device_restore(m->devices[i], &s, err);
	if (r == 0 && s.left)
		r = err_set(err, EBADMSG, "the snapshot is longer than it should be");
	return r;
}

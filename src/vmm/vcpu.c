/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of the virtual processors.
 *
 * A pause must not tear an instruction apart: an access that went out as an
 * exit is finished by KVM at the next KVM_RUN only.  So each processor is sent
 * once more into KVM_RUN with `immediate_exit` set, which finishes what is
 * under way, runs nothing, and comes back; then it parks.  The flag is set
 * before the signal is sent: wherever the thread is, one of the two stops it.
 */
#include "vmm/machine.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/eventfd.h>

enum { KICK = SIGUSR1 };

static void on_kick_signal(unused int sig)
{
}

void machine_stop(struct machine *m, enum machine_end end, const char *fmt, ...)
{
	va_list ap;

	(void)pthread_mutex_lock(&m->lock);
	if (m->end == MACHINE_RUNS) {
		m->end = end;
		va_start(ap, fmt);
		ignore_result(vsnprintf(m->end_reason, sizeof(m->end_reason), fmt, ap) < 0);
		va_end(ap);
		ignore_result(eventfd_write(m->end_fd, 1) < 0);
	}
	(void)pthread_mutex_unlock(&m->lock);
}

/* Stands still while the machine is paused.  false: it has ended. */
static bool park(struct vcpu *v)
{
	struct machine *m = v->machine;

	(void)pthread_mutex_lock(&m->lock);
	while (m->paused && m->end == MACHINE_RUNS) {
		v->parked = true;
		(void)pthread_cond_broadcast(&m->changed);
		(void)pthread_cond_wait(&m->changed, &m->lock);
	}
	v->parked = false;
	bool on = m->end == MACHINE_RUNS;
	(void)pthread_mutex_unlock(&m->lock);
	return on;
}

static void on_mmio(struct vcpu *v)
{
	struct machine *m = v->machine;
	struct kvm_run *run = v->run;
	uint64_t at = run->mmio.phys_addr - MACHINE_MMIO;
	uint32_t len = MIN_OF(run->mmio.len, 8U);

	if (at / MMIO_SIZE >= m->ndevices) {
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data)); /* nobody is there */
		return;
	}
	struct device *d = m->devices[at / MMIO_SIZE];
	if (run->mmio.is_write)
		device_mmio_write(d, at % MMIO_SIZE, run->mmio.data, len);
	else
		device_mmio_read(d, at % MMIO_SIZE, run->mmio.data, len);
}

static bool on_io(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	unsigned char *data = (unsigned char *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_IN)
			legacy_read(run->io.port, data, run->io.size);
		else if (!legacy_write(v->machine, run->io.port, data, run->io.size))
			return false;
	}
	return true;
}

/* false: the machine has ended. */
static bool on_exit_of(struct vcpu *v)
{
	struct machine *m = v->machine;
	struct kvm_run *run = v->run;
	struct kvm_regs regs = {0};

	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		on_mmio(v);
		return true;
	case KVM_EXIT_IO:
		if (on_io(v))
			return true;
		machine_stop(m, MACHINE_RESET, "the guest's kernel has ended");
		return false;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return true;
	case KVM_EXIT_SHUTDOWN:
		machine_stop(m, MACHINE_RESET, "the guest's processor has shut down");
		return false;
	case KVM_EXIT_SYSTEM_EVENT:
		machine_stop(m, MACHINE_RESET, "the guest's kernel has ended");
		return false;
	default:
		break;
	}
	if (v->quirk && quirks_exit(v) == 0)
		return true;
	ignore_result(ioctl(v->fd, KVM_GET_REGS, &regs) < 0); /* for the message alone */
	machine_stop(m, MACHINE_FAILED, "KVM cannot go on: exit %u, error %u, at 0x%llx", run->exit_reason,
		     run->exit_reason == KVM_EXIT_INTERNAL_ERROR ? run->internal.suberror : 0,
		     (unsigned long long)regs.rip);
	return false;
}

static void *vcpu_main(void *arg)
{
	struct vcpu *v = arg;

	for (bool on = true; on;) {
		if (v->quirk)
			quirks_before_run(v);
		int r = ioctl(v->fd, KVM_RUN, 0);
		if (r == 0) {
			on = on_exit_of(v);
			continue;
		}
		if (errno == EINTR) {
			if (__atomic_load_n(&v->run->immediate_exit, __ATOMIC_ACQUIRE))
				on = park(v);
			continue;
		}
		if (errno == EAGAIN)
			continue;
		machine_stop(v->machine, MACHINE_FAILED, "KVM_RUN: %s", err_text(errno));
		on = false;
	}
	return NULL;
}

int vcpus_start(struct machine *m, struct err *err)
{
	struct sigaction a = {.sa_handler = on_kick_signal};
	pthread_attr_t attr;
	int r = 0;

	if (sigaction(KICK, &a, NULL) < 0)
		return err_sys(err, "cannot set a signal's handler");
	(void)pthread_attr_init(&attr); /* cannot fail here */
	(void)pthread_attr_setstacksize(&attr, 128 << 10);
	for (unsigned i = 0; r == 0 && i < m->nvcpus; i++)
		r = pthread_create(&m->vcpus[i].thread, &attr, vcpu_main, &m->vcpus[i]);
	(void)pthread_attr_destroy(&attr);
	return r ? err_num(err, r, "cannot start the thread of a virtual processor") : 0;
}

void vcpus_pause(struct machine *m)
{
	(void)pthread_mutex_lock(&m->lock);
	m->paused = true;
	for (unsigned i = 0; i < m->nvcpus; i++) {
		__atomic_store_n(&m->vcpus[i].run->immediate_exit, 1, __ATOMIC_RELEASE);
		(void)pthread_kill(m->vcpus[i].thread,
				   KICK); /* a thread that has ended: so has the machine */
	}
	for (unsigned i = 0; i < m->nvcpus && m->end == MACHINE_RUNS;)
		if (m->vcpus[i].parked)
			i++;
		else
			(void)pthread_cond_wait(&m->changed, &m->lock);
	(void)pthread_mutex_unlock(&m->lock);
}

void vcpus_resume(struct machine *m)
{
	(void)pthread_mutex_lock(&m->lock);
	m->paused = false;
	for (unsigned i = 0; i < m->nvcpus; i++)
		__atomic_store_n(&m->vcpus[i].run->immediate_exit, 0, __ATOMIC_RELEASE);
	(void)pthread_cond_broadcast(&m->changed);
	(void)pthread_mutex_unlock(&m->lock);
}

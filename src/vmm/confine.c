/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the monitor may still ask of the host once the guest runs: nothing
 * that opens, maps files, makes processes or sockets.  The filter is for all
 * threads, of which the last was made before.
 *
 * Of ioctl the numbers are named: what a processor's thread and a snapshot
 * need of KVM, and the two of a tap.  Another architecture, and x32, kill.
 */
#include "vmm/machine.h"

#include "host/allowlist.h"

#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

/* clang-format off */
static const uint16_t calls[] = {
	SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_preadv, SYS_pwritev, SYS_pwrite64, SYS_fdatasync,
	SYS_recvmsg, SYS_sendmsg, SYS_sendto, SYS_poll, SYS_epoll_wait, SYS_epoll_ctl, SYS_futex,
	SYS_madvise, SYS_mprotect, SYS_munmap, SYS_brk, SYS_close, SYS_getrandom, SYS_rt_sigreturn,
	SYS_rt_sigprocmask, SYS_tgkill, SYS_getpid, SYS_gettid, SYS_ftruncate, SYS_lseek, SYS_exit,
	SYS_exit_group, SYS_clock_gettime, SYS_getrusage, SYS_restart_syscall, SYS_clock_nanosleep, SYS_rseq,
	SYS_sched_yield, SYS_fcntl,
};
/* clang-format on */

static const uint32_t ioctls[] = {
	(uint32_t)KVM_RUN,
	(uint32_t)KVM_GET_REGS,
	(uint32_t)KVM_SET_REGS,
	(uint32_t)KVM_GET_SREGS,
	(uint32_t)KVM_SET_SREGS,
	(uint32_t)KVM_GET_MSRS,
	(uint32_t)KVM_SET_MSRS,
	(uint32_t)KVM_SET_XSAVE,
	(uint32_t)KVM_GET_XSAVE,
	(uint32_t)KVM_GET_XCRS,
	(uint32_t)KVM_GET_DEBUGREGS,
	(uint32_t)KVM_GET_LAPIC,
	(uint32_t)KVM_GET_MP_STATE,
	(uint32_t)KVM_GET_VCPU_EVENTS,
	(uint32_t)KVM_SET_VCPU_EVENTS,
	(uint32_t)KVM_GET_IRQCHIP,
	(uint32_t)KVM_GET_PIT2,
	(uint32_t)KVM_GET_CLOCK,
	(uint32_t)KVM_GET_TSC_KHZ,
	(uint32_t)KVM_SET_GUEST_DEBUG,
	(uint32_t)KVM_TRANSLATE,
	(uint32_t)KVM_GET_MSR_INDEX_LIST,
	(uint32_t)TUNSETOFFLOAD,
};

int confine_privileges(struct err *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 ||
	    syscall(SYS_capset, &head, none) < 0)
		return err_sys(err, "coffer-vmm cannot give up its privileges");
	return 0;
}

int confine_calls(struct err *err)
{
	const struct allowlist a = {
		.calls = calls,
		.ncalls = ARRAY_LEN(calls),
		.ioctls = ioctls,
		.nioctls = ARRAY_LEN(ioctls),
		.otherwise = SECCOMP_RET_KILL_PROCESS,
		.other_ioctl = SECCOMP_RET_KILL_PROCESS,
		.all_threads = true,
	};
	struct tm ignored;

	/* The C library looks for the time zone's file the first time: the clock chip would be killed for it.
	 */
	(void)gmtime_r(&(time_t){0}, &ignored);
	int r = allowlist_install(&a, err);
	return r < 0 ? err_prefix(err, "coffer-vmm cannot confine itself") : 0;
}

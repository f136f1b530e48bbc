/* SPDX-License-Identifier: Apache-2.0 */
/* The boundary: what the stubs' filter says, by running its instructions over calls and arguments. */
#include "../test.h"

#include "sentry/call.h"
#include "sentry/platform/platform_int.h"
#include "sentry/platform/site.h"
#include "sentry/sys/profile.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* A table of one row of each kind and the guarded ones. */
static int restricted = -1; /* the one call that the configuration's profile does not let pass */

bool profile_restricts(int nr)
{
	return nr == restricted;
}

static const struct call_row rows[512] = {
	[SYS_read] = {.name = "read", .route = ROUTE_TRAP},
	[SYS_pread64] = {.name = "pread64", .route = ROUTE_TRAP},
	[SYS_pwrite64] = {.name = "pwrite64", .route = ROUTE_TRAP},
	[SYS_lseek] = {.name = "lseek", .route = ROUTE_TRAP},
	[SYS_write] = {.name = "write", .route = ROUTE_TRAP},
	[SYS_readv] = {.name = "readv", .route = ROUTE_TRAP},
	[SYS_writev] = {.name = "writev", .route = ROUTE_TRAP},
	[SYS_recvfrom] = {.name = "recvfrom", .route = ROUTE_TRAP},
	[SYS_sendto] = {.name = "sendto", .route = ROUTE_TRAP},
	[SYS_epoll_wait] = {.name = "epoll_wait", .route = ROUTE_TRAP},
	[SYS_epoll_ctl] = {.name = "epoll_ctl", .route = ROUTE_TRAP},
	[SYS_getpid] = {.name = "getpid", .route = ROUTE_NATIVE},
	[SYS_mount] = {.name = "mount", .route = ROUTE_REFUSED, .error = EPERM},
	[SYS_execve] = {.name = "execve", .route = ROUTE_TRAP},
	[SYS_mmap] = {.name = "mmap", .route = ROUTE_GUARDED},
	[SYS_madvise] = {.name = "madvise", .route = ROUTE_GUARDED},
	[SYS_futex] = {.name = "futex", .route = ROUTE_GUARDED},
	[SYS_clone] = {.name = "clone", .route = ROUTE_GUARDED},
	[SYS_waitid] = {.name = "waitid", .route = ROUTE_GUARDED},
	[SYS_prctl] = {.name = "prctl", .route = ROUTE_GUARDED},
};

int call_count(void)
{
	return (int)ARRAY_LEN(rows);
}

const struct call_row *call_row(int nr)
{
	return nr >= 0 && nr < call_count() && rows[nr].name ? &rows[nr] : NULL;
}

/* As linux/Documentation/networking/filter.rst has it; only what seccomp allows and filter.c uses. */
static uint32_t run(const struct sock_fprog *p, const struct seccomp_data *data)
{
	uint32_t a = 0;
	for (size_t pc = 0; pc < p->len; pc++) {
		const struct sock_filter *i = &p->filter[pc];
		bool yes;
		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			CHECK(i->k % 4 == 0 && i->k + 4 <= sizeof(*data));
			memcpy(&a, (const char *)data + i->k, 4);
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			continue;
		case BPF_RET | BPF_K:
			return i->k;
		case BPF_JMP | BPF_JA:
			pc += i->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == i->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= i->k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			yes = a & i->k;
			break;
		default:
			CHECK(!"an instruction that the filter should not have");
			return 0;
		}
		pc += yes ? i->jt : i->jf;
	}
	CHECK(!"past the end");
	return 0;
}

static struct sock_fprog filter;

#define VERDICT(number, ...)                                                                                 \
	run(&filter,                                                                                         \
	    &(struct seccomp_data){.nr = (int)(number), .arch = AUDIT_ARCH_X86_64, .args = {__VA_ARGS__}})

static const uint32_t pass = SECCOMP_RET_ALLOW, ask = SECCOMP_RET_USER_NOTIF, trace = SECCOMP_RET_TRACE,
		      end = SECCOMP_RET_KILL_PROCESS;

static void test_routes(void)
{
	CHECK(VERDICT(SYS_getpid) == pass);
	CHECK(VERDICT(SYS_read) == ask);
	CHECK(VERDICT(SYS_mount) == (SECCOMP_RET_ERRNO | EPERM));
	CHECK(VERDICT(SYS_execve) == trace && VERDICT(SYS_execveat) == trace && VERDICT(SYS_clone3) == trace);
	/* No row, beyond the table, no number at all. */
	CHECK(VERDICT(SYS_write) == ask && VERDICT(511) == ask && VERDICT(512) == ask &&
	      VERDICT(100000) == ask);
	CHECK(VERDICT(0x3fffffff) == ask && VERDICT(-1) == ask && VERDICT(-2) == ask &&
	      VERDICT(INT32_MIN) == ask);
	CHECK(VERDICT(SYS_prctl, 15) == ask); /* guarded by no rule that the filter knows */
}

static void test_architectures(void)
{
	CHECK(VERDICT(0x40000000 | SYS_getpid) == end && VERDICT(0x40000000 | 520) == end);
	CHECK(VERDICT(0x7fffffff) == end);
	struct seccomp_data i386 = {.nr = 20, .arch = AUDIT_ARCH_I386};
	CHECK(run(&filter, &i386) == end);
}

static void test_mmap(void)
{
	const uint64_t anon = MAP_PRIVATE | MAP_ANONYMOUS;
	CHECK(VERDICT(SYS_mmap, 0, 4096, 3, anon, -1, 0) == pass);
	CHECK(VERDICT(SYS_mmap, 0, 4096, 3, anon | MAP_FIXED | MAP_NORESERVE, 5, 0) == pass);
	CHECK(VERDICT(SYS_mmap, 0, 4096, 3, MAP_PRIVATE, 63, 0) == ask);
	CHECK(VERDICT(SYS_mmap, 0, 4096, 3, MAP_SHARED, -1, 0) == ask);
	CHECK(VERDICT(SYS_mmap, 0, 4096, 3, anon | MAP_HUGETLB, -1, 0) == ask);
	CHECK(VERDICT(SYS_mmap, 0, 4096, 3, anon | UINT64_C(1) << 31, -1, 0) == ask);
	CHECK(VERDICT(SYS_mmap, 0, 4096, 3, anon | UINT64_C(1) << 32, -1, 0) == ask);
	CHECK(VERDICT(SYS_mmap, 0, 4096, 3, anon << 32, -1, 0) == ask);
}

static void test_clone(void)
{
	const uint64_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
				CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
	CHECK(VERDICT(SYS_clone, thread) == pass && VERDICT(SYS_clone, SIGCHLD) == pass);
	const uint64_t never[] = {CLONE_NEWNS,	CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,   CLONE_NEWUSER,
				  CLONE_NEWPID, CLONE_NEWNET,	 CLONE_PTRACE, CLONE_UNTRACED, CLONE_PIDFD};
	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		CHECK(VERDICT(SYS_clone, never[i] | SIGCHLD) == trace &&
		      VERDICT(SYS_clone, never[i] | thread) == trace);
}

static void test_others(void)
{
	CHECK(VERDICT(SYS_madvise, 0, 4096, MADV_DONTNEED) == pass);
	CHECK(VERDICT(SYS_madvise, 0, 4096, MADV_MERGEABLE) == ask &&
	      VERDICT(SYS_madvise, 0, 4096, MADV_HWPOISON) == ask);
	CHECK(VERDICT(SYS_futex, 0, FUTEX_WAIT_PRIVATE) == pass);
	CHECK(VERDICT(SYS_futex, 0, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME) == pass);
	CHECK(VERDICT(SYS_futex, 0, FUTEX_WAIT_REQUEUE_PI) == ask &&
	      VERDICT(SYS_futex, 0, FUTEX_CMP_REQUEUE_PI) == ask);
	CHECK(VERDICT(SYS_futex, 0, 1 << 20) == ask);
	CHECK(VERDICT(SYS_waitid, 0) == pass && VERDICT(SYS_waitid, 3) == ask);
}

static uint64_t shadow_of(int nr, unsigned kind)
{
	return (uint64_t)(SHADOW_MARK + (uint32_t)nr) << 32 | (SHADOW_BASE + kind * SHADOW_MAX + 3);
}

/* Files are written only by shadows for that, sockets never reached with an address or another flag. */
static void test_kinds(uint32_t none)
{
	static const int of_sockets[] = {SYS_write, SYS_writev, SYS_readv, SYS_recvfrom, SYS_sendto};
	static const int writers[] = {SYS_write, SYS_writev, SYS_pwrite64};
	static const int others[] = {SYS_read, SYS_readv, SYS_pread64, SYS_lseek, SYS_recvfrom, SYS_sendto};
	static const int never[] = {SYS_sendmsg, SYS_recvmsg, SYS_sendmmsg, SYS_ioctl,	  SYS_setsockopt,
				    SYS_connect, SYS_accept4, SYS_dup,	    SYS_pwritev,  SYS_splice,
				    SYS_fcntl,	 SYS_bind,    SYS_shutdown, SYS_sendfile, SYS_preadv};
	CHECK(VERDICT(SYS_pread64, shadow_of(SYS_pread64, SHADOW_FILE)) == pass);
	CHECK(VERDICT(SYS_lseek, shadow_of(SYS_lseek, SHADOW_SOCKET)) == none);
	for (size_t i = 0; i < ARRAY_LEN(of_sockets); i++) {
		CHECK(VERDICT(of_sockets[i], shadow_of(of_sockets[i], SHADOW_FILE)) == none);
		CHECK(VERDICT(of_sockets[i], shadow_of(of_sockets[i], SHADOW_SOCKET)) == pass);
		CHECK(VERDICT(of_sockets[i], SHADOW_BASE + SHADOW_MAX) == ask);
	}
	for (size_t i = 0; i < ARRAY_LEN(writers); i++) {
		CHECK(VERDICT(writers[i], shadow_of(writers[i], SHADOW_WRITTEN)) == pass);
		CHECK(VERDICT(writers[i], shadow_of(writers[i], SHADOW_FILE)) == none);
		CHECK(VERDICT(writers[i], shadow_of(writers[i], SHADOW_EPOLL)) == none);
		CHECK(VERDICT(writers[i], SHADOW_BASE + SHADOW_WRITTEN * SHADOW_MAX) == ask);
	}
	CHECK(VERDICT(SYS_pwrite64, shadow_of(SYS_pwrite64, SHADOW_SOCKET)) == none);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		CHECK(VERDICT(others[i], shadow_of(others[i], SHADOW_WRITTEN)) == none);
	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		CHECK(VERDICT(never[i], shadow_of(never[i], SHADOW_SOCKET)) == ask);
	const uint64_t from = shadow_of(SYS_recvfrom, SHADOW_SOCKET),
		       to = shadow_of(SYS_sendto, SHADOW_SOCKET);
	CHECK(VERDICT(SYS_recvfrom, from, 0, 0, MSG_PEEK | MSG_DONTWAIT) == pass);
	CHECK(VERDICT(SYS_recvfrom, from, 0, 0, MSG_ERRQUEUE) == none);
	CHECK(VERDICT(SYS_recvfrom, from, 0, 0, 0, 1) == none);
	CHECK(VERDICT(SYS_recvfrom, from, 0, 0, 0, UINT64_C(1) << 32) == none);
	CHECK(VERDICT(SYS_sendto, to, 0, 0, MSG_NOSIGNAL) == pass);
	CHECK(VERDICT(SYS_sendto, to, 0, 0, MSG_OOB) == none &&
	      VERDICT(SYS_sendto, to, 0, 0, MSG_FASTOPEN) == none);
	CHECK(VERDICT(SYS_sendto, to, 0, 0, 0, 1) == none);
	const uint64_t set = shadow_of(SYS_epoll_ctl, SHADOW_EPOLL), socket = SHADOW_BASE + SHADOW_MAX;
	CHECK(VERDICT(SYS_epoll_wait, shadow_of(SYS_epoll_wait, SHADOW_EPOLL)) == pass);
	CHECK(VERDICT(SYS_epoll_wait, shadow_of(SYS_epoll_wait, SHADOW_SOCKET)) == none);
	CHECK(VERDICT(SYS_epoll_wait, SHADOW_BASE + SHADOW_EPOLL * SHADOW_MAX) == ask);
	CHECK(VERDICT(SYS_epoll_ctl, set, 1, socket) == pass);
	CHECK(VERDICT(SYS_epoll_ctl, set, 1, socket + SHADOW_MAX) == none);
	CHECK(VERDICT(SYS_epoll_ctl, set, 1, socket - 1) == none &&
	      VERDICT(SYS_epoll_ctl, set, 1, 3) == none);
	CHECK(VERDICT(SYS_epoll_ctl, shadow_of(SYS_epoll_ctl, SHADOW_SOCKET), 1, socket) == none);
	CHECK(VERDICT(SYS_epoll_ctl, 5, 1, socket) == ask);
}

/* What only slots say, of descriptors that the sentry has put there. */
static void test_shadows(void)
{
	const uint64_t mark = (uint64_t)(SHADOW_MARK + SYS_read) << 32;
	const uint32_t none = SECCOMP_RET_ERRNO | EBADF;
	CHECK(VERDICT(SYS_read, mark | SHADOW_BASE) == pass);
	CHECK(VERDICT(SYS_read, mark | (SHADOW_BASE + SHADOW_WRITTEN * SHADOW_MAX - 1)) == pass);
	CHECK(VERDICT(SYS_read, mark | (SHADOW_BASE + SHADOW_WRITTEN * SHADOW_MAX)) == none);
	CHECK(VERDICT(SYS_read, mark | (SHADOW_BASE - 1)) == none && VERDICT(SYS_read, mark) == none);
	CHECK(VERDICT(SYS_read, mark | UINT32_MAX) == none && VERDICT(SYS_read, SHADOW_BASE) == ask);
	CHECK(VERDICT(SYS_read, (mark + (UINT64_C(1) << 32)) | SHADOW_BASE) == ask);
	CHECK(VERDICT(SYS_write, mark | SHADOW_BASE) == ask);
	test_kinds(none);
	free(filter.filter);
	struct err err = {0};
	CHECK(filter_build(false, false, &filter, &err) == 0);
	CHECK(VERDICT(SYS_read, mark | SHADOW_BASE) == ask);
}

/* What the profile restricts comes to the sentry, though the host could answer. */
static void test_profile(void)
{
	const struct seccomp_data getpid = {.nr = SYS_getpid, .arch = AUDIT_ARCH_X86_64};
	const struct seccomp_data mount = {.nr = SYS_mount, .arch = AUDIT_ARCH_X86_64};

	CHECK(run(&filter, &getpid) == SECCOMP_RET_USER_NOTIF);
	CHECK(run(&filter, &mount) == (SECCOMP_RET_ERRNO | EPERM));
}

int main(void)
{
	struct err err = {0};
	CHECK(filter_build(false, true, &filter, &err) == 0);
	test_routes();
	test_architectures();
	test_mmap();
	test_clone();
	test_others();
	test_shadows();
	free(filter.filter);
	restricted = SYS_getpid;
	CHECK(filter_build(false, true, &filter, &err) == 0);
	test_profile();
	free(filter.filter);
	return test_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Call sites and their slots, by running them: a function with a site is
 * patched and called; and it is stopped behind each of its instructions,
 * taken out of the slot, and must come to the same result.
 */
#include "../test.h"

#include "base/base.h"
#include "sentry/platform/site.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, STEPS_MAX = 200, NUMBER = 5, OTHER_WAY = 99 };

typedef long function(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g);

static unsigned char *area; /* a function; on the next page data and slot */
static char buf[8];

static struct site_data *data(void)
{
	return (struct site_data *)(area + PAGE);
}

/* Puts code into place and patches the call that ends at `end`; false = there is no site. */
static bool patch(const unsigned char *code, size_t n, size_t end, int nr, struct site *s)
{
	unsigned char bytes[SITE_BEFORE], slot[SITE_SLOT], jump[SITE_JUMP];
	memset(area, 0x90, PAGE);
	memset(data(), 0, sizeof(*data()));
	memcpy(area + SITE_BEFORE, code, n);
	memcpy(bytes, area + end, SITE_BEFORE);
	if (!site_find(bytes, (uint64_t)(area + SITE_BEFORE + end), nr, s))
		return false;
	s->slot = (uint64_t)(area + PAGE + 1024);
	CHECK(site_code(s, (uint64_t)data(), bytes, slot, jump));
	memcpy(area + PAGE + 1024, slot, s->size);
	memcpy((void *)s->at, jump, sizeof(jump)); // NOLINT: an address of ours
	memcpy(bytes, area + end, SITE_BEFORE);
	CHECK(site_is_patched(s, bytes));
	return true;
}

static long run(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	function *f = (function *)(area + SITE_BEFORE);
	return f(a, b, c, d, 0, 0, 0);
}

/* In a child that is stopped after `steps` instructions, or wherever it is then, and taken out of the slot.
 */
static long run_left(const struct site *s, int steps, uint64_t a, uint64_t b, uint64_t c, bool *ret_in_slot)
{
	static long *result;
	int status;
	if (!result)
		result = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	*result = -1000;
	pid_t pid = fork();
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		*result = run(a, b, c, 0);
		_exit(0);
	}
	struct arch_regs regs;
	bool in_function = false;
	waitpid(pid, &status, 0);
	while (steps >= 0) {
		ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
		waitpid(pid, &status, 0);
		if (!WIFSTOPPED(status) || arch_get(pid, &regs) < 0)
			return *result;
		in_function |= arch_pc(&regs) == (uint64_t)area + SITE_BEFORE;
		steps -= in_function;
	}
	uint64_t offset = arch_pc(&regs) - s->slot;
	*ret_in_slot = offset < s->size;
	if (*ret_in_slot) {
		site_leave(s, &regs, false);
		CHECK(arch_pc(&regs) - s->at < MAX_OF(s->copied, 1U) || arch_pc(&regs) == s->call ||
		      arch_pc(&regs) == s->end);
		CHECK(regs.user.rdi == a);
		CHECK(arch_set(pid, &regs) == 0);
	}
	ptrace(PTRACE_CONT, pid, NULL, NULL);
	waitpid(pid, &status, 0);
	CHECK(WIFEXITED(status));
	return *result;
}

static void leave_everywhere(const struct site *s, uint64_t a, uint64_t b, uint64_t c, long want)
{
	int left = 0;
	bool in_slot = true, was = false;
	for (int steps = 0; steps < STEPS_MAX && (in_slot || !was); steps++) {
		CHECK_INT(run_left(s, steps, a, b, c, &in_slot), want);
		left += in_slot;
		was |= in_slot;
	}
	CHECK(left > 2);
}

#define PATCH(s, end, nr, ...)                                                                               \
	patch((const unsigned char[]){__VA_ARGS__}, sizeof((const unsigned char[]){__VA_ARGS__}), end, nr, s)

static void test_answers(void)
{
	struct site s;
	/* mov $SYS_getuid,%eax; syscall; ret */
	CHECK(PATCH(&s, 7, SYS_getuid, 0xb8, SYS_getuid, 0, 0, 0, 0x0f, 0x05, 0xc3));
	CHECK_INT(run(1, 2, 3, 4), getuid());
	leave_everywhere(&s, 1, 2, 3, getuid());
	data()->answers[SYS_getuid] = 4712;
	CHECK_INT(run(1, 2, 3, 4), 4711);
	leave_everywhere(&s, 1, 2, 3, 4711);
	CHECK(!PATCH(&s, 7, SYS_getgid, 0xb8, SYS_getuid, 0, 0, 0, 0x0f, 0x05, 0xc3));
}

/* Number 5 is a file to which `shadow` is what the host finds at its shadow. */
static void set_files(int shadow)
{
	(void)lseek(shadow, 0, SEEK_SET);
	(void)dup2(shadow, SHADOW_BASE + NUMBER);
}

static void test_read(void)
{
	struct site s;
	static const unsigned char read_code[] = {
		0x80, 0x3d, 0x40,      0,    0,	   0,	 0, /* cmpb $0,0x40(%rip) */
		0x74, 5,				    /* je */
		0x31, 0xc0, 0x0f,      0x05, 0xc3, 0x90,    /* xor %eax,%eax; syscall; ret */
		0x90, 0xb8, OTHER_WAY, 0,    0,	   0,	 0xc3};
	char name[] = "/tmp/test_sentry_site.XXXXXX";
	int file = mkstemp(name), one = open("/dev/zero", O_RDONLY);
	CHECK(write(file, "abcdefgh", 8) == 8);
	(void)unlink(name);
	(void)dup2(one, NUMBER);
	CHECK(patch(read_code, sizeof(read_code), 13, SYS_read, &s));
	unsigned char *flag = area + SITE_BEFORE + 7 + 0x40;
	*flag = 0;
	CHECK_INT(run(NUMBER, (uint64_t)buf, 1, 0), OTHER_WAY);
	*flag = 1;
	set_files(file);
	CHECK_INT(run(NUMBER, (uint64_t)buf, 3, 0), 3); /* nobody says that it may */
	CHECK(buf[0] == 0 && lseek(file, 0, SEEK_CUR) == 0);
	data()->native[0] = 1 << NUMBER;
	CHECK_INT(run(NUMBER, (uint64_t)buf, 3, 0), 3);
	CHECK(memcmp(buf, "abc", 3) == 0);
	leave_everywhere(&s, NUMBER, (uint64_t)buf, 0, 0);
	leave_everywhere(&s, NUMBER + 1, (uint64_t)buf, 1, -EBADF);
	/* There is nothing: the call itself. */
	(void)close(SHADOW_BASE + NUMBER);
	CHECK_INT(run(NUMBER, (uint64_t)buf, 3, 0), 3);
	CHECK(buf[0] == 0);
	leave_everywhere(&s, NUMBER, (uint64_t)buf, 3, 3);
	CHECK_INT(run(SHADOW_MAX, (uint64_t)buf, 3, 0), -EBADF);
	CHECK_INT(run(UINT64_C(1) << 40 | NUMBER, (uint64_t)buf, 3, 0), 3); /* the host takes 32 bits */
	(void)close(one);
}

/* What stands before the call cannot be made twice: where it has been, %r8d is not 77 any more. */
static void test_read_with_threads(void)
{
	struct site s;
	static const unsigned char read_code[] = {
		0x48, 0x83, 0xec, 0x28,		 /* sub $0x28,%rsp */
		0x48, 0x89, 0x54, 0x24, 0x18,	 /* mov %rdx,0x18(%rsp) */
		0x48, 0x89, 0x74, 0x24, 0x10,	 /* mov %rsi,0x10(%rsp) */
		0x89, 0x7c, 0x24, 0x08,		 /* mov %edi,0x8(%rsp) */
		0xb8, 77,   0,	  0,	0,	 /* mov $77,%eax */
		0x48, 0x8b, 0x54, 0x24, 0x18,	 /* mov 0x18(%rsp),%rdx */
		0x48, 0x8b, 0x74, 0x24, 0x10,	 /* mov 0x10(%rsp),%rsi */
		0x41, 0x89, 0xc0,		 /* mov %eax,%r8d */
		0x8b, 0x7c, 0x24, 0x08,		 /* mov 0x8(%rsp),%edi */
		0x31, 0xc0, 0x0f, 0x05,		 /* xor %eax,%eax; syscall */
		0x41, 0x83, 0xf8, 77,	0x74, 5, /* cmp $77,%r8d; je */
		0xb8, 0xe7, 3,	  0,	0,	 /* mov $999,%eax */
		0x48, 0x83, 0xc4, 0x28, 0xc3,	 /* add $0x28,%rsp; ret */
	};
	char name[] = "/tmp/test_sentry_site.XXXXXX";
	int file = mkstemp(name), one = open("/dev/zero", O_RDONLY);
	CHECK(write(file, "abcdefgh", 8) == 8);
	(void)unlink(name);
	(void)dup2(one, NUMBER);
	CHECK(patch(read_code, sizeof(read_code), 44, SYS_read, &s));
	set_files(file);
	CHECK_INT(run(NUMBER, (uint64_t)buf, 3, 0), 3); /* nobody says that it may */
	CHECK(buf[0] == 0 && lseek(file, 0, SEEK_CUR) == 0);
	leave_everywhere(&s, NUMBER, (uint64_t)buf, 2, 2);
	data()->native[0] = 1 << NUMBER;
	CHECK_INT(run(NUMBER, (uint64_t)buf, 3, 0), 3);
	CHECK(memcmp(buf, "abc", 3) == 0);
	leave_everywhere(&s, NUMBER, (uint64_t)buf, 0, 0);
	(void)close(SHADOW_BASE + NUMBER);
	CHECK_INT(run(NUMBER, (uint64_t)buf, 3, 0), 3);
	leave_everywhere(&s, NUMBER, (uint64_t)buf, 3, 3);
	(void)close(one);
	(void)close(file);
}

enum { SOCKET_SHADOW = SHADOW_BASE + SHADOW_MAX * SHADOW_SOCKET + NUMBER };

/* Number 5 is a socket of which nothing comes, its shadow one that takes and gives. */
static void test_sockets(void)
{
	struct site s;
	int ends[2], quiet[2], kept = dup(NUMBER), nothing = open("/dev/null", O_ACCMODE);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, quiet) == 0);
	(void)dup2(quiet[0], NUMBER);
	(void)dup2(ends[0], SOCKET_SHADOW);
	/* mov $SYS_write,%eax; syscall; ret */
	CHECK(PATCH(&s, 7, SYS_write, 0xb8, SYS_write, 0, 0, 0, 0x0f, 0x05, 0xc3));
	data()->native[0] = 1 << NUMBER; /* of a file that is read, and not written */
	CHECK_INT(run(NUMBER, (uint64_t) "ab", 2, 0), 2);
	CHECK_INT(read(quiet[1], buf, 8), 2);
	data()->native[SHADOW_SOCKET * SHADOW_MAX / 64] = 1 << NUMBER;
	CHECK_INT(run(NUMBER, (uint64_t) "abc", 3, 0), 3);
	CHECK_INT(read(ends[1], buf, 8), 3);
	leave_everywhere(&s, NUMBER, (uint64_t) "", 0, 0);
	/* xor %r9d,%r9d; xor %r8d,%r8d; xor %r10d,%r10d; mov $SYS_recvfrom,%eax; syscall; ret */
	CHECK(PATCH(&s, 16, SYS_recvfrom, 0x45, 0x31, 0xc9, 0x45, 0x31, 0xc0, 0x45, 0x31, 0xd2, 0xb8,
		    SYS_recvfrom, 0, 0, 0, 0x0f, 0x05, 0xc3));
	data()->native[SHADOW_SOCKET * SHADOW_MAX / 64] = 1 << NUMBER;
	CHECK_INT(write(ends[1], "xyz", 3), 3);
	CHECK_INT(run(NUMBER, (uint64_t)buf, 2, 0), 2);
	leave_everywhere(&s, NUMBER, (uint64_t)buf, 0, 0);
	CHECK_INT(run(NUMBER, (uint64_t)buf, 8, 0), 1);
	CHECK_INT(run(NUMBER, (uint64_t)buf, 8, 0), -EAGAIN);
	leave_everywhere(&s, NUMBER, (uint64_t)buf, 8, -EAGAIN);
	/* The shadow has gone: the call itself. */
	CHECK_INT(write(quiet[1], "q", 1), 1);
	(void)dup2(nothing, SOCKET_SHADOW);
	leave_everywhere(&s, NUMBER, (uint64_t)buf, 0, 0);
	CHECK_INT(run(NUMBER, (uint64_t)buf, 8, 0), 1);
	CHECK(buf[0] == 'q');
	(void)close(SOCKET_SHADOW);
	leave_everywhere(&s, NUMBER, (uint64_t)buf, 8, -EAGAIN);
	for (int i = 0; i < 2; i++) {
		(void)close(ends[i]);
		(void)close(quiet[i]);
	}
	(void)dup2(kept, NUMBER);
	(void)close(kept);
	(void)close(nothing);
}

/* Number 5 is /dev/null, its shadow for writing a file. */
static void test_written(void)
{
	enum { SHADOW = SHADOW_BASE + SHADOW_MAX * SHADOW_WRITTEN + NUMBER };
	struct site s;
	char name[] = "/tmp/test_sentry_site.XXXXXX";
	int file = mkstemp(name), kept = dup(NUMBER), null = open("/dev/null", O_RDWR);
	(void)unlink(name);
	(void)dup2(null, NUMBER);
	(void)dup2(file, SHADOW);
	/* mov $SYS_write,%eax; syscall; ret */
	CHECK(PATCH(&s, 7, SYS_write, 0xb8, SYS_write, 0, 0, 0, 0x0f, 0x05, 0xc3));
	CHECK_INT(run(NUMBER, (uint64_t) "ab", 2, 0), 2); /* nobody says that it may */
	CHECK_INT(lseek(file, 0, SEEK_END), 0);
	data()->native[SHADOW_WRITTEN * SHADOW_MAX / 64] = 1 << NUMBER;
	CHECK_INT(run(NUMBER, (uint64_t) "abc", 3, 0), 3);
	CHECK_INT(lseek(file, 0, SEEK_END), 3);
	leave_everywhere(&s, NUMBER, (uint64_t) "", 0, 0);
	/* There is a socket as well: the file is first, and the socket is found where it has gone. */
	data()->native[SHADOW_WRITTEN * SHADOW_MAX / 64] = 0;
	data()->native[SHADOW_SOCKET * SHADOW_MAX / 64] = 1 << NUMBER;
	(void)dup2(file, SOCKET_SHADOW);
	CHECK_INT(run(NUMBER, (uint64_t) "d", 1, 0), 1);
	CHECK_INT(lseek(file, 0, SEEK_END), 4);
	(void)close(SOCKET_SHADOW);
	/* mov %rcx,%r10; mov $SYS_pwrite64,%eax; syscall; ret */
	CHECK(PATCH(&s, 10, SYS_pwrite64, 0x49, 0x89, 0xca, 0xb8, SYS_pwrite64, 0, 0, 0, 0x0f, 0x05, 0xc3));
	data()->native[SHADOW_WRITTEN * SHADOW_MAX / 64] = 1 << NUMBER;
	CHECK_INT(run(NUMBER, (uint64_t) "xyz", 3, 7), 3);
	CHECK_INT(lseek(file, 0, SEEK_END), 10);
	leave_everywhere(&s, NUMBER, (uint64_t) "xyz", 3, 3);
	(void)close(SHADOW);
	CHECK_INT(run(NUMBER, (uint64_t) "xyz", 3, 77), 3);
	leave_everywhere(&s, NUMBER, (uint64_t) "xyz", 3, 3);
	CHECK_INT(lseek(file, 0, SEEK_END), 10);
	(void)dup2(kept, NUMBER);
	(void)close(kept);
	(void)close(null);
	(void)close(file);
}

/* A wait that a signal has cut off goes back to the call, and says that it waited. */
static void test_interrupted(void)
{
	struct site s;
	CHECK(PATCH(&s, 7, SYS_write, 0xb8, SYS_write, 0, 0, 0, 0x0f, 0x05, 0xc3));
	for (long result = -514; result <= -511; result++) {
		struct arch_regs regs = {
			.user = {.rip = s.slot + s.asked,
				 .rax = (uint64_t)result,
				 .rdi = (uint64_t)(SHADOW_MARK + SYS_write) << 32 | SOCKET_SHADOW}};
		CHECK(site_leave(&s, &regs, false) == (result <= -512));
		CHECK(arch_pc(&regs) == s.end && regs.user.rdi == NUMBER && arch_result(&regs) == result);
	}
}

static void test_any(void)
{
	struct site s;
	/* mov %rdi,%rax; mov %rsi,%rdi; mov %rdx,%rsi; mov %rcx,%rdx; mov %r8,%r10; mov 8(%rsp),%r9; syscall;
	 * ret */
	CHECK(PATCH(&s, 22, SYS_getuid, 0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x48, 0x89,
		    0xca, 0x4d, 0x89, 0xc2, 0x4c, 0x8b, 0x4c, 0x24, 0x08, 0x0f, 0x05, 0xc3));
	CHECK_INT(run(SYS_getuid, NUMBER, 0, 0), getuid());
	data()->answers[SYS_getuid] = 4712;
	data()->answers[SYS_getpid] = 13;
	CHECK_INT(run(SYS_getuid, NUMBER, 0, 0), 4711);
	CHECK_INT(run(SYS_getpid, 0, 0, 0), 12);
	CHECK_INT(run(SYS_getppid, 0, 0, 0), getppid());
	CHECK_INT(run(100000, 0, 0, 0), -ENOSYS);
	char name[] = "/tmp/test_sentry_site.XXXXXX";
	int file = mkstemp(name);
	CHECK(write(file, "abcdefgh", 8) == 8);
	(void)unlink(name);
	set_files(file);
	data()->native[0] = 1 << NUMBER;
	CHECK_INT(run(SYS_read, NUMBER, (uint64_t)buf, 2), 2);
	CHECK(memcmp(buf, "ab", 2) == 0);
	CHECK_INT(run(SYS_lseek, NUMBER, 7, SEEK_SET), 7);
	CHECK_INT(lseek(file, 0, SEEK_CUR), 7);
	CHECK_INT(run(SYS_fcntl, NUMBER, F_GETFD, 0), 0);
	(void)close(SHADOW_BASE + NUMBER);
	CHECK_INT(run(SYS_lseek, NUMBER, 7, SEEK_SET), 0); /* /dev/zero's */
}

/* The table's only entry that is asked for here, wherever its hash leads. */
static void know(char *table, const char *path, uint64_t generation, int result, const struct stat *st)
{
	uint32_t key = SYS_stat;
	for (char *e = table + KNOWN_MIDDLE; e < table + ((size_t)KNOWN_SIZE << KNOWN_BITS);
	     e += KNOWN_SIZE) {
		memcpy(e + KNOWN_GENERATION, &generation, sizeof(generation));
		memcpy(e + KNOWN_RESULT, &result, sizeof(result));
		memcpy(e + KNOWN_KEY, &key, sizeof(key));
		memcpy(e + KNOWN_STAT, st, KNOWN_STAT_SIZE);
		(void)snprintf(e + KNOWN_PATH, KNOWN_PATH_MAX, "%s", path);
	}
}

static void test_known(void)
{
	static char table[KNOWN_SIZE << KNOWN_BITS], unused_code[SITE_SLOT];
	static uint64_t generation = 7;
	unsigned char jump[SITE_JUMP];
	struct stat st = {.st_size = 4711, .st_mode = 1}, got;
	struct site s;
	/* mov $SYS_stat,%eax; syscall; ret */
	CHECK(PATCH(&s, 7, SYS_stat, 0xb8, SYS_stat, 0, 0, 0, 0x0f, 0x05, 0xc3));
	s.knows = true;
	CHECK(site_code(&s, (uint64_t)data(), (unsigned char *)unused_code, area + PAGE + 1024, jump));
	CHECK_INT(run((uint64_t) "/", (uint64_t)&got, 0, 0), 0);
	CHECK(got.st_size != 4711); /* there is no table */
	data()->known = (uint64_t)table + KNOWN_MIDDLE;
	data()->tree = (uint64_t)&generation;
	leave_everywhere(&s, (uint64_t) "/", (uint64_t)&got, 0, 0);
	know(table, "/", 7, 0, &st);
	memset(&got, 1, sizeof(got));
	CHECK_INT(run((uint64_t) "/", (uint64_t)&got, 0, 0), 0);
	CHECK(memcmp(&got, &st, sizeof(st)) == 0);
	CHECK_INT(run((uint64_t) "/.", (uint64_t)&got, 0, 0), 0);
	CHECK(S_ISDIR(got.st_mode));
	know(table, "/", 7, -ENOTTY, &st);
	leave_everywhere(&s, (uint64_t) "/", (uint64_t)&got, 0, -ENOTTY);
	generation++;
	CHECK_INT(run((uint64_t) "/", (uint64_t)&got, 0, 0), 0);
}

int main(void)
{
	area = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(area != MAP_FAILED);
	test_answers();
	test_read();
	test_read_with_threads();
	test_sockets();
	test_written();
	test_interrupted();
	test_any();
	test_known();
	return test_end();
}

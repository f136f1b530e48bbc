/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles: that the program of ranges decides as libseccomp's does, for
 * every number and many arguments; and that the kernel then does so.
 */
#include "test.h"

#include "base/file.h"
#include "base/proc.h"
#include "host/seccomp_int.h"

#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* ---- A profile by hand ---- */

static const char *const allowed[] = {"read",
				      "write",
				      "close",
				      "exit_group",
				      "exit",
				      "rt_sigreturn",
				      "getpid",
				      "brk",
				      "openat2",
				      "futex",
				      "mmap",
				      "munmap",
				      "clone3",
				      "newfstatat",
				      "fcntl",
				      "socketcall",
				      "no_such_call_at_all",
				      "wait4",
				      "getdents64"};
static const char *const by_args[] = {"personality"};
static const char *const by_mask[] = {"clone"};
static const char *const with_errno[] = {"getuid", "geteuid"};
static const char *const archs[] = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
static struct oci_seccomp_arg args_eq[] = {{.index = 0, .value = 0, .op = "SCMP_CMP_EQ"},
					   {.index = 0, .value = 8, .op = "SCMP_CMP_EQ"},
					   {.index = 0, .value = UINT64_C(0x1ffffffff), .op = "SCMP_CMP_GE"}};
static struct oci_seccomp_arg args_mask[] = {
	{.index = 0, .value = 0x7e020000, .value_two = 0, .op = "SCMP_CMP_MASKED_EQ"},
	{.index = 1, .value = 5, .op = "SCMP_CMP_LT"}};

static struct oci_seccomp_rule rules[] = {
	{.names = {.v = (void *)allowed, .n = ARRAY_LEN(allowed)}, .action = "SCMP_ACT_ALLOW"},
	{.names = {.v = (void *)by_args, .n = 1}, .action = "SCMP_ACT_ALLOW", .args = {.v = args_eq, .n = 3}},
	{.names = {.v = (void *)by_mask, .n = 1},
	 .action = "SCMP_ACT_ALLOW",
	 .args = {.v = args_mask, .n = 2}},
	{.names = {.v = (void *)with_errno, .n = 2},
	 .action = "SCMP_ACT_ERRNO",
	 .errno_ret = {.v = 77, .set = true}},
};

static struct oci_seccomp profile(void)
{
	struct oci_seccomp s = {
		.default_action = "SCMP_ACT_ERRNO",
		.syscalls = {.v = (void *)rules, .n = ARRAY_LEN(rules)},
	};
#ifdef __x86_64__
	s.architectures.v = (void *)archs;
	s.architectures.n = ARRAY_LEN(archs);
#endif
	return s;
}

/* ---- Both programs side by side ---- */

static uint32_t interpret(const struct sock_filter *v, size_t n, const struct seccomp_data *d)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < n; pc++) {
		const struct sock_filter *f = &v[pc];
		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			memcpy(&a, (const char *)d + f->k, 4);
			break;
		case BPF_JMP | BPF_JA:
			pc += f->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			pc += a == f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			pc += a > f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			pc += a >= f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			pc += a & f->k ? f->jt : f->jf;
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= f->k;
			break;
		case BPF_RET | BPF_K:
			return f->k;
		default:
			return 0xbadbad;
		}
	}
	return 0xbadbad;
}

static const struct seccomp_arch *arch_of(const struct seccomp_archs *list, uint32_t audit)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->v[i].audit == audit)
			return &list->v[i];
	return NULL;
}

/* runc's rule, written once more, without ranges. */
static uint32_t expected(const struct seccomp_prog *raw, const struct seccomp_archs *list,
			 const struct seccomp_data *d)
{
	const struct seccomp_arch *a = arch_of(list, d->arch);
	uint32_t nr = (uint32_t)d->nr;

	if (a && list->enosys) {
		bool x32 = a->audit == AUDIT_ARCH_X86_64 && (nr & 0x40000000);
		uint32_t last = x32 ? a->last_x32 : a->last;
		if (last && nr > last)
			return SECCOMP_RET_ERRNO | ENOSYS;
	}
	return interpret(raw->v, raw->n, d);
}

static uint64_t random_state = 88172645463325252u;

static uint64_t random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static uint64_t random_arg(void)
{
	static const uint64_t often[] = {
		0,    1, 5, 4, 8, 0x20000, 0x7e020000, 0x1ffffffff, 0x1fffffffe, 0x100000000, 0x7e020000ff,
		~0ULL};
	uint64_t r = random_number();

	return r % 4 ? often[(r >> 8) % ARRAY_LEN(often)] : random_number();
}

static size_t differences(const struct seccomp_prog *raw, const struct seccomp_prog *opt,
			  const struct seccomp_archs *list, uint32_t arch, uint32_t nr, int tries)
{
	size_t bad = 0;

	for (int t = 0; t < tries; t++) {
		struct seccomp_data d = {.nr = (int)nr, .arch = arch};
		for (int i = 0; i < 6; i++)
			d.args[i] = t ? random_arg() : 0;
		uint32_t want = expected(raw, list, &d), got = interpret(opt->v, opt->n, &d);
		if (want != got && bad++ == 0)
			fprintf(stderr, "arch %x nr %u: 0x%x, not 0x%x\n", arch, nr, got, want);
	}
	return bad;
}

static void compare(const struct oci_seccomp *s)
{
	static const uint32_t arches[] = {
		AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM, 0, 0xffffffff};
	struct seccomp_prog raw = {0}, opt = {0};
	struct seccomp_archs list;
	struct err err = {0};
	size_t bad = 0;

	CHECK_INT(seccomp_rules_compile(s, &raw, &list, &err), 0);
	CHECK_INT(seccomp_bpf_optimise(&raw, &list, &opt, &err), 0);
	CHECK_STR(err.msg, "");
	if (err.code)
		return;
	CHECK(seccomp_bpf_valid(opt.v, opt.n));
	for (size_t a = 0; a < ARRAY_LEN(arches); a++) {
		for (uint32_t nr = 0; nr < 1200; nr++) {
			bad += differences(&raw, &opt, &list, arches[a], nr, 24);
			bad += differences(&raw, &opt, &list, arches[a], nr | 0x40000000, 24);
		}
		for (int i = 0; i < 3000; i++)
			bad += differences(&raw, &opt, &list, arches[a], (uint32_t)random_number(), 2);
		for (size_t i = 0; i < raw.n; i++)
			for (uint32_t k = 0; k < 3; k++)
				bad += differences(&raw, &opt, &list, arches[a], raw.v[i].k + k - 1, 4);
		bad += differences(&raw, &opt, &list, arches[a], 0xffffffff, 2);
	}
	CHECK_INT(bad, 0);
	printf("%zu instructions from %zu\n", opt.n, raw.n);
	free(raw.v);
	free(opt.v);
}

/* Every name there is, in blocks of actions, so that there are many ranges and far jumps. */
static void compare_many(unsigned block, const char *default_action, const char *const *arch, size_t narch)
{
	static const char *const actions[] = {"SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRAP",
					      "SCMP_ACT_KILL_PROCESS"};
	struct oci_seccomp_rule r[ARRAY_LEN(actions) + 1] = {0};
	const char *names[ARRAY_LEN(actions) + 1][1024];
	struct oci_seccomp s = {.default_action = default_action,
				.syscalls = {.v = (void *)r, .n = ARRAY_LEN(r)},
				.architectures = {.v = (void *)arch, .n = narch}};
	char *owned[700] = {0};

	for (size_t i = 0; i < ARRAY_LEN(r); i++) {
		r[i].names.v = (void *)names[i];
		r[i].action = i < ARRAY_LEN(actions) ? actions[i] : "SCMP_ACT_ALLOW";
	}
	r[ARRAY_LEN(actions)].args.v = args_mask;
	r[ARRAY_LEN(actions)].args.n = 2;
	for (unsigned nr = 0; nr < ARRAY_LEN(owned); nr++) {
		owned[nr] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)nr);
		size_t k = nr / block % ARRAY_LEN(r);
		if (owned[nr] && nr % 7)
			names[k][r[k].names.n++] = owned[nr];
	}
	compare(&s);
	for (size_t i = 0; i < ARRAY_LEN(owned); i++)
		free(owned[i]);
}

/* ---- In the kernel ---- */

static int in_child(const struct oci_seccomp *s, int cache, int (*body)(int listener))
{
	pid_t pid = fork();

	if (pid == 0) {
		struct seccomp_filter f;
		struct err err = {0};
		int listener = -1;
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    seccomp_prepare(s, true, cache, &f, &err) < 0 ||
		    seccomp_install(&f, &listener, &err) < 0) {
			fprintf(stderr, "%s\n", err.msg);
			_exit(99);
		}
		syscall(SYS_exit_group, body(listener)); /* the sanitizers' _exit() does more than exit */
	}
	return proc_exit_code(proc_wait(pid));
}

static long call_errno(long nr, long arg)
{
	errno = 0;
	return syscall(nr, arg) < 0 ? errno : 0;
}

static int check_kernel(int listener)
{
	if (listener != -1)
		return 1;
	if (call_errno(SYS_getppid, 0) != EPERM)
		return 2;
	if (call_errno(SYS_getuid, 0) != 77)
		return 3;
	if (call_errno(SYS_personality, 0) != 0)
		return 4;
	if (call_errno(SYS_personality, 4) != EPERM)
		return 5;
	if (call_errno(999, 0) != ENOSYS) /* above openat2, the highest here */
		return 6;
	if (call_errno(SYS_getpid, 0) != 0)
		return 7;
	return 0;
}

static int check_notify(int listener)
{
	struct seccomp_notif_sizes sizes;

	if (listener < 0 || !(fcntl(listener, F_GETFD) & FD_CLOEXEC))
		return 1;
	/* A second process answers; the filter is inherited, so that it must not make the call itself. */
	pid_t pid = fork();
	if (pid == 0) {
		if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
			_exit(1);
		_exit(syscall(SYS_getppid) == 4242 ? 0 : 2);
	}
	struct seccomp_notif n = {0};
	struct seccomp_notif_resp resp = {.val = 4242};
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0 || n.data.nr != SYS_getppid)
		return 2;
	resp.id = n.id;
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp) < 0)
		return 3;
	return proc_exit_code(proc_wait(pid));
}

static void test_notify(void)
{
	static const char *const names[] = {"getppid"};
	static const char *const sendmsg_name[] = {"sendmsg"}, *const write_name[] = {"write"};
	static const char *const flags[] = {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
					    "SECCOMP_FILTER_FLAG_LOG"};
	struct oci_seccomp_rule r = {.names = {.v = (void *)names, .n = 1}, .action = "SCMP_ACT_NOTIFY"};
	struct oci_seccomp s = {.default_action = "SCMP_ACT_ALLOW", .syscalls = {.v = (void *)&r, .n = 1}};
	struct seccomp_filter f;
	struct err err = {0};

	CHECK_INT(in_child(&s, -1, check_notify), 0);
	if (seccomp_flag_supported(flags[0])) {
		s.flags.v = (void *)flags;
		s.flags.n = 2;
		CHECK_INT(in_child(&s, -1, check_notify), 0);
		s.flags.n = 0;
	}
	r.names.v = (void *)write_name;
	CHECK_INT(seccomp_prepare(&s, true, -1, &f, &err), -EINVAL);
	CHECK_STR(err.msg, "SCMP_ACT_NOTIFY cannot be used for the write syscall");
	r.names.v = (void *)sendmsg_name;
	CHECK_INT(seccomp_prepare(&s, true, -1, &f, &err), -EINVAL);
	CHECK_STR(err.msg, "SCMP_ACT_NOTIFY cannot be used for the sendmsg syscall");
	s.default_action = "SCMP_ACT_NOTIFY";
	s.syscalls.n = 0;
	CHECK_INT(seccomp_prepare(&s, true, -1, &f, &err), -EINVAL);
	CHECK_STR(err.msg, "SCMP_ACT_NOTIFY cannot be used as default action");
}

/* ---- The cache ---- */

static char *only_file(const char *dir)
{
	char *text = NULL;
	static const char *const argv[] = {"/bin/sh", "-c", "ls -A", NULL};
	struct proc_run run = {.argv = argv, .cwd = dir, .output_max = 4096};
	struct err err = {0};

	if (proc_run(&run, &text, &err) != 0)
		return NULL;
	if (strchr(text, '\n'))
		*strchr(text, '\n') = '\0';
	return text;
}

static void corrupt_and_check(int dir, const char *name, const char *data, size_t len,
			      const struct oci_seccomp *s)
{
	struct seccomp_filter f = {0}, want = {0};
	struct err err = {0};

	CHECK_INT(seccomp_prepare(s, false, -1, &want, &err), 0);
	CHECK_INT(file_replace_at(dir, name, data, len, 0600, false), 0);
	CHECK_INT(seccomp_prepare(s, false, dir, &f, &err), 0);
	CHECK(f.len == want.len && memcmp(f.prog, want.prog, f.len * sizeof(*f.prog)) == 0 &&
	      f.flags == want.flags);
	seccomp_filter_free(&f);
	seccomp_filter_free(&want);
}

static void test_cache(void)
{
	char path[] = "/tmp/coffer-test-XXXXXX";
	struct oci_seccomp s = profile();
	struct seccomp_filter f;
	struct err err = {0};
	char *data;
	size_t len;

	CHECK(mkdtemp(path) != NULL);
	autoclose int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(seccomp_prepare(&s, false, dir, &f, &err), 0);
	seccomp_filter_free(&f);
	autofree char *name = only_file(path);
	CHECK(name && str_starts(name, "seccomp-"));
	struct stat st, again;
	CHECK(fstatat(dir, name, &st, 0) == 0 && (st.st_mode & 07777) == 0600);
	CHECK_INT(in_child(&s, dir, check_kernel), 0);
	CHECK(fstatat(dir, name, &again, 0) == 0 && again.st_ino == st.st_ino); /* a hit writes nothing */

	CHECK_INT(file_read_at(dir, name, 1 << 20, &data, &len), 0);
	/* A flipped bit anywhere, a cut anywhere: never used. */
	for (size_t i = 0; i < len; i += 1 + len / 200) {
		data[i] ^= 4;
		corrupt_and_check(dir, name, data, len, &s);
		data[i] ^= 4;
		corrupt_and_check(dir, name, data, i, &s);
	}
	/* A program exchanged for one that allows all is seen by its sum even in a file of ours. */
	free(data);
	CHECK_INT(fchmodat(dir, name, 0666, 0), 0);
	CHECK_INT(seccomp_prepare(&s, false, dir, &f, &err), 0);
	CHECK(fstatat(dir, name, &again, 0) == 0 &&
	      (again.st_mode & 0777) == 0600); /* was not trusted, is written anew */
	seccomp_filter_free(&f);
	CHECK_INT(fchmod(dir, 0777), 0);
	CHECK_INT(unlinkat(dir, name, 0), 0);
	CHECK_INT(seccomp_prepare(&s, false, dir, &f, &err), 0);
	CHECK(fstatat(dir, name, &again, 0) < 0); /* a directory that others may write is none */
	seccomp_filter_free(&f);
	CHECK_INT(fchmod(dir, 0700), 0);

	/* Bounded. */
	struct oci_seccomp many = profile();
	for (uint32_t i = 1; i < 70; i++) {
		many.default_errno_ret = (struct opt_u32){.v = i, .set = true};
		CHECK_INT(seccomp_prepare(&many, false, dir, &f, &err), 0);
		seccomp_filter_free(&f);
	}
	static const char *const count[] = {"/bin/sh", "-c", "ls | wc -l", NULL};
	struct proc_run run = {.argv = count, .cwd = path, .output_max = 64};
	autofree char *text = NULL;
	CHECK_INT(proc_run(&run, &text, &err), 0);
	CHECK_STR(text, "64\n");
	autoclose int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(file_remove_tree_at(tmp, path + strlen("/tmp/")), 0);
}

static void test_errors(void)
{
	struct oci_seccomp s = profile();
	struct seccomp_filter f;
	struct err err = {0};
	static const char *const bad[] = {"X"};

	s.default_action = "SCMP_ACT_FOO";
	CHECK_INT(seccomp_prepare(&s, false, -1, &f, &err), -EINVAL);
	CHECK_STR(err.msg, "string SCMP_ACT_FOO is not a valid action for seccomp");
	s = profile();
	s.flags.v = (void *)bad;
	s.flags.n = 1;
	CHECK_INT(seccomp_prepare(&s, false, -1, &f, &err), -EINVAL);
	CHECK_STR(err.msg, "seccomp flag X is not known to coffer-oci");
	s = profile();
	s.architectures.v = (void *)bad;
	s.architectures.n = 1;
	CHECK_INT(seccomp_prepare(&s, false, -1, &f, &err), -EINVAL);
	CHECK_STR(err.msg, "string X is not a valid arch for seccomp");
	CHECK_INT(seccomp_prepare(NULL, false, -1, &f, &err), 0);
	CHECK_INT(seccomp_install(&f, NULL, &err), 0);
	CHECK(seccomp_flag_supported("SECCOMP_FILTER_FLAG_LOG"));
	CHECK(!seccomp_flag_supported("SECCOMP_FILTER_FLAG_FOO"));
}

int main(void)
{
	struct oci_seccomp s = profile();
	static const char *const none[] = {NULL};

	compare(&s);
	s.default_action = "SCMP_ACT_ALLOW";
	compare(&s);
	s.default_action = "SCMP_ACT_KILL_PROCESS";
	compare(&s);
	s.syscalls.n = 0;
	compare(&s);
	s = profile();
	s.architectures.n = 0;
	compare(&s);
	for (unsigned block = 1; block < 9; block += 2)
		compare_many(block, block == 3 ? "SCMP_ACT_LOG" : "SCMP_ACT_ERRNO", block == 5 ? none : archs,
			     block == 5 ? 0 : profile().architectures.n);
	s = profile();
	CHECK_INT(in_child(&s, -1, check_kernel), 0);
	test_notify();
	test_cache();
	test_errors();
	return test_end();
}

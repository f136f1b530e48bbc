/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profile -> canonical text -> cache, or: libseccomp (seccomp_rules.c) ->
 * program of ranges (seccomp_bpf.c) -> cache; and the one system call.
 */
#include "host/seccomp_int.h"

#include "base/str.h"

#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

/* To be raised with every change of what the same profile compiles to. */
#define CACHE_FORMAT "1"

const char *const seccomp_known_actions[] = {
	"SCMP_ACT_ALLOW",	"SCMP_ACT_ERRNO",
	"SCMP_ACT_KILL",	"SCMP_ACT_KILL_PROCESS",
	"SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG",
	"SCMP_ACT_NOTIFY",	"SCMP_ACT_TRACE",
	"SCMP_ACT_TRAP",	NULL,
};
const char *const seccomp_known_operators[] = {
	"SCMP_CMP_EQ", "SCMP_CMP_GE",	     "SCMP_CMP_GT", "SCMP_CMP_LE",
	"SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE", NULL,
};
const char *const seccomp_known_archs[] = {
	"SCMP_ARCH_AARCH64",
	"SCMP_ARCH_ARM",
	"SCMP_ARCH_LOONGARCH64",
	"SCMP_ARCH_MIPS",
	"SCMP_ARCH_MIPS64",
	"SCMP_ARCH_MIPS64N32",
	"SCMP_ARCH_MIPSEL",
	"SCMP_ARCH_MIPSEL64",
	"SCMP_ARCH_MIPSEL64N32",
	"SCMP_ARCH_PPC",
	"SCMP_ARCH_PPC64",
	"SCMP_ARCH_PPC64LE",
	"SCMP_ARCH_RISCV64",
	"SCMP_ARCH_S390",
	"SCMP_ARCH_S390X",
	"SCMP_ARCH_X32",
	"SCMP_ARCH_X86",
	"SCMP_ARCH_X86_64",
	NULL,
};
const char *const seccomp_known_flags[] = {
	"SECCOMP_FILTER_FLAG_LOG",
	"SECCOMP_FILTER_FLAG_SPEC_ALLOW",
	"SECCOMP_FILTER_FLAG_TSYNC",
	"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
	NULL,
};

static int flag_of(const char *name, unsigned *ret)
{
	static const unsigned bits[] = {SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW, 0,
					SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV};

	for (size_t i = 0; seccomp_known_flags[i]; i++)
		if (streq(name, seccomp_known_flags[i])) {
			*ret |= bits[i];
			return 0;
		}
	return -EINVAL;
}

bool seccomp_flag_supported(const char *name)
{
	unsigned bits = 0;

	if (flag_of(name, &bits) < 0)
		return false;
	if (bits == 0)
		return true;
	if (bits & SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
		bits |= SECCOMP_FILTER_FLAG_NEW_LISTENER; /* it is nothing alone */
	/* A kernel that knows the flags goes on to look for the program. */
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, bits, NULL) < 0 && errno == EFAULT;
}

static int flags_of(const struct oci_seccomp *s, bool notify, unsigned *ret, struct err *err)
{
	unsigned bits = 0;

	for (size_t i = 0; i < s->flags.n; i++)
		if (flag_of(s->flags.v[i], &bits) < 0)
			return err_set(err, EINVAL, "seccomp flag %s is not known to coffer-oci",
				       s->flags.v[i]);
	if (s->flags.n == 0)
		bits = SECCOMP_FILTER_FLAG_SPEC_ALLOW; /* runc's default */
	/* Without a listener there is nothing to wait for, and the kernel refuses the flag. */
	if (!notify)
		bits &= ~(unsigned)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	else
		bits |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
	*ret = bits;
	return 0;
}

static bool has_notify(const struct oci_seccomp *s)
{
	for (size_t i = 0; i < s->syscalls.n; i++)
		if (s->syscalls.v[i].action && streq(s->syscalls.v[i].action, "SCMP_ACT_NOTIFY"))
			return true;
	return false;
}

/* Strings end with a NUL and lists begin with their length: no two profiles have one text. */
static void put_text(struct str *t, const char *s)
{
	str_put_n(t, s ? s : "", s ? strlen(s) + 1 : 1);
}

static void put_list(struct str *t, const str_list *list)
{
	str_put_n(t, &list->n, sizeof(list->n));
	for (size_t i = 0; i < list->n; i++)
		put_text(t, list->v[i]);
}

static void put_errno(struct str *t, const struct opt_u32 *e)
{
	uint32_t words[2] = {e->set, e->v};

	str_put_n(t, words, sizeof(words));
}

/* All that the program depends on. */
static void canonical_text(const struct oci_seccomp *s, struct str *t)
{
	const struct scmp_version *v = seccomp_version();
	uint32_t head[4] = {v ? v->major : 0, v ? v->minor : 0, v ? v->micro : 0, seccomp_native_arch()};

	put_text(t, CACHE_FORMAT " " COFFER_VERSION);
	str_put_n(t, head, sizeof(head));
	put_text(t, s->default_action);
	put_errno(t, &s->default_errno_ret);
	put_list(t, &s->architectures);
	put_list(t, &s->flags);
	for (size_t i = 0; i < s->syscalls.n; i++) {
		const struct oci_seccomp_rule *r = &s->syscalls.v[i];

		put_text(t, r->action);
		put_errno(t, &r->errno_ret);
		str_put_n(t, &r->args.n, sizeof(r->args.n));
		for (size_t k = 0; k < r->args.n; k++) {
			const struct oci_seccomp_arg *a = &r->args.v[k];
			uint64_t words[3] = {a->index, a->value, a->value_two};

			put_text(t, a->op);
			str_put_n(t, words, sizeof(words));
		}
		put_list(t, &r->names);
	}
}

static int compile(const struct oci_seccomp *s, struct seccomp_filter *ret, struct err *err)
{
	struct seccomp_archs archs;
	struct seccomp_prog raw = {0}, prog = {0};
	struct seccomp_filter f = {.notify = has_notify(s)};

	int r = flags_of(s, f.notify, &f.flags, err);
	if (r < 0)
		return r;
	r = seccomp_rules_compile(s, &raw, &archs, err);
	if (r == 0)
		r = seccomp_bpf_optimise(&raw, &archs, &prog, err);
	free(raw.v);
	if (r < 0)
		return r;
	f.prog = prog.v;
	f.len = (unsigned short)prog.n;
	*ret = f;
	return 0;
}

int seccomp_prepare(const struct oci_seccomp *s, bool no_new_privileges unused, int cache_dirfd,
		    struct seccomp_filter *ret, struct err *err)
{
	struct str text autostr = {0};

	/* runc: no default action and no rules is no seccomp. */
	if (!s || (!s->default_action && s->syscalls.n == 0)) {
		*ret = (struct seccomp_filter){0};
		return 0;
	}
	if (cache_dirfd >= 0) {
		canonical_text(s, &text);
		if (text.failed)
			return err_oom(err);
		if (seccomp_cache_get(cache_dirfd, text.s, text.len, ret) > 0)
			return 0;
	}
	int r = compile(s, ret, err);
	if (r == 0 && cache_dirfd >= 0)
		seccomp_cache_put(cache_dirfd, text.s, text.len, ret);
	return r;
}

void seccomp_filter_free(struct seccomp_filter *f)
{
	free(f->prog);
	*f = (struct seccomp_filter){0};
}

int seccomp_install(const struct seccomp_filter *f, int *ret_listener_fd, struct err *err)
{
	struct sock_fprog prog = {.len = f->len, .filter = f->prog};

	if (ret_listener_fd)
		*ret_listener_fd = -1;
	if (f->len == 0)
		return 0;
	if (f->notify && !ret_listener_fd)
		return err_set(err, EINVAL, "error loading seccomp filter: nobody takes its listener");
	long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, f->flags, &prog);
	if (r < 0)
		return err_sys(err, "error loading seccomp filter into kernel: error loading seccomp filter");
	if (f->notify)
		*ret_listener_fd = (int)r;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The profile's words into libseccomp's, and libseccomp's program out of it. */
#include "host/seccomp_int.h"

#include "base/fd.h"

#include <seccomp.h>
#include <sys/mman.h>

enum { SYSCALL_ARGS = 6 };

struct word {
	const char *name;
	uint32_t value;
};

static const struct word actions[] = {
	{"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
	{"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(EPERM)},
	{"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
	{"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
	{"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
	{"SCMP_ACT_LOG", SCMP_ACT_LOG},
	{"SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY},
	{"SCMP_ACT_TRACE", SCMP_ACT_TRACE(EPERM)},
	{"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
};

static const struct word operators[] = {
	{"SCMP_CMP_EQ", SCMP_CMP_EQ}, {"SCMP_CMP_GE", SCMP_CMP_GE},
	{"SCMP_CMP_GT", SCMP_CMP_GT}, {"SCMP_CMP_LE", SCMP_CMP_LE},
	{"SCMP_CMP_LT", SCMP_CMP_LT}, {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
	{"SCMP_CMP_NE", SCMP_CMP_NE},
};

/* Our names; libseccomp's are their tails in lower case, with exceptions. */
static const struct {
	const char *name, *libseccomp;
} archs[] = {
	{"SCMP_ARCH_AARCH64", "aarch64"},
	{"SCMP_ARCH_ARM", "arm"},
	{"SCMP_ARCH_LOONGARCH64", "loongarch64"},
	{"SCMP_ARCH_MIPS", "mips"},
	{"SCMP_ARCH_MIPS64", "mips64"},
	{"SCMP_ARCH_MIPS64N32", "mips64n32"},
	{"SCMP_ARCH_MIPSEL", "mipsel"},
	{"SCMP_ARCH_MIPSEL64", "mipsel64"},
	{"SCMP_ARCH_MIPSEL64N32", "mipsel64n32"},
	{"SCMP_ARCH_PPC", "ppc"},
	{"SCMP_ARCH_PPC64", "ppc64"},
	{"SCMP_ARCH_PPC64LE", "ppc64le"},
	{"SCMP_ARCH_RISCV64", "riscv64"},
	{"SCMP_ARCH_S390", "s390"},
	{"SCMP_ARCH_S390X", "s390x"},
	{"SCMP_ARCH_X32", "x32"},
	{"SCMP_ARCH_X86", "x86"},
	{"SCMP_ARCH_X86_64", "x86_64"},
};

uint32_t seccomp_native_arch(void)
{
	return seccomp_arch_native();
}

static int find_word(const struct word *words, size_t n, const char *name, const char *what, uint32_t *ret,
		     struct err *err)
{
	for (size_t i = 0; name && i < n; i++)
		if (streq(name, words[i].name)) {
			*ret = words[i].value;
			return 0;
		}
	return err_set(err, EINVAL, "string %s is not a valid %s for seccomp", name ? name : "", what);
}

static int find_action(const char *name, const struct opt_u32 *errno_ret, uint32_t *ret, struct err *err)
{
	int r = find_word(actions, ARRAY_LEN(actions), name, "action", ret, err);

	if (r < 0 || !errno_ret->set)
		return r;
	if ((*ret & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO)
		*ret = SCMP_ACT_ERRNO(errno_ret->v);
	else if ((*ret & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_TRACE)
		*ret = SCMP_ACT_TRACE(errno_ret->v);
	return 0;
}

static int find_arch(const char *name, uint32_t *ret, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(archs); i++) {
		if (!streq(name, archs[i].name))
			continue;
		*ret = seccomp_arch_resolve_name(archs[i].libseccomp);
		if (*ret == 0)
			return err_set(err, EINVAL,
				       "error validating Seccomp architecture: libseccomp does not know %s",
				       name);
		return 0;
	}
	return err_set(err, EINVAL, "string %s is not a valid arch for seccomp", name);
}

static void cleanup_ctx(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

static int add_condition(scmp_filter_ctx ctx, int nr, uint32_t action, const struct scmp_arg_cmp *cmp,
			 unsigned n, const char *name, struct err *err)
{
	int r = seccomp_rule_add_array(ctx, action, nr, n, cmp);

	if (r == 0 || r == -EEXIST) /* said twice */
		return 0;
	return err_num(err, r, "error adding seccomp %srule for syscall %s", n ? "" : "filter ", name);
}

/* The rule's conditions are ANDed, unless two are on one argument: then each stands alone (runc). */
static int add_conditions(scmp_filter_ctx ctx, int nr, uint32_t action, const struct oci_seccomp_rule *rule,
			  const char *name, struct err *err)
{
	autofree struct scmp_arg_cmp *cmp = calloc(rule->args.n + 1, sizeof(*cmp));
	unsigned seen[SYSCALL_ARGS] = {0};
	bool repeated = false;

	if (!cmp)
		return err_oom(err);
	for (size_t i = 0; i < rule->args.n; i++) {
		const struct oci_seccomp_arg *a = &rule->args.v[i];
		uint32_t op = 0;
		int r = find_word(operators, ARRAY_LEN(operators), a->op, "operator", &op, err);
		if (r < 0)
			return r;
		if (a->index >= SYSCALL_ARGS)
			return err_set(err, EINVAL,
				       "error creating seccomp syscall condition for syscall %s: "
				       "syscalls only have up to %d arguments (%u given)",
				       name, SYSCALL_ARGS, a->index);
		repeated |= seen[a->index]++ > 0;
		cmp[i] = (struct scmp_arg_cmp){.arg = a->index,
					       .op = (enum scmp_compare)op,
					       .datum_a = a->value,
					       .datum_b = a->value_two};
	}
	if (!repeated)
		return add_condition(ctx, nr, action, cmp, (unsigned)rule->args.n, name, err);
	for (size_t i = 0; i < rule->args.n; i++) {
		int r = add_condition(ctx, nr, action, &cmp[i], 1, name, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_notify(const char *name, struct err *err)
{
	static const char *const ours[] = {"write", "sendmsg"};

	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (streq(name, ours[i]))
			return err_set(err, EINVAL, "SCMP_ACT_NOTIFY cannot be used for the %s syscall",
				       name);
	return 0;
}

static int add_rule(scmp_filter_ctx ctx, const struct oci_seccomp_rule *rule, uint32_t default_action,
		    struct err *err)
{
	uint32_t action = 0;
	int r = find_action(rule->action, &rule->errno_ret, &action, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < rule->names.n; i++) {
		const char *name = rule->names.v[i];

		if (!*name)
			return err_set(err, EINVAL, "empty string is not a valid syscall");
		if (action == SCMP_ACT_NOTIFY) {
			r = check_notify(name, err);
			if (r < 0)
				return r;
		}
		int nr = seccomp_syscall_resolve_name(name);
		if (action == default_action || nr == __NR_SCMP_ERROR)
			continue; /* says nothing new, or names what libseccomp has not heard of */
		r = add_conditions(ctx, nr, action, rule, name, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static uint32_t highest_number(const struct oci_seccomp *s, uint32_t arch)
{
	int highest = 0;

	for (size_t i = 0; i < s->syscalls.n; i++)
		for (size_t k = 0; k < s->syscalls.v[i].names.n; k++) {
			int nr = seccomp_syscall_resolve_name_arch(arch, s->syscalls.v[i].names.v[k]);
			if (nr > highest)
				highest = nr;
		}
	return (uint32_t)highest;
}

static struct seccomp_arch *arch_entry(struct seccomp_archs *list, uint32_t audit)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->v[i].audit == audit)
			return &list->v[i];
	if (list->n == SECCOMP_ARCHS_MAX)
		return NULL;
	list->v[list->n] = (struct seccomp_arch){.audit = audit};
	return &list->v[list->n++];
}

/* libseccomp's x32 is a kind of x86-64 to the kernel. */
static int note_arch(const struct oci_seccomp *s, uint32_t arch, struct seccomp_archs *list, struct err *err)
{
	bool x32 = arch == SCMP_ARCH_X32;
	struct seccomp_arch *a = arch_entry(list, x32 ? AUDIT_ARCH_X86_64 : arch);

	if (!a)
		return err_set(err, E2BIG, "error adding architecture to seccomp filter: too many");
	*(x32 ? &a->last_x32 : &a->last) = highest_number(s, arch);
	return 0;
}

static int add_archs(scmp_filter_ctx ctx, const struct oci_seccomp *s, struct seccomp_archs *list,
		     struct err *err)
{
	/* libseccomp has the native one from the start, whether the profile names it or not. */
	int r = note_arch(s, seccomp_arch_native(), list, err);

	for (size_t i = 0; r == 0 && i < s->architectures.n; i++) {
		uint32_t arch = 0;
		r = find_arch(s->architectures.v[i], &arch, err);
		if (r < 0)
			return r;
		int e = seccomp_arch_add(ctx, arch);
		if (e < 0 && e != -EEXIST)
			return err_num(err, e, "error adding architecture to seccomp filter: %s",
				       s->architectures.v[i]);
		r = note_arch(s, arch, list, err);
	}
	return r;
}

static bool is_permissive(uint32_t action)
{
	action &= SECCOMP_RET_ACTION_FULL;
	return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG || action == SECCOMP_RET_TRACE;
}

static int export_program(scmp_filter_ctx ctx, struct seccomp_prog *ret, struct err *err)
{
	autoclose int fd = memfd_create("seccomp", MFD_CLOEXEC);
	char *data = NULL;
	size_t len = 0;

	if (fd < 0)
		return err_sys(err, "error exporting BPF: cannot make a memory file");
	int r = seccomp_export_bpf(ctx, fd);
	if (r < 0)
		return err_num(err, r, "error exporting BPF");
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(err, "error exporting BPF");
	r = fd_read_all(fd, 1 << 24, &data, &len);
	if (r < 0)
		return err_num(err, r, "error exporting BPF");
	ret->v = (struct sock_filter *)(void *)data;
	ret->n = len / sizeof(*ret->v);
	return 0;
}

int seccomp_rules_compile(const struct oci_seccomp *s, struct seccomp_prog *ret,
			  struct seccomp_archs *ret_archs, struct err *err)
{
	__attribute__((cleanup(cleanup_ctx))) scmp_filter_ctx ctx = NULL;
	struct seccomp_archs list = {0};
	uint32_t default_action = 0;

	int r = find_action(s->default_action, &s->default_errno_ret, &default_action, err);
	if (r < 0)
		return r;
	if (default_action == SCMP_ACT_NOTIFY)
		return err_set(err, EINVAL, "SCMP_ACT_NOTIFY cannot be used as default action");
	ctx = seccomp_init(default_action);
	if (!ctx)
		return err_set(err, EINVAL, "error creating filter");
	r = add_archs(ctx, s, &list, err);
	for (size_t i = 0; r == 0 && i < s->syscalls.n; i++)
		r = add_rule(ctx, &s->syscalls.v[i], default_action, err);
	if (r < 0)
		return r;
	list.enosys = !is_permissive(default_action) &&
		      !(s->default_errno_ret.set && s->default_errno_ret.v == ENOSYS);
	r = export_program(ctx, ret, err);
	if (r == 0)
		*ret_archs = list;
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* --security-opt seccomp=FILE: Docker's format, whose conditions are settled here. */
#include "engine/caps.h"

#include "base/file.h"
#include "host/caps.h"

#include <sys/utsname.h>

enum { PROFILE_MAX = 4 << 20 };

struct profile_when {
	str_list caps, arches;
	const char *min_kernel;
};
struct profile_arg {
	uint32_t index;
	uint64_t value, value_two;
	const char *op;
};
struct profile_rule {
	str_list names;
	const char *name, *action;
	struct opt_u32 errno_ret;
	LIST_OF(struct profile_arg) args;
	struct profile_when includes, excludes;
};
struct profile_arch {
	const char *architecture;
	str_list sub;
};
struct profile {
	const char *default_action;
	struct opt_u32 default_errno;
	str_list architectures, flags;
	LIST_OF(struct profile_arch) arch_map;
	LIST_OF(struct profile_rule) syscalls;
};

static const struct json_field when_fields[] = {
	F_STRS(struct profile_when, caps, "caps"),
	F_STRS(struct profile_when, arches, "arches"),
	F_STR(struct profile_when, min_kernel, "minKernel"),
};
static const struct json_table when_table = JSON_TABLE(struct profile_when, when_fields);

static const struct json_field arg_fields[] = {
	F_U32(struct profile_arg, index, "index", .max = 5),
	F_U64(struct profile_arg, value, "value"),
	F_U64(struct profile_arg, value_two, "valueTwo"),
	F_STR(struct profile_arg, op, "op", .required = true),
};
static const struct json_table arg_table = JSON_TABLE(struct profile_arg, arg_fields);

static const struct json_field rule_fields[] = {
	F_STRS(struct profile_rule, names, "names"),
	F_STR(struct profile_rule, name, "name"),
	F_STR(struct profile_rule, action, "action", .required = true),
	F_OPT_U32(struct profile_rule, errno_ret, "errnoRet"),
	F_OBJECTS(struct profile_rule, args, "args", struct profile_arg, &arg_table),
	F_OBJECT(struct profile_rule, includes, "includes", struct profile_when, &when_table),
	F_OBJECT(struct profile_rule, excludes, "excludes", struct profile_when, &when_table),
};
static const struct json_table rule_table = JSON_TABLE(struct profile_rule, rule_fields);

static const struct json_field arch_fields[] = {
	F_STR(struct profile_arch, architecture, "architecture"),
	F_STRS(struct profile_arch, sub, "subArchitectures"),
};
static const struct json_table arch_table = JSON_TABLE(struct profile_arch, arch_fields);

static const struct json_field profile_fields[] = {
	F_STR(struct profile, default_action, "defaultAction", .required = true),
	F_OPT_U32(struct profile, default_errno, "defaultErrnoRet"),
	F_STRS(struct profile, architectures, "architectures"),
	F_STRS(struct profile, flags, "flags"),
	F_OBJECTS(struct profile, arch_map, "archMap", struct profile_arch, &arch_table),
	F_OBJECTS(struct profile, syscalls, "syscalls", struct profile_rule, &rule_table),
};
static const struct json_table profile_table = JSON_TABLE(struct profile, profile_fields);

#if defined(__x86_64__)
static const char go_arch[] = "amd64", scmp_arch[] = "SCMP_ARCH_X86_64";
#elif defined(__aarch64__)
static const char go_arch[] = "arm64", scmp_arch[] = "SCMP_ARCH_AARCH64";
#elif defined(__riscv)
static const char go_arch[] = "riscv64", scmp_arch[] = "SCMP_ARCH_RISCV64";
#elif defined(__s390x__)
static const char go_arch[] = "s390x", scmp_arch[] = "SCMP_ARCH_S390X";
#else
static const char go_arch[] = "ppc64le", scmp_arch[] = "SCMP_ARCH_PPC64LE";
#endif

static bool list_has(const str_list *l, const char *s)
{
	for (size_t i = 0; i < l->n; i++) {
		if (streq(l->v[i], s))
			return true;
	}
	return false;
}

static bool has_cap_named(const char *name, uint64_t caps)
{
	int nr = cap_number(name);

	return nr >= 0 && (caps & CAP_BIT(nr));
}

static bool kernel_is_at_least(const char *version)
{
	struct utsname u;
	unsigned long a[2] = {0}, b[2] = {0};
	char *end;

	if (uname(&u) < 0)
		return false;
	a[0] = strtoul(u.release, &end, 10);
	a[1] = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
	b[0] = strtoul(version, &end, 10);
	b[1] = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
	return a[0] > b[0] || (a[0] == b[0] && a[1] >= b[1]);
}

static bool rule_applies(const struct profile_rule *r, uint64_t caps)
{
	if (r->excludes.arches.n && list_has(&r->excludes.arches, go_arch))
		return false;
	for (size_t i = 0; i < r->excludes.caps.n; i++) {
		if (has_cap_named(r->excludes.caps.v[i], caps))
			return false;
	}
	if (r->excludes.min_kernel && kernel_is_at_least(r->excludes.min_kernel))
		return false;
	if (r->includes.arches.n && !list_has(&r->includes.arches, go_arch))
		return false;
	for (size_t i = 0; i < r->includes.caps.n; i++) {
		if (!has_cap_named(r->includes.caps.v[i], caps))
			return false;
	}
	return !r->includes.min_kernel || kernel_is_at_least(r->includes.min_kernel);
}

static void write_rule(struct json_out *out, const struct profile_rule *r)
{
	json_begin_object(out, NULL);
	if (r->names.n)
		json_put_strs(out, "names", r->names.v, r->names.n);
	else
		json_put_strs(out, "names", &r->name, 1);
	json_put_str(out, "action", r->action);
	if (r->errno_ret.set)
		json_put_u64(out, "errnoRet", r->errno_ret.v);
	if (r->args.n) {
		json_begin_list(out, "args");
		for (size_t i = 0; i < r->args.n; i++) {
			json_begin_object(out, NULL);
			json_put_u64(out, "index", r->args.v[i].index);
			json_put_u64(out, "value", r->args.v[i].value);
			json_put_u64(out, "valueTwo", r->args.v[i].value_two);
			json_put_str(out, "op", r->args.v[i].op);
			json_end(out);
		}
		json_end(out);
	}
	json_end(out);
}

static void write_architectures(struct json_out *out, const struct profile *p)
{
	if (p->architectures.n) {
		json_put_strs(out, "architectures", p->architectures.v, p->architectures.n);
		return;
	}
	for (size_t i = 0; i < p->arch_map.n; i++) {
		const struct profile_arch *a = &p->arch_map.v[i];
		if (!a->architecture || !streq(a->architecture, scmp_arch))
			continue;
		json_begin_list(out, "architectures");
		json_put_str(out, NULL, a->architecture);
		for (size_t k = 0; k < a->sub.n; k++)
			json_put_str(out, NULL, a->sub.v[k]);
		json_end(out);
	}
}

int engine_seccomp_file(struct json_out *out, const char *key, const char *path, uint64_t caps,
			struct err *err)
{
	struct json_doc doc autojson = {0};
	struct profile p = {0};
	autofree char *text = NULL;
	size_t len;
	int r = file_read_named(path, PROFILE_MAX, &text, &len);

	if (r < 0)
		return err_num(err, r, "opening seccomp profile (%s) failed", path);
	r = json_decode(&doc, text, len, path, &profile_table, &p, err);
	if (r < 0)
		return err_prefix(err, "decoding seccomp profile failed");
	json_begin_object(out, key);
	json_put_str(out, "defaultAction", p.default_action);
	if (p.default_errno.set)
		json_put_u64(out, "defaultErrnoRet", p.default_errno.v);
	write_architectures(out, &p);
	if (p.flags.n)
		json_put_strs(out, "flags", p.flags.v, p.flags.n);
	json_begin_list(out, "syscalls");
	for (size_t i = 0; i < p.syscalls.n; i++) {
		const struct profile_rule *rule = &p.syscalls.v[i];
		if (rule_applies(rule, caps) && (rule->names.n || rule->name))
			write_rule(out, rule);
	}
	json_end(out);
	json_end(out);
	return 0;
}

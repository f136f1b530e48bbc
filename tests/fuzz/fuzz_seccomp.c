/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random profiles: the program of ranges must decide as libseccomp's own does
 * (and ENOSYS above the last number), for numbers at and around every border
 * and arguments of all kinds.
 */
#include "host/seccomp_int.h"

#include <seccomp.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libseccomp 2.5.4 loses some of its own nodes where rules overlap. */
const char *__lsan_default_suppressions(void)
{
	return "leak:libseccomp";
}

struct input {
	const uint8_t *p;
	size_t left;
};

static unsigned take(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->p++;
}

static uint32_t interpret(const struct sock_filter *v, size_t n, const struct seccomp_data *d)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < n; pc++) {
		const struct sock_filter *f = &v[pc];
		bool yes = BPF_OP(f->code) == BPF_JEQ	? a == f->k
			   : BPF_OP(f->code) == BPF_JGT ? a > f->k
			   : BPF_OP(f->code) == BPF_JGE ? a >= f->k
							: (a & f->k) != 0;

		if (BPF_CLASS(f->code) == BPF_RET)
			return f->k;
		if (BPF_CLASS(f->code) == BPF_LD)
			memcpy(&a, (const char *)d + f->k, 4);
		else if (BPF_CLASS(f->code) == BPF_ALU)
			a &= f->k;
		else if (BPF_OP(f->code) == BPF_JA)
			pc += f->k;
		else
			pc += yes ? f->jt : f->jf;
	}
	abort();
}

static uint32_t expected(const struct seccomp_prog *raw, const struct seccomp_archs *archs,
			 const struct seccomp_data *d)
{
	uint32_t nr = (uint32_t)d->nr;

	for (size_t i = 0; archs->enosys && i < archs->n; i++) {
		const struct seccomp_arch *a = &archs->v[i];
		bool x32 = a->audit == AUDIT_ARCH_X86_64 && (nr & 0x40000000);
		uint32_t last = x32 ? a->last_x32 : a->last;
		if (a->audit == d->arch && last && nr > last)
			return SECCOMP_RET_ERRNO | ENOSYS;
	}
	return interpret(raw->v, raw->n, d);
}

static void compare(const struct seccomp_prog *raw, const struct seccomp_prog *opt,
		    const struct seccomp_archs *archs)
{
	static const uint64_t values[] = {
		0, 1, 7, 0x7f, 0x100000000, 0xffffffff, ~UINT64_C(0), 0x8000000000000001};
	uint32_t arch[SECCOMP_ARCHS_MAX + 1] = {0x12345678};

	for (size_t i = 0; i < archs->n; i++)
		arch[i + 1] = archs->v[i].audit;
	for (size_t a = 0; a <= archs->n; a++)
		for (size_t i = 0; i < raw->n; i++)
			for (uint32_t k = 0; k < 3 * ARRAY_LEN(values); k++) {
				uint64_t v = values[k / 3];
				struct seccomp_data d = {.nr = (int)(raw->v[i].k + k % 3 - 1),
							 .arch = arch[a],
							 .args = {v, v + i, ~v, v, v, raw->v[i].k}};
				if (expected(raw, archs, &d) != interpret(opt->v, opt->n, &d))
					abort();
			}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum { RULES = 12, NAMES = 24 };
	static const char *const some_archs[] = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32",
						 "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
	struct input in = {data, size};
	struct oci_seccomp_rule rules[RULES] = {0};
	struct oci_seccomp_arg args[RULES][3];
	const char *names[RULES][NAMES], *archs[3];
	char *owned[RULES][NAMES] = {0};
	struct oci_seccomp s = {.default_action = seccomp_known_actions[take(&in) % 9],
				.architectures = {.v = (void *)archs}};
	struct seccomp_archs list;
	struct seccomp_prog raw = {0}, opt = {0};
	struct err err = {0};

	s.syscalls.v = (void *)rules;
	for (s.architectures.n = 0; s.architectures.n < take(&in) % 4; s.architectures.n++)
		archs[s.architectures.n] = some_archs[take(&in) % ARRAY_LEN(some_archs)];
	while (in.left && s.syscalls.n < RULES) {
		size_t r = s.syscalls.n++;
		rules[r].action = seccomp_known_actions[take(&in) % 9];
		rules[r].errno_ret = (struct opt_u32){.v = take(&in), .set = take(&in) & 1};
		rules[r].names.v = (void *)names[r];
		rules[r].args.v = (void *)args[r];
		for (unsigned n = take(&in) % NAMES, nr = take(&in) * 2; n > 0;
		     n--, nr += take(&in) % 4 + 1) {
			char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)nr);
			owned[r][rules[r].names.n] = name;
			if (name)
				names[r][rules[r].names.n++] = name;
		}
		for (unsigned n = take(&in) % 8; n > 4; n--)
			args[r][rules[r].args.n++] =
				(struct oci_seccomp_arg){.index = take(&in) % 7,
							 .value = (uint64_t)take(&in) << (take(&in) % 57),
							 .value_two = take(&in),
							 .op = seccomp_known_operators[take(&in) % 7]};
	}
	if (seccomp_rules_compile(&s, &raw, &list, &err) == 0) {
		if (seccomp_bpf_optimise(&raw, &list, &opt, &err) == 0)
			compare(&raw, &opt, &list);
		else if (err.code != E2BIG)
			abort();
	} else if (!err.msg[0]) {
		abort();
	}
	free(raw.v);
	free(opt.v);
	for (size_t i = 0; i < RULES; i++)
		for (size_t k = 0; k < NAMES; k++)
			free(owned[i][k]);
	return 0;
}

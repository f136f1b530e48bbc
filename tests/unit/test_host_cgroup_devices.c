/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device rules without privileges: what a list comes to in the form of v1,
 * and what v2's program answers, which a small interpreter here executes.
 */
#include "host/cgroup_device.h"
#include "test.h"

#include <linux/bpf.h>

#define ANY                                                                                                  \
	{                                                                                                    \
		0, false                                                                                     \
	}
#define N(x)                                                                                                 \
	{                                                                                                    \
		(x), true                                                                                    \
	}
#define ALLOW(t, a, b, acc)                                                                                  \
	{                                                                                                    \
		.allow = true, .type = (t), .major = a, .minor = b, .access = (acc)                          \
	}
#define DENY(t, a, b, acc)                                                                                   \
	{                                                                                                    \
		.allow = false, .type = (t), .major = a, .minor = b, .access = (acc)                         \
	}

/* Only what cgroup_bpf.c emits; anything else is a failure. */
static int run(const struct bpf_insn *v, size_t n, const struct bpf_cgroup_dev_ctx *ctx)
{
	uint64_t r[11] = {0};

	for (size_t i = 0; i < n; i++) {
		const struct bpf_insn *in = &v[i];
		uint64_t *dst = &r[in->dst_reg], src = r[in->src_reg];
		switch (in->code) {
		case BPF_LDX | BPF_MEM | BPF_W:
			*dst = *(const uint32_t *)((const char *)ctx + in->off);
			break;
		case BPF_ALU64 | BPF_MOV | BPF_X:
			*dst = src;
			break;
		case BPF_ALU64 | BPF_MOV | BPF_K:
			*dst = (uint64_t)(int64_t)in->imm;
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			*dst = (uint32_t)*dst & (uint32_t)in->imm;
			break;
		case BPF_ALU | BPF_RSH | BPF_K:
			*dst = (uint32_t)*dst >> in->imm;
			break;
		case BPF_JMP32 | BPF_JNE | BPF_K:
			if ((uint32_t)*dst != (uint32_t)in->imm)
				i += (size_t)in->off;
			break;
		case BPF_JMP32 | BPF_JEQ | BPF_K:
			if ((uint32_t)*dst == (uint32_t)in->imm)
				i += (size_t)in->off;
			break;
		case BPF_JMP | BPF_EXIT:
			return (int)r[0];
		default:
			return -1;
		}
	}
	return -2;
}

/* 1 allowed, 0 denied. `access` of "rwm". */
static int ask(const struct oci_device_rule *rules, size_t n, char type, uint32_t major, uint32_t minor,
	       const char *access)
{
	struct oci_resources r = {0};
	device_rule_list list;
	struct err err = {0};
	struct bpf_insn *insns = NULL;
	size_t count = 0;
	uint32_t bits = 0;

	r.devices.v = (struct oci_device_rule *)rules;
	r.devices.n = n;
	CHECK_INT(device_rules_make(&r, &list, &err), 0);
	CHECK_INT(device_bpf_assemble(&list, &insns, &count), 0);
	for (; *access; access++)
		bits |= *access == 'r'	 ? BPF_DEVCG_ACC_READ
			: *access == 'w' ? BPF_DEVCG_ACC_WRITE
					 : BPF_DEVCG_ACC_MKNOD;
	struct bpf_cgroup_dev_ctx ctx = {
		.access_type = bits << 16 | (type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR),
		.major = major,
		.minor = minor,
	};
	int verdict = run(insns, count, &ctx);
	free(insns);
	free(list.v);
	return verdict;
}

static void test_program(void)
{
	static const struct oci_device_rule rules[] = {
		DENY('a', ANY, ANY, "rwm"),	ALLOW('c', N(10), N(229), "r"),
		ALLOW('c', N(10), N(229), "w"), ALLOW('b', N(8), ANY, "rwm"),
		DENY('b', N(8), N(1), "w"),	ALLOW('c', N(4000000000), N(7), "r"),
		DENY('c', N(1), N(3), "rwm"),
	};
	const size_t n = ARRAY_LEN(rules);

	CHECK_INT(ask(rules, n, 'c', 1, 3, "rw"), 1); /* the runtime's own come last */
	CHECK_INT(ask(rules, n, 'c', 136, 77, "rw"), 1);
	CHECK_INT(ask(rules, n, 'c', 1, 1, "r"), 0);
	CHECK_INT(ask(rules, n, 'c', 1, 1, "m"), 1); /* making a node is no access */
	CHECK_INT(ask(rules, n, 'c', 1, 1, "rm"), 0);
	CHECK_INT(ask(rules, n, 'c', 10, 229, "r"), 1);
	CHECK_INT(ask(rules, n, 'c', 10, 229, "rw"), 1); /* by two rules together */
	CHECK_INT(ask(rules, n, 'c', 10, 229, "rwm"), 1);
	CHECK_INT(ask(rules, n, 'b', 10, 229, "r"), 0);
	CHECK_INT(ask(rules, n, 'b', 8, 0, "rw"), 1);
	CHECK_INT(ask(rules, n, 'b', 8, 1, "r"), 1); /* a hole in a wildcard */
	CHECK_INT(ask(rules, n, 'b', 8, 1, "w"), 0);
	CHECK_INT(ask(rules, n, 'b', 8, 1, "rw"), 0);
	CHECK_INT(ask(rules, n, 'c', 4000000000, 7, "r"), 1);
	CHECK_INT(ask(rules, n, 'c', 4000000000, 8, "r"), 0);
	CHECK_INT(ask(NULL, 0, 'b', 8, 0, "r"), 0);
}

static void test_all(void)
{
	static const struct oci_device_rule everything[] = {ALLOW('a', ANY, ANY, "rwm")};
	static const struct oci_device_rule but_one[] = {ALLOW('a', ANY, ANY, "rwm"),
							 DENY('b', N(8), N(0), "rwm")};
	static const struct oci_device_rule readers[] = {DENY('a', ANY, ANY, NULL),
							 ALLOW('a', N(8), ANY, "r")};

	CHECK_INT(ask(everything, 1, 'b', 8, 0, "rwm"), 1);
	CHECK_INT(ask(but_one, 2, 'b', 8, 0, "r"), 0);
	CHECK_INT(ask(but_one, 2, 'b', 8, 1, "r"), 1);
	/* 'a' with a number is both types of that number, not everything */
	CHECK_INT(ask(readers, 2, 'b', 8, 5, "r"), 1);
	CHECK_INT(ask(readers, 2, 'c', 8, 5, "r"), 1);
	CHECK_INT(ask(readers, 2, 'b', 8, 5, "w"), 0);
	CHECK_INT(ask(readers, 2, 'b', 9, 5, "r"), 0);
}

static int state_of(const struct oci_device_rule *rules, size_t n, struct device_state *ret, struct err *err)
{
	struct oci_resources r = {0};
	device_rule_list list;

	r.devices.v = (struct oci_device_rule *)rules;
	r.devices.n = n;
	CHECK_INT(device_rules_make(&r, &list, err), 0);
	int e = device_state_of(&list, ret, err);
	free(list.v);
	return e;
}

static void test_v1_state(void)
{
	static const struct oci_device_rule rules[] = {
		DENY('a', ANY, ANY, "rwm"),    ALLOW('c', N(10), N(229), "rwm"),
		ALLOW('b', N(8), N(20), "rw"), ALLOW('b', N(10), N(200), "r"),
		ALLOW('b', N(7), N(7), "r"),   DENY('b', N(7), ANY, "rwm"), /* takes the narrower one along */
	};
	static const struct oci_device_rule hole[] = {ALLOW('b', N(8), ANY, "rwm"),
						      DENY('b', N(8), N(1), "w")};
	static const struct oci_device_rule everything[] = {ALLOW('a', ANY, ANY, "rwm")};
	static const char *const want[] = {"c 10:229 rwm", "b 8:20 rw", "b 10:200 r", "c *:* m", "b *:* m"};
	struct device_state s;
	struct err err = {0};

	CHECK_INT(state_of(rules, ARRAY_LEN(rules), &s, &err), 0);
	CHECK(!s.allow);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		char text[64];
		device_rule_text(&s.but.v[i], text);
		CHECK_STR(text, want[i]);
	}
	device_state_free(&s);
	CHECK(state_of(hole, 2, &s, &err) < 0);
	CHECK(strstr(err.msg, "cannot punch hole in existing wildcard rule [b 8:* rwm]") != NULL);
	CHECK_INT(state_of(everything, 1, &s, &err), 0);
	CHECK(s.allow);
	CHECK_INT(s.but.n, 0);
	device_state_free(&s);
}

static void test_v1_list(void)
{
	char list[] = "c 1:3 rwm\nb *:* m\nc 136:* rw\n", all[] = "a *:* rwm\n", bad[] = "c 1 rwm\n",
	     worse[] = "q";
	struct device_state s;
	struct err err = {0};

	CHECK_INT(device_state_read(list, &s, &err), 0);
	CHECK(!s.allow && s.but.n == 3);
	CHECK_INT(device_state_access(&s, &(struct device_rule){.type = 'c', .major = 136, .minor = -1}),
		  DEV_READ | DEV_WRITE);
	device_state_free(&s);
	CHECK_INT(device_state_read(all, &s, &err), 0);
	CHECK(s.allow);
	device_state_free(&s);
	CHECK(device_state_read(bad, &s, &err) < 0);
	CHECK(device_state_read(worse, &s, &err) < 0);
}

static void test_bad_rules(void)
{
	struct oci_device_rule rule = ALLOW('p', N(1), N(3), "r");
	struct oci_resources r = {0};
	device_rule_list list;
	struct err err = {0};

	r.devices.v = &rule;
	r.devices.n = 1;
	CHECK(device_rules_make(&r, &list, &err) < 0);
	rule = (struct oci_device_rule)ALLOW('c', N(-5), N(3), "r");
	CHECK(device_rules_make(&r, &list, &err) < 0);
}

int main(void)
{
	test_program();
	test_all();
	test_v1_state();
	test_v1_list();
	test_bad_rules();
	return test_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  v2 asks an eBPF program of the group (and of every
 * group above; all must agree) about each access to a device.  Ours is the
 * list of rules from its end to its beginning, since the last one that
 * matches decides:
 *
 *	r2 = type; r3 = access asked for; r4 = major; r5 = minor
 *	for each rule, the last first:
 *		if type, major, minor do not match: next rule
 *		allow:	r3 &= ~access; if nothing is left to decide, return 1
 *		deny:	if r3 & access: return 0
 *	return 0
 *
 * Accesses are decided bit by bit, so that `allow r` and `allow w` together
 * answer an open for both.
 *
 * The program is attached with BPF_F_ALLOW_MULTI, as all runtimes and systemd
 * do; where there is one already (an update, or systemd's own), the new one
 * takes its place in one step, and further ones are detached afterwards, so
 * that at no moment the group is without rules.
 */
#include "host/cgroup_device.h"

#include <linux/bpf.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifndef BPF_F_REPLACE
#define BPF_F_REPLACE (1U << 2)
#endif

enum {
	PER_RULE = 10, /* instructions at most */
	FRAME = 8,     /* before and behind the rules */
	OLD_MAX = 64,  /* programs on one group: the kernel's own limit */
};

static int sys_bpf(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

/* --- the assembler --- */

struct code {
	struct bpf_insn *v;
	size_t n;
};

static void emit_insn(struct code *c, uint8_t op, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	c->v[c->n++] = (struct bpf_insn){
		.code = op, .dst_reg = dst & 15, .src_reg = src & 15, .off = off, .imm = imm};
}

static void emit_return(struct code *c, int verdict)
{
	emit_insn(c, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, verdict);
	emit_insn(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void emit_load(struct code *c)
{
	emit_insn(c, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1,
		  offsetof(struct bpf_cgroup_dev_ctx, access_type), 0);
	emit_insn(c, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_2, 0, 0);
	emit_insn(c, BPF_ALU | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff);
	emit_insn(c, BPF_ALU | BPF_RSH | BPF_K, BPF_REG_3, 0, 0, 16);
	emit_insn(c, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_4, BPF_REG_1,
		  offsetof(struct bpf_cgroup_dev_ctx, major), 0);
	emit_insn(c, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_5, BPF_REG_1,
		  offsetof(struct bpf_cgroup_dev_ctx, minor), 0);
}

static int32_t kernel_access(unsigned access)
{
	return (access & DEV_MKNOD ? BPF_DEVCG_ACC_MKNOD : 0) | (access & DEV_READ ? BPF_DEVCG_ACC_READ : 0) |
	       (access & DEV_WRITE ? BPF_DEVCG_ACC_WRITE : 0);
}

/* A jump to the rule's end, which is patched when it is known. */
static void emit_skip_unless(struct code *c, uint8_t reg, uint32_t value)
{
	emit_insn(c, BPF_JMP32 | BPF_JNE | BPF_K, reg, 0, 0, (int32_t)value);
}

static void emit_rule(struct code *c, const struct device_rule *d)
{
	int32_t access = kernel_access(d->access);
	size_t start = c->n;

	emit_skip_unless(c, BPF_REG_2, d->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
	if (d->major >= 0)
		emit_skip_unless(c, BPF_REG_4, (uint32_t)d->major);
	if (d->minor >= 0)
		emit_skip_unless(c, BPF_REG_5, (uint32_t)d->minor);
	if (d->access == DEV_RWM) {
		emit_return(c, d->allow);
	} else if (d->allow) {
		emit_insn(c, BPF_ALU | BPF_AND | BPF_K, BPF_REG_3, 0, 0, ~access);
		emit_skip_unless(c, BPF_REG_3, 0);
		emit_return(c, 1);
	} else {
		emit_insn(c, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_3, 0, 0);
		emit_insn(c, BPF_ALU | BPF_AND | BPF_K, BPF_REG_1, 0, 0, access);
		emit_insn(c, BPF_JMP32 | BPF_JEQ | BPF_K, BPF_REG_1, 0, 0, 0);
		emit_return(c, 0);
	}
	for (size_t i = start; i < c->n; i++)
		if (BPF_CLASS(c->v[i].code) == BPF_JMP32)
			c->v[i].off = (int16_t)(c->n - i - 1);
}

int device_bpf_assemble(const device_rule_list *rules, struct bpf_insn **ret, size_t *ret_n)
{
	struct code c = {.v = calloc(rules->n * PER_RULE + FRAME, sizeof(*c.v))};
	int verdict = 0;

	if (!c.v)
		return -ENOMEM;
	emit_load(&c);
	for (size_t i = rules->n; i-- > 0;) {
		const struct device_rule *d = &rules->v[i];
		if (d->type == 'a') { /* what comes before it decides nothing any more */
			verdict = d->allow;
			break;
		}
		emit_rule(&c, d);
	}
	emit_return(&c, verdict);
	*ret = c.v;
	*ret_n = c.n;
	return 0;
}

/* --- the kernel --- */

static int load(const struct bpf_insn *v, size_t n)
{
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
		.expected_attach_type = BPF_CGROUP_DEVICE,
		.insns = (uintptr_t)v,
		.insn_cnt = (uint32_t)n,
		.license = (uintptr_t) "Apache",
		.prog_name = "coffer_devices",
	};
	int fd = sys_bpf(BPF_PROG_LOAD, &attr);
	struct rlimit old, more = {RLIM_INFINITY, RLIM_INFINITY};

	if (fd >= 0 || errno != EPERM)
		return fd < 0 ? -errno : fd;
	/* Before 5.11 programs count as locked memory. */
	if (getrlimit(RLIMIT_MEMLOCK, &old) < 0 || setrlimit(RLIMIT_MEMLOCK, &more) < 0)
		return -EPERM;
	fd = sys_bpf(BPF_PROG_LOAD, &attr);
	int r = fd < 0 ? -errno : fd;
	(void)setrlimit(RLIMIT_MEMLOCK, &old); /* lowering what was raised above cannot fail */
	return r;
}

/* Descriptors of the programs that the group itself has; the count or -errno. */
static int find_old(int cgroup, int fds[static OLD_MAX])
{
	uint32_t ids[OLD_MAX];
	union bpf_attr q = {.query = {
				    .target_fd = (uint32_t)cgroup,
				    .attach_type = BPF_CGROUP_DEVICE,
				    .prog_ids = (uintptr_t)ids,
				    .prog_cnt = OLD_MAX,
			    }};
	int n = 0;

	if (sys_bpf(BPF_PROG_QUERY, &q) < 0)
		return -errno;
	for (uint32_t i = 0; i < q.query.prog_cnt && i < OLD_MAX; i++) {
		union bpf_attr get = {.prog_id = ids[i]};
		int fd = sys_bpf(BPF_PROG_GET_FD_BY_ID, &get);
		/*
		 * One that a security module hides from us stays: a further
		 * program can only forbid more.
		 */
		if (fd >= 0)
			fds[n++] = fd;
	}
	return n;
}

static int attach_program(int cgroup, int prog, int replaced)
{
	union bpf_attr attr = {
		.target_fd = (uint32_t)cgroup,
		.attach_bpf_fd = (uint32_t)prog,
		.attach_type = BPF_CGROUP_DEVICE,
		.attach_flags = BPF_F_ALLOW_MULTI | (replaced >= 0 ? BPF_F_REPLACE : 0),
		.replace_bpf_fd = replaced >= 0 ? (uint32_t)replaced : 0,
	};

	return sys_bpf(BPF_PROG_ATTACH, &attr) < 0 ? -errno : 0;
}

static int detach_program(int cgroup, int prog)
{
	union bpf_attr attr = {
		.target_fd = (uint32_t)cgroup,
		.attach_bpf_fd = (uint32_t)prog,
		.attach_type = BPF_CGROUP_DEVICE,
	};

	return sys_bpf(BPF_PROG_DETACH, &attr) < 0 && errno != ENOENT ? -errno : 0;
}

static int replace_all(int cgroup, const device_rule_list *rules, const int *old, int n, struct err *err)
{
	autofree struct bpf_insn *insns = NULL;
	size_t count;
	int kept = 0, r;

	/* Everything allowed, and nothing there that says otherwise: no program is the same and costs
	 * nothing. */
	if (n == 0 && device_bpf_allows_all(rules))
		return 0;
	r = device_bpf_assemble(rules, &insns, &count);
	if (r < 0)
		return err_oom(err);
	autoclose int prog = load(insns, count);
	if (prog < 0)
		return err_num(err, prog, "cannot load the device rules as an eBPF program");
	if (n > 0 && attach_program(cgroup, prog, old[0]) == 0)
		kept = 1;
	else if ((r = attach_program(cgroup, prog, -1)) < 0)
		return err_num(err, r, "cannot attach the device rules to the cgroup");
	for (int i = kept; i < n; i++) {
		r = detach_program(cgroup, old[i]);
		if (r < 0)
			return err_num(err, r, "cannot remove old device rules from the cgroup");
	}
	return 0;
}

bool device_bpf_allows_all(const device_rule_list *rules)
{
	for (size_t i = rules->n; i-- > 0;) {
		if (rules->v[i].type == 'a')
			return rules->v[i].allow;
		if (!rules->v[i].allow)
			return false;
	}
	return false;
}

int device_bpf_attach(int fd, const device_rule_list *rules, struct err *err)
{
	int old[OLD_MAX], n = find_old(fd, old);

	if (n < 0)
		return err_num(err, n, "cannot ask for the cgroup's device rules");
	int r = replace_all(fd, rules, old, n, err);
	while (n > 0)
		(void)close(old[--n]); /* the program lives on where it is attached */
	return r;
}

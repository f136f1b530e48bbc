/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From libseccomp's program to one that the kernel takes in a fifth of the
 * time.
 *
 * Theory of operation.  When a filter is installed the kernel compiles it and
 * then runs it for every system call number of every architecture, to learn
 * which are allowed whatever their arguments.  libseccomp compares number by
 * number: with Docker's profile this takes 530 us at each start of a
 * container (its own binary tree: 180).  Here it is 90:
 *
 * libseccomp stays the authority on what a profile means.  Its program is
 * run here, with a known architecture and number, until it either returns a
 * constant or loads something else (an argument): the outcome of that number
 * is the constant, or "go on from this instruction".  The outcome can only
 * change at numbers that the program compares with, so that one run for each
 * of these tells everything.  Neighbours with equal outcomes are one range,
 * and the ranges of an architecture become a balanced tree of comparisons.
 * The parts that look at arguments are copied from libseccomp's program as
 * they are, once each.
 *
 *   ld arch; jeq A1 -> tree 1; jeq A2 -> tree 2; …; bad architecture
 *   tree: ld number; jge …; each leaf a jump to a shared `ret` or to a copied part
 *
 * The ENOSYS rule is one more thing that decides about numbers.
 *
 * BPF jumps forward only, so that the program is made from its end: whatever
 * an instruction jumps to has its place by then.
 */
#include "host/seccomp_int.h"

enum {
	X32_BIT = 0x40000000,
	REACH = 254,
	RETS_MAX = 16,
};

static int refuse(struct err *err, size_t pc, unsigned code)
{
	return err_set(err, EINVAL,
		       "error loading seccomp filter: unexpected instruction 0x%x at %zu from libseccomp",
		       code, pc);
}

/* What becomes of a number: an action, or the instruction from which on arguments matter. */
struct outcome {
	bool is_pc;
	uint32_t v;
};

static bool same(struct outcome a, struct outcome b)
{
	return a.is_pc == b.is_pc && a.v == b.v;
}

static bool jumps(uint16_t code, uint32_t a, uint32_t k)
{
	switch (BPF_OP(code)) {
	case BPF_JEQ:
		return a == k;
	case BPF_JGT:
		return a > k;
	default:
		return a >= k;
	}
}

/* Runs the program as far as architecture and number lead. */
static int run(const struct seccomp_prog *p, uint32_t arch, uint32_t nr, struct outcome *ret, struct err *err)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < p->n; pc++) {
		const struct sock_filter *f = &p->v[pc];

		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (f->k > 4) {
				*ret = (struct outcome){.is_pc = true, .v = (uint32_t)pc};
				return 0;
			}
			a = f->k == 0 ? nr : arch;
			break;
		case BPF_JMP | BPF_JA:
			pc += f->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
		case BPF_JMP | BPF_JGT | BPF_K:
		case BPF_JMP | BPF_JGE | BPF_K:
			pc += jumps(f->code, a, f->k) ? f->jt : f->jf;
			break;
		case BPF_RET | BPF_K:
			*ret = (struct outcome){.v = f->k};
			return 0;
		default: /* masks of the number would need more than ranges; libseccomp has none */
			return refuse(err, pc, f->code);
		}
	}
	return refuse(err, p->n, 0);
}

/* runc's rule: what the profile's author cannot have known of does not exist. */
static bool is_enosys(const struct seccomp_archs *archs, const struct seccomp_arch *a, uint32_t nr)
{
	if (!archs->enosys)
		return false;
	if (a->audit == AUDIT_ARCH_X86_64 && (nr & X32_BIT))
		return a->last_x32 && nr > a->last_x32;
	return a->last && nr > a->last;
}

struct range {
	uint32_t first;
	struct outcome to;
};

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The numbers at which an outcome can change, sorted; the caller frees. */
static uint32_t *borders_of(const struct seccomp_prog *p, const struct seccomp_archs *archs, size_t *ret_n)
{
	uint32_t *v = calloc(2 * p->n + 2 * archs->n + 4, sizeof(*v));
	size_t n = 0;

	if (!v)
		return NULL;
	v[n++] = 0;
	v[n++] = X32_BIT;
	v[n++] = 2U * X32_BIT;
	v[n++] = 3U * X32_BIT;
	for (size_t i = 0; i < archs->n; i++) {
		v[n++] = archs->v[i].last + 1;
		v[n++] = archs->v[i].last_x32 + 1;
	}
	for (size_t i = 0; i < p->n; i++) {
		if (BPF_CLASS(p->v[i].code) != BPF_JMP || BPF_OP(p->v[i].code) == BPF_JA)
			continue;
		v[n++] = p->v[i].k;
		v[n++] = p->v[i].k + 1; /* 0xffffffff wraps to 0, which is there already */
	}
	qsort(v, n, sizeof(*v), by_number);
	*ret_n = n;
	return v;
}

struct build {
	const struct seccomp_prog *in;
	const struct seccomp_archs *archs;
	const uint32_t *borders;
	size_t nborders;
	struct range *ranges; /* of the architecture at hand; nborders of room */
	size_t nranges;
	struct sock_filter *out; /* BPF_MAXINSNS of room, filled from its end */
	size_t n;
	bool full;
	size_t *part_at; /* 1 + place of the copied part that begins with an instruction of `in`; 0 = nowhere
			  */
	struct {
		uint32_t action;
		size_t at;
	} rets[RETS_MAX]; /* the nearest `ret` of an action */
	size_t nrets;
};

static int find_ranges(struct build *b, const struct seccomp_arch *a, struct err *err)
{
	b->nranges = 0;
	for (size_t i = 0; i < b->nborders; i++) {
		uint32_t nr = b->borders[i];
		struct outcome to;

		if (i > 0 && nr == b->borders[i - 1])
			continue;
		int r = run(b->in, a->audit, nr, &to, err);
		if (r < 0)
			return r;
		if (is_enosys(b->archs, a, nr))
			to = (struct outcome){.v = SECCOMP_RET_ERRNO | ENOSYS};
		if (b->nranges > 0 && same(b->ranges[b->nranges - 1].to, to))
			continue;
		b->ranges[b->nranges++] = (struct range){.first = nr, .to = to};
	}
	return 0;
}

/* Puts an instruction before all that are there.  A place counts from the program's end. */
static size_t put(struct build *b, struct sock_filter f)
{
	if (b->n >= BPF_MAXINSNS) {
		b->full = true;
		return 0;
	}
	b->out[BPF_MAXINSNS - 1 - b->n] = f;
	return b->n++;
}

/* How far a jump that is put next must go. */
static size_t distance(const struct build *b, size_t place)
{
	return b->n - place - 1;
}

static size_t put_ret(struct build *b, uint32_t action)
{
	size_t i = 0;

	while (i < b->nrets && b->rets[i].action != action)
		i++;
	if (i < b->nrets && distance(b, b->rets[i].at) < REACH)
		return b->rets[i].at;
	size_t at = put(b, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
	if (i < RETS_MAX) {
		b->rets[i].action = action;
		b->rets[i].at = at;
		b->nrets = MAX_OF(b->nrets, i + 1);
	}
	return at;
}

/* A place that a conditional jump can reach (distances of 8 bits) and that does the same. */
static size_t near(struct build *b, size_t place)
{
	const struct sock_filter *f = &b->out[BPF_MAXINSNS - 1 - place];

	if (distance(b, place) < REACH)
		return place;
	if (f->code == (BPF_RET | BPF_K))
		return put_ret(b, f->k);
	return put(b, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)distance(b, place)));
}

static size_t put_branch(struct build *b, uint16_t code, uint32_t k, size_t yes, size_t no)
{
	/* REACH is less than 255: the second may push the first one further. */
	yes = near(b, yes);
	no = near(b, no);
	return put(b, (struct sock_filter)BPF_JUMP(code, k, (uint8_t)distance(b, yes),
						   (uint8_t)distance(b, no)));
}

static void mark(bool *reached, size_t n, size_t pc)
{
	if (pc < n)
		reached[pc] = true;
}

static void find_reached(const struct seccomp_prog *in, size_t from, bool *reached)
{
	reached[from] = true;
	for (size_t i = from; i < in->n; i++) {
		const struct sock_filter *f = &in->v[i];
		if (!reached[i] || BPF_CLASS(f->code) == BPF_RET)
			continue;
		if (BPF_CLASS(f->code) != BPF_JMP) {
			mark(reached, in->n, i + 1);
		} else if (BPF_OP(f->code) == BPF_JA) {
			mark(reached, in->n, i + 1 + f->k);
		} else {
			mark(reached, in->n, i + 1 + f->jt);
			mark(reached, in->n, i + 1 + f->jf);
		}
	}
}

/* Copies what can be reached from instruction `from`; distances between its instructions only shrink. */
static int put_part(struct build *b, size_t from, size_t *ret, struct err *err)
{
	size_t n = b->in->n;
	autofree bool *reached = calloc(n, sizeof(*reached));
	autofree size_t *place = calloc(n, sizeof(*place));

	if (!reached || !place)
		return err_oom(err);
	find_reached(b->in, from, reached);
	for (size_t i = n; i-- > from;) {
		struct sock_filter f = b->in->v[i];
		if (!reached[i])
			continue;
		if (BPF_CLASS(f.code) == BPF_JMP && BPF_OP(f.code) == BPF_JA) {
			f.k = (uint32_t)distance(b, place[i + 1 + f.k]);
		} else if (BPF_CLASS(f.code) == BPF_JMP) {
			f.jt = (uint8_t)distance(b, place[i + 1 + f.jt]);
			f.jf = (uint8_t)distance(b, place[i + 1 + f.jf]);
		}
		place[i] = put(b, f);
	}
	*ret = place[from];
	return 0;
}

static int put_parts(struct build *b, struct err *err)
{
	for (size_t i = 0; i < b->nranges; i++) {
		struct outcome to = b->ranges[i].to;
		size_t place = 0;

		if (!to.is_pc || b->part_at[to.v])
			continue;
		int r = put_part(b, to.v, &place, err);
		if (r < 0)
			return r;
		b->part_at[to.v] = place + 1;
	}
	return 0;
}

static size_t put_tree(struct build *b, size_t first, size_t count)
{
	struct outcome to = b->ranges[first].to;
	size_t half = count / 2;

	if (count == 1)
		return to.is_pc ? b->part_at[to.v] - 1 : put_ret(b, to.v);
	size_t right = put_tree(b, first + half, count - half);
	size_t left = put_tree(b, first, half);
	return put_branch(b, BPF_JMP | BPF_JGE | BPF_K, b->ranges[first + half].first, right, left);
}

static int put_arch(struct build *b, const struct seccomp_arch *a, size_t *ret, struct err *err)
{
	int r = find_ranges(b, a, err);

	if (r == 0)
		r = put_parts(b, err);
	if (r < 0)
		return r;
	size_t tree = put_tree(b, 0, b->nranges);
	if (distance(b, tree) != 0) /* one range alone: its `ret` may be anywhere */
		(void)put(b, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)distance(b, tree)));
	*ret = put(b, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0));
	return 0;
}

/* An architecture that is none of the profile's: what libseccomp does about it. */
static int bad_arch_action(struct build *b, uint32_t *ret, struct err *err)
{
	struct outcome to;
	uint32_t audit = 0xdeadbeef;

	for (size_t i = 0; i < b->archs->n; i++)
		if (b->archs->v[i].audit == audit)
			return refuse(err, 0, 0);
	int r = run(b->in, audit, 0, &to, err);
	if (r < 0)
		return r;
	if (to.is_pc)
		return refuse(err, to.v, b->in->v[to.v].code);
	*ret = to.v;
	return 0;
}

static int build(struct build *b, struct err *err)
{
	size_t places[SECCOMP_ARCHS_MAX];
	uint32_t bad = 0;
	int r = bad_arch_action(b, &bad, err);

	for (size_t i = b->archs->n; r == 0 && i-- > 0;)
		r = put_arch(b, &b->archs->v[i], &places[i], err);
	if (r < 0)
		return r;
	size_t next = put_ret(b, bad);
	for (size_t i = b->archs->n; i-- > 0;)
		next = put_branch(b, BPF_JMP | BPF_JEQ | BPF_K, b->archs->v[i].audit, places[i], next);
	(void)put(b, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4));
	if (b->full)
		return err_set(err, E2BIG,
			       "error loading seccomp filter: the profile needs more than %d instructions",
			       BPF_MAXINSNS);
	memmove(b->out, b->out + BPF_MAXINSNS - b->n, b->n * sizeof(*b->out));
	return 0;
}

int seccomp_bpf_optimise(const struct seccomp_prog *in, const struct seccomp_archs *archs,
			 struct seccomp_prog *ret, struct err *err)
{
	size_t nborders = 0;
	autofree uint32_t *borders = borders_of(in, archs, &nborders);
	autofree struct range *ranges = calloc(nborders + 1, sizeof(*ranges));
	autofree struct sock_filter *out = calloc(BPF_MAXINSNS, sizeof(*out));
	autofree size_t *part_at = calloc(in->n + 1, sizeof(*part_at));

	if (!borders || !ranges || !out || !part_at)
		return err_oom(err);
	struct build b = {.in = in,
			  .archs = archs,
			  .borders = borders,
			  .nborders = nborders,
			  .ranges = ranges,
			  .out = out,
			  .part_at = part_at};
	int r = build(&b, err);
	if (r < 0)
		return r;
	if (!seccomp_bpf_valid(out, b.n))
		return err_set(err, EINVAL,
			       "error loading seccomp filter: the program made from the profile is faulty");
	*ret = (struct seccomp_prog){.v = take_ptr(&out), .n = b.n};
	return 0;
}

bool seccomp_bpf_valid(const struct sock_filter *v, size_t n)
{
	if (n == 0 || n > BPF_MAXINSNS || BPF_CLASS(v[n - 1].code) != BPF_RET)
		return false;
	for (size_t i = 0; i < n; i++) {
		switch (v[i].code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (v[i].k >= sizeof(struct seccomp_data) || v[i].k % 4)
				return false;
			break;
		case BPF_JMP | BPF_JA:
			if (v[i].k >= n - i - 1)
				return false;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
		case BPF_JMP | BPF_JGT | BPF_K:
		case BPF_JMP | BPF_JGE | BPF_K:
		case BPF_JMP | BPF_JSET | BPF_K:
			if (v[i].jt >= n - i - 1 || v[i].jf >= n - i - 1)
				return false;
			break;
		case BPF_ALU | BPF_AND | BPF_K:
		case BPF_RET | BPF_K:
			break;
		default:
			return false;
		}
	}
	return true;
}

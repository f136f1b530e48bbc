/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "front/cli/options.h"

struct tried {
	bool interactive, tty, detach, pull_given;
	const char *name, *pull;
	int n;
	int64_t memory, interval, cpus;
	str_list publish;
	pair_list labels;
};
static const struct opt first[] = {
	O_BOOL(struct tried, interactive, "interactive", 'i', "x"),
	O_BOOL(struct tried, tty, "tty", 't', "x"),
	O_BOOL(struct tried, detach, "detach", 'd', "x"),
	O_STR(struct tried, name, "name", 0, "x"),
	O_INT(struct tried, n, "last", 'n', "x"),
};
static const struct opt second[] = {
	O_SIZE(struct tried, memory, "memory", 'm', "x"),
	O_DURATION(struct tried, interval, "interval", 0, "x"),
	O_CPUS(struct tried, cpus, "cpus", 0, "x"),
	O_LIST(struct tried, publish, "publish", 'p', "x"),
	O_PAIRS(struct tried, labels, "label", 'l', "x"),
	O_STR(struct tried, pull, "pull", 0, "x", .implied = "always",
	      .given = OPT_GIVEN(struct tried, pull_given)),
};

static struct json_doc memory;

static int parse(struct tried *t, bool stop_first, char **rest, int *nrest, struct err *err, char **argv)
{
	struct options_in in = {.tables = {OPT_TABLE(first), OPT_TABLE(second)},
				.argv = argv,
				.stop_first = stop_first,
				.rest = rest,
				.memory = &memory};

	while (argv[in.argc])
		in.argc++;
	*t = (struct tried){0};
	int r = options_parse(&in, t, err);
	*nrest = in.nrest;
	return r;
}
#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})

static void test_forms(void)
{
	struct tried t;
	char *rest[32];
	struct err err = {0};
	int n;

	CHECK_INT(parse(&t, true, rest, &n, &err,
			WORDS("-it", "--name", "x", "-dp", "80:80", "-p=90", "-p", "1", "-m512m",
			      "--label=a=b=c", "-l", "k", "image", "-it", "--name")),
		  0);
	CHECK(t.interactive && t.tty && t.detach);
	CHECK_STR(t.name, "x");
	CHECK_INT(t.publish.n, 3);
	CHECK_STR(t.publish.v[0], "80:80");
	CHECK_STR(t.publish.v[1], "90");
	CHECK_INT(t.memory, 512 << 20);
	CHECK_STR(t.labels.v[0].value, "b=c");
	CHECK_STR(t.labels.v[1].key, "k");
	CHECK_STR(t.labels.v[1].value, "");
	CHECK_INT(n, 3);
	CHECK_STR(rest[0], "image");
	CHECK_STR(rest[2], "--name");
	CHECK_INT(parse(&t, false, rest, &n, &err, WORDS("a", "--tty=false", "-i=0", "b", "--", "-x")), 0);
	CHECK(!t.tty && !t.interactive && n == 3);
	CHECK_STR(rest[2], "-x");
	CHECK_INT(parse(&t, false, rest, &n, &err,
			WORDS("--interval", "1m30s", "--cpus=1.5", "-n", "3", "--pull")),
		  0);
	CHECK(t.interval == 90000000000 && t.cpus == 1500000000 && t.n == 3 && t.pull_given);
	CHECK_STR(t.pull, "always");
	CHECK_INT(parse(&t, false, rest, &n, &err, WORDS("x", "-h")), OPTIONS_HELP);
	CHECK_INT(parse(&t, false, rest, &n, &err, WORDS("--help")), OPTIONS_HELP);
	CHECK_INT(parse(&t, true, rest, &n, &err, WORDS("x", "--help")), 0);
}

static void test_error(const char *want, char **argv)
{
	struct tried t;
	char *rest[32];
	struct err err = {0};
	int n;

	CHECK_INT(parse(&t, false, rest, &n, &err, argv), -EINVAL);
	CHECK_STR(err.msg, want);
}

static void test_errors(void)
{
	test_error("unknown flag: --zzz", WORDS("--zzz"));
	test_error("unknown flag: --nmae; did you mean --name?", WORDS("--nmae=x"));
	test_error("unknown shorthand flag: 'x' in -itx", WORDS("-itx"));
	test_error("flag needs an argument: --name", WORDS("--name"));
	test_error("flag needs an argument: 'm' in -dm", WORDS("-dm"));
	test_error("invalid argument \"x\" for \"-n, --last\" flag: expected a whole number",
		   WORDS("-n", "x"));
	test_error("invalid argument \"maybe\" for \"-t, --tty\" flag: expected true or false",
		   WORDS("--tty=maybe"));
	test_error("invalid argument \"1q\" for \"-m, --memory\" flag: invalid size: write bytes, or a "
		   "number with k, "
		   "m, g or t behind it",
		   WORDS("-m", "1q"));
	test_error("invalid argument \"=v\" for \"-l, --label\" flag: expected key=value", WORDS("-l", "=v"));
	test_error("bad flag syntax: --=x", WORDS("--=x"));
}

static void test_push(void)
{
	LIST_OF(int) l = {0};

	for (int i = 0; i < 1000; i++)
		*(int *)memory_push(&memory, &l, sizeof(int)) = i;
	CHECK(l.n == 1000 && l.v[0] == 0 && l.v[511] == 511 && l.v[999] == 999);
}

int main(void)
{
	test_forms();
	test_errors();
	test_push();
	json_doc_free(&memory);
	return test_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Signals, sizes, versions: the small languages of the command line. */
#include "runtime/making.h"
#include "runtime/size.h"
#include "test.h"

#include <signal.h>

static void test_signals(void)
{
	static const struct {
		const char *text;
		int number;
	} cases[] = {
		{"TERM", 15},	  {"SIGTERM", 15},    {"sigterm", 15}, {"9", 9},	  {"0", 0},
		{"64", 64},	  {"65", -1},	      {"-9", -1},      {"RTMIN", 34},	  {"SIGRTMIN+3", 37},
		{"RTMAX", 64},	  {"RTMAX-2", 62},    {"RTMIN-1", -1}, {"RTMIN+31", -1},  {"NOSUCH", -1},
		{"SIG", -1},	  {"TERMX", -1},      {"", -1},	       {"USR1", SIGUSR1}, {"WINCH", SIGWINCH},
		{"CLD", SIGCHLD}, {"SIGPOLL", SIGIO}, {"15x", -1},     {" 15", -1},	  {"SIGSIGTERM", -1}};
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int r = runtime_signal_number(cases[i].text, &err);
		CHECK_INT(r < 0 ? -1 : r, cases[i].number);
	}
	CHECK_INT(runtime_signal_number("BLA", &err), -EINVAL);
	CHECK_STR(err.msg, "unknown signal \"BLA\"");
}

static void test_sizes(void)
{
	static const struct {
		const char *text;
		int64_t bytes; /* -1: refused */
	} cases[] = {{"0", 0},
		     {"1024", 1024},
		     {"1k", 1024},
		     {"1K", 1024},
		     {"256m", 256 << 20},
		     {"1.5g", 3LL << 29},
		     {"64KiB", 65536},
		     {"2kb", 2048},
		     {"10 kb", 10240},
		     {"32b", 32},
		     {"1t", 1LL << 40},
		     {"", -1},
		     {"-1", -1},
		     {"abc", -1},
		     {"1x", -1},
		     {"1kk", -1},
		     {" 1", -1},
		     {"0x10", -1},
		     {"1e3", -1},
		     {"99999999p", -1},
		     {"1..2", -1},
		     {"1kib2", -1},
		     {".", -1}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t v = -1;
		int r = size_parse(cases[i].text, &v);
		CHECK_INT(r < 0 ? -1 : v, cases[i].bytes);
	}
}

/* A failing poststart hook stops the container since 1.3. */
static void test_poststart(void)
{
	CHECK(poststart_forgives("1.0.0"));
	CHECK(poststart_forgives("1.2.1-dev"));
	CHECK(!poststart_forgives("1.3.0"));
	CHECK(!poststart_forgives("1.10.0"));
	CHECK(!poststart_forgives("2.0.0"));
	CHECK(!poststart_forgives(NULL));
}

static void test_terminal(void)
{
	struct err err = {0};

	CHECK_INT(check_terminal(true, true, NULL, &err), -EINVAL);
	CHECK_INT(check_terminal(true, true, "/s", &err), 0);
	CHECK_INT(check_terminal(true, false, NULL, &err), 0);
	CHECK_INT(check_terminal(true, false, "/s", &err), -EINVAL);
	CHECK_INT(check_terminal(false, true, "/s", &err), -EINVAL);
	CHECK_INT(check_terminal(false, true, "", &err), 0);
}

int main(void)
{
	test_signals();
	test_sizes();
	test_poststart();
	test_terminal();
	return test_end();
}

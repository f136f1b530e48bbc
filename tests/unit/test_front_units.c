/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "front/cli/units.h"

#include <time.h>

static void test_sizes(void)
{
	static const struct {
		const char *text;
		int64_t want;
	} good[] = {{"0", 0},	       {"512", 512},	    {"1b", 1},
		    {"1k", 1024},      {"512m", 512 << 20}, {"1.5g", 1610612736},
		    {"1GiB", 1 << 30}, {"2 MB", 2 << 20},   {"1t", INT64_C(1) << 40},
		    {".5k", 512}};
	static const char *const bad[] = {"",	"m",	  "-1",		 "1x",	 "1mm",
					  "1 ", "1.2.3k", "9999999999t", "0x10", "1bb"};
	int64_t v = 7;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		CHECK_INT(bytes_parse(good[i].text, false, &v), 0);
		CHECK_INT(v, good[i].want);
	}
	v = 7;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK(bytes_parse(bad[i], false, &v) < 0);
	CHECK_INT(v, 7);
	CHECK_INT(bytes_parse("-1", true, &v), 0);
	CHECK_INT(v, -1);
}

static void test_durations(void)
{
	static const struct {
		const char *text;
		int64_t want;
	} good[] = {{"0", 0},
		    {"1s", 1000000000},
		    {"1m30s", 90000000000},
		    {"500ms", 500000000},
		    {"1.5h", 5400000000000},
		    {"-2s", -2000000000},
		    {"10us", 10000},
		    {"7ns", 7},
		    {"1h0m0.5s", 3600500000000}};
	static const char *const bad[] = {"", "1", "s", "1x", "1s2", "-", "1 s", "99999999999h"};
	int64_t v = 7;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		CHECK_INT(duration_parse(good[i].text, &v), 0);
		CHECK_INT(v, good[i].want);
	}
	v = 7;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK(duration_parse(bad[i], &v) < 0);
	CHECK_INT(v, 7);
	CHECK_INT(cpus_parse("0.5", &v), 0);
	CHECK_INT(v, 500000000);
	CHECK_INT(cpus_parse("2", &v), 0);
	CHECK_INT(v, 2000000000);
	CHECK(cpus_parse("-1", &v) < 0 && cpus_parse("1x", &v) < 0 && cpus_parse("", &v) < 0);
}

static void test_moments(void)
{
	static const struct {
		const char *text;
		int64_t want;
	} good[] = {{"1700000000", INT64_C(1700000000000000000)},
		    {"1.5", 1500000000},
		    {"1970-01-02", INT64_C(86400000000000)},
		    {"1970-01-01T00:01:00Z", 60000000000},
		    {"1970-01-01T01:00:00+01:00", 0},
		    {"1970-01-01T00:00:00.25-00:30", 1800250000000},
		    {"2024-02-29T12:34", INT64_C(1709210040000000000)},
		    {"10s", INT64_C(90000000000)}};
	static const char *const bad[] = {"",
					  "yesterday",
					  "1970-13-01",
					  "1970-01-01T25:00",
					  "1970-01-01X",
					  "10"
					  "q"};
	int64_t v;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		CHECK_INT(moment_parse(good[i].text, 100000000000, &v), 0);
		CHECK_INT(v, good[i].want);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK(moment_parse(bad[i], 0, &v) < 0);
	CHECK_STR(moment_text(INT64_C(1709210040000000000)).s, "2024-02-29 12:34:00 +0000 UTC");
	CHECK_STR(moment_rfc3339(1500000000).s, "1970-01-01T00:00:01.500000000Z");
	CHECK(moment_now() > INT64_C(1700000000000000000));
}

static void test_text(void)
{
	CHECK_STR(size_decimal(0, 3).s, "0B");
	CHECK_STR(size_decimal(999, 3).s, "999B");
	CHECK_STR(size_decimal(1234567, 3).s, "1.23MB");
	CHECK_STR(size_decimal(1234567, 4).s, "1.235MB");
	CHECK_STR(size_decimal(999900, 3).s, "1000kB");
	CHECK_STR(size_decimal(187e6, 3).s, "187MB");
	CHECK_STR(size_binary(8196145152.0).s, "7.633GiB");
	CHECK_STR(size_binary(1024).s, "1KiB");
	static const struct {
		int64_t s;
		const char *want;
	} ages[] = {{0, "Less than a second"}, {1, "1 second"},		 {59, "59 seconds"},
		    {60, "About a minute"},    {120, "2 minutes"},	 {3599, "59 minutes"},
		    {3600, "About an hour"},   {7200, "2 hours"},	 {47 * 3600, "47 hours"},
		    {48 * 3600, "2 days"},     {13 * 86400, "13 days"},	 {14 * 86400, "2 weeks"},
		    {59 * 86400, "8 weeks"},   {60 * 86400, "2 months"}, {729 * 86400, "24 months"},
		    {730 * 86400, "2 years"}};
	for (size_t i = 0; i < ARRAY_LEN(ages); i++)
		CHECK_STR(duration_text(ages[i].s * 1000000000).s, ages[i].want);
}

int main(void)
{
	test_sizes();
	test_durations();
	test_moments();
	test_text();
	return test_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine_int.h"

#include "test.h"

/* Whoever asks waits for an answer, and has one stack and one memory. */
static void test_immense_patterns(void)
{
	char deep[60001], wide[2001];

	memset(deep, '(', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	CHECK(!engine_name_matches(deep, "web"));
	memset(wide, '.', sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = '\0';
	CHECK(!engine_name_matches(wide, "web"));
	CHECK(!engine_name_matches("(((w{1,200}){1,200}){1,200})", "web"));
	CHECK(!engine_name_matches("(w{,20000})", "web"));
	CHECK(!engine_name_matches("w{99999999999999999999}", "web"));
	CHECK(!engine_name_matches("(b*)*\\1", "web"));
	CHECK(engine_name_matches("^w(e{1,30}b){1,30}$", "web"));
	CHECK(engine_name_matches("\\.w[{]{0,1}", "a.web"));
	CHECK(!engine_name_matches("web\\", "web"));
}

int main(void)
{
	static const char *const known[] = {"status", "label", "label!", NULL};
	const char *texts[] = {"status=running", "status=paused", "label=a", "label=b=1", "label!=c"};
	const char *unknown[] = {"color=red"}, *bare[] = {"status"};
	struct engine_filters f;
	struct err err = {0};
	struct oci_pair ok[] = {{"a", ""}, {"b", "1"}}, wrong[] = {{"a", ""}, {"b", "2"}},
			no[] = {{"a", "x"}, {"b", "1"}, {"c", ""}};

	CHECK_INT(engine_filters_parse(&(str_list){.v = texts, .n = 5}, known, &f, &err), 0);
	CHECK(engine_filter_match(&f, "status", "running"));
	CHECK(engine_filter_match(&f, "status", "paused"));
	CHECK(!engine_filter_match(&f, "status", "exited"));
	CHECK(engine_filter_match(&f, "id", "anything"));
	CHECK(engine_filter_labels(&f, ok, 2));
	CHECK(!engine_filter_labels(&f, wrong, 2));
	CHECK(!engine_filter_labels(&f, no, 3));
	CHECK(!engine_filter_labels(&f, NULL, 0));
	CHECK_STR(engine_filter_first(&f, "status"), "running");
	CHECK(engine_filter_first(&f, "x") == NULL);
	engine_filters_free(&f);
	CHECK_INT(engine_filters_parse(&(str_list){.v = unknown, .n = 1}, known, &f, &err), -EINVAL);
	CHECK_STR(err.msg, "invalid filter 'color'");
	CHECK_INT(engine_filters_parse(&(str_list){.v = bare, .n = 1}, known, &f, &err), -EINVAL);
	test_immense_patterns();
	return test_end();
}

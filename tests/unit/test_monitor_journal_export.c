/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "monitor/journal_export.h"

static void check_field(const char *buf, size_t len, ssize_t want, const char *name, const char *value)
{
	struct journal_field f;

	/* Not there as a whole, as long as a byte is missing. */
	for (ssize_t n = 0; n < want; n++)
		CHECK_INT(journal_export_field(buf, (size_t)n, &f), 0);
	CHECK_INT(journal_export_field(buf, len, &f), want);
	CHECK(f.name_len == strlen(name) && memcmp(f.name, name, f.name_len) == 0);
	CHECK(f.len == strlen(value) && memcmp(f.value, value, f.len) == 0);
}

static void test_fields(void)
{
	static const char text[] = "MESSAGE=a=b\n_UID=0\n\n",
			  binary[] = "MESSAGE\n\3\0\0\0\0\0\0\0a\nb\nNEXT=1\n";

	check_field(text, sizeof(text) - 1, 12, "MESSAGE", "a=b");
	check_field(text + 12, sizeof(text) - 1 - 12, 7, "_UID", "0");
	check_field(text + 19, 1, 1, "", "");
	check_field(binary, sizeof(binary) - 1, 20, "MESSAGE", "a\nb");
	check_field("EMPTY=\n", 7, 7, "EMPTY", "");
}

static void test_what_is_none(void)
{
	static const char long_value[] = "MESSAGE\n\1\0\100\0\0\0\0\0",
			  huge[] = "M\n\377\377\377\377\377\377\377\377x\n",
			  no_break[] = "M\n\1\0\0\0\0\0\0\0ab";
	autofree char *endless = calloc(1, JOURNAL_FIELD_MAX + 1);
	struct journal_field f;

	CHECK_INT(journal_export_field("=x\n", 3, &f), -EBADMSG);
	CHECK_INT(journal_export_field(long_value, sizeof(long_value) - 1, &f), -EBADMSG);
	CHECK_INT(journal_export_field(huge, sizeof(huge) - 1, &f), -EBADMSG);
	CHECK_INT(journal_export_field(no_break, sizeof(no_break) - 1, &f), -EBADMSG);
	CHECK_INT(journal_export_field(endless, JOURNAL_FIELD_MAX + 1, &f), -EBADMSG);
}

int main(void)
{
	test_fields();
	test_what_is_none();
	return test_end();
}

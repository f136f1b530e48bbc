/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

static void test_set(void)
{
	struct err e = {0};

	CHECK_INT(err_set(&e, EINVAL, "cannot %s \"%s\"", "mount", "proc"), -EINVAL);
	CHECK_INT(e.code, EINVAL);
	CHECK_STR(e.msg, "cannot mount \"proc\"");
	/* The arguments may be the message itself. */
	(void)err_set(&e, EPERM, "again: %s", e.msg);
	CHECK_STR(e.msg, "again: cannot mount \"proc\"");
}

static void test_errno(void)
{
	struct err e = {0};
	char text[64];

	errno = ENOENT;
	CHECK_INT(err_sys(&e, "cannot open %s", "/x"), -ENOENT);
	CHECK_STR(e.msg, "cannot open /x: No such file or directory");
	errno = 0;
	CHECK_INT(err_sys(&e, "odd"), -EIO); /* never a success by accident */
	CHECK_INT(err_num(&e, -EBUSY, "cannot remove"), -EBUSY);
	CHECK_STR(e.msg, "cannot remove: Device or resource busy");
	CHECK_INT(err_num(&e, EBUSY, "cannot remove"), -EBUSY);
	CHECK_INT(err_oom(&e), -ENOMEM);
	CHECK_STR(e.msg, "out of memory");
	CHECK_STR(err_text(99999), "Unknown error");
	CHECK_STR(err_text(-EPERM), "Operation not permitted");
	CHECK_STR(err_text_lower(EPERM, text), "operation not permitted");
}

static void test_prefix(void)
{
	struct err e = {0};

	(void)err_set(&e, EPERM, "cannot mount");
	CHECK_INT(err_prefix(&e, "container %s", "c1"), -EPERM);
	CHECK_STR(e.msg, "container c1: cannot mount");
}

/* Cut, not overrun; one line, whatever was quoted. */
static void test_hostile(void)
{
	static char big[4 * ERR_MSG_MAX];
	struct err e = {0};

	memset(big, 'x', sizeof(big) - 1);
	(void)err_set(&e, EINVAL, "%s", big);
	CHECK_INT(strlen(e.msg), ERR_MSG_MAX - 1);
	(void)err_num(&e, EINVAL, "%s", big);
	CHECK_INT(strlen(e.msg), ERR_MSG_MAX - 1);
	for (int i = 0; i < 10; i++)
		(void)err_prefix(&e, "%s", big);
	CHECK(strlen(e.msg) < ERR_MSG_MAX);
	(void)err_set(&e, EINVAL, "a\nb\033[2Jc\x7f");
	CHECK_STR(e.msg, "a?b?[2Jc?");
	(void)err_prefix(&e, "p\n%s", "q\t");
	CHECK_STR(e.msg, "p?q?: a?b?[2Jc?");
}

int main(void)
{
	test_set();
	test_errno();
	test_prefix();
	test_hostile();
	return test_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <ctype.h>

/* Messages quote what others wrote: no byte of it may break the line or drive a terminal. */
static void one_line(char *s)
{
	for (; *s; s++) {
		/* U+0080 to U+009F in UTF-8: what a terminal takes for ESC [ and its kin. */
		bool c1 = s[0] == '\xc2' && (unsigned char)s[1] >= 0x80 && (unsigned char)s[1] <= 0x9f;
		if (c1)
			s[0] = s[1] = '?';
		if (iscntrl((unsigned char)*s))
			*s = '?';
	}
}

printf_like(3, 0) static void set_v(struct err *e, int code, const char *fmt, va_list ap)
{
	/* The arguments may point into e->msg: build the line aside. */
	char line[ERR_MSG_MAX];

	if (vsnprintf(line, sizeof(line), fmt, ap) < 0)
		line[0] = '\0';
	one_line(line);
	e->code = code;
	memcpy(e->msg, line, sizeof(line));
}

static void append_text(struct err *e, int code)
{
	size_t n = strlen(e->msg);

	(void)snprintf(e->msg + n, sizeof(e->msg) - n, ": %s", err_text(code)); /* cutting is fine */
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_v(e, code, fmt, ap);
	va_end(ap);
	return -code;
}

int err_sys(struct err *e, const char *fmt, ...)
{
	int code = errno ? errno : EIO;
	va_list ap;

	va_start(ap, fmt);
	set_v(e, code, fmt, ap);
	va_end(ap);
	append_text(e, code);
	return -code;
}

int err_num(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	code = code < 0 ? -code : code;
	va_start(ap, fmt);
	set_v(e, code, fmt, ap);
	va_end(ap);
	append_text(e, code);
	return -code;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
	char head[ERR_MSG_MAX / 2], line[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(head, sizeof(head), fmt, ap) < 0)
		head[0] = '\0';
	va_end(ap);
	(void)snprintf(line, sizeof(line), "%s: %.*s", head, ERR_MSG_MAX / 2, e->msg); /* cutting is fine */
	one_line(line);
	memcpy(e->msg, line, sizeof(line));
	return -e->code;
}

int err_oom(struct err *e)
{
	return err_set(e, ENOMEM, "out of memory");
}

const char *err_text(int code)
{
	const char *text = strerrordesc_np(code < 0 ? -code : code);

	return text ? text : "Unknown error";
}

const char *err_text_lower(int code, char buf[static 64])
{
	(void)snprintf(buf, 64, "%s", err_text(code)); /* every text is shorter */
	buf[0] = (char)tolower((unsigned char)buf[0]);
	return buf;
}

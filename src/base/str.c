/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <stdarg.h>

static bool reserve(struct str *b, size_t more)
{
	size_t need, cap = b->cap ? b->cap : 64;

	if (b->failed || __builtin_add_overflow(b->len, more + 1, &need)) {
		b->failed = true;
		return false;
	}
	if (need <= b->cap)
		return true;
	while (cap < need)
		cap *= 2;
	char *s = realloc(b->s, cap);
	if (!s) {
		b->failed = true;
		return false;
	}
	b->s = s;
	b->cap = cap;
	return true;
}

void str_put_n(struct str *b, const void *text, size_t len)
{
	if (!reserve(b, len))
		return;
	memcpy(b->s + b->len, text, len);
	b->len += len;
	b->s[b->len] = '\0';
}

void str_put(struct str *b, const char *text)
{
	str_put_n(b, text, strlen(text));
}

printf_like(2, 0) static void put_v(struct str *b, const char *fmt, va_list ap)
{
	va_list again;

	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	if (n < 0 || !reserve(b, (size_t)n)) {
		b->failed = true;
	} else {
		(void)vsnprintf(b->s + b->len, (size_t)n + 1, fmt, again); /* measured above */
		b->len += (size_t)n;
	}
	va_end(again);
}

void str_putf(struct str *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_v(b, fmt, ap);
	va_end(ap);
}

char *str_take(struct str *b)
{
	char *s = NULL;

	if (!b->failed && reserve(b, 0)) {
		b->s[b->len] = '\0';
		s = take_ptr(&b->s);
	}
	str_free(b);
	return s;
}

void str_free(struct str *b)
{
	free(b->s);
	*b = (struct str){0};
}

int str_to_u64(const char *s, unsigned base, uint64_t *ret)
{
	char *end;

	/* strtoull takes blanks and signs, and turns "-1" into a huge number. */
	if (!((*s >= '0' && *s <= '9') || (base == 16 && ((*s | 32) >= 'a' && (*s | 32) <= 'f'))))
		return -EINVAL;
	errno = 0;
	unsigned long long v = strtoull(s, &end, (int)base);
	if (errno == ERANGE)
		return -ERANGE;
	if (*end != '\0')
		return -EINVAL;
	*ret = v;
	return 0;
}

int str_to_i64(const char *s, int64_t *ret)
{
	uint64_t v;
	bool negative = *s == '-';
	int r = str_to_u64(s + negative, 10, &v);

	if (r < 0)
		return r;
	if (v > (uint64_t)INT64_MAX + negative)
		return -ERANGE;
	*ret = negative ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}

char *str_format(const char *fmt, ...)
{
	struct str b = {0};
	va_list ap;

	va_start(ap, fmt);
	put_v(&b, fmt, ap);
	va_end(ap);
	return str_take(&b);
}

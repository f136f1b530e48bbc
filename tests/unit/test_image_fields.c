/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "image/fetch/fields.h"

static void test_content_range(void)
{
	struct content_range r = {0};
	static const char *const bad[] = {
		"",
		"bytes",
		"bytes 0-99",
		"bytes 99-0/100",
		"bytes 0-100/100",
		"bytes */100",
		"bits 0-9/10",
		"bytes 0-9/10x",
		"bytes -1-9/10",
		"bytes 0 -9/10",
		"bytes 0-9/",
		"bytes 0-18446744073709551616/*",
	};

	CHECK_INT(field_content_range("bytes 0-99/1000", &r), 0);
	CHECK(r.start == 0 && r.end == 99 && r.total == 1000);
	CHECK_INT(field_content_range("Bytes  5-5/*", &r), 0);
	CHECK(r.start == 5 && r.end == 5 && r.total == UINT64_MAX);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_INT(field_content_range(bad[i], &r), -EINVAL);
}

static void test_upload_range(void)
{
	uint64_t n = 7;

	CHECK_INT(field_upload_range("0-1023", &n), 0);
	CHECK_INT(n, 1024);
	CHECK_INT(field_upload_range("bytes=0-99", &n), 0);
	CHECK_INT(n, 100);
	CHECK_INT(field_upload_range("0-0", &n), 0);
	CHECK_INT(n, 0);
	CHECK_INT(field_upload_range("5-9", &n), -EINVAL);
	CHECK_INT(field_upload_range("0-", &n), -EINVAL);
	CHECK_INT(field_upload_range("0-18446744073709551615", &n), -EINVAL);
}

static void test_link(void)
{
	static const struct {
		const char *text, *next;
	} links[] = {
		{"</v2/_catalog?last=b&n=2>; rel=\"next\"", "/v2/_catalog?last=b&n=2"},
		{"<https://x/a,b>;rel=next", "https://x/a,b"},
		{"<a>; rel=\"prev\", <b>; title=\"x, y\"; rel=\"last next\"", "b"},
		{"<a>; REL=\"Next\"", "a"},
		{"<a>; rel=\"nextish\"", NULL},
		{"<a>", NULL},
		{"", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		autofree char *next = NULL;
		int r = field_link_next(links[i].text, &next);
		CHECK_INT(r, links[i].next ? 0 : -ENOENT);
		if (links[i].next)
			CHECK_STR(next, links[i].next);
	}
	char *none = NULL;
	CHECK_INT(field_link_next("a; rel=next", &none), -EINVAL);
	CHECK_INT(field_link_next("<a; rel=next", &none), -EINVAL);
}

static void test_retry_after(void)
{
	uint64_t ms = 0;

	CHECK_INT(field_retry_after("120", 0, &ms), 0);
	CHECK_INT(ms, 120000);
	CHECK_INT(field_retry_after("Fri, 31 Dec 1999 23:59:59 GMT", 946684799 - 10, &ms), 0);
	CHECK_INT(ms, 10000);
	CHECK_INT(field_retry_after("Fri, 31 Dec 1999 23:59:59 GMT", 946684799 + 10, &ms), 0);
	CHECK_INT(ms, 0);
	CHECK_INT(field_retry_after("18446744073709551615", 0, &ms), 0);
	CHECK(ms == (uint64_t)UINT32_MAX * 1000);
	CHECK_INT(field_retry_after("soon", 0, &ms), -EINVAL);
	CHECK_INT(field_retry_after("-1", 0, &ms), -EINVAL);
}

static void test_media_type(void)
{
	autofree char *a = field_media_type(" Application/JSON; charset=utf-8"), *b = field_media_type("");

	CHECK_STR(a, "application/json");
	CHECK_STR(b, "");
}

static void test_base64(void)
{
	static const char *const bad[] = {"a", "aaaaa", "a=aa", "a a=", "YQ===", "\x80\x80\x80\x80"};
	char bytes[64];

	for (size_t n = 0; n < sizeof(bytes); n++) {
		autofree char *back = NULL;
		size_t len = 0;
		bytes[n] = (char)(n * 37);
		autofree char *text = base64_encode(bytes, n);
		CHECK_INT(base64_decode(text, &back, &len), 0);
		CHECK(len == n && memcmp(back, bytes, n) == 0);
	}
	autofree char *known = base64_encode("user:secret", 11), *open = NULL;
	size_t len;
	CHECK_STR(known, "dXNlcjpzZWNyZXQ=");
	CHECK_INT(base64_decode("dXNlcjpzZWNyZXQ", &open, &len), 0);
	CHECK_STR(open, "user:secret");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char *none = NULL;
		CHECK_INT(base64_decode(bad[i], &none, &len), -EINVAL);
		CHECK(!none);
	}
}

static void test_escape(void)
{
	struct str s autostr = {0};

	url_escape_into(&s, "repository:a/b_c-d.e~:pull,push \xc3\xa4&");
	CHECK_STR(s.s, "repository%3Aa%2Fb_c-d.e~%3Apull%2Cpush%20%C3%A4%26");
}

int main(void)
{
	test_content_range();
	test_upload_range();
	test_link();
	test_retry_after();
	test_media_type();
	test_base64();
	test_escape();
	return test_end();
}

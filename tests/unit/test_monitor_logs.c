/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/file.h"
#include "base/str.h"
#include "monitor/log_file.h"
#include "monitor/log_line.h"
#include "monitor/monitor.h"
#include "monitor/rfc3339.h"

#include <sys/mman.h>
#include <sys/stat.h>

static void test_times(void)
{
	char buf[RFC3339_MAX];
	int64_t ns = 0;

	(void)rfc3339_format(0, buf);
	CHECK_STR(buf, "1970-01-01T00:00:00Z");
	(void)rfc3339_format(INT64_C(1795735524642263000), buf);
	CHECK_STR(buf, "2026-11-26T23:25:24.642263Z");
	CHECK_INT(rfc3339_parse(buf, strlen(buf), &ns), 0);
	CHECK_INT(ns, INT64_C(1795735524642263000));
	CHECK_INT(rfc3339_parse("2024-02-29T12:00:00.5+02:00", 27, &ns), 0);
	(void)rfc3339_format(ns, buf);
	CHECK_STR(buf, "2024-02-29T10:00:00.5Z");
	CHECK_INT(rfc3339_parse("2024-02-29 12:00", 16, &ns), -EINVAL);
	CHECK_INT(rfc3339_parse("2024-13-01T00:00:00Z", 20, &ns), -EINVAL);
	CHECK_INT(rfc3339_parse("", 0, &ns), -EINVAL);
}

static const char *encode(char *out, const char *text, size_t len, bool whole, const char *attrs)
{
	size_t n = log_line_encode(out, text, len, whole, false, attrs, "2026-01-02T03:04:05.6Z");

	out[n] = '\0';
	return out;
}

static void test_lines(void)
{
	static char out[LOG_ENTRY_MAX];
	const char *labels[] = {"b=2", "a=x\"y", "c"};
	autofree char *attrs = log_attrs(&(str_list){labels, 3});
	struct log_entry e;

	CHECK_STR(attrs, "\"attrs\":{\"a\":\"x\\\"y\",\"b\":\"2\",\"c\":\"\"},");
	CHECK_STR(encode(out, "hi", 2, true, ""),
		  "{\"log\":\"hi\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05.6Z\"}\n");
	CHECK_STR(
		encode(out, "a\t\"\\<\r\x01\xff\xe2\x80\xa8\xc3\xa9\xc3", 14, false, attrs),
		"{\"log\":\"a\\u0009\\\"\\\\\\u003c\\r\\u0001\\ufffd\\u2028\xc3\xa9\\ufffd\",\"stream\":"
		"\"stdout\","
		"\"attrs\":{\"a\":\"x\\\"y\",\"b\":\"2\",\"c\":\"\"},\"time\":\"2026-01-02T03:04:05.6Z\"}\n");
	CHECK_INT(log_line_decode(out, strlen(out) - 1, &e), 0);
	CHECK(e.len == 18 &&
	      memcmp(e.text, "a\t\"\\<\r\x01\xef\xbf\xbd\xe2\x80\xa8\xc3\xa9\xef\xbf\xbd", 18) == 0);
	CHECK(e.attrs && e.attrs_len == 27);
	CHECK(!e.is_err);
	/* Every beginning of it is torn. */
	(void)encode(out, "word", 4, true, attrs);
	for (size_t n = 0; n < strlen(out) - 1; n++) {
		char copy[512];
		memcpy(copy, out, n);
		CHECK_INT(log_line_decode(copy, n, &e), -EINVAL);
	}
	char foreign[] =
		"{\"log\":\"\\ud83d\\ude00\\ud83d\",\"stream\":\"stderr\",\"time\":\"2026-01-02T03:04:05Z\"}";
	CHECK_INT(log_line_decode(foreign, strlen(foreign), &e), 0);
	CHECK(e.is_err && e.len == 7 && memcmp(e.text, "\xf0\x9f\x98\x80\xef\xbf\xbd", 7) == 0);
	char text[LOG_LINE_MAX + 1];
	memset(text, 'x', sizeof(text));
	CHECK_INT(log_line_cut(text), LOG_LINE_MAX);
	memcpy(text + LOG_LINE_MAX - 2, "\xf0\x9f", 2);
	CHECK_INT(log_line_cut(text), LOG_LINE_MAX - 2);
	memcpy(text + LOG_LINE_MAX - 3, "\xe2\x80\xa8", 3);
	CHECK_INT(log_line_cut(text), LOG_LINE_MAX);
}

static char dir[] = "/tmp/test_monitor_logs.XXXXXX";

static struct log_file open_log(const char *path, uint64_t max, uint32_t files)
{
	struct log_file l = {.path = path, .max_size = max, .max_files = files};
	struct err err = {0};
	int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	CHECK_INT(log_file_begin(&l, fd, strdup(""), &err), 0);
	return l;
}

static void add(struct log_file *l, int number)
{
	char text[32], time[RFC3339_MAX];
	int n = snprintf(text, sizeof(text), "line %d", number);

	(void)rfc3339_format(INT64_C(1700000000000000000) + number, time);
	log_file_add(l, text, (size_t)n, true, number % 2, time);
	CHECK_INT(log_file_flush(l), 0);
}

static char *read_log(const char *path, struct monitor_log_query q)
{
	struct err err = {0};
	int fd = memfd_create("logs", MFD_CLOEXEC);
	char *text = NULL;

	q.path = path;
	q.out_fd = q.err_fd = fd;
	CHECK_INT(monitor_logs(&q, &err), 0);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	CHECK_INT(fd_read_all(fd, 1 << 26, &text, NULL), 0);
	close(fd);
	return text;
}

static void test_rotation(void)
{
	autofree char *path = str_format("%s/rotated", dir);
	struct log_file l = open_log(path, 1000, 3);
	struct monitor_log_query q = {.out = true, .err_too = true, .tail = -1};
	struct stat st;

	for (int i = 0; i < 100; i++)
		add(&l, i);
	log_file_end(&l);
	autofree char *one = str_format("%s.1", path), *two = str_format("%s.2", path),
		      *three = str_format("%s.3", path);
	CHECK(stat(one, &st) == 0 && st.st_size >= 1000 && st.st_size < 1100);
	CHECK(stat(two, &st) == 0 && stat(three, &st) < 0);
	autofree char *all = read_log(path, q);
	int n = 0, first = -1, last = -1;
	for (char *s = all; *s; s = strchr(s, '\n') + 1, n++) {
		last = (int)strtol(s + strlen("line "), NULL, 10);
		if (first < 0)
			first = last;
	}
	CHECK_INT(last, 99);
	CHECK_INT(n, last - first + 1);
	q.tail = 30;
	autofree char *tail = read_log(path, q);
	CHECK(tail && str_starts(tail, "line 70\n") && str_ends(tail, "line 99\n"));
	q.tail = 0;
	autofree char *none = read_log(path, q);
	CHECK_STR(none, "");
	q.tail = 1000000;
	autofree char *much = read_log(path, q);
	CHECK_STR(much, all);
	/* A rotation that was killed in its middle. */
	CHECK(rename(path, one) == 0);
	q.tail = 1;
	autofree char *gap = read_log(path, q);
	CHECK_STR(gap, "line 99\n");
}

static void test_filters(void)
{
	autofree char *path = str_format("%s/filters", dir);
	struct log_file l = open_log(path, 0, 1);
	const int64_t base = INT64_C(1700000000000000000);

	for (int i = 0; i < 10; i++)
		add(&l, i);
	log_file_end(&l);
	struct monitor_log_query q = {.out = true, .err_too = true, .tail = -1, .since = base + 7};
	autofree char *since = read_log(path, q);
	CHECK_STR(since, "line 7\nline 8\nline 9\n");
	q = (struct monitor_log_query){.out = true, .tail = -1, .until = base + 3, .timestamps = true};
	autofree char *until = read_log(path, q);
	CHECK_STR(until, "2023-11-14T22:13:20.000000000Z line 0\n2023-11-14T22:13:20.000000002Z line 2\n");
	/* Torn by a kill -9: the next monitor ends the line, the reader passes over it. */
	int fd = open(path, O_WRONLY | O_APPEND);
	CHECK(write(fd, "{\"log\":\"tor", 11) == 11);
	close(fd);
	q = (struct monitor_log_query){.out = true, .err_too = true, .tail = 1};
	autofree char *torn = read_log(path, q);
	CHECK_STR(torn, "line 9\n");
	l = open_log(path, 0, 1);
	add(&l, 10);
	log_file_end(&l);
	q.tail = 3;
	autofree char *after = read_log(path, q);
	CHECK_STR(after, "line 9\nline 10\n");
}

/* Big enough for --since to look by halves, in one file and over rotated ones; an entry every 10 seconds. */
static void check_since(uint64_t max_size, uint32_t files)
{
	enum { N = 30000 };
	autofree char *path = str_format("%s/since-%u", dir, files);
	struct log_file l = open_log(path, max_size, files);
	const int64_t base = INT64_C(1700000000), second = 1000000000;
	char text[32], time[RFC3339_MAX];

	for (int i = 0; i < N; i++) {
		/* Once the clock is set back, by less than ten seconds. */
		(void)rfc3339_format((base + 10 * i - (i == N / 2 ? 5 : 0)) * second, time);
		int n = snprintf(text, sizeof(text), "line %d", i);
		log_file_add(&l, text, (size_t)n, true, false, time);
		CHECK_INT(log_file_flush(&l), 0);
	}
	log_file_end(&l);
	for (int from = 0; from <= N; from += N / 12) {
		struct monitor_log_query q = {.out = true, .tail = -1, .since = (base + 10 * from) * second};
		autofree char *got = read_log(path, q);
		int lines = 0;
		for (const char *p = got; (p = strchr(p, '\n')); p++)
			lines++;
		CHECK_INT(lines, N - from - (from == N / 2 ? 1 : 0));
		if (from < N && from != N / 2) {
			(void)snprintf(text, sizeof(text), "line %d\n", from);
			CHECK(str_starts(got, text));
		}
	}
}

static void test_since(void)
{
	check_since(0, 1);
	check_since(700000, 8);
}

static void test_details(void)
{
	autofree char *path = str_format("%s/details", dir);
	const char *labels[] = {"b=2", "a=1"};
	struct log_file l = open_log(path, 0, 1);
	struct monitor_log_query q = {.out = true, .err_too = true, .tail = -1, .details = true};

	free(l.attrs);
	l.attrs = log_attrs(&(str_list){labels, 2});
	add(&l, 0);
	log_file_add(&l, "begin ", 6, false, false, "2026-01-02T03:04:05Z");
	log_file_add(&l, "end", 3, true, false, "2026-01-02T03:04:05Z");
	log_file_end(&l);
	autofree char *got = read_log(path, q);
	CHECK_STR(got, "a=1,b=2 line 0\na=1,b=2 begin end\n");
}

static void test_cut_in_place(void)
{
	autofree char *path = str_format("%s/cut", dir);
	struct log_file l = open_log(path, 500, 1);
	struct stat st;

	for (int i = 0; i < 100; i++)
		add(&l, i);
	CHECK(stat(path, &st) == 0 && st.st_size < 600);
	log_file_end(&l);
}

int main(void)
{
	CHECK(mkdtemp(dir) != NULL);
	test_times();
	test_lines();
	test_rotation();
	test_filters();
	test_since();
	test_details();
	test_cut_in_place();
	autoclose int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(file_remove_tree_at(tmp, dir + strlen("/tmp/")), 0);
	return test_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What needs no process: restarts, health, detach keys, messages, events. */
#include "test.h"

#include "base/file.h"
#include "base/str.h"
#include "monitor/detach.h"
#include "monitor/events.h"
#include "monitor/frames.h"
#include "monitor/health.h"
#include "monitor/journal.h"
#include "monitor/restart.h"

#include <sys/socket.h>

#define MS INT64_C(1000000)
#define S  (1000 * MS)

static void test_backoff(void)
{
	static const int64_t want[] = {100,  200,   400,   800,	  1600,	 3200,
				       6400, 12800, 25600, 51200, 60000, 60000};
	struct restart r = {.policy = MONITOR_RESTART_ALWAYS};

	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		CHECK_INT(restart_after(&r, 0, 9 * S), want[i] * MS);
	CHECK_INT(restart_after(&r, 0, 10 * S), 100 * MS);
	CHECK_INT(r.count, 13);
	r.stopped = true;
	CHECK_INT(restart_after(&r, 0, 0), -1);
}

static void test_policies(void)
{
	struct restart r = {.policy = MONITOR_RESTART_NO};

	CHECK_INT(restart_after(&r, 1, 0), -1);
	r = (struct restart){.policy = MONITOR_RESTART_ON_FAILURE, .max = 2};
	CHECK_INT(restart_after(&r, 0, 0), -1);
	CHECK(restart_after(&r, 1, 0) > 0);
	CHECK(restart_after(&r, 137, 0) > 0);
	CHECK_INT(restart_after(&r, 1, 0), -1);
	r = (struct restart){.policy = MONITOR_RESTART_UNLESS_STOPPED};
	CHECK(restart_after(&r, 0, 0) > 0);
	r.stopped = true;
	CHECK_INT(restart_after(&r, 1, 0), -1);
}

static bool result(struct health *h, int code, int64_t since)
{
	struct health_result x = {.start = 1, .end = 2, .exit_code = code, .output = strdup("said\n")};
	bool changed = health_result(h, &x, since);

	CHECK(x.output == NULL);
	return changed;
}

static void test_health(void)
{
	struct health h = {.retries = 2, .start_period = 10 * S};

	health_begin(&h);
	CHECK_INT(h.interval, 30 * S);
	CHECK_INT(h.timeout, 30 * S);
	CHECK_INT(health_wait(&h, 1 * S), 5 * S);
	CHECK_INT(health_wait(&h, 11 * S), 30 * S);
	for (int i = 0; i < 3; i++)
		CHECK(!result(&h, 1, 5 * S)); /* does not count yet */
	CHECK_INT(h.streak, 0);
	CHECK(!result(&h, 1, 11 * S));
	CHECK(result(&h, -1, 12 * S));
	CHECK_STR(health_status_name(h.status), "unhealthy");
	CHECK_INT(h.n, HEALTH_LOG_MAX);
	CHECK(result(&h, 0, 13 * S));
	CHECK_INT(h.streak, 0);
	CHECK_STR(health_status_name(h.status), "healthy");
	CHECK(!result(&h, 1, 1 * S)); /* the start period protects who was never healthy */
	CHECK_INT(h.streak, 1);
	autofree char *json = health_json(&h);
	CHECK(json &&
	      str_starts(json, "{\"Status\":\"healthy\",\"FailingStreak\":1,\"Log\":[{\"Start\":\"1970-01-"
			       "01T00:00:00.000000001Z\",\"End\":\"1970-01-01T00:00:00.000000002Z\","
			       "\"ExitCode\":1,\"Output\":\"said\\n\"}"));
	health_clear(&h);
}

static const char *typed(struct detach *d, const char *in, bool *ret_detached)
{
	static unsigned char out[256];
	size_t n;

	*ret_detached = detach_filter(d, (const unsigned char *)in, strlen(in), out, &n);
	out[n] = '\0';
	return (const char *)out;
}

static void test_detach(void)
{
	struct detach d;
	struct err err = {0};
	bool left;

	CHECK_INT(detach_parse("ctrl-p,ctrl-q", &d, &err), 0);
	CHECK(d.n == 2 && d.keys[0] == 16 && d.keys[1] == 17);
	CHECK_STR(typed(&d, "ab\x10", &left), "ab");
	CHECK(!left);
	CHECK_STR(typed(&d, "c", &left), "\x10"
					 "c");
	CHECK_STR(typed(&d, "\x10\x10", &left), "\x10");
	CHECK_STR(typed(&d, "\x11rest", &left), "");
	CHECK(left);
	CHECK_INT(detach_parse("a,a,b", &d, &err), 0);
	CHECK_STR(typed(&d, "aaab", &left), "a");
	CHECK(left);
	CHECK_STR(typed(&d, "aac", &left), "aac");
	CHECK_INT(detach_parse("ctrl-@,DEL,ctrl-_,x", &d, &err), 0);
	CHECK(d.n == 4 && d.keys[0] == 0 && d.keys[1] == 0x7f && d.keys[2] == 31 && d.keys[3] == 'x');
	CHECK_INT(detach_parse("", &d, &err), 0);
	CHECK_STR(typed(&d, "\x10\x11", &left), "\x10\x11");
	CHECK(!left);
	CHECK_INT(detach_parse("ctrl-é", &d, &err), -EINVAL);
	CHECK_INT(detach_parse("ab", &d, &err), -EINVAL);
	CHECK_INT(detach_parse("a,", &d, &err), -EINVAL);
}

static void test_frames(void)
{
	struct frame f = {.type = FRAME_FAILED, .a = ENOENT, .b = 127, .text = "no such thing"}, g;
	unsigned char buf[FRAME_MAX];
	struct err err = {0};
	size_t n = frame_encode(&f, buf);

	CHECK_INT(n, FRAME_HEAD + 13);
	CHECK_INT(frame_decode(buf, n, &g, &err), 0);
	CHECK(g.type == f.type && g.a == f.a && g.b == f.b);
	CHECK_STR(g.text, f.text);
	for (size_t i = 0; i < n; i++)
		CHECK_INT(frame_decode(buf, i, &g, &err), -EPROTO);
	f = (struct frame){.type = FRAME_SIGNAL, .a = 65};
	n = frame_encode(&f, buf);
	CHECK_INT(frame_decode(buf, n, &g, &err), -EPROTO);
	f = (struct frame){.type = FRAME_OK, .text = "none belongs here"};
	n = frame_encode(&f, buf);
	CHECK_INT(frame_decode(buf, n, &g, &err), -EPROTO);
	buf[0]++;
	CHECK_INT(frame_decode(buf, n, &g, &err), -EPROTO);
	CHECK(strstr(err.msg, "version"));
}

static void test_events(void)
{
	char path[] = "/tmp/test_monitor_events.XXXXXX";
	autofree char *big = malloc(5001), *text = NULL;
	struct json_doc doc autojson = {0};
	struct event_line e, got;
	struct err err = {0};
	size_t len;

	int fd = mkstemp(path);
	memset(big, 'x', 5000);
	big[5000] = '\0';
	struct oci_pair v[] = {{"name", "web"}, {"label", big}};
	e = (struct event_line){.time = 5,
				.type = "container",
				.action = "health_status: healthy",
				.id = "ab",
				.attributes = {v, 2}};
	CHECK_INT(event_append(path, &e, &err), 0);
	CHECK_INT(file_read_at(AT_FDCWD, path, 1 << 20, &text, &len), 0);
	CHECK_STR(text, "{\"time\":5,\"type\":\"container\",\"action\":\"health_status: "
			"healthy\",\"id\":\"ab\",\"attributes\":{\"name\":\"web\"}}\n");
	CHECK_INT(event_parse(text, len - 1, &doc, &got, &err), 0);
	CHECK(got.time == 5 && got.attributes.n == 1);
	CHECK_STR(got.action, "health_status: healthy");
	close(fd);
	(void)unlink(path);
}

static void test_journal(void)
{
	static const char want[] = "CONTAINER_ID=0123456789ab\nCONTAINER_TAG=0123456789ab\n"
				   "SYSLOG_IDENTIFIER=0123456789ab\nCONTAINER_ID_FULL=0123456789abcdef\n"
				   "CONTAINER_NAME=web\nMY_LABEL=x\nPRIORITY=3\nMESSAGE\n"
				   "\5\0\0\0\0\0\0\0a\0b\nc\nCONTAINER_PARTIAL_MESSAGE=true\n";
	const char *labels[] = {"my-label=x", "none", "9=y"};
	struct journal_source source = {.id = "0123456789abcdef", .name = "web", .labels = {labels, 3}};
	struct err err = {0};
	char got[512];
	int pair[2];

	CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
	CHECK_INT(journal_prepare(&source, &err), 0);
	CHECK_INT(journal_send(pair[0], &source, true, "a\0b\nc", 5, true), 0);
	CHECK_INT(recv(pair[1], got, sizeof(got), 0), sizeof(want) - 1);
	CHECK(memcmp(got, want, sizeof(want) - 1) == 0);
	free(source.fields);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	test_backoff();
	test_policies();
	test_health();
	test_detach();
	test_frames();
	test_events();
	test_journal();
	return test_end();
}

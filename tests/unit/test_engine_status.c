/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine_int.h"

#include "test.h"

#define SECOND INT64_C(1000000000)

static void durations(void)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} cases[] = {
		{0, "Less than a second"}, {1, "1 second"},	     {59, "59 seconds"},
		{60, "About a minute"},	   {119, "About a minute"},  {120, "2 minutes"},
		{3599, "59 minutes"},	   {3600, "About an hour"},  {5399, "About an hour"},
		{5400, "2 hours"},	   {47 * 3600, "47 hours"},  {48 * 3600, "2 days"},
		{14 * 86400, "2 weeks"},   {60 * 86400, "2 months"}, {730 * 86400, "2 years"},
	};
	char text[64];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		engine_duration_text(cases[i].seconds * SECOND, text, sizeof(text));
		CHECK_STR(text, cases[i].text);
	}
}

static void statuses(void)
{
	struct engine_status_in in = {
		.state = "running", .now = 400 * SECOND, .started = 100 * SECOND, .finished = 390 * SECOND};
	char text[96];

	engine_status_text(&in, text, sizeof(text));
	CHECK_STR(text, "Up 5 minutes");
	in.health = "healthy";
	engine_status_text(&in, text, sizeof(text));
	CHECK_STR(text, "Up 5 minutes (healthy)");
	in.health = "starting";
	engine_status_text(&in, text, sizeof(text));
	CHECK_STR(text, "Up 5 minutes (health: starting)");
	in.state = "paused";
	engine_status_text(&in, text, sizeof(text));
	CHECK_STR(text, "Up 5 minutes (Paused)");
	in.state = "exited";
	in.exit_code = 137;
	engine_status_text(&in, text, sizeof(text));
	CHECK_STR(text, "Exited (137) 10 seconds ago");
	in.state = "restarting";
	in.exit_code = 1;
	engine_status_text(&in, text, sizeof(text));
	CHECK_STR(text, "Restarting (1) 10 seconds ago");
	in.state = "created";
	engine_status_text(&in, text, sizeof(text));
	CHECK_STR(text, "Created");
	in.state = "removing";
	engine_status_text(&in, text, sizeof(text));
	CHECK_STR(text, "Removal In Progress");
}

static void times(void)
{
	struct err err = {0};
	char text[40];
	int64_t t;

	engine_time_text(INT64_C(1700000000123456789), text);
	CHECK_STR(text, "2023-11-14T22:13:20.123456789Z");
	engine_time_text(0, text);
	CHECK_STR(text, "0001-01-01T00:00:00Z");
	CHECK_INT(engine_time_parse("2023-11-14T22:13:20Z", &t, &err), 0);
	CHECK_INT(t, INT64_C(1700000000) * SECOND);
	CHECK_INT(engine_time_parse("2023-11-14T23:13:20+01:00", &t, &err), 0);
	CHECK_INT(t, INT64_C(1700000000) * SECOND);
	CHECK_INT(engine_time_parse("1700000000.5", &t, &err), 0);
	CHECK_INT(t, INT64_C(1700000000) * SECOND + SECOND / 2);
	CHECK_INT(engine_time_parse("1h30m", &t, &err), 0);
	CHECK(engine_now() - t >= 5400 * SECOND && engine_now() - t < 5410 * SECOND);
	CHECK_INT(engine_time_parse("10ms", &t, &err), 0);
	CHECK_INT(engine_time_parse("soon", &t, &err), -EINVAL);
	CHECK_INT(engine_time_parse("", &t, &err), -EINVAL);
	CHECK_INT(engine_time_parse("1x", &t, &err), -EINVAL);
}

static struct net_port port(const char *ip, uint16_t host, uint16_t container, uint16_t count,
			    const char *proto)
{
	struct net_port p = {.host_ip = ip, .host_port = host, .container_port = container, .count = count};

	memcpy(p.proto, proto, 4);
	return p;
}

static void ports(void)
{
	const char *exposed[] = {"80/tcp", "443/tcp", "53/udp"};
	const str_list l = {.v = exposed, .n = 3};
	const struct net_port v[] = {port("0.0.0.0", 8080, 80, 1, "tcp"), port("::", 8080, 80, 1, "tcp"),
				     port("0.0.0.0", 7000, 7000, 1, "tcp"),
				     port("0.0.0.0", 7001, 7001, 1, "tcp"),
				     port("127.0.0.1", 9000, 90, 3, "tcp")};

	autofree char *one = engine_ports_text(v, 2, NULL), *all = engine_ports_text(v, 5, &l),
		      *none = engine_ports_text(NULL, 0, NULL);
	CHECK_STR(one, "0.0.0.0:8080->80/tcp, :::8080->80/tcp");
	CHECK_STR(all, "443/tcp, 53/udp, 0.0.0.0:8080->80/tcp, 0.0.0.0:7000-7001->7000-7001/tcp, "
		       "127.0.0.1:9000-9002->90-92/tcp, :::8080->80/tcp");
	CHECK_STR(none, "");
}

int main(void)
{
	durations();
	statuses();
	times();
	ports();
	return test_end();
}

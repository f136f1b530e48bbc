/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/record.h"

#include "test.h"

int main(void)
{
	const char *env[] = {"A=b", "C=\"d\"\n"}, *cmd[] = {"sh", "-c", "true"}, *aliases[] = {"db", "x"};
	struct oci_pair labels[] = {{"k", "v"}, {"empty", ""}};
	struct net_join join = {.network = "n1", .aliases = {.v = aliases, .n = 2}, .ip = "10.0.0.2"};
	struct engine_record_mount mounts[] = {
		{.type = "volume", .name = "v", .target = "/v", .anonymous = true},
		{.type = "bind", .source = "/h", .target = "/b", .read_only = true, .propagation = "rslave"}};
	struct engine_record_port ports[] = {
		{.proto = "tcp", .host_port = 8080, .container_port = 80, .count = 1},
		{.proto = "udp", .host_ip = "::1", .container_port = 53, .count = 2}};
	struct oci_healthcheck health = {.test = {.v = cmd, .n = 3}, .interval = 5, .retries = 2};
	struct engine_record r = {.version = ENGINE_RECORD_VERSION,
				  .image_id = "sha256:1",
				  .user_base = 524288},
			     back;
	struct json_doc doc autojson = {0}, doc2 autojson = {0};
	struct err err = {0};

	r.q.memory = -1;
	r.q.memory_swappiness = -1;
	r.q.stop_timeout = -1;
	r.q.nano_cpus = 1500000000;
	r.q.tty = true;
	r.q.networks.v = &join;
	r.q.networks.n = 1;
	r.mounts.v = mounts;
	r.mounts.n = 2;
	r.ports.v = ports;
	r.ports.n = 2;
	r.config.env = (str_list){.v = env, .n = 2};
	r.config.cmd = (str_list){.v = cmd, .n = 3};
	r.config.labels = (pair_list){.v = labels, .n = 2};
	r.config.healthcheck = &health;
	autofree char *text = engine_record_write(&r);
	CHECK(text != NULL);
	CHECK_INT(engine_record_read(text, strlen(text), "id", &doc, &back, &err), 0);
	CHECK_INT(back.q.memory, -1);
	CHECK_INT(back.q.memory_swappiness, -1);
	CHECK_INT(back.q.stop_timeout, -1);
	CHECK_INT(back.q.nano_cpus, 1500000000);
	CHECK(back.q.tty && !back.q.interactive);
	CHECK_INT(back.user_base, 524288);
	CHECK_INT(back.q.networks.n, 1);
	CHECK_STR(back.q.networks.v[0].aliases.v[1], "x");
	CHECK_STR(back.q.networks.v[0].ip, "10.0.0.2");
	CHECK(back.mounts.v[0].anonymous && !back.mounts.v[1].anonymous);
	CHECK_STR(back.mounts.v[1].propagation, "rslave");
	CHECK_STR(back.config.env.v[1], "C=\"d\"\n");
	CHECK_STR(back.config.labels.v[1].key, "empty");
	CHECK_STR(back.config.labels.v[1].value, "");
	CHECK_INT(back.config.healthcheck->interval, 5);
	/* Again the same: nothing is lost on the way. */
	autofree char *again = engine_record_write(&back);
	CHECK_STR(again, text);
	struct net_port *np = NULL;
	size_t n = 0;
	CHECK_INT(engine_record_ports(&back, &np, &n, &err), 0);
	CHECK_INT(n, 2);
	CHECK_STR(np[1].proto, "udp");
	CHECK_INT(np[1].count, 2);
	free(np);
	CHECK_INT(engine_record_read("{\"version\":99,\"imageId\":\"x\"}", 28, "id", &doc2, &back, &err),
		  -EPROTO);
	CHECK_INT(engine_record_read("{\"version\":1}", 13, "id", &doc2, &back, &err), -EINVAL);
	return test_end();
}

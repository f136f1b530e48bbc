/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "oci/image_config.h"

#define SHA "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static struct json_doc doc;
static struct err err;

static int decode(const char *text, struct oci_image_config *ret)
{
	json_doc_free(&doc);
	*ret = (struct oci_image_config){0};
	err = (struct err){0};
	return oci_image_config_decode(text, strlen(text), "C", &doc, ret, &err);
}

static const char whole[] =
	"{\"created\":\"2024-01-02T03:04:05Z\",\"author\":\"me\",\"architecture\":\"arm\",\"variant\":\"v7\","
	"\"os\":\"linux\","
	"\"config\":{\"User\":\"1:2\",\"ExposedPorts\":{\"80/tcp\":{},\"53/"
	"udp\":{}},\"Env\":[\"A=b\"],\"Cmd\":[\"x\"],"
	"\"Healthcheck\":{\"Test\":[\"CMD\",\"true\"],\"Interval\":5,\"Retries\":3},\"Volumes\":{\"/"
	"data\":{}},"
	"\"WorkingDir\":\"/w\",\"Entrypoint\":[\"/e\"],\"Labels\":{\"k\":\"v\"},\"StopSignal\":\"SIGQUIT\"},"
	"\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" SHA "\"]},"
	"\"history\":[{\"created\":\"2024-01-02T03:04:05Z\",\"created_by\":\"make\"},{\"comment\":\"c\","
	"\"empty_layer\":true}]}";

static void test_whole(void)
{
	struct oci_image_config c;
	struct json_out out autojsonout = {0};

	CHECK_INT(decode(whole, &c), 0);
	CHECK_STR(c.variant, "v7");
	CHECK_INT(c.exposed_ports.n, 2);
	CHECK_STR(c.exposed_ports.v[1], "53/udp");
	CHECK_STR(c.volumes.v[0], "/data");
	CHECK_INT(c.healthcheck->retries, 3);
	CHECK_STR(c.labels.v[0].value, "v");
	CHECK_STR(c.diff_ids.v[0], SHA);
	CHECK(c.history.v[1].empty_layer);
	oci_image_config_write(&out, &c);
	autofree char *text = json_take(&out);
	CHECK_STR(text, whole);
}

static void test_small(void)
{
	struct oci_image_config c;
	struct json_out out autojsonout = {0};

	CHECK_INT(decode("{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":null},\"config\":null,\"history\":"
			 "null}",
			 &c),
		  0);
	CHECK_INT(c.diff_ids.n, 0);
	oci_image_config_write_config(&out, NULL, &c);
	autofree char *text = json_take(&out);
	CHECK(text && strstr(text, "\"Entrypoint\":null") && strstr(text, "\"Tty\":false"));
}

static void test_refused(void)
{
	struct oci_image_config c;

	CHECK_INT(decode("{}", &c), -EINVAL);
	CHECK_STR(err.msg, "C: rootfs: expected an object, got nothing");
	CHECK_INT(decode("{\"rootfs\":{}}", &c), -EINVAL);
	CHECK_INT(decode("{\"rootfs\":{\"type\":\"x\"}}", &c), -EINVAL);
	CHECK_INT(decode("{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"../x\"]}}", &c), -EINVAL);
	CHECK(strstr(err.msg, "rootfs.diff_ids[0]") != NULL);
	CHECK_INT(decode("{\"rootfs\":{\"type\":\"layers\"},\"config\":{\"Env\":\"x\"}}", &c), -EINVAL);
	CHECK_INT(decode("{\"rootfs\":{\"type\":\"layers\"},\"config\":{\"Volumes\":{\"/a\":{},\"/a\":{}}}}",
			 &c),
		  -EINVAL);
}

int main(void)
{
	test_whole();
	test_small();
	test_refused();
	json_doc_free(&doc);
	return test_end();
}

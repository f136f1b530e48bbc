/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/str.h"
#include "oci/manifest.h"

#define SHA	"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define D(type) "{\"mediaType\":\"" type "\",\"digest\":\"" SHA "\",\"size\":7}"

static struct json_doc doc;
static struct err err;

static int decode(const char *text, const char *type, struct oci_manifest *ret)
{
	json_doc_free(&doc);
	*ret = (struct oci_manifest){0};
	err = (struct err){0};
	return oci_manifest_decode(text, strlen(text), type, "M", &doc, ret, &err);
}

static void refused(const char *text, const char *type, const char *why)
{
	struct oci_manifest m;

	CHECK(decode(text, type, &m) < 0);
	CHECK(str_starts(err.msg, "M: "));
	if (!strstr(err.msg, why)) {
		fprintf(stderr, "%s\n  %s\n", text, err.msg);
		CHECK(!"the reason");
	}
}

static const char manifest[] = "{\"schemaVersion\":2,\"config\":" D(OCI_MEDIA_CONFIG) ",\"layers\":[" D(
	OCI_MEDIA_LAYER) "],\"annotations\":{\"a\":\"b\"}}";
static const char index_text[] =
	"{\"schemaVersion\":2,\"mediaType\":\"" OCI_MEDIA_INDEX
	"\",\"manifests\":[{\"mediaType\":\"" OCI_MEDIA_MANIFEST "\",\"digest\":\"" SHA
	"\",\"size\":7,\"platform\":{\"architecture\":\"arm\",\"os\":\"linux\",\"variant\":\"v7\"}}]}";

static void test_good(void)
{
	struct oci_manifest m;

	CHECK_INT(decode(manifest, NULL, &m), 0);
	CHECK_INT(m.kind, OCI_MANIFEST);
	CHECK_INT(m.layers.n, 1);
	CHECK_STR(m.layers.v[0].digest, SHA);
	CHECK_INT(m.layers.v[0].size, 7);
	CHECK(!m.media_type);
	CHECK_INT(decode(manifest, OCI_MEDIA_MANIFEST, &m), 0);
	CHECK_STR(m.media_type, OCI_MEDIA_MANIFEST);
	CHECK_INT(decode(manifest, DOCKER_MEDIA_MANIFEST, &m), 0);
	CHECK_INT(decode(manifest, "application/json", &m), 0);
	CHECK_INT(decode(index_text, NULL, &m), 0);
	CHECK_INT(m.kind, OCI_INDEX);
	CHECK_STR(m.manifests.v[0].platform.variant, "v7");
}

static void test_ambiguous(void)
{
	refused("{\"schemaVersion\":2,\"config\":" D("x/y") ",\"layers\":[],\"manifests\":[]}", NULL,
		"ambiguous");
	refused("{\"schemaVersion\":2,\"layers\":[],\"Manifests\":[]}", NULL, "ambiguous");
	refused("{\"schemaVersion\":2,\"manifests\":[],\"manifests\":[]}", NULL, "given twice");
	refused(manifest, OCI_MEDIA_INDEX, "ambiguous");
	refused(manifest, DOCKER_MEDIA_LIST, "ambiguous");
	refused(index_text, OCI_MEDIA_MANIFEST, "ambiguous");
	refused(index_text, DOCKER_MEDIA_LIST, "ambiguous");
	refused(index_text, "image/png", "no image manifest");
	refused("{\"schemaVersion\":2,\"mediaType\":\"" OCI_MEDIA_INDEX
		"\",\"config\":" D("x/y") ",\"layers\":[]}",
		NULL, "ambiguous");
}

static void test_wrong(void)
{
	struct str s autostr = {0};

	refused("{}", NULL, "schemaVersion");
	refused("{\"schemaVersion\":1,\"name\":\"x\",\"fsLayers\":[]}", NULL, "schema 1");
	refused("{\"schemaVersion\":2}", NULL, "neither");
	refused("{\"schemaVersion\":2,\"config\":" D("x/y") "}", NULL, "no \"layers\"");
	refused("{\"schemaVersion\":2,\"layers\":[]}", NULL, "no \"config\"");
	refused("{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"x\",\"size\":1}]}", NULL, "digest");
	refused("{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"x\",\"digest\":\"sha256:../../"
		"x\",\"size\":1}]}",
		NULL, "no digest");
	refused("{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"x\",\"digest\":\"sha512:00\",\"size\":"
		"1}]}",
		NULL, "not supported");
	refused("{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"x\",\"digest\":\"" SHA
		"\",\"size\":-1}]}",
		NULL, "size");
	str_put(&s, "{\"schemaVersion\":2,\"manifests\":[");
	for (int i = 0; i <= OCI_INDEX_ENTRIES_MAX; i++)
		str_putf(&s, "%s%s", i ? "," : "", D("x/y"));
	str_put(&s, "]}");
	refused(s.s, NULL, "the most that is taken");
	autofree char *big = malloc(OCI_MANIFEST_MAX + 2);
	memset(big, ' ', OCI_MANIFEST_MAX + 1);
	big[OCI_MANIFEST_MAX + 1] = '\0';
	refused(big, NULL, "larger than");
}

static void test_write(void)
{
	static const char *const texts[] = {manifest, index_text};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct json_out out autojsonout = {0};
		struct oci_manifest m;
		CHECK_INT(decode(texts[i], NULL, &m), 0);
		oci_manifest_write(&out, &m);
		autofree char *text = json_take(&out);
		CHECK_STR(text, texts[i]);
	}
}

int main(void)
{
	test_good();
	test_ambiguous();
	test_wrong();
	test_write();
	json_doc_free(&doc);
	return test_end();
}

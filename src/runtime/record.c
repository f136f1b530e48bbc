/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/record.h"

#include "base/file.h"
#include "base/json_write.h"

enum { RECORD_MAX = 16 << 20 }; /* bytes; annotations are the only part without a small limit of its own */

#define R struct record

static const struct json_field cgroup_fields[] = {
	F_BOOL(R, cgroup.none, "none"),
	F_BOOL(R, cgroup.v2, "v2"),
	F_BOOL(R, cgroup.systemd, "systemd"),
	F_BOOL(R, cgroup.user_manager, "userManager"),
	F_STR(R, cgroup.path, "path"),
	F_STR(R, cgroup.v2_dir, "v2Dir"),
	F_STR(R, cgroup.slice, "slice"),
	F_STR(R, cgroup.scope, "scope"),
	F_PAIRS(R, cgroup.v1, "v1Dirs", struct oci_pair),
};
static const struct json_table cgroup_table = JSON_TABLE(R, cgroup_fields);

static const struct json_field intel_rdt_fields[] = {
	F_STR(R, intel_rdt.dir, "dir"),
	F_STR(R, intel_rdt.mon_dir, "monDir"),
	F_BOOL(R, intel_rdt.made, "made"),
};
static const struct json_table intel_rdt_table = JSON_TABLE(R, intel_rdt_fields);

static const struct json_field record_fields[] = {
	F_U32(R, version, "version", .required = true),
	F_STR(R, id, "id", .required = true),
	F_STR(R, bundle, "bundle", .required = true),
	F_STR(R, rootfs, "rootfs", .required = true),
	F_STR(R, isolation, "isolation", .required = true),
	F_I64(R, created_sec, "createdSec"),
	F_I64(R, created_nsec, "createdNsec"),
	F_BOOL(R, rootless, "rootless"),
	F_SPREAD("cgroup", &cgroup_table, .required = true),
	F_SPREAD("intelRdt", &intel_rdt_table),
	F_PAIRS(R, annotations, "annotations", struct oci_pair),
};
static const struct json_table record_table = JSON_TABLE(R, record_fields);

int record_read(int dirfd, struct record *ret, struct err *err)
{
	autofree char *text = NULL;
	struct record rec = {0};
	size_t len;
	int r;

	r = file_read_at(dirfd, "state.json", RECORD_MAX, &text, &len);
	if (r == -ENOENT)
		return err_set(err, ENOENT, "state.json does not exist");
	if (r < 0)
		return err_num(err, r, "cannot read state.json");
	r = json_decode(&rec.doc, text, len, "state.json", &record_table, &rec, err);
	if (r == 0 && rec.version != RECORD_VERSION)
		r = err_set(err, EPROTO, "state.json: version: expected %d, got %u", RECORD_VERSION,
			    rec.version);
	if (r < 0) {
		record_free(&rec);
		return r;
	}
	*ret = rec;
	return 0;
}

void record_free(struct record *r)
{
	json_doc_free(&r->doc);
}

static void put_cgroup(struct json_out *out, const struct cgroup *cg)
{
	json_begin_object(out, "cgroup");
	json_put_bool(out, "none", cg->none);
	json_put_bool(out, "v2", cg->v2);
	json_put_bool(out, "systemd", cg->systemd);
	json_put_bool(out, "userManager", cg->user_manager);
	json_put_opt_str(out, "path", cg->path);
	json_put_opt_str(out, "v2Dir", cg->v2_dir);
	json_put_opt_str(out, "slice", cg->slice);
	json_put_opt_str(out, "scope", cg->scope);
	json_begin_object(out, "v1Dirs");
	for (int i = 0; i < CG_V1_COUNT; i++)
		json_put_opt_str(out, cgroup_v1_name((enum cgroup_v1)i), cg->v1_dir[i]);
	json_end(out);
	json_end(out);
}

static void put_intel_rdt(struct json_out *out, const struct intelrdt *g)
{
	if (!g->dir)
		return;
	json_begin_object(out, "intelRdt");
	json_put_str(out, "dir", g->dir);
	json_put_opt_str(out, "monDir", g->mon_dir);
	json_put_bool(out, "made", g->made);
	json_end(out);
}

int record_write(int dirfd, const struct record_new *n, struct err *err)
{
	struct json_out out autojsonout = {0};
	const pair_list *annotations = &n->config->annotations;

	json_begin_object(&out, NULL);
	json_put_u64(&out, "version", RECORD_VERSION);
	json_put_str(&out, "id", n->id);
	json_put_str(&out, "bundle", n->bundle);
	json_put_str(&out, "rootfs", n->rootfs);
	json_put_str(&out, "isolation", n->isolation);
	json_put_i64(&out, "createdSec", n->created.tv_sec);
	json_put_i64(&out, "createdNsec", n->created.tv_nsec);
	json_put_bool(&out, "rootless", n->rootless);
	put_cgroup(&out, n->cgroup);
	put_intel_rdt(&out, n->intel_rdt);
	json_begin_object(&out, "annotations");
	for (size_t i = 0; i < annotations->n; i++)
		json_put_str(&out, annotations->v[i].key, annotations->v[i].value);
	json_end(&out);
	json_end(&out);
	autofree char *text = json_take(&out);
	if (!text)
		return err_oom(err);
	int r = file_replace_at(dirfd, "state.json", text, strlen(text), 0600, false);
	return r < 0 ? err_num(err, r, "cannot write state.json") : 0;
}

/* The struct owns its strings elsewhere; here nobody frees or changes them. */
static char *borrowed(const char *s)
{
	return (char *)(uintptr_t)s;
}

void record_cgroup(const struct record *r, struct cgroup *ret)
{
	*ret = (struct cgroup){
		.none = r->cgroup.none,
		.v2 = r->cgroup.v2,
		.systemd = r->cgroup.systemd,
		.user_manager = r->cgroup.user_manager,
		.path = borrowed(r->cgroup.path),
		.v2_dir = borrowed(r->cgroup.v2_dir),
		.slice = borrowed(r->cgroup.slice),
		.scope = borrowed(r->cgroup.scope),
	};
	for (size_t i = 0; i < r->cgroup.v1.n; i++)
		for (int c = 0; c < CG_V1_COUNT; c++)
			if (streq(r->cgroup.v1.v[i].key, cgroup_v1_name((enum cgroup_v1)c)))
				ret->v1_dir[c] = borrowed(r->cgroup.v1.v[i].value);
}

void record_intel_rdt(const struct record *r, struct intelrdt *ret)
{
	*ret = (struct intelrdt){
		.dir = borrowed(r->intel_rdt.dir),
		.mon_dir = borrowed(r->intel_rdt.mon_dir),
		.made = r->intel_rdt.made,
	};
}

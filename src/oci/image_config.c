/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/image_config.h"

#include "oci/config_tables.h"
#include "oci/manifest.h"

/* A map whose keys are all that matters ({"80/tcp": {}}) reads as a list of strings. */
static const struct json_table key_table = {.size = sizeof(const char *)};
#define F_KEYS(st, m, name)                                                                                  \
	JSON_FIELD_(name, JSON_OBJECT_MAP, JSON_LIST_AT(st, m, const char *), .table = &key_table)

#define H struct oci_healthcheck
static const struct json_field health_fields[] = {
	F_STRS(H, test, "Test"),
	F_I64(H, interval, "Interval", .max = INT64_MAX),
	F_I64(H, timeout, "Timeout", .max = INT64_MAX),
	F_I64(H, start_period, "StartPeriod", .max = INT64_MAX),
	F_I64(H, start_interval, "StartInterval", .max = INT64_MAX),
	F_I64(H, retries, "Retries", .max = INT32_MAX),
};
#undef H
static const struct json_table health_table = JSON_TABLE(struct oci_healthcheck, health_fields);

#define C struct oci_image_config
static const struct json_field run_fields[] = {
	F_TEXT(C, hostname, "Hostname"),
	F_TEXT(C, domainname, "Domainname"),
	F_TEXT(C, user, "User"),
	F_KEYS(C, exposed_ports, "ExposedPorts"),
	F_STRS(C, env, "Env"),
	F_STRS(C, cmd, "Cmd"),
	F_OBJECT_PTR(C, healthcheck, "Healthcheck", struct oci_healthcheck, &health_table),
	F_BOOL(C, args_escaped, "ArgsEscaped"),
	F_KEYS(C, volumes, "Volumes"),
	F_TEXT(C, working_dir, "WorkingDir"),
	F_STRS(C, entrypoint, "Entrypoint"),
	F_STRS(C, on_build, "OnBuild"),
	F_PAIRS(C, labels, "Labels", struct oci_pair),
	F_TEXT(C, stop_signal, "StopSignal"),
	F_STRS(C, shell, "Shell"),
};
static const struct json_table run_table = JSON_TABLE(C, run_fields);

static const char *const rootfs_types[] = {"layers", NULL};
static const struct json_field rootfs_fields[] = {
	F_STR(C, rootfs_type, "type", .required = true, .allowed = rootfs_types),
	F_STRS(C, diff_ids, "diff_ids"),
};
static const struct json_table rootfs_table = JSON_TABLE(C, rootfs_fields);

static const struct json_field history_fields[] = {
	F_TEXT(struct oci_history, created, "created"),
	F_TEXT(struct oci_history, created_by, "created_by"),
	F_TEXT(struct oci_history, author, "author"),
	F_TEXT(struct oci_history, comment, "comment"),
	F_BOOL(struct oci_history, empty_layer, "empty_layer"),
};
static const struct json_table history_table = JSON_TABLE(struct oci_history, history_fields);

static const struct json_field image_fields[] = {
	F_TEXT(C, created, "created"),
	F_TEXT(C, author, "author"),
	F_TEXT(C, architecture, "architecture"),
	F_TEXT(C, variant, "variant"),
	F_TEXT(C, os, "os"),
	F_TEXT(C, os_version, "os.version"),
	F_SPREAD("config", &run_table),
	F_SPREAD("rootfs", &rootfs_table, .required = true),
	F_OBJECTS(C, history, "history", struct oci_history, &history_table),
};
#undef C
static const struct json_table image_table = JSON_TABLE(struct oci_image_config, image_fields);

int oci_image_config_decode(const char *text, size_t len, const char *where, struct json_doc *doc,
			    struct oci_image_config *ret, struct err *err)
{
	struct oci_image_config c = {0};

	if (len > OCI_IMAGE_CONFIG_MAX)
		return err_set(err, E2BIG,
			       "%s: larger than %d bytes, the most that an image configuration may have",
			       where, OCI_IMAGE_CONFIG_MAX);
	int r = json_decode(doc, text, len, where, &image_table, &c, err);
	if (r < 0)
		return r;
	if (c.diff_ids.n > OCI_LAYERS_MAX)
		return err_set(err, E2BIG,
			       "%s: rootfs.diff_ids: %zu of them, and %d are the most that is taken", where,
			       c.diff_ids.n, OCI_LAYERS_MAX);
	for (size_t i = 0; i < c.diff_ids.n; i++) {
		r = oci_digest_check(c.diff_ids.v[i], err);
		if (r < 0)
			return err_prefix(err, "%s: rootfs.diff_ids[%zu]", where, i);
	}
	*ret = c;
	return 0;
}

/* ---- Writing ---- */

static void write_list(struct json_out *out, const char *key, const str_list *l, bool null)
{
	if (l->n)
		json_put_strs(out, key, l->v, l->n);
	else if (null)
		json_put_null(out, key);
}

static void write_keys(struct json_out *out, const char *key, const str_list *l, bool null)
{
	if (l->n) {
		json_begin_object(out, key);
		for (size_t i = 0; i < l->n; i++) {
			json_begin_object(out, l->v[i]);
			json_end(out);
		}
		json_end(out);
	} else if (null) {
		json_put_null(out, key);
	}
}

static void write_labels(struct json_out *out, const pair_list *l, bool null)
{
	if (l->n) {
		json_begin_object(out, "Labels");
		for (size_t i = 0; i < l->n; i++)
			json_put_str(out, l->v[i].key, l->v[i].value);
		json_end(out);
	} else if (null) {
		json_put_null(out, "Labels");
	}
}

static void write_nonzero(struct json_out *out, const char *key, int64_t v)
{
	if (v)
		json_put_i64(out, key, v);
}

static void write_healthcheck(struct json_out *out, const struct oci_healthcheck *h)
{
	if (!h)
		return;
	json_begin_object(out, "Healthcheck");
	write_list(out, "Test", &h->test, false);
	write_nonzero(out, "Interval", h->interval);
	write_nonzero(out, "Timeout", h->timeout);
	write_nonzero(out, "StartPeriod", h->start_period);
	write_nonzero(out, "StartInterval", h->start_interval);
	write_nonzero(out, "Retries", h->retries);
	json_end(out);
}

static void write_text(struct json_out *out, const char *key, const char *text, bool always)
{
	if (always)
		json_put_str(out, key, text ? text : "");
	else
		json_put_opt_str(out, key, text);
}

/* `all`: as `docker inspect` shows it, with what is not set; else as it is stored. */
static void write_run_config(struct json_out *out, const char *key, const struct oci_image_config *c,
			     bool all)
{
	json_begin_object(out, key);
	write_text(out, "Hostname", c->hostname, all);
	write_text(out, "Domainname", c->domainname, all);
	write_text(out, "User", c->user, all);
	if (all) {
		static const char *const off[] = {"AttachStdin", "AttachStdout", "AttachStderr"};
		for (size_t i = 0; i < ARRAY_LEN(off); i++)
			json_put_bool(out, off[i], false);
	}
	write_keys(out, "ExposedPorts", &c->exposed_ports, false);
	if (all) {
		static const char *const off[] = {"Tty", "OpenStdin", "StdinOnce"};
		for (size_t i = 0; i < ARRAY_LEN(off); i++)
			json_put_bool(out, off[i], false);
	}
	write_list(out, "Env", &c->env, all);
	write_list(out, "Cmd", &c->cmd, all);
	write_healthcheck(out, c->healthcheck);
	if (c->args_escaped)
		json_put_bool(out, "ArgsEscaped", true);
	if (all)
		json_put_str(out, "Image", "");
	write_keys(out, "Volumes", &c->volumes, all);
	write_text(out, "WorkingDir", c->working_dir, all);
	write_list(out, "Entrypoint", &c->entrypoint, all);
	write_list(out, "OnBuild", &c->on_build, all);
	write_labels(out, &c->labels, all);
	write_text(out, "StopSignal", c->stop_signal, false);
	write_list(out, "Shell", &c->shell, false);
	json_end(out);
}

void oci_image_config_write_config(struct json_out *out, const char *key, const struct oci_image_config *c)
{
	write_run_config(out, key, c, true);
}

static void write_history(struct json_out *out, const struct oci_history *h)
{
	json_begin_object(out, NULL);
	json_put_opt_str(out, "created", h->created);
	json_put_opt_str(out, "created_by", h->created_by);
	json_put_opt_str(out, "author", h->author);
	json_put_opt_str(out, "comment", h->comment);
	if (h->empty_layer)
		json_put_bool(out, "empty_layer", true);
	json_end(out);
}

void oci_image_config_write(struct json_out *out, const struct oci_image_config *c)
{
	json_begin_object(out, NULL);
	json_put_opt_str(out, "created", c->created);
	json_put_opt_str(out, "author", c->author);
	json_put_str(out, "architecture", c->architecture ? c->architecture : "");
	json_put_opt_str(out, "variant", c->variant);
	json_put_str(out, "os", c->os ? c->os : "");
	json_put_opt_str(out, "os.version", c->os_version);
	write_run_config(out, "config", c, false);
	json_begin_object(out, "rootfs");
	json_put_str(out, "type", "layers");
	json_put_strs(out, "diff_ids", c->diff_ids.v, c->diff_ids.n);
	json_end(out);
	if (c->history.n) {
		json_begin_list(out, "history");
		for (size_t i = 0; i < c->history.n; i++)
			write_history(out, &c->history.v[i]);
		json_end(out);
	}
	json_end(out);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The image configuration (OCI image-spec config.md, and what Docker adds to it): JSON <-> plain struct. */
#pragma once

#include "base/json.h"
#include "base/json_write.h"
#include "oci/config.h"

struct oci_healthcheck {
	str_list test; /* "NONE" | "CMD", … | "CMD-SHELL", "…"; empty = inherit */
	int64_t interval, timeout, start_period, start_interval; /* ns; 0 = default */
	int64_t retries;
};

struct oci_history {
	const char *created, *created_by, *author, *comment;
	bool empty_layer;
};

struct oci_image_config {
	const char *created, *author, *architecture, *os, *variant, *os_version;
	/* .config */
	const char *user, *working_dir, *stop_signal, *hostname, *domainname;
	str_list env, entrypoint, cmd, on_build, shell;
	str_list exposed_ports; /* "80/tcp"; in JSON the keys of a map */
	str_list volumes;	/* likewise */
	pair_list labels;
	struct oci_healthcheck *healthcheck; /* NULL = none */
	bool args_escaped;
	/* .rootfs */
	const char *rootfs_type;
	str_list diff_ids;
	/* .history */
	LIST_OF(struct oci_history) history;
};

enum { OCI_IMAGE_CONFIG_MAX = 8 << 20 };

/* Decodes; strings live in `doc`.  Refuses what is no image configuration. */
must_use int oci_image_config_decode(const char *text, size_t len, const char *where, struct json_doc *doc,
				     struct oci_image_config *ret, struct err *err);
/* Writes the whole document. */
void oci_image_config_write(struct json_out *out, const struct oci_image_config *c);
/* The ".config" object alone, as `docker inspect` shows it (Config). */
void oci_image_config_write_config(struct json_out *out, const char *key, const struct oci_image_config *c);

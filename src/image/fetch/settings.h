/* SPDX-License-Identifier: Apache-2.0 */
/* What the configuration says about registries: see fetch.h for the document. */
#pragma once

#include "image/image.h"

struct host_settings {
	const char *host; /* "registry.example:5000", "docker.io" */
	bool insecure;
	const char *ca_file, *ca_dir, *client_cert, *client_key;
	str_list mirrors;
};

struct settings {
	struct json_doc doc;
	LIST_OF(struct host_settings) hosts;
	const char *certs_dir, *layers;
	struct reference_rules rules;
	uint32_t parallel, retries, stall_seconds;
};
enum { SETTINGS_MAX = 1 << 20, SETTINGS_PARALLEL_MAX = 32 };

/* `text` NULL: the defaults. */
must_use int settings_decode(const char *text, size_t len, struct settings *ret, struct err *err);
void settings_free(struct settings *s);
/* The entry of a host, or NULL. */
const struct host_settings *settings_host(const struct settings *s, const char *host);
/* localhost and loopback addresses with or without a port: what Docker takes for insecure by itself. */
bool host_is_loopback(const char *host);

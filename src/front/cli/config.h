/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coffer.toml: what holds for every command on this machine.  Every key is
 * described in docs/configuration.md; unknown ones are refused.
 */
#pragma once

#include "base/json_write.h"
#include "isolate/machine.h"
#include "oci/config.h"

struct config_host {
	const char *host; /* "registry.example:5000" */
	bool insecure;
	const char *ca_file, *ca_dir, *client_cert, *client_key;
	str_list mirrors;
};

struct config_registries {
	bool set; /* the table was there */
	const char *short_names, *certs_dir;
	pair_list aliases;
	uint32_t parallel, retries, stall_seconds;
	LIST_OF(struct config_host) hosts;
};

struct config_containers {
	const char *isolation, *userns, *log_driver, *detach_keys, *shm_size;
	pair_list log_opts;
	str_list ulimits, dns, dns_search, dns_options;
	bool init;
};

struct config_network {
	const char *default_network;
	str_list address_pools, cni_config_dirs, cni_plugin_dirs;
};

struct config_formats {
	const char *ps, *images, *volumes, *networks, *stats, *history, *events, *version, *info;
};

struct config {
	struct json_doc memory;
	const char *path; /* that was read; NULL = there is none */
	const char *root, *state, *cgroup_manager;
	const char *layers, *progress;
	struct config_containers containers;
	struct config_network network;
	struct config_registries registries;
	struct config_formats formats;
	struct vm_settings vm; /* as written; the runtime reads the file itself */
};

/* `path` NULL: the usual place, where it need not be.  -> config_free() */
must_use int config_load(const char *path, struct config *ret, struct err *err);
/* From text; `where` names it in messages and may be NULL. */
must_use int config_decode(const char *text, size_t len, const char *where, struct config *ret,
			   struct err *err);
void config_free(struct config *c);
/* /etc/coffer/coffer.toml, or ~/.config/coffer/coffer.toml of who is not root; the caller frees. */
must_use char *config_default_path(void);
/* What coffer-fetch is told, as JSON; *ret_json NULL where there is nothing to tell.  The caller frees. */
must_use int config_fetch_settings(const struct config *c, char **ret_json, struct err *err);
/* An image's name by the configuration's rules for short names; `name` itself where none applies. */
const char *config_image_name(const struct config *c, struct json_doc *memory, const char *name);

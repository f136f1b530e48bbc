/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a container was made: what was asked for, and what came of it together
 * with the image.  Stored as JSON in the container's row; the same tables
 * read and write it.
 */
#pragma once

#include "base/json_write.h"
#include "engine/engine.h"

enum { ENGINE_RECORD_VERSION = 1 };

/* A mount as it was settled. */
struct engine_record_mount {
	const char *type;		/* "bind", "volume", "tmpfs" */
	const char *name;		/* of the volume */
	const char *source, *target;	/* source: of binds, the host's path */
	const char *mode, *propagation; /* mode: what stood behind the second colon of -v */
	const char *options, *subpath;
	bool read_only, no_copy, create_source, recursive_read_only, idmap, anonymous;
	bool from_image; /* a VOLUME of the image, or of -v without a source */
	bool by_mount;	 /* of --mount: told in another place */
	bool non_recursive;
};

struct engine_record_port {
	const char *host_ip, *proto;
	uint16_t host_port, container_port, count, host_choices;
	bool exposed; /* -P */
};

struct engine_record {
	uint32_t version;
	/* As asked for; its mounts, ports and health are below. */
	struct engine_create q;
	LIST_OF(struct engine_record_mount) mounts;
	LIST_OF(struct engine_record_port) ports;

	/* Of the image, with what was asked for on top. */
	struct oci_image_config config;
	const char *image_id, *image_ref, *manifest_digest, *platform;
	str_list diff_ids;
	const char *isolation;
	const char *net_container, *pid_container, *ipc_container; /* ids behind "container:" */
	const char *user_container;				   /* whose user namespace is ours too */
	uint32_t user_base; /* first host id of the user namespace; 0 = the host's */
};

extern const struct json_table engine_record_table;
/* The caller frees. */
must_use char *engine_record_write(const struct engine_record *r);
must_use int engine_record_read(const char *text, size_t len, const char *id, struct json_doc *doc,
				struct engine_record *ret, struct err *err);

/* Writes an object by the table that reads it; zeros and empty lists are left out.  `custom` fields are not
 * written. */
void engine_table_write(struct json_out *out, const char *key, const struct json_table *table,
			const void *object);

/* The ports as the net room has them; the caller frees *ret. */
must_use int engine_record_ports(const struct engine_record *r, struct net_port **ret, size_t *ret_n,
				 struct err *err);

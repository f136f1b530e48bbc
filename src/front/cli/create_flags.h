/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `create` and `run` take: most of it goes straight into struct
 * engine_create; the rest is kept as typed and read by create_settle().
 */
#pragma once

#include "engine/engine.h"
#include "front/cli/config.h"
#include "front/cli/options.h"

struct create_flags {
	struct engine_create q;
	str_list attach, volumes, mounts, tmpfs, publish, ulimits, devices, env, env_files, labels,
		label_files;
	str_list networks, aliases, add_host, security_opt;
	str_list read_bps, write_bps, read_iops, write_iops, blkio_weight_device;
	const char *ip, *ip6, *gpus, *runtime, *landlock, *volume_driver, *timezone;
	const char *health_cmd;
	int64_t health_interval, health_timeout, health_start_period, health_start_interval, health_retries;
	int blkio_weight;
	bool health_set, disable_content_trust, env_host, log_driver_given, shm_given, init_given,
		stop_timeout_given;
	struct oci_healthcheck health;
};
/* A constant expression, for the commands' tables. */
extern const struct opt create_flags_options[];
enum { CREATE_FLAGS_N = 107 };
#define CREATE_FLAGS_TABLE                                                                                   \
	{                                                                                                    \
		create_flags_options, CREATE_FLAGS_N                                                         \
	}
extern const struct create_flags create_flags_defaults; /* what is not zero */

/*
 * After parsing: `words` are the image and the command.  What the flags leave
 * open the configuration fills.  Lists live in `memory`.
 */
struct create_settle {
	struct create_flags *flags;
	const struct config *config;
	char **words;
	bool detach;
	struct json_doc *memory;
};
must_use int create_settle(const struct create_settle *s, struct err *err);

/* ---- the parts, each of one value (spec_flags.c, mount_flags.c, env_file.c) ---- */

/* "source:target:options" of -v, "type=bind,source=…" of --mount, "/path:options" of --tmpfs. */
must_use int volume_flag_parse(struct json_doc *memory, const char *text, struct engine_mount *ret,
			       struct err *err);
must_use int mount_flag_parse(struct json_doc *memory, const char *text, struct engine_mount *ret,
			      struct err *err);
must_use int tmpfs_flag_parse(struct json_doc *memory, const char *text, struct engine_mount *ret,
			      struct err *err);
/* One line of comma-separated values, fields in quotes where they hold commas. */
must_use int csv_parse(struct json_doc *memory, const char *text, str_list *ret, struct err *err);
/* "nofile=1024:2048" */
must_use int ulimit_parse(struct json_doc *memory, const char *text, struct engine_ulimit *ret,
			  struct err *err);
/* "/dev/sda:/dev/xvda:rwm" */
must_use int device_parse(struct json_doc *memory, const char *text, struct engine_device *ret,
			  struct err *err);
/* "/dev/sda:1mb" where `bytes`, else "/dev/sda:100" */
must_use int blkio_parse(struct json_doc *memory, const char *text, bool bytes, struct engine_blkio *ret,
			 struct err *err);
/*
 * "net", "name=net,alias=a,ip=1.2.3.4", "net:alias=a,ip=…".  "none", "host" and
 * "container:…" go to *ret_mode, everything else to *ret (then *ret_mode is NULL).
 */
must_use int network_flag_parse(struct json_doc *memory, const char *text, struct net_join *ret,
				const char **ret_mode, struct err *err);
/* "8080:80/tcp" and its kin, by net_port_parse(); strings in `memory`. */
must_use int port_flag_parse(struct json_doc *memory, const char *text, struct net_port *ret,
			     struct err *err);
/* "host:ip" or "host=ip"; *ret is the former. */
must_use int add_host_parse(struct json_doc *memory, const char *text, const char **ret, struct err *err);
/* --landlock and --security-opt landlock=: a JSON object, or the file that holds one. */
must_use int landlock_flag_read(struct json_doc *memory, const char *text, const char **ret, struct err *err);
/* Lines "K=V" and, with `bare`, "K", by Docker's rules, appended to *ret. */
must_use int env_file_parse(struct json_doc *memory, const char *text, size_t len, const char *where,
			    bool bare, str_list *ret, struct err *err);
must_use int env_file_read(struct json_doc *memory, const char *path, bool bare, str_list *ret,
			   struct err *err);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.json: what later commands need to know of a container beyond its
 * configuration.  Written before anything is made outside the state
 * directory; where groups may be refused to us (rootless), once more when it
 * is known which there are.  The format is ours alone, and versioned: `state` and `list` are
 * what others read.
 */
#pragma once

#include "base/json.h"
#include "host/cgroup.h"
#include "host/intelrdt.h"
#include "oci/config.h"

#include <time.h>

enum { RECORD_VERSION = 1 };

struct record {
	uint32_t version;
	const char *id, *bundle, *rootfs, *isolation;
	int64_t created_sec, created_nsec; /* wall clock */
	bool rootless;
	struct {
		bool none, v2, systemd, user_manager;
		const char *path, *v2_dir, *slice, *scope;
		pair_list v1; /* controller -> directory */
	} cgroup;
	struct {
		const char *dir, *mon_dir;
		bool made;
	} intel_rdt;
	pair_list annotations;
	struct json_doc doc; /* owns what was decoded */
};

/* What is to be written; all borrowed. */
struct record_new {
	const char *id, *bundle, *rootfs, *isolation;
	struct timespec created;
	bool rootless;
	const struct oci_config *config;
	const struct cgroup *cgroup;
	const struct intelrdt *intel_rdt;
};

/* -ENOENT where there is no state.json. */
must_use int record_read(int dirfd, struct record *ret, struct err *err);
must_use int record_write(int dirfd, const struct record_new *n, struct err *err);
void record_free(struct record *r);
/* The group as it was planned.  Its strings are the record's. */
void record_cgroup(const struct record *r, struct cgroup *ret);
void record_intel_rdt(const struct record *r, struct intelrdt *ret);

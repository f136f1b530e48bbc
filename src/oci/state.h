/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state documents that go out: what `state` and `list` print, what hooks
 * read on standard input (runtime.md, "State"), and what a seccomp agent gets
 * with its descriptor (config-linux.md, "The Container Process State").
 */
#pragma once

#include "base/json_write.h"
#include "oci/config.h"

#include <time.h>

/* The specification's version that we implement. */
#define OCI_VERSION	"1.3.0"
#define OCI_VERSION_MIN "1.0.0"

struct oci_state {
	const char *id;
	const char *status;	      /* "creating", "created", "running", "paused", "stopped" */
	pid_t pid;		      /* as the runtime sees it; 0 where stopped */
	const char *bundle;	      /* absolute */
	const pair_list *annotations; /* may be NULL; comes out sorted by key, as Go's maps do */
	/* Beyond the specification, as runc's `state` has them: */
	const char *rootfs;
	struct timespec created; /* wall clock */
	const char *owner;	 /* a user name, or "" */
};

/* An RFC 3339 time in UTC with as many digits behind the point as it takes: "2025-01-02T03:04:05.1Z". */
struct oci_time {
	char s[48];
};
struct oci_time oci_time(struct timespec t);

/* The object that `state` prints, in runc's order; `key` as in json_write.h. */
void oci_state_write(struct json_out *out, const char *key, const struct oci_state *s);
/* The specification's object alone, for hooks; `pid` is left out where 0. */
void oci_state_write_spec(struct json_out *out, const char *key, const struct oci_state *s);

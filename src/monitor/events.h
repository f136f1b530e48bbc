/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The events file: what happened to containers, one JSON object a line, in
 * the order of the writes.
 *
 * Engine and monitors append to it at the same time.  A line is one write(2)
 * of less than EVENT_LINE_MAX bytes to a file opened with O_APPEND, which local file systems
 * do as a whole; one that would be longer loses attributes until it fits.
 *
 *	{"time":NS,"type":"container","action":"die","id":"…","attributes":{"name":"web","exitCode":"0"}}
 *
 * Who tells what: the monitor "oom", "health_status: STATE", and of an end that a restart
 * follows "die" and the "start" after it; everything else, the last "die" among it, is the engine's.
 */
#pragma once

#include "base/err.h"
#include "oci/config.h"

enum { EVENT_LINE_MAX = 4096 };

struct event_line {
	int64_t time; /* ns since 1970; 0 = now */
	const char *type, *action, *id;
	pair_list attributes;
};

/* The file is made (0600) where it is not there. */
must_use int event_append(const char *path, const struct event_line *e, struct err *err);

/* A line decoded; what it points to lives as long as `doc`. */
must_use int event_parse(const char *line, size_t len, struct json_doc *doc, struct event_line *ret,
			 struct err *err);

/* SPDX-License-Identifier: Apache-2.0 */
/* Intel's resource director (linux.intelRdt) by the resctrl file system. */
#pragma once

#include "base/err.h"
#include "oci/config.h"

struct intelrdt {
	char *dir;     /* the group's directory; owned; NULL = none was asked for */
	char *mon_dir; /* its monitoring group; owned, may be NULL */
	bool made;     /* intelrdt_apply() made `dir`, without a closID: intelrdt_remove() takes it away */
};

/* Is resctrl mounted, and what can it do? */
bool intelrdt_enabled(void);
bool intelrdt_cat_enabled(void);
bool intelrdt_mba_enabled(void);
bool intelrdt_monitoring_enabled(void);

/* Refuses with runc's text what this machine cannot: `intelRdt is specified in config, but Intel RDT is not
 * enabled`. */
must_use int intelrdt_check(const struct oci_intel_rdt *r, struct err *err);
/* Decides on the directories; touches nothing.  r == NULL gives an empty group. */
must_use int intelrdt_plan(const struct oci_intel_rdt *r, const char *id, struct intelrdt *ret,
			   struct err *err);
/*
 * Makes them, writes the schemata and puts `pid` in.  A group that exists is
 * not changed: schemata other than those asked for are an error.
 */
must_use int intelrdt_apply(struct intelrdt *g, const struct oci_intel_rdt *r, pid_t pid, struct err *err);
/* Writes the schemata of `r` (update). */
must_use int intelrdt_set(const struct intelrdt *g, const struct oci_intel_rdt *r, struct err *err);
/* Removes what intelrdt_apply() made: a group with a closID that was there before is not ours.  Missing is
 * fine. */
must_use int intelrdt_remove(const struct intelrdt *g, struct err *err);
/* Does the text of a schemata file have what the line "L3:0=f;1=f0" asks for? */
bool intelrdt_schema_matches(const char *have, const char *line);
void intelrdt_free(struct intelrdt *g);

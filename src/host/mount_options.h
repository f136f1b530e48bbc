/* SPDX-License-Identifier: Apache-2.0 */
/* Mount options as config.json has them (config.md, "Linux mount options"). */
#pragma once

#include "base/err.h"
#include "oci/config.h"

enum { MOUNT_PROPAGATIONS_MAX = 8 };

struct mount_options {
	unsigned long flags;	     /* MS_* asked for: MS_BIND, MS_REC, MS_RDONLY, … */
	unsigned long cleared;	     /* MS_* turned off by name ("rw", "suid") and not on again after it */
	uint64_t rec_set, rec_clear; /* MOUNT_ATTR_* of "rro", "rsuid", … for the whole tree */
	unsigned long propagation[MOUNT_PROPAGATIONS_MAX]; /* MS_SLAVE | MS_REC, …, in this order */
	size_t n_propagation;
	bool copyup; /* tmpcopyup */
	bool idmap, ridmap;
	char *data; /* what the file system itself is to read, with commas; owned; NULL = nothing */
};

/* `ret` -> mount_options_free() */
must_use int mount_options_parse(const str_list *options, struct mount_options *ret, struct err *err);
void mount_options_free(struct mount_options *o);

/* MS_* that a name turns on or off ("ro" and "rw": MS_RDONLY); 0 = there is no such name. */
unsigned long mount_flag_named(const char *name);
/* MS_* of a propagation's name ("rslave"); 0 = there is no such name. */
unsigned long mount_propagation_named(const char *name);

/* Every name that is not passed to the file system, sorted: for `features`. */
const char *const *mount_option_names(size_t *ret_n);

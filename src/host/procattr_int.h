/* SPDX-License-Identifier: Apache-2.0 */
/* Between procattr.c and procattr_numa.c. */
#pragma once

#include "host/procattr.h"

struct procattr_word {
	const char *name; /* NULL ends a list */
	uint64_t value;
};

bool procattr_find(const struct procattr_word *words, const char *name, uint64_t *ret);

must_use int procattr_check_rlimits(const struct oci_process *p, struct err *err);
must_use int procattr_check_scheduler(const struct oci_scheduler *s, struct err *err);
must_use int procattr_check_io_priority(const struct oci_io_priority *p, uint64_t *ret_class,
					struct err *err);
must_use int procattr_check_personality(const struct oci_personality *p, unsigned long *ret, struct err *err);

/* SPDX-License-Identifier: Apache-2.0 */
/* What a configuration asks for, held against what its isolation level has. */
#pragma once

#include "isolate/isolate.h"

/* -ENOTSUP with the level's own reason where the configuration needs what it lacks. */
must_use int lacks_check(const struct isolate_level *level, const struct oci_config *c, struct err *err);
/* The same for one feature that a verb needs. */
must_use int lacks_feature(const struct isolate_level *level, enum isolate_feature f, struct err *err);
/* True where resources beyond device rules are limited: without a writable cgroup that cannot be. */
bool lacks_limits(const struct oci_resources *r);

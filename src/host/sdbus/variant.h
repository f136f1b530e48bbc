/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GVariant text ("uint64 5", "['a', 'b']", "@au []", "b'bytes'", "(1, 'x')")
 * to D-Bus values: the form of org.systemd.property.* annotations.
 */
#pragma once

#include "base/err.h"

#include <systemd/sd-bus.h>

/* Appends `text` as one variant.  Numbers without a type are int32, with a point double. */
must_use int variant_append(sd_bus_message *m, const char *text, struct err *err);
/* The number that `text` is, whatever its type, times a million: seconds as microseconds. */
must_use int variant_seconds(const char *text, uint64_t *ret_us, struct err *err);
/* For tests: the D-Bus signature of `text`. */
must_use int variant_signature(const char *text, char *ret, size_t size, struct err *err);

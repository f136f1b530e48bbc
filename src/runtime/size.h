/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes as people write them, with Docker's rules: 256m, 1.5g, 64KiB, "10 kb"; units are powers of 1024. */
#pragma once

#include "base/base.h"

/* Bytes; 0 or -EINVAL. */
must_use int size_parse(const char *text, int64_t *ret);

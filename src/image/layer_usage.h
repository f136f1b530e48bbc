/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

/* Bytes of files and the number of inodes in a tree; what has several names counts once. */
must_use int layer_usage(int dir, uint64_t *ret_bytes, uint64_t *ret_inodes, struct err *err);

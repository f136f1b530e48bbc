/* SPDX-License-Identifier: Apache-2.0 */
/* gzip by isa-l for the codec of layers. */
#pragma once

#include "image/codec.h"

extern const struct layer_inflate layer_inflate_isal;

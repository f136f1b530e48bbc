/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/container.h"

/* Kills what is left of it, removes all that belongs to it, runs its poststop hooks. */
must_use int destroy_container(const struct container *c, struct err *err);

/* SPDX-License-Identifier: Apache-2.0 */
/* What a container may: its capabilities and its seccomp profile. */
#pragma once

#include "base/json_write.h"
#include "engine/record.h"

/* Bits of host/caps.h.  --cap-add, --cap-drop ("ALL" too), --privileged on top of the default. */
must_use int engine_caps(const struct engine_create *q, uint64_t *ret, struct err *err);
/* The names of the bits as a list. */
void engine_caps_write(struct json_out *out, const char *key, uint64_t caps);

/*
 * The default profile as the object linux.seccomp: what Docker's allows, by
 * what the container's capabilities let it do.
 */
void engine_seccomp_default(struct json_out *out, const char *key, uint64_t caps);
/*
 * A profile in Docker's format (includes, excludes, archMap) or the runtime
 * specification's, as the object linux.seccomp.
 */
must_use int engine_seccomp_file(struct json_out *out, const char *key, const char *path, uint64_t caps,
				 struct err *err);

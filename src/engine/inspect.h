/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the object of `docker inspect`: inspect.c alone has the whole. */
#pragma once

#include "base/json_write.h"
#include "engine/engine_int.h"

const char *inspect_or(const char *s, const char *other);
/* null where there is none */
void inspect_put_list(struct json_out *out, const char *key, const str_list *l);
void inspect_put_empty(struct json_out *out, const char *key);
void inspect_put_pairs(struct json_out *out, const char *key, const pair_list *l);
void inspect_put_binding(struct json_out *out, const char *ip, unsigned port);

/* inspect_host.c */
void inspect_put_host_config(struct json_out *out, const struct engine_container *c);
/* What Docker says behind the second colon of -v. */
const char *inspect_mount_mode(const struct engine_record_mount *m);

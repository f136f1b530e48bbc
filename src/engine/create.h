/* SPDX-License-Identifier: Apache-2.0 */
/* What `create` is made of: inner interfaces of create*.c. */
#pragma once

#include "engine/engine_int.h"

struct engine_making {
	struct engine *e;
	const struct engine_create *q;
	struct image image;
	struct engine_container c;	   /* its document owns what is made here */
	struct engine_volume *new_volumes; /* that may have to be made */
	size_t n_new;
};

/* Memory and texts that live as long as the record; NULL for lack of memory. */
void *engine_keep(struct engine_making *m, size_t size);
const char *engine_keep_text(struct engine_making *m, const char *text);
const char *engine_keep_f(struct engine_making *m, const char *fmt, ...) printf_like(2, 3);

/* create_check.c: what cannot be asked for, in Docker's words where it has them. */
must_use int engine_create_check(struct engine *e, const struct engine_create *q, struct err *err);
/* "on-failure:3"; NULL and "" are "no". */
must_use int engine_restart_parse(const char *text, enum monitor_restart *ret, uint32_t *ret_max,
				  struct err *err);
/* "10m", "64k", "1g", "500". */
must_use int engine_size_parse(const char *text, uint64_t *ret);

/* create_config.c: the image's configuration with what was asked for on top. */
must_use int engine_create_config(struct engine_making *m, struct err *err);
/* links.c: --link with ids in place of names; the networks are settled. */
must_use int engine_links_settle(struct engine_making *m, struct err *err);
/* pod.c: --pod, once level and joined namespaces are known. */
must_use int engine_pod_settle(struct engine_making *m, struct err *err);
/* create_mounts.c */
must_use int engine_create_mounts(struct engine_making *m, struct err *err);

/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine can do: asked by doing it, wherever that leaves no trace. */
#pragma once

#include "front/cli/value.h"
#include "isolate/machine.h"

enum finding_state {
	FINDING_OK,
	FINDING_NOTE, /* good to know */
	FINDING_LACK, /* something is slower or missing without it */
	FINDING_BAD,  /* no container runs */
};

struct finding {
	const char *topic, *name; /* "File systems", "EROFS images" */
	enum finding_state state;
	const char *text;   /* what is so */
	const char *advice; /* what to do about it; NULL = nothing */
};

struct findings {
	struct json_doc *memory;
	LIST_OF(struct finding) list;
	const char *data_root;
};
/* One more, its texts formatted; `advice` is kept as it is. */
void finding_add(struct findings *f, const char *topic, const char *name, enum finding_state state,
		 const char *advice, const char *fmt, ...) printf_like(6, 7);

void probe_isolation(struct findings *f);
void probe_kernel(struct findings *f);
void probe_mounts(struct findings *f);
void probe_network(struct findings *f);
void probe_programs(struct findings *f);
/* `settings`: as coffer.toml has them. */
void probe_vm(struct findings *f, const struct vm_settings *settings);

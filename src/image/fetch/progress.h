/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people and scripts see while content moves: a line per layer, redrawn
 * in place on a terminal; elsewhere a line per change of state; or JSON.
 * One thread only.
 */
#pragma once

#include "base/err.h"

enum progress_mode { PROGRESS_AUTO, PROGRESS_TTY, PROGRESS_PLAIN, PROGRESS_NONE, PROGRESS_JSON };

struct progress;
must_use int progress_mode_parse(const char *text, enum progress_mode *ret, struct err *err);
/* AUTO becomes what standard output is. */
must_use int progress_new(enum progress_mode mode, struct progress **ret, struct err *err);
void progress_free(struct progress *p);
static inline void cleanup_progress(struct progress **p)
{
	progress_free(*p);
}
#define autoprogress __attribute__((cleanup(cleanup_progress)))

/* A line of its own, above what is redrawn. */
void progress_say(struct progress *p, const char *fmt, ...) printf_like(2, 3);
/* A new line of the block; returns its number.  `id` is copied (12 digits). */
must_use int progress_add(struct progress *p, const char *id, struct err *err);
/* `total` 0: no bar.  Strings are constants. */
void progress_set(struct progress *p, int item, const char *status, uint64_t done, uint64_t total);
/* For words that are no constants ("Mounted from library/x"). */
void progress_set_text(struct progress *p, int item, const char *status, const char *word);
/* Redraws if it is time to. */
void progress_tick(struct progress *p);
/* The block stays as it is; later items begin a new one. */
void progress_settle(struct progress *p);
/* The last object for scripts: {"status","digest","reference","id"}. */
void progress_result(struct progress *p, const char *status, const char *digest, const char *reference,
		     const char *id);
bool progress_is_json(const struct progress *p);

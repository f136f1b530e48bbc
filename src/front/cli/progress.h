/* SPDX-License-Identifier: Apache-2.0 */
/* One line on the terminal's standard error that long work overwrites. */
#pragma once

#include "base/base.h"

struct progress_line {
	int64_t last; /* when it was written */
	bool shown;
};
/* As struct image_progress has it. */
void progress_report(void *data, const char *id, const char *action, uint64_t done, uint64_t total);
/* Takes the line away. */
void progress_end(struct progress_line *p);

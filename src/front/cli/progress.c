/* SPDX-License-Identifier: Apache-2.0 */
#include "front/cli/progress.h"

#include "base/fd.h"
#include "base/str.h"
#include "front/cli/units.h"

enum { PROGRESS_NS = 100000000 };

static void progress_write(struct str *line)
{
	if (!line->failed)
		ignore_result(fd_write_all(STDERR_FILENO, line->s, line->len)); /* decoration */
}

void progress_report(void *data, const char *id, const char *action, uint64_t done, uint64_t total)
{
	struct progress_line *p = data;
	struct str line autostr = {0};
	int64_t now = moment_now();

	if (now - p->last < PROGRESS_NS)
		return;
	p->last = now;
	p->shown = true;
	str_putf(&line, "\r\033[K%.12s: %s %s", str_starts(id, "sha256:") ? id + 7 : id, action,
		 size_decimal((double)done, 3).s);
	if (total)
		str_putf(&line, "/%s", size_decimal((double)total, 3).s);
	progress_write(&line);
}

void progress_end(struct progress_line *p)
{
	struct str line autostr = {0};

	if (!p->shown)
		return;
	str_put(&line, "\r\033[K");
	progress_write(&line);
	p->shown = false;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console of a container's machine, where its isolation level makes one.
 *
 * While there is a container for the runtime, the file is in its state; that
 * goes with the container's end, and with a start that failed, which is when
 * people want to read it.  So it is copied beside the container's other data.
 */
#include "engine/engine_int.h"

#include "base/file.h"
#include "isolate/isolate.h"
#include "wire/supervisor.h"

enum { CONSOLE_MAX = 4 << 20 }; /* bytes; the keeper keeps less */

static char *live_path(const struct engine *e, const char *id)
{
	return str_format("%s/%s/" ISOLATE_CONSOLE_FILE, e->rt.root, id);
}

char *engine_console_reason(const struct engine *e, const char *id)
{
	autofree char *path = live_path(e, id), *text = NULL;
	size_t len = 0;

	if (!path || file_read_at(AT_FDCWD, path, CONSOLE_MAX, &text, &len) < 0)
		return strdup("");
	while (len > 0 && strchr("\r\n", text[len - 1]))
		text[--len] = '\0';
	char *last = memrchr(text, '\n', len);
	last = last ? last + 1 : text;
	if (!str_starts(last, SUPERVISOR_END_NOTE))
		return strdup("");
	/* The guest may write such a line too: it is said where this stands, and is no more than text. */
	last += strlen(SUPERVISOR_END_NOTE);
	for (char *p = last; *p; p++)
		*p = *p < ' ' || *p > '~' ? '?' : *p;
	return str_format("its machine ended; the console's last word of it: %.200s", last);
}

void engine_console_keep(const struct engine *e, const char *id)
{
	autofree char *from = live_path(e, id), *to = engine_data_path(e, id, ISOLATE_CONSOLE_FILE),
		      *text = NULL;
	size_t len = 0;

	/* Nothing that a container's end could fail for. */
	if (from && to && file_read_at(AT_FDCWD, from, CONSOLE_MAX, &text, &len) == 0)
		ignore_result(file_replace_at(AT_FDCWD, to, text, len, 0600, false));
}

int engine_console(struct engine *e, const char *id, struct monitor_log_query *q, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	int r = engine_load(e, id, &c, err);

	if (r < 0)
		return r;
	autofree char *live = live_path(e, id), *kept = engine_data_path(e, id, ISOLATE_CONSOLE_FILE),
		      *run = engine_run_path(e, id, NULL);
	if (!live || !kept || !run)
		return err_oom(err);
	bool runs = access(live, F_OK) == 0;
	if (!runs && access(kept, F_OK) < 0)
		return err_set(err, ENOENT,
			       "container %s has no console: it was never started, or its isolation level "
			       "\"%s\" makes "
			       "no machine",
			       c.name, c.record.isolation ? c.record.isolation : "ns");
	q->plain = true;
	q->path = runs ? live : kept;
	q->run_dir = runs ? run : NULL;
	r = monitor_logs(q, err);
	q->path = q->run_dir = NULL;
	return r;
}

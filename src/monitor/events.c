/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/events.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/json_write.h"

#include <time.h>

/* The line with the first `n` attributes; the caller frees. */
static char *event_format(const struct event_line *e, int64_t time, size_t n)
{
	struct json_out out autojsonout = {0};

	json_begin_object(&out, NULL);
	json_put_i64(&out, "time", time);
	json_put_str(&out, "type", e->type);
	json_put_str(&out, "action", e->action);
	json_put_str(&out, "id", e->id ? e->id : "");
	json_begin_object(&out, "attributes");
	for (size_t i = 0; i < n; i++)
		json_put_str(&out, e->attributes.v[i].key, e->attributes.v[i].value);
	json_end(&out);
	json_end(&out);
	str_put(&out.text, "\n");
	return json_take(&out);
}

int event_append(const char *path, const struct event_line *e, struct err *err)
{
	int64_t time = e->time ? e->time : clock_ns(CLOCK_REALTIME);
	autofree char *line = NULL;
	size_t n = e->attributes.n;
	ssize_t put;

	for (;;) {
		line = event_format(e, time, n);
		if (!line)
			return err_oom(err);
		if (strlen(line) < EVENT_LINE_MAX)
			break;
		if (n == 0)
			return err_set(err, E2BIG, "cannot write an event: it is longer than %d bytes",
				       EVENT_LINE_MAX);
		n--;
		free(take_ptr(&line));
	}
	autoclose int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	if (fd < 0)
		return err_sys(err, "cannot open the events file \"%s\"", path);
	do {
		put = write(fd, line, strlen(line));
	} while (put < 0 && errno == EINTR);
	if (put < 0)
		return err_sys(err, "cannot write to the events file \"%s\"", path);
	return (size_t)put == strlen(line)
		       ? 0
		       : err_set(err, ENOSPC, "cannot write to the events file \"%s\": no space left", path);
}

#define E struct event_line
static const struct json_field event_fields[] = {
	F_I64(E, time, "time", .required = true),
	F_STR(E, type, "type", .required = true),
	F_STR(E, action, "action", .required = true),
	F_STR(E, id, "id"),
	F_PAIRS(E, attributes, "attributes", struct oci_pair),
};
static const struct json_table event_table = JSON_TABLE(E, event_fields);
#undef E

int event_parse(const char *line, size_t len, struct json_doc *doc, struct event_line *ret, struct err *err)
{
	struct event_line e = {0};
	int r = json_decode(doc, line, len, "events", &event_table, &e, err);

	if (r == 0)
		*ret = e;
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/log_print.h"

#include "base/fd.h"
#include "base/json.h"
#include "monitor/rfc3339.h"

#include <time.h>

enum { PRINT_BLOCK = 65536 };

void log_print_begin(struct log_print *p, const struct monitor_log_query *q)
{
	*p = (struct log_print){.q = q, .out_fd = q->out_fd};
}

void log_print_free(struct log_print *p)
{
	str_free(&p->out);
}

int log_print_flush(struct log_print *p, struct err *err)
{
	int n = p->out.failed ? -ENOMEM : p->out.len ? fd_write_all(p->out_fd, p->out.s, p->out.len) : 0;

	p->out.len = 0;
	return n < 0 ? err_num(err, n, "cannot write the log") : 0;
}

/* "k=v,k2=v2" of {"k":"v","k2":"v2"}. */
static void put_details(struct log_print *p, const struct log_entry *e)
{
	struct attrs {
		LIST_OF(struct json_pair) all;
	} attrs = {0};
	static const struct json_field fields[] = {F_PAIRS(struct attrs, all, "attrs", struct json_pair)};
	static const struct json_table table = JSON_TABLE(struct attrs, fields);
	struct json_doc doc autojson = {0};
	struct err foreign = {0};

	if (!e->attrs)
		return;
	autofree char *text = str_format("{\"attrs\":%.*s}", (int)e->attrs_len, e->attrs);
	if (!text || json_decode(&doc, text, strlen(text), "log", &table, &attrs, &foreign) < 0)
		return;
	for (size_t i = 0; i < attrs.all.n; i++)
		str_putf(&p->out, "%s%s=%s", i ? "," : "", attrs.all.v[i].key, attrs.all.v[i].value);
}

/* Docker prints all nine digits here. */
static void put_entry_time(struct log_print *p, int64_t ns)
{
	char text[RFC3339_MAX];

	(void)rfc3339_format(ns - ns % 1000000000, text);
	text[strlen(text) - 1] = '\0';
	str_putf(&p->out, "%s.%09dZ ", text, (int)(ns % 1000000000));
}

int log_print_entry(struct log_print *p, const struct log_entry *e, struct err *err)
{
	const struct monitor_log_query *q = p->q;
	int fd = e->is_err ? q->err_fd : q->out_fd, n = 0;

	if ((q->since && e->time < q->since) || !(e->is_err ? q->err_too : q->out))
		return 0;
	if (q->until && e->time > q->until) {
		p->done = true;
		return 0;
	}
	if (fd != p->out_fd || p->out.len >= PRINT_BLOCK)
		n = log_print_flush(p, err);
	p->out_fd = fd;
	if (!p->inside[e->is_err]) {
		if (q->timestamps)
			put_entry_time(p, e->time);
		if (q->details) { /* the blank is there without any, too */
			put_details(p, e);
			str_put(&p->out, " ");
		}
	}
	str_put_n(&p->out, e->text, e->len);
	p->inside[e->is_err] = e->len == 0 || e->text[e->len - 1] != '\n';
	return n;
}

int log_print_until_ms(const struct monitor_log_query *q)
{
	struct timespec now;

	if (!q->until)
		return -1;
	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
	int64_t left = q->until - ((int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
	return left <= 0 ? 0 : (int)MIN_OF(left / 1000000 + 1, (int64_t)INT_MAX);
}

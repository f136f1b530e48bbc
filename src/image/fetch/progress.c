/* SPDX-License-Identifier: Apache-2.0 */
#include "image/fetch/progress.h"

#include "base/json_write.h"
#include "base/str.h"
#include "image/fetch/call.h"

#include <sys/ioctl.h>

enum { PROGRESS_REDRAW_MS = 100, PROGRESS_BAR = 50 };

struct progress_item {
	char id[16];
	const char *status; /* NULL: `text` */
	char text[96];
	uint64_t done, total;
	bool changed;
};

struct progress {
	enum progress_mode mode;
	LIST_OF(struct progress_item) items;
	size_t drawn; /* lines of the block that stand on the terminal */
	int64_t last;
	bool dirty;
};

int progress_mode_parse(const char *text, enum progress_mode *ret, struct err *err)
{
	static const char *const names[] = {"auto", "tty", "plain", "none", "json"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (streq(text, names[i])) {
			*ret = (enum progress_mode)i;
			return 0;
		}
	}
	return err_set(err, EINVAL, "unknown progress \"%s\": auto, tty, plain, none or json", text);
}

int progress_new(enum progress_mode mode, struct progress **ret, struct err *err)
{
	struct progress *p = calloc(1, sizeof(*p));

	if (!p)
		return err_oom(err);
	p->mode = mode;
	if (mode == PROGRESS_AUTO)
		p->mode = isatty(STDOUT_FILENO) ? PROGRESS_TTY : PROGRESS_PLAIN;
	*ret = p;
	return 0;
}

void progress_free(struct progress *p)
{
	if (!p)
		return;
	free(p->items.v);
	free(p);
}

bool progress_is_json(const struct progress *p)
{
	return p->mode == PROGRESS_JSON;
}

/* Names come from registries: nothing of them may drive a terminal. */
static void put_plain_text(struct str *out, const char *text)
{
	for (; *text; text++) {
		char c = char_is_control(*text) || (unsigned char)*text == 0xc2 ? '?' : *text;
		str_put_n(out, &c, 1);
	}
}

static void out_text(const struct str *s)
{
	if (s->s && !s->failed)
		(void)fwrite(s->s, 1, s->len, stdout); /* whoever closed it does not want it */
	(void)fflush(stdout);
}

static void out_json(const char *id, const char *status, uint64_t done, uint64_t total)
{
	struct json_out out autojsonout = {0};

	json_begin_object(&out, NULL);
	json_put_str(&out, "status", status);
	if (total) {
		json_begin_object(&out, "progressDetail");
		json_put_u64(&out, "current", done);
		json_put_u64(&out, "total", total);
		json_end(&out);
	}
	json_put_opt_str(&out, "id", id);
	json_end(&out);
	autofree char *text = json_take(&out);
	if (text)
		(void)printf("%s\n", text);
	(void)fflush(stdout);
}

static void put_bytes(struct str *out, uint64_t n)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
	double v = (double)n;
	size_t unit = 0;

	for (; v >= 1000 && unit + 1 < ARRAY_LEN(units); unit++)
		v /= 1000;
	/* Four significant digits, as Docker has them. */
	str_putf(out, "%.4g%s", v, units[unit]);
}

static const char *item_status(const struct progress_item *i)
{
	return i->status ? i->status : i->text;
}

static void put_item(struct str *out, const struct progress_item *i, unsigned columns)
{
	str_putf(out, "%s: %s", i->id, item_status(i));
	if (i->total) {
		uint64_t done = MIN_OF(i->done, i->total);
		unsigned bar = columns > 110 ? PROGRESS_BAR : columns > 80 ? 25 : columns > 60 ? 10 : 0;
		unsigned full = (unsigned)((double)done / (double)i->total * bar);
		if (bar) {
			str_put(out, " [");
			for (unsigned n = 0; n < bar; n++)
				str_put(out, n + 1 < full || full == bar ? "=" : n + 1 == full ? ">" : " ");
			str_put(out, "]");
		}
		str_put(out, "  ");
		put_bytes(out, done);
		str_put(out, "/");
		put_bytes(out, i->total);
	}
}

static void terminal_size(unsigned *ret_rows, unsigned *ret_columns)
{
	struct winsize w = {0};

	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &w); /* no terminal, no size */
	*ret_rows = w.ws_row ? w.ws_row : 24;
	*ret_columns = w.ws_col ? w.ws_col : 80;
}

/* A block that is higher than the terminal cannot be redrawn: its last lines are. */
static void redraw(struct progress *p)
{
	struct str out autostr = {0};
	unsigned rows, columns;

	terminal_size(&rows, &columns);
	size_t shown = MIN_OF(p->items.n, (size_t)(rows > 1 ? rows - 1 : 1));
	if (p->drawn)
		str_putf(&out, "\033[%zuA", p->drawn);
	for (size_t i = p->items.n - shown; i < p->items.n; i++) {
		str_put(&out, "\033[2K");
		put_item(&out, &p->items.v[i], columns);
		str_put(&out, "\r\n");
	}
	p->drawn = shown;
	p->dirty = false;
	p->last = session_now_ms();
	out_text(&out);
}

void progress_say(struct progress *p, const char *fmt, ...)
{
	struct str out autostr = {0};
	char line[ERR_MSG_MAX];
	va_list ap;

	if (p->mode == PROGRESS_NONE)
		return;
	va_start(ap, fmt);
	if (vsnprintf(line, sizeof(line), fmt, ap) < 0)
		line[0] = '\0';
	va_end(ap);
	if (p->mode == PROGRESS_JSON) {
		out_json(NULL, line, 0, 0);
		return;
	}
	progress_settle(p);
	put_plain_text(&out, line);
	str_put(&out, "\n");
	out_text(&out);
}

int progress_add(struct progress *p, const char *id, struct err *err)
{
	struct progress_item *v = reallocarray(p->items.v, p->items.n + 1, sizeof(*v));

	if (!v)
		return err_oom(err);
	p->items.v = v;
	struct progress_item *i = &v[p->items.n];
	*i = (struct progress_item){.status = ""};
	(void)snprintf(i->id, sizeof(i->id), "%.12s", id); /* cut as meant */
	return (int)p->items.n++;
}

/* `other`: it is another state, not the same one further on. */
static void item_changed(struct progress *p, struct progress_item *i, bool other)
{
	i->changed = true;
	p->dirty = true;
	if (!other)
		return;
	if (p->mode == PROGRESS_JSON) {
		out_json(i->id, item_status(i), i->done, i->total);
		i->changed = false;
	} else if (p->mode == PROGRESS_PLAIN && i->total == 0) {
		struct str out autostr = {0};
		str_putf(&out, "%s: %s\n", i->id, item_status(i));
		out_text(&out);
	}
}

void progress_set(struct progress *p, int item, const char *status, uint64_t done, uint64_t total)
{
	struct progress_item *i = &p->items.v[item];
	bool other = !streq(item_status(i), status);

	if (!other && i->done == done && i->total == total)
		return;
	i->status = status;
	i->done = done;
	i->total = total;
	item_changed(p, i, other);
}

void progress_set_text(struct progress *p, int item, const char *status, const char *word)
{
	struct progress_item *i = &p->items.v[item];
	struct str out autostr = {0};
	char text[sizeof(i->text)];

	put_plain_text(&out, word);
	(void)snprintf(text, sizeof(text), "%s %s", status, out.s ? out.s : ""); /* cut where long */
	if (streq(item_status(i), text))
		return;
	memcpy(i->text, text, sizeof(text));
	i->status = NULL;
	i->done = i->total = 0;
	item_changed(p, i, true);
}

void progress_tick(struct progress *p)
{
	if (!p->dirty || session_now_ms() - p->last < PROGRESS_REDRAW_MS)
		return;
	if (p->mode == PROGRESS_TTY) {
		redraw(p);
	} else if (p->mode == PROGRESS_JSON) {
		for (size_t n = 0; n < p->items.n; n++) {
			struct progress_item *i = &p->items.v[n];
			if (i->changed)
				out_json(i->id, item_status(i), i->done, i->total);
			i->changed = false;
		}
		p->last = session_now_ms();
		p->dirty = false;
	}
}

void progress_settle(struct progress *p)
{
	if (p->mode == PROGRESS_TTY && p->items.n)
		redraw(p);
	p->items.n = 0;
	p->drawn = 0;
	p->dirty = false;
}

void progress_result(struct progress *p, const char *status, const char *digest, const char *reference,
		     const char *id)
{
	struct json_out out autojsonout = {0};

	if (p->mode != PROGRESS_JSON)
		return;
	json_begin_object(&out, NULL);
	json_put_str(&out, "status", status);
	json_put_opt_str(&out, "digest", digest);
	json_put_opt_str(&out, "reference", reference);
	json_put_opt_str(&out, "imageID", id);
	json_end(&out);
	autofree char *text = json_take(&out);
	if (text)
		(void)printf("%s\n", text);
	(void)fflush(stdout);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "front/oci/log.h"

#include "base/fd.h"
#include "base/str.h"

#include <time.h>

static const char *const names[] = {
	[LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warning", [LOG_ERROR] = "error"};

int log_open(struct log *log, const char *path, const char *format, bool debug, struct err *err)
{
	*log = (struct log){.fd = -1, .debug = debug};
	if (format && *format && !streq(format, "text") && !streq(format, "json"))
		return err_set(err, EINVAL, "invalid log-format: %s", format);
	log->json = format && streq(format, "json");
	if (!path || !*path)
		return 0;
	log->fd = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
	if (log->fd < 0) {
		char text[64];
		return err_set(err, errno, "open %s: %s", path, err_text_lower(errno, text));
	}
	return 0;
}

void log_close(struct log *log)
{
	fd_drop(&log->fd);
}

/* Length of the UTF-8 sequence at `s`, 0 where it is none. */
static size_t utf8_len(const char *s)
{
	unsigned char c = (unsigned char)*s;
	size_t n = c < 0x80		   ? 1
		   : c >= 0xc2 && c < 0xe0 ? 2
		   : c >= 0xe0 && c < 0xf0 ? 3
		   : c >= 0xf0 && c < 0xf5 ? 4
					   : 0;

	for (size_t i = 1; i < n; i++)
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

static void put_time(struct str *b, int64_t when)
{
	time_t t = (time_t)when;
	struct tm tm;
	char text[40];

	if (gmtime_r(&t, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
		str_put(b, text);
}

/* Go's strconv.Quote for the characters that can appear. */
static void put_go_quoted(struct str *b, const char *s)
{
	static const char from[] = "\"\\\a\b\f\n\r\t\v", to[] = "\"\\abfnrtv";

	str_put(b, "\"");
	while (*s) {
		const char *special = strchr(from, *s);
		size_t n = utf8_len(s);
		if (special)
			str_putf(b, "\\%c", to[special - from]);
		else if (n == 0 || (unsigned char)*s < 0x20 || *s == 0x7f)
			str_putf(b, "\\x%02x", (unsigned char)*s);
		else
			str_put_n(b, s, n);
		s += n ? n : 1;
	}
	str_put(b, "\"");
}

static bool needs_quotes(const char *s)
{
	size_t plain = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._/@^+");

	return s[plain] != '\0';
}

void log_format_text(struct str *b, enum log_level level, const char *msg, int64_t when)
{
	str_put(b, "time=\"");
	put_time(b, when);
	str_putf(b, "\" level=%s msg=", names[level]);
	if (needs_quotes(msg))
		put_go_quoted(b, msg);
	else
		str_put(b, msg);
	str_put(b, "\n");
}

static void put_json_string(struct str *b, const char *s)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";

	str_put(b, "\"");
	while (*s) {
		const char *special = strchr(from, *s);
		size_t n = utf8_len(s);
		if (special)
			str_putf(b, "\\%c", to[special - from]);
		else if (n == 0)
			str_put(b, "\\ufffd");
		else if ((unsigned char)*s < 0x20 || strchr("<>&", *s))
			str_putf(b, "\\u%04x", (unsigned char)*s);
		else
			str_put_n(b, s, n);
		s += n ? n : 1;
	}
	str_put(b, "\"");
}

void log_format_json(struct str *b, enum log_level level, const char *msg, int64_t when)
{
	str_putf(b, "{\"level\":\"%s\",\"msg\":", names[level]);
	put_json_string(b, msg);
	str_put(b, ",\"time\":\"");
	put_time(b, when);
	str_put(b, "\"}\n");
}

/* What people see on a terminal. */
static void format_terminal(struct str *b, enum log_level level, const char *msg)
{
	static const struct {
		const char *name;
		int colour;
	} looks[] = {[LOG_DEBUG] = {"DEBU", 37},
		     [LOG_INFO] = {"INFO", 36},
		     [LOG_WARN] = {"WARN", 33},
		     [LOG_ERROR] = {"ERRO", 31}};

	str_putf(b, "\x1b[%dm%s\x1b[0m[0000] %s\n", looks[level].colour, looks[level].name, msg);
}

void log_write(const struct log *log, enum log_level level, const char *msg)
{
	struct str b autostr = {0};
	struct timespec now = {0};
	int fd = log->fd >= 0 ? log->fd : STDERR_FILENO;

	if (level == LOG_DEBUG && !log->debug)
		return;
	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
	if (log->json)
		log_format_json(&b, level, msg, now.tv_sec);
	else if (log->fd < 0 && isatty(STDERR_FILENO))
		format_terminal(&b, level, msg);
	else
		log_format_text(&b, level, msg, now.tv_sec);
	/* One write: lines of several processes do not mix.  Where it fails there is nobody left to tell. */
	ignore_result(b.s && fd_write_all(fd, b.s, b.len) < 0);
}

void log_fatal(const struct log *log, const char *msg)
{
	log_write(log, LOG_ERROR, msg);
	if (log->fd >= 0)
		dprintf(STDERR_FILENO, "%s\n", msg);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to the user and to the engine above, byte for byte in the two
 * formats of the logging library that runc uses: containerd, conmon and
 * Docker parse them.  Nothing else in the program prints errors.
 */
#pragma once

#include "base/err.h"

enum log_level {
	LOG_DEBUG,
	LOG_INFO,
	LOG_WARN,
	LOG_ERROR,
};

struct log {
	int fd; /* of --log; -1: standard error */
	bool json, debug;
};

/* Opens --log FILE (NULL or "": standard error) and takes --log-format (NULL or "": text). */
must_use int log_open(struct log *log, const char *path, const char *format, bool debug, struct err *err);
void log_close(struct log *log);
void log_write(const struct log *log, enum log_level level, const char *msg);
/* log_write(LOG_ERROR), and the bare message to standard error where the log goes elsewhere. */
void log_fatal(const struct log *log, const char *msg);

/* The two formats of one line, without the time stamp's clock: for tests. `when` is seconds since 1970. */
struct str;
void log_format_text(struct str *b, enum log_level level, const char *msg, int64_t when);
void log_format_json(struct str *b, enum log_level level, const char *msg, int64_t when);

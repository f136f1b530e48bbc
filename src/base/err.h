/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors as plain data.  A fallible function returns 0 (or an fd, or a
 * count) or a negative errno, and fills the caller's `struct err` with one
 * line that says what was attempted, on what, and why it failed.  The struct
 * holds no pointers, so that it survives fork and a trip over a socket.
 */
#pragma once

#include "base/base.h"
#include <stdarg.h>

enum { ERR_MSG_MAX = 1024 };

struct err {
	int code;	       /* positive errno; 0 where nothing failed */
	int exit_status;       /* what the program should exit with; 0 = the front's default */
	char msg[ERR_MSG_MAX]; /* one line, NUL-terminated, cut where too long */
};

/* Sets the message; returns -code, so that `return err_set(...)` reads well. */
int err_set(struct err *e, int code, const char *fmt, ...) printf_like(3, 4);
/* The same, with ": " and the text of errno behind; returns -errno. */
int err_sys(struct err *e, const char *fmt, ...) printf_like(2, 3);
/* The same for an errno that is at hand (positive, or negative as returned). */
int err_num(struct err *e, int code, const char *fmt, ...) printf_like(3, 4);
/* Puts "text: " before the message that is there; returns -e->code. */
int err_prefix(struct err *e, const char *fmt, ...) printf_like(2, 3);
int err_oom(struct err *e);
/* Fixed texts of errno in C's locale ("Operation not permitted"); never NULL. */
const char *err_text(int code);
/* runc prints Go's texts, which begin with a small letter ("operation not permitted"). */
const char *err_text_lower(int code, char buf[static 64]);

/* SPDX-License-Identifier: Apache-2.0 */
/* Small texts of HTTP and of the distribution specification: header fields, base64, query values. */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct content_range {
	uint64_t start, end; /* first and last byte */
	uint64_t total;	     /* UINT64_MAX = "*" */
};
/* "bytes 0-99/1000" or "bytes 0-99/" followed by an asterisk.  0 or -EINVAL. */
must_use int field_content_range(const char *value, struct content_range *ret);
/* The Range of an upload in progress: "0-1023" -> 1024 bytes are there ("0-0" where none is, says
 * distribution). */
must_use int field_upload_range(const char *value, uint64_t *ret_next);
/* The target of rel="next" of a Link field; -ENOENT where there is none.  The caller frees. */
must_use int field_link_next(const char *value, char **ret);
/* Seconds or an HTTP date -> milliseconds from `now` (seconds of the epoch) on.  0 or -EINVAL. */
must_use int field_retry_after(const char *value, int64_t now, uint64_t *ret_ms);
/* A decimal number and nothing else; -EINVAL, -ERANGE. */
must_use int field_number(const char *value, uint64_t *ret);
/* The media type of a Content-Type without its parameters, in small letters; the caller frees. */
must_use char *field_media_type(const char *value);

/* Standard alphabet with padding.  NULL for lack of memory. */
must_use char *base64_encode(const void *data, size_t len);
/* With or without padding; the result is NUL-terminated.  0, -EINVAL, -ENOMEM. */
must_use int base64_decode(const char *text, char **ret, size_t *ret_len);
/* As a value in a query or a segment of a path: everything but unreserved characters escaped. */
void url_escape_into(struct str *out, const char *text);

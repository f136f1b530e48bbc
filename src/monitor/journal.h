/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to systemd's journal, by its native protocol: one datagram a message. */
#pragma once

#include "base/err.h"
#include "base/json.h"

/* A connected socket (the caller closes); says so where there is no journal. */
must_use int journal_open(struct err *err);

struct journal_source {
	const char *id, *name, *image; /* of the container; the last two may be NULL */
	str_list labels;	       /* "key=value" */
	char *fields;		       /* made of them by journal_prepare(); owned */
	size_t fields_len;
};
must_use int journal_prepare(struct journal_source *s, struct err *err);
/* 0 or -errno: the message is lost then. */
must_use int journal_send(int sock, const struct journal_source *s, bool is_err, const void *text, size_t len,
			  bool partial);

/* SPDX-License-Identifier: Apache-2.0 */
/* Options that name containers in the place of words: --all, --filter, --cidfile. */
#pragma once

#include "front/cli/cli.h"

struct choice {
	bool all, ignore; /* ignore: a --cidfile that is not there names none */
	str_list filters, cidfiles;
};

/* `st` has a member `choice`. */
#define O_CHOICE_FILTER(st, letter)                                                                          \
	O_LIST(st, choice.filters, "filter", letter, "Those of them that pass: as for 'coffer ps'",          \
	       .value = "filter")
#define O_CHOICE_CIDFILE(st)                                                                                 \
	O_LIST(st, choice.cidfiles, "cidfile", 0, "The container whose id is in this file", .value = "file", \
	       .words = "@file")

/*
 * The words of the call: those that are there, which must be one at least, or
 * the ids of containers in one of `states` ("status=exited"; none: in any).
 */
must_use int choice_settle(struct call *call, const struct choice *c, const str_list *states,
			   struct err *err);

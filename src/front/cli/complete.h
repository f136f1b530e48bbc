/* SPDX-License-Identifier: Apache-2.0 */
/* What could stand at the end of a command line that is being typed. */
#pragma once

#include "front/cli/cli.h"

enum complete_kind { COMPLETE_NOTHING, COMPLETE_WORDS, COMPLETE_FILES, COMPLETE_DIRS };

struct complete_item {
	const char *word, *about;
};
struct completion {
	enum complete_kind kind;
	const char *prefix; /* of the last word, before what is offered: "--network=" */
	const char *begun;  /* what has been typed of it */
	const char *spec;   /* "@container", or words; NULL: options and commands are in `list` */
	LIST_OF(struct complete_item) list;
	struct cli_globals globals; /* as they were typed */
};
/* `words` are those behind the program's name; the last one is being typed (maybe empty). */
must_use int complete_words(struct json_doc *memory, const str_list *words, struct completion *ret,
			    struct err *err);
/* A line as a shell cuts it into words; the last one may be empty. */
must_use int complete_cut(struct json_doc *memory, const char *line, str_list *ret, struct err *err);

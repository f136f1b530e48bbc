/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "front/cli/complete.h"

static struct json_doc memory;

/* What is offered for a line, as one text. */
static const char *offered(const char *line)
{
	static const char *const kinds[] = {"nothing", "words", "files", "dirs"};
	struct err err = {0};
	struct completion c;
	str_list words = {0};
	struct str out = {0};

	CHECK_INT(complete_cut(&memory, line, &words, &err), 0);
	words.v++;
	words.n--;
	CHECK_INT(complete_words(&memory, &words, &c, &err), 0);
	str_putf(&out, "%s", kinds[c.kind]);
	if (c.spec)
		str_putf(&out, " %s%s", c.prefix, c.spec);
	for (size_t i = 0; i < c.list.n; i++)
		str_putf(&out, " %s", c.list.v[i].word);
	return memory_take(&memory, &out);
}

int main(void)
{
	CHECK_STR(offered("coffer ru"), "words run");
	CHECK_STR(offered("coffer --roo"), "words --root");
	CHECK_STR(offered("coffer --root "), "dirs @dir");
	CHECK_STR(offered("coffer --root /x ru"), "words run");
	CHECK_STR(offered("coffer run --net"), "words --network --network-alias");
	CHECK_STR(offered("coffer run --network="), "words --network=@network");
	CHECK_STR(offered("coffer run --network "), "words @network");
	CHECK_STR(offered("coffer run --pull "), "words always missing never");
	CHECK_STR(offered("coffer run -it "), "words @image");
	CHECK_STR(offered("coffer run -ite X=1 "), "words @image");
	CHECK_STR(offered("coffer run --env-file "), "files @file");
	CHECK_STR(offered("coffer run nginx "), "files");
	CHECK_STR(offered("coffer run nginx --ver"), "files");
	CHECK_STR(offered("coffer stop "), "words @running");
	CHECK_STR(offered("coffer stop a b "), "words @running");
	CHECK_STR(offered("coffer image ta"), "words tag");
	CHECK_STR(offered("coffer volume rm "), "words @volume");
	CHECK_STR(offered("coffer network connect net "), "words @container");
	CHECK_STR(offered("coffer rename a b "), "nothing");
	CHECK_STR(offered("coffer nosuch "), "nothing");
	CHECK_STR(offered("coffer help sta"), "words start stats");
	json_doc_free(&memory);
	return test_end();
}

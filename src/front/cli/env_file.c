/* SPDX-License-Identifier: Apache-2.0 */
/* --env-file and --label-file, line by line as Docker reads them. */
#include "front/cli/create_flags.h"

#include "base/file.h"
#include "base/json_lex.h"

enum { ENV_FILE_MAX = 4 << 20 };

static bool is_utf8(const char *s)
{
	for (unsigned n; *s; s += n)
		if ((n = json_utf8_len((const unsigned char *)s)) == 0)
			return false;
	return true;
}

static int env_line(struct json_doc *memory, char *line, const char *where, size_t number, bool bare,
		    str_list *ret, struct err *err)
{
	line += strspn(line, " \t\r\f\v");
	size_t key = strcspn(line, "=");

	if (*line == '\0' || *line == '#')
		return 0;
	if (!is_utf8(line))
		return err_set(err, EINVAL, "%s: line %zu: invalid utf8 bytes", where, number);
	if (key == 0)
		return err_set(err, EINVAL, "%s: line %zu: no variable name on line '%.64s'", where, number,
			       line);
	if (memchr(line, ' ', key) || memchr(line, '\t', key))
		return err_set(err, EINVAL, "%s: line %zu: variable '%.*s' contains whitespaces", where,
			       number, (int)MIN_OF(key, 64U), line);
	const char **item = memory_push(memory, ret, sizeof(*item));
	if (!item)
		return err_oom(err);
	if (line[key] == '=' || bare) {
		*item = line;
		return 0;
	}
	struct str whole autostr = {0};
	str_putf(&whole, "%s=", line);
	*item = memory_take(memory, &whole);
	return 0;
}

int env_file_parse(struct json_doc *memory, const char *text, size_t len, const char *where, bool bare,
		   str_list *ret, struct err *err)
{
	static const char bom[] = "\xef\xbb\xbf";

	if (memchr(text, '\0', len))
		return err_set(err, EINVAL, "%s: a NUL byte is no text", where);
	char *p = json_doc_alloc(memory, len + 1);
	if (!p)
		return err_oom(err);
	memcpy(p, text, len);
	p += str_starts(p, bom) ? strlen(bom) : 0;
	for (size_t number = 1; *p; number++) {
		size_t n = strcspn(p, "\n");
		bool more = p[n] == '\n';
		p[n] = '\0';
		if (n && p[n - 1] == '\r')
			p[n - 1] = '\0';
		int r = env_line(memory, p, where, number, bare, ret, err);
		if (r < 0)
			return r;
		p += n + more;
	}
	return 0;
}

int env_file_read(struct json_doc *memory, const char *path, bool bare, str_list *ret, struct err *err)
{
	autofree char *text = NULL;
	size_t len;
	int r = file_read_named(path, ENV_FILE_MAX, &text, &len);

	if (r < 0)
		return err_num(err, r, "cannot read the file \"%s\"", path);
	return env_file_parse(memory, text, len, path, bare, ret, err);
}

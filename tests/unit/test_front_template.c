/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "front/cli/rows.h"

static const char document[] =
	"{\"Id\":\"abc123\",\"Name\":\"/"
	"web\",\"Size\":12345678901234567890,\"State\":{\"Running\":true,\"Pid\":42,"
	"\"Error\":\"\"},\"Args\":[\"a\",\"b "
	"c\"],\"Empty\":[],\"None\":null,\"Config\":{\"Labels\":{\"a.b\":\"x\","
	"\"k\":\"v\"}},\"NetworkSettings\":{\"Ports\":{\"80/tcp\":[{\"HostPort\":\"8080\"}],\"90/tcp\":null},"
	"\"Networks\":{\"z\":{\"IP\":\"2\"},\"a\":{\"IP\":\"1\"}}}}";

static void test_run(const char *text, const char *want)
{
	struct json_doc memory autojson = {0};
	struct err err = {0};
	struct value *v = NULL;
	struct template *t;
	struct str out autostr = {0};

	CHECK_INT(value_read(&memory, document, strlen(document), "doc", &v, &err), 0);
	int r = template_parse(&memory, text, &t, &err);
	if (r == 0)
		r = template_run(&memory, t, v, 0, &out, &err);
	static const char before[] = "template parsing error: template: ";
	if (r < 0)
		CHECK_STR(str_starts(err.msg, before) ? err.msg + strlen(before) : err.msg, want);
	else
		CHECK_STR(out.s ? out.s : "", want);
}

static void test_fields(void)
{
	test_run("plain", "plain");
	test_run("{{.Id}}", "abc123");
	test_run("a{{ .State.Running }}b{{.State.Pid}}", "atrueb42");
	test_run("{{.Args}} {{.Config.Labels}} {{.None}} {{.Size}}",
		 "[a b c] map[a.b:x k:v] [] 12345678901234567890");
	test_run("{{.Config.Labels.k}}{{.Config.Labels.zz}}", "v<no value>");
	test_run("{{index .Config.Labels \"a.b\"}}-{{index .Config.Labels \"no\"}}", "x-");
	test_run("{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}", "8080");
	test_run("{{json .State}}", "{\"Running\":true,\"Pid\":42,\"Error\":\"\"}");
	test_run("{{json .None}} {{json .Args}}", "null [\"a\",\"b c\"]");
	test_run("{{.Nam}}",
		 ":1:2: executing \"\" at <.Nam>: map has no entry for key \"Nam\"; did you mean \"Name\"?");
	test_run("{{.State.Xyzzy}}",
		 ":1:2: executing \"\" at <.State.Xyzzy>: map has no entry for key \"Xyzzy\"");
	test_run("{{.Id.X}}", ":1:2: executing \"\" at <.Id.X>: can't evaluate field X in type string");
	test_run("{{.None.X}}", ":1:2: executing \"\" at <.None.X>: nil pointer evaluating X");
	test_run("{{index .Args 2}}",
		 ":1:2: executing \"\" at <index>: error calling index: index out of range: 2");
}

static void test_blocks(void)
{
	test_run("{{if .State.Running}}up{{else}}down{{end}}", "up");
	test_run("{{if .State.Error}}e{{else if eq .State.Pid 42}}pid{{else}}x{{end}}", "pid");
	test_run("{{range .Args}}<{{.}}>{{end}}", "<a><b c>");
	test_run("{{range .Empty}}x{{else}}none{{end}}", "none");
	test_run("{{range $i, $v := .Args}}{{$i}}={{$v}};{{end}}", "0=a;1=b c;");
	test_run("{{range $k, $v := .NetworkSettings.Networks}}{{$k}}:{{.IP}} {{end}}", "a:1 z:2 ");
	test_run("{{range .Args}}{{if eq . \"b c\"}}{{break}}{{end}}{{.}}{{end}}", "a");
	test_run("{{range .Args}}{{if eq . \"a\"}}{{continue}}{{end}}{{.}}{{$.Id}}{{end}}", "b cabc123");
	test_run("{{with .State}}{{.Pid}}{{end}}{{with .State.Error}}x{{else}}y{{end}}", "42y");
	test_run("{{$x := .Id}}{{if true}}{{$x = \"new\"}}{{end}}{{$x}}", "new");
	test_run("a {{- .Id -}} b", "aabc123b");
	test_run("{{/* nothing */}}x{{- /* y */ -}} z", "xz");
	test_run("{{if .Id}}", ":1: unexpected EOF");
	test_run("{{end}}", ":1: unexpected {{end}}");
	test_run("{{break}}", ":1: {{break}} outside {{range}}");
	test_run("{{.Id", ":1: unclosed action");
	test_run("{{if}}x{{end}}", ":1: missing value for command");
	test_run("{{.Id}}\n{{foo .}}", ":2: function \"foo\" not defined");
	test_run("{{jsn .}}", ":1: function \"jsn\" not defined; did you mean \"json\"?");
	test_run("{{$y}}", ":1: undefined variable \"$y\"");
	test_run("{{template \"x\"}}", ":1: {{template}} is not known here");
	test_run("{{.Id}", ":1: unexpected \"}\" in operand");
}

static void test_functions(void)
{
	test_run("{{.Id | upper | printf \"%s-%d\" \"x\" }}", "x-%!d(string=ABC123)");
	test_run("{{printf \"%5s|%-5s|%05d|%x|%q|%t|%.2f|%%\" \"a\" \"b\" 42 255 \"q\" true 1.5}}",
		 "    a|b    |00042|ff|\"q\"|true|1.50|%");
	test_run("{{printf \"%d\"}} {{printf \"x\" 1 2}}", "%!d(MISSING) x%!(EXTRA 1, 2)");
	test_run("{{join .Args \",\"}} {{split \"a/b\" \"/\"}} {{title \"ab cd\"}} {{lower \"AB\"}}",
		 "a,b c [a b] Ab Cd ab");
	test_run("{{truncate .Id 3}} {{slice .Id 1 3}} {{len .Args}} {{pad \"x\" 1 2}}|", "abc bc 2  x  |");
	test_run("{{eq 1 1}} {{eq \"a\" \"b\" \"a\"}} {{ne 1 2}} {{lt 1 2}} {{ge 2 2}} {{gt 1.5 1}}",
		 "true true true true true true");
	test_run("{{and .State.Running .Id}} {{or .State.Error \"dflt\"}} {{not .State.Running}}",
		 "abc123 dflt false");
	test_run("{{and .State.Error (index .Args 99)}}", "");
	test_run("{{println .Id 1}}{{print 1 2 \"x\"}}", "abc123 1\n1 2x");
	test_run("{{eq 1 \"1\"}}",
		 ":1:2: executing \"\" at <eq>: error calling eq: incompatible types for comparison");
	test_run("{{len}}", ":1:2: executing \"\" at <len>: wrong number of args for len: want 1 got 0");
	test_run("{{\"a\\tb\"}}{{`c\\d`}}", "a\tbc\\d");
}

static void test_rows_with(const char *format, const char *quiet, const char *want)
{
	static const struct row_column columns[] = {{"ID", "CONTAINER ID"}, {"Names", "NAMES"}};
	struct json_doc memory autojson = {0};
	struct err err = {0};
	struct str out autostr = {0};
	struct row_printer p;
	struct row_format f = {format, "{{.ID}}\t{{.Names}}", quiet, columns, ARRAY_LEN(columns)};

	int r = rows_begin(&p, &memory, &f, &out, &err);
	for (int i = 0; r == 0 && i < 2; i++) {
		struct value *row = value_new(&memory, VALUE_OBJECT),
			     *labels = value_new(&memory, VALUE_OBJECT);
		value_put(&memory, row, "Names", i ? "größer" : "a");
		value_put(&memory, row, "ID", i ? "1234567890ab" : "2");
		value_put(&memory, labels, "x.y", "lab");
		value_add(row, "\1Label", labels);
		r = rows_add(&p, &memory, row, &err);
	}
	if (r == 0)
		rows_end(&p);
	CHECK_STR(r < 0 ? err.msg : out.s, want);
}

static void test_rows(void)
{
	test_rows_with(NULL, NULL, "CONTAINER ID   NAMES\n2              a\n1234567890ab   größer\n");
	test_rows_with(NULL, "{{.ID}}", "2\n1234567890ab\n");
	test_rows_with("json", NULL,
		       "{\"ID\":\"2\",\"Names\":\"a\"}\n{\"ID\":\"1234567890ab\",\"Names\":\"größer\"}\n");
	test_rows_with("table {{.Names}}\\t{{upper .ID}}", NULL,
		       "NAMES     CONTAINER ID\na         2\ngrößer    1234567890AB\n");
	test_rows_with("{{.ID}}\\n", NULL, "2\n\n1234567890ab\n\n");
	test_rows_with("table {{.Label \"x.y\"}}", NULL, "y\nlab\nlab\n");
	test_rows_with("{{.Label \"no\"}}{{.Names}}", NULL, "a\ngrößer\n");
	test_rows_with("{{.Name}}", NULL,
		       "template parsing error: template: :1:2: executing \"\" at <.Name>: can't evaluate "
		       "field Name; "
		       "did you mean \"Names\"?");
	struct json_doc memory autojson = {0};
	CHECK_STR(rows_ellipsis(&memory, "größer als", 5), "größ…");
	CHECK_STR(rows_ellipsis(&memory, "größe", 5), "größe");
}

int main(void)
{
	test_fields();
	test_blocks();
	test_functions();
	test_rows();
	return test_end();
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coffer-fetch: see fetch.h.  A threader: the layers of a pull have threads.
 * It never forks but for credential helpers, through proc_run(), whose child
 * does nothing between fork and exec that another thread's lock could hold up.
 */
#include "image/fetch/fetch.h"

#include "base/fd.h"
#include "base/str.h"
#include "host/userns_self.h"
#include "image/fetch/progress.h"
#include "image/fetch/settings.h"

#include <getopt.h>
#include <signal.h>

volatile sig_atomic_t fetch_interrupted;

enum { EXIT_USAGE = 125, EXIT_INTERRUPTED = 130 };

static void on_fetch_signal(int sig)
{
	/* The second time there is no waiting for anything. */
	if (fetch_interrupted)
		_exit(128 + sig);
	fetch_interrupted = 1;
}

static void catch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction a = {.sa_handler = on_fetch_signal};

	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		(void)sigaction(signals[i], &a, NULL); /* valid signals: cannot fail */
	a.sa_handler = SIG_IGN;
	(void)sigaction(SIGPIPE, &a, NULL);
	(void)sigaction(SIGXFSZ, &a, NULL); /* the write that fails tells more */
}

/* ---- options ---- */

enum {
	OPT_ROOT = 256,
	OPT_SETTINGS,
	OPT_PLATFORM,
	OPT_PROGRESS,
	OPT_PASSWORD_STDIN,
	OPT_LIMIT,
	OPT_RAW,
	OPT_CONFIG,
	OPT_VERSION,
};

struct options {
	const char *root, *settings, *platform, *user, *password, *limit, *progress;
	bool all_tags, quiet, password_stdin, raw, config, help, version;
};

static const struct option long_options[] = {
	{"root", required_argument, NULL, OPT_ROOT},
	{"settings", required_argument, NULL, OPT_SETTINGS},
	{"platform", required_argument, NULL, OPT_PLATFORM},
	{"progress", required_argument, NULL, OPT_PROGRESS},
	{"all-tags", no_argument, NULL, 'a'},
	{"quiet", no_argument, NULL, 'q'},
	{"username", required_argument, NULL, 'u'},
	{"password", required_argument, NULL, 'p'},
	{"password-stdin", no_argument, NULL, OPT_PASSWORD_STDIN},
	{"limit", required_argument, NULL, OPT_LIMIT},
	{"raw", no_argument, NULL, OPT_RAW},
	{"config", no_argument, NULL, OPT_CONFIG},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

static bool take_option(struct options *o, int c)
{
	const struct {
		int c;
		const char **text;
		bool *flag;
	} known[] = {
		{OPT_ROOT, &o->root, NULL},
		{OPT_SETTINGS, &o->settings, NULL},
		{OPT_PLATFORM, &o->platform, NULL},
		{OPT_PROGRESS, &o->progress, NULL},
		{'u', &o->user, NULL},
		{'p', &o->password, NULL},
		{OPT_LIMIT, &o->limit, NULL},
		{'a', NULL, &o->all_tags},
		{'q', NULL, &o->quiet},
		{OPT_PASSWORD_STDIN, NULL, &o->password_stdin},
		{OPT_RAW, NULL, &o->raw},
		{OPT_CONFIG, NULL, &o->config},
		{'h', NULL, &o->help},
		{OPT_VERSION, NULL, &o->version},
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (known[i].c != c)
			continue;
		if (known[i].text)
			*known[i].text = optarg;
		else
			*known[i].flag = true;
		return true;
	}
	return false;
}

static const char help_text[] =
	"Usage: coffer-fetch [--root DIR] [--settings FD] COMMAND\n"
	"\n"
	"Moves images between registries and the store. `coffer` calls it; it may be used by hand.\n"
	"\n"
	"  pull [--platform P] [-a|--all-tags] [-q] [--progress MODE] REF   get an image\n"
	"  push [-a|--all-tags] [-q] [--progress MODE] REF                  give one\n"
	"  login [-u USER] [-p PASSWORD | --password-stdin] [SERVER]        check and keep credentials\n"
	"  logout [SERVER]                                                  forget them\n"
	"  catalog [--limit N] [--progress json] SERVER [PATTERN]           repositories of a registry\n"
	"  tags [--limit N] REPOSITORY                                      tags of a repository\n"
	"  inspect [--raw] [--config] [--platform P] REF                    manifest of an image, without "
	"pulling\n"
	"\n"
	"  --root DIR       the store (default /var/lib/coffer; rootless ~/.local/share/coffer)\n"
	"  --settings FD    read a JSON document of settings from this descriptor\n"
	"  --progress MODE  auto, tty, plain, none, json\n";

static int wrong_usage(const char *fmt, ...) printf_like(1, 2);
static int wrong_usage(const char *fmt, ...)
{
	va_list ap;

	fputs("coffer-fetch: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap); /* nowhere else to say so */
	va_end(ap);
	fputs(" (see coffer-fetch --help)\n", stderr);
	return EXIT_USAGE;
}

/* ---- commands ---- */

int fetch_open_store(struct fetch *f, struct err *err)
{
	const char *layers = f->settings->layers;
	struct image_store_options o = {
		.root = f->root,
		.sync = true,
		.rules = &f->settings->rules,
		.layers = !layers || streq(layers, "auto") ? IMAGE_LAYERS_AUTO
			  : streq(layers, "erofs")	   ? IMAGE_LAYERS_EROFS
							   : IMAGE_LAYERS_DIRECTORY,
	};

	return image_store_open(&o, &f->store, err);
}

struct words {
	struct fetch *fetch;
	const struct options *o;
	char **v;
	int n;
};

static int progress_for(const struct words *w, struct progress **ret, struct err *err)
{
	enum progress_mode mode = PROGRESS_AUTO;
	int r = w->o->progress ? progress_mode_parse(w->o->progress, &mode, err) : 0;

	if (r < 0)
		return r;
	if (w->o->quiet)
		mode = PROGRESS_NONE;
	return progress_new(mode, ret, err);
}

static int cmd_pull(const struct words *w, struct err *err)
{
	struct progress *p autoprogress = NULL;
	int r = progress_for(w, &p, err);
	struct pull_options o = {.reference = w->v[0],
				 .platform = w->o->platform,
				 .all_tags = w->o->all_tags,
				 .quiet = w->o->quiet,
				 .progress = p};

	return r < 0 ? r : fetch_pull(w->fetch, &o, err);
}

static int cmd_push(const struct words *w, struct err *err)
{
	struct progress *p autoprogress = NULL;
	int r = progress_for(w, &p, err);
	struct push_options o = {
		.reference = w->v[0], .all_tags = w->o->all_tags, .quiet = w->o->quiet, .progress = p};

	return r < 0 ? r : fetch_push(w->fetch, &o, err);
}

static int cmd_login(const struct words *w, struct err *err)
{
	struct login_options o = {.server = w->n ? w->v[0] : NULL,
				  .user = w->o->user,
				  .password = w->o->password,
				  .password_stdin = w->o->password_stdin};

	return fetch_login(w->fetch, &o, err);
}

static int cmd_logout(const struct words *w, struct err *err)
{
	return fetch_logout(w->fetch, w->n ? w->v[0] : NULL, err);
}

static int limit_of(const struct words *w, uint64_t *ret, struct err *err)
{
	*ret = 0;
	if (w->o->limit && str_to_u64(w->o->limit, 10, ret) < 0)
		return err_set(err, EINVAL, "--limit \"%s\" is no number", w->o->limit);
	return 0;
}

static int cmd_catalog(const struct words *w, struct err *err)
{
	struct catalog_options o = {.server = w->v[0],
				    .pattern = w->n > 1 ? w->v[1] : NULL,
				    .json = w->o->progress && streq(w->o->progress, "json")};
	int r = limit_of(w, &o.limit, err);

	return r < 0 ? r : fetch_catalog(w->fetch, &o, err);
}

static int cmd_tags(const struct words *w, struct err *err)
{
	uint64_t limit;
	int r = limit_of(w, &limit, err);

	return r < 0 ? r : fetch_tags(w->fetch, w->v[0], limit, err);
}

static int cmd_inspect(const struct words *w, struct err *err)
{
	struct inspect_options o = {
		.reference = w->v[0], .platform = w->o->platform, .raw = w->o->raw, .config = w->o->config};

	return fetch_inspect(w->fetch, &o, err);
}

static const struct fetch_command {
	const char *name;
	int min, max;
	int (*run)(const struct words *w, struct err *err);
	bool unpacks;
} fetch_commands[] = {
	{"pull", 1, 1, cmd_pull, true}, {"push", 1, 1, cmd_push},	{"login", 0, 1, cmd_login},
	{"logout", 0, 1, cmd_logout},	{"catalog", 1, 2, cmd_catalog}, {"tags", 1, 1, cmd_tags},
	{"inspect", 1, 1, cmd_inspect},
};

static const struct fetch_command *find_fetch_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(fetch_commands); i++)
		if (streq(fetch_commands[i].name, name))
			return &fetch_commands[i];
	return NULL;
}

/* ---- set-up ---- */

static int read_settings(const char *fd_text, struct settings *ret, struct err *err)
{
	autofree char *text = NULL;
	size_t len = 0;
	uint64_t n;

	if (fd_text) {
		if (str_to_u64(fd_text, 10, &n) < 0 || n > INT_MAX)
			return err_set(err, EINVAL, "--settings \"%s\" is no descriptor", fd_text);
		(void)lseek((int)n, 0,
			    SEEK_SET); /* a memfd that was just written; pipes cannot and need not */
		int r = fd_read_all((int)n, SETTINGS_MAX, &text, &len);
		if (r < 0)
			return err_num(err, r, "cannot read the settings from descriptor %d", (int)n);
		(void)close((int)n); /* no child of ours may have it */
	}
	return settings_decode(text, len, ret, err);
}

/* The default root, as the engine has it; the caller frees. */
static char *default_store(void)
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");

	if (geteuid() == 0)
		return strdup("/var/lib/coffer");
	if (data && *data == '/')
		return str_format("%s/coffer", data);
	return str_format("%s/.local/share/coffer", home ? home : "");
}

static int enter_own_ids(struct err *err)
{
	struct userns_self own;
	bool user = geteuid() != 0;

	userns_self_maps(&own);
	if (user && own.uids.n < 2)
		fprintf(stderr, "WARNING: %s\n", USERNS_SELF_LACK);
	return userns_self_enter(err);
}

static int run_fetch(const struct options *o, char **words, int n)
{
	const struct fetch_command *c = find_fetch_command(words[0]);
	struct settings settings = {0};
	struct err err = {0};
	autofree char *root = o->root ? strdup(o->root) : default_store();

	if (!c)
		return wrong_usage("unknown command \"%s\"", words[0]);
	if (n - 1 < c->min || n - 1 > c->max)
		return wrong_usage("\"%s\" takes %d%s argument%s", c->name, c->min,
				   c->max > c->min ? " or more" : "", c->max == 1 ? "" : "s");
	int r = root ? read_settings(o->settings, &settings, &err) : err_oom(&err);
	/* Before there are threads: what is unpacked belongs to subordinate ids. */
	if (r == 0 && c->unpacks)
		r = enter_own_ids(&err);
	struct fetch f = {.root = root, .settings = &settings};
	struct words w = {.fetch = &f, .o = o, .v = words + 1, .n = n - 1};
	if (r == 0)
		r = c->run(&w, &err);
	if (!f.store_in_use)
		image_store_close(f.store);
	settings_free(&settings);
	if (r == 0)
		return 0;
	(void)fflush(stdout); /* what was said comes before the error */
	/* Registries and archives have their words in it: nothing of them may drive a terminal. */
	for (char *p = err.msg; *p; p++)
		if (char_is_control(*p))
			*p = '?';
	fprintf(stderr, "coffer: %s\n", err.msg);
	return fetch_interrupted ? EXIT_INTERRUPTED : 1;
}

int main(int argc, char **argv)
{
	struct options o = {0};
	int c;

	if (fd_fill_standard() < 0)
		return 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "aqu:p:h", long_options, NULL)) != -1)
		if (!take_option(&o, c))
			return wrong_usage("unknown option, or one that lacks its value: %s",
					   argv[optind - 1]);
	if (o.version) {
		puts("coffer-fetch " COFFER_VERSION);
		return 0;
	}
	if (o.help || optind >= argc) {
		fputs(help_text, o.help ? stdout : stderr);
		return o.help ? 0 : EXIT_USAGE;
	}
	catch_signals();
	int status = run_fetch(&o, argv + optind, argc - optind);
	(void)fflush(NULL); /* standard output may be gone */
	/* Not exit(): a thread may wait for another process's lock. */
	_exit(status);
}

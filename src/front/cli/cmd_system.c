/* SPDX-License-Identifier: Apache-2.0 */
/* system prune, check; the prunes of the groups; what the monitor calls; version. */
#include "front/cli/cli.h"
#include "front/cli/units.h"
#include "isolate/isolate.h"
#include "oci/state.h"

struct system_flags {
	bool all, force, volumes, deep, repair, client;
	str_list filters;
	const char *format;
};
#define SYS struct system_flags

/* ---- prune ---- */

#define O_PRUNE                                                                                              \
	O_BOOL(SYS, force, "force", 'f', "Do not ask"),                                                      \
		O_LIST(SYS, filters, "filter", 0, "Filter: until, label", .value = "filter")
static const struct opt prune_options[] = {O_PRUNE};
static const struct opt image_prune_options[] = {
	O_PRUNE,
	O_BOOL(SYS, all, "all", 'a',
	       "Remove all images that no container uses, not only those without a name"),
};
static const struct opt volume_prune_options[] = {
	O_PRUNE,
	O_BOOL(SYS, all, "all", 'a', "Remove all volumes that no container uses, not only anonymous ones"),
};
static const struct opt system_prune_options[] = {
	O_PRUNE,
	O_BOOL(SYS, all, "all", 'a',
	       "Remove all images that no container uses, not only those without a name"),
	O_BOOL(SYS, volumes, "volumes", 0, "Remove anonymous volumes that no container uses too"),
};

struct pruned {
	struct str out;
	const char *kind;
};

/* "Deleted Containers:" before the first of each kind. */
static void prune_told(void *data, const char *kind, const char *what)
{
	static const struct {
		const char *kind, *title;
	} titles[] = {{"container", "Deleted Containers"},
		      {"image", "Deleted Images"},
		      {"network", "Deleted Networks"},
		      {"volume", "Deleted Volumes"}};
	struct pruned *p = data;

	if (!p->kind || !streq(p->kind, kind)) {
		const char *title = kind;
		for (size_t i = 0; i < ARRAY_LEN(titles); i++) {
			if (streq(titles[i].kind, kind)) {
				title = titles[i].title;
				p->kind = titles[i].kind;
			}
		}
		str_putf(&p->out, "%s%s:\n", p->out.len ? "\n" : "", title);
	}
	str_putf(&p->out, "%s\n", what);
}

static int prune(struct call *call, const char *question, const struct engine_prune *wanted, struct err *err)
{
	const struct system_flags *f = call->options;
	struct pruned pruned = {0};
	struct engine_prune q = *wanted;
	struct engine *e;
	uint64_t bytes = 0;
	int r = filters_check(&f->filters, "until label label! dangling all", err);

	if (r == 0 && !f->force) {
		r = cli_confirm(question, err);
		if (r <= 0)
			return r;
		r = 0;
	}
	if (r == 0)
		r = cli_engine(call, &e, err);
	if (r < 0)
		return r;
	q.filters = f->filters;
	q.told = prune_told;
	q.data = &pruned;
	r = engine_prune(e, &q, &bytes, err);
	if (r == 0) {
		str_putf(&pruned.out, "%sTotal reclaimed space: %s\n", pruned.out.len ? "\n" : "",
			 size_decimal((double)bytes, 4).s);
		r = cli_print_str(&pruned.out, err);
	}
	str_free(&pruned.out);
	return r;
}

static int run_container_prune(struct call *call, struct err *err)
{
	struct engine_prune q = {.containers = true};

	return prune(call,
		     "WARNING! This will remove all stopped containers.\nAre you sure you want to continue?",
		     &q, err);
}

static int run_image_prune(struct call *call, struct err *err)
{
	const struct system_flags *f = call->options;
	struct engine_prune q = {.images = true, .all_images = f->all};

	return prune(
		call,
		f->all ? "WARNING! This will remove all images without at least one container associated to "
			 "them.\n"
			 "Are you sure you want to continue?"
		       : "WARNING! This will remove all dangling images.\nAre you sure you want to continue?",
		&q, err);
}

static int run_network_prune(struct call *call, struct err *err)
{
	struct engine_prune q = {.networks = true};

	return prune(call,
		     "WARNING! This will remove all custom networks not used by at least one container.\n"
		     "Are you sure you want to continue?",
		     &q, err);
}

static int run_volume_prune(struct call *call, struct err *err)
{
	const struct system_flags *f = call->options;
	struct engine_prune q = {.volumes = true, .all_volumes = f->all};

	return prune(
		call,
		f->all ? "WARNING! This will remove all local volumes not used by at least one container.\n"
			 "Are you sure you want to continue?"
		       : "WARNING! This will remove anonymous local volumes not used by at least one "
			 "container.\n"
			 "Are you sure you want to continue?",
		&q, err);
}

static int run_system_prune(struct call *call, struct err *err)
{
	const struct system_flags *f = call->options;
	struct engine_prune q = {.containers = true,
				 .images = true,
				 .all_images = f->all,
				 .networks = true,
				 .volumes = f->volumes};
	struct str question autostr = {0};

	str_putf(&question,
		 "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at "
		 "least one "
		 "container\n%s  - %s\n\nAre you sure you want to continue?",
		 f->volumes ? "  - all anonymous volumes not used by at least one container\n" : "",
		 f->all ? "all images without at least one container associated to them"
			: "all dangling images");
	return question.failed ? err_oom(err) : prune(call, question.s, &q, err);
}

/* ---- check ---- */

static const struct opt check_options[] = {
	O_BOOL(SYS, deep, "deep", 0, "Read all content and hold it against its digests"),
	O_BOOL(SYS, repair, "repair", 0, "Mend what is found"),
};

static int run_check(struct call *call, struct err *err)
{
	const struct system_flags *f = call->options;
	struct engine *e;
	uint64_t findings = 0;
	char text[80];
	int r = cli_engine(call, &e, err);

	if (r == 0)
		r = engine_check(e, f->deep, f->repair, cli_tell, NULL, &findings, err);
	if (r < 0)
		return r;
	call->status = findings && !f->repair;
	if (!findings)
		return cli_println("nothing found", err);
	(void)snprintf(text, sizeof(text), "%llu finding%s%s", (unsigned long long)findings,
		       findings == 1 ? "" : "s",
		       f->repair ? ", repaired" : "; 'coffer system check --repair' mends them"); /* fits */
	return cli_println(text, err);
}

/* ---- what monitors and the machine's start call ---- */

static int run_make_again(struct call *call, struct err *err)
{
	struct engine *e;
	int r = cli_engine(call, &e, err);

	return r < 0 ? r : engine_make_again(e, call->args[0], err);
}

static int run_finish(struct call *call, struct err *err)
{
	struct engine *e;
	int r = cli_engine(call, &e, err);

	return r < 0 ? r : engine_finish(e, call->args[0], err);
}

static void start_all_told(void *data, const char *id, const struct err *err)
{
	struct call *call = data;
	struct err ignored = {0};

	if (err)
		cli_complain(call, err);
	else
		ignore_result(cli_println(id, &ignored)); /* it runs all the same */
}

static int run_start_all(struct call *call, struct err *err)
{
	struct engine *e;
	int r = cli_engine(call, &e, err);

	return r < 0 ? r : engine_start_all(e, start_all_told, call, err);
}

/* ---- version ---- */

static const struct opt version_options[] = {
	O_STR(SYS, format, "format", 'f', "Format output: json, or a Go TEMPLATE"),
	O_BOOL(SYS, client, "client", 0, NULL),
};

static int run_version(struct call *call, struct err *err)
{
	const struct system_flags *f = call->options;
	struct json_doc *m = &call->memory;
	const struct config *c;
	int r = cli_config(call, &c, err);

	if (r < 0)
		return r;
	const char *format = f->format ? f->format : c->formats.version;
	struct value *v = value_new(m, VALUE_OBJECT), *client = value_new(m, VALUE_OBJECT),
		     *server = value_new(m, VALUE_OBJECT);

	if (!format) {
		struct str text autostr = {0};
		str_put(&text, "coffer version " COFFER_VERSION "\n OCI runtime specification: " OCI_VERSION
			       "\n Isolation levels of this build:");
		for (size_t i = 0; isolate_levels[i]; i++)
			str_putf(&text, " %s", isolate_levels[i]->name);
		str_put(&text, "\n");
		return cli_print_str(&text, err);
	}
	value_put(m, client, "Version", COFFER_VERSION);
	value_put(m, client, "Os", "linux");
	value_put(m, server, "Version", COFFER_VERSION);
	value_put(m, server, "OciVersion", OCI_VERSION);
	value_put(m, server, "Os", "linux");
	value_add(v, "Client", client);
	value_add(v, "Server", server);
	return cli_print_document(call, v, format, err);
}

#define SYS_SIZE .options_size = sizeof(struct system_flags)

const struct command command_system_prune = {
	.name = "prune",
	.summary = "Remove what is not used",
	.usage = "[OPTIONS]",
	.examples = "coffer system prune -af --volumes\n",
	.options = {OPT_TABLE(system_prune_options)},
	SYS_SIZE,
	.writes_images = true,
	.run = run_system_prune,
	.users = USERS_ENTER,
};
const struct command command_container_prune = {
	.name = "prune",
	.summary = "Remove all stopped containers",
	.usage = "[OPTIONS]",
	.examples = "coffer container prune -f --filter until=24h\n",
	.options = {OPT_TABLE(prune_options)},
	SYS_SIZE,
	.run = run_container_prune,
	.users = USERS_ENTER,
};
const struct command command_image_prune = {
	.name = "prune",
	.summary = "Remove unused images",
	.usage = "[OPTIONS]",
	.examples = "coffer image prune -af\n",
	.options = {OPT_TABLE(image_prune_options)},
	SYS_SIZE,
	.writes_images = true,
	.run = run_image_prune,
	.users = USERS_ENTER,
};
const struct command command_network_prune = {
	.name = "prune",
	.summary = "Remove all unused networks",
	.usage = "[OPTIONS]",
	.examples = "coffer network prune -f\n",
	.options = {OPT_TABLE(prune_options)},
	SYS_SIZE,
	.run = run_network_prune,
};
const struct command command_volume_prune = {
	.name = "prune",
	.summary = "Remove unused volumes",
	.usage = "[OPTIONS]",
	.examples = "coffer volume prune -f\n",
	.options = {OPT_TABLE(volume_prune_options)},
	SYS_SIZE,
	.run = run_volume_prune,
	.users = USERS_ENTER,
};
const struct command command_check = {
	.name = "check",
	.summary = "Look for damage and leftovers",
	.usage = "[OPTIONS]",
	.description = "The exit status is 1 where something was found and not repaired.",
	.examples = "coffer system check\ncoffer system check --deep --repair\n",
	.options = {OPT_TABLE(check_options)},
	SYS_SIZE,
	.writes_images = true,
	.run = run_check,
	.users = USERS_ENTER,
};
const struct command command_make_again = {
	.name = "make-again",
	.summary = "Make and start a container again (called by its monitor)",
	.usage = "ID",
	.min_args = 1,
	.max_args = 1,
	.enters_container = true,
	.run = run_make_again,
};
const struct command command_finish = {
	.name = "finish",
	.summary = "Clean up after a container (called by its monitor)",
	.usage = "ID",
	.min_args = 1,
	.max_args = 1,
	.run = run_finish,
};
const struct command command_start_all = {
	.name = "start-all",
	.summary = "Start the containers whose restart policy wants them up (at the machine's start)",
	.usage = "",
	.enters_container = true,
	.run = run_start_all,
};
const struct command command_version = {
	.name = "version",
	.summary = "Show the version",
	.usage = "[OPTIONS]",
	.examples = "coffer version --format '{{.Client.Version}}'\n",
	.options = {OPT_TABLE(version_options)},
	SYS_SIZE,
	.run = run_version,
};

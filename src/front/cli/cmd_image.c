/* SPDX-License-Identifier: Apache-2.0 */
/* tag, rmi, save, load, import, export, commit, diff, cp. */
#include "front/cli/cli.h"
#include "front/cli/images.h"
#include "front/cli/progress.h"

#include <sys/stat.h>

struct image_flags {
	bool force, no_prune, quiet, pause, archive, follow_link, all, latest;
	const char *output, *input, *message, *author, *platform;
	str_list changes;
};
static const struct image_flags image_defaults = {.pause = true};
#define IMG struct image_flags

/* ---- tag, rmi ---- */

static const char *named_image(struct call *call, const struct config *c, int i)
{
	return config_image_name(c, &call->memory, call->args[i]);
}

static int run_tag(struct call *call, struct err *err)
{
	const struct config *c;
	struct engine *e;
	int r = cli_engine(call, &e, err);

	if (r == 0)
		r = cli_config(call, &c, err);
	return r < 0 ? r : image_tag(engine_images(e), named_image(call, c, 0), named_image(call, c, 1), err);
}

static const struct opt rmi_options[] = {
	O_BOOL(IMG, force, "force", 'f',
	       "Remove names and the image although several names or stopped containers use it"),
	O_BOOL(IMG, no_prune, "no-prune", 0, NULL),
	O_BOOL(IMG, all, "all", 'a', "Every image"),
};

/* For --all: every name there is, and the ids of what has none. */
static int words_of_all_images(struct call *call, struct engine *e, struct err *err)
{
	image_list list = {0};
	str_list words = {0};
	int r = image_list_all(engine_images(e), &list, err);

	for (size_t i = 0; r == 0 && i < list.n; i++)
		for (size_t k = 0; r == 0 && k < MAX_OF(list.v[i].tags.n, (size_t)1); k++) {
			const char **item = memory_push(&call->memory, &words, sizeof(*item));
			if (item)
				*item = memory_text(&call->memory,
						    list.v[i].tags.n ? list.v[i].tags.v[k] : list.v[i].id);
			r = item && *item ? 0 : err_oom(err);
		}
	image_list_free(&list);
	if (r < 0)
		return r;
	const char **end = memory_push(&call->memory, &words, sizeof(*end));
	if (!end)
		return err_oom(err);
	*end = NULL;
	call->args = (char **)(uintptr_t)words.v;
	call->nargs = (int)words.n - 1;
	return 0;
}

static int run_rmi(struct call *call, struct err *err)
{
	const struct image_flags *f = call->options;
	struct engine *e;

	if (f->all && call->nargs)
		return cli_misused(call, err, "--all names every image: \"%s\" is one too many",
				   call->args[0]);
	int r = f->all ? 0 : cli_requires(call, 1, err);
	if (r == 0)
		r = cli_engine(call, &e, err);
	if (r == 0 && f->all)
		r = words_of_all_images(call, e, err);
	return r < 0 ? r : images_remove(call, e, call->args, f->force, err);
}

/* ---- save, load, import, export ---- */

static const struct opt save_options[] = {
	O_BOOL(IMG, quiet, "quiet", 'q', NULL),
	O_BOOL(IMG, all, "multi-image-archive", 'm', NULL), /* each is one, if need be */
	O_STR(IMG, output, "output", 'o', "Write to a file, instead of STDOUT", .value = "file",
	      .words = "@file"),
};
static const struct opt load_options[] = {
	O_STR(IMG, input, "input", 'i', "Read from a file or an OCI layout's directory, instead of STDIN",
	      .value = "file", .words = "@file"),
	O_BOOL(IMG, quiet, "quiet", 'q', "Suppress the load output"),
};
static const struct opt import_options[] = {
	O_LIST(IMG, changes, "change", 'c',
	       "Apply a Dockerfile instruction to the image (CMD, ENV, USER, …)"),
	O_STR(IMG, message, "message", 'm', "Commit message"),
	O_STR(IMG, platform, "platform", 0, "Platform, as linux/arm64"),
	O_BOOL(IMG, quiet, "quiet", 'q', NULL), /* nothing but the id is told, anyway */
};

static bool is_terminal_output(const char *output)
{
	return !output && isatty(STDOUT_FILENO);
}

/* A file that appears when it is whole. */
struct output {
	int fd;
	const char *path, *part;
};

static int output_open(struct call *call, const char *path, struct output *ret, struct err *err)
{
	struct str part autostr = {0};
	struct stat st;

	*ret = (struct output){.fd = STDOUT_FILENO, .path = path};
	if (!path)
		return 0;
	/* What is no regular file (a pipe, /dev/stdout) is written as it is. */
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		ret->fd = open(path, O_WRONLY | O_CLOEXEC);
	} else {
		str_putf(&part, "%s.part", path);
		ret->part = memory_take(&call->memory, &part);
		ret->fd = open(ret->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	}
	return ret->fd < 0 ? err_sys(err, "cannot write \"%s\"", path) : 0;
}

/* `r` is what came of writing it. */
static int output_close(struct output *o, int r, struct err *err)
{
	if (!o->path)
		return r;
	if (close(o->fd) < 0 && r == 0)
		r = err_sys(err, "cannot write \"%s\"", o->path);
	if (r == 0 && o->part && rename(o->part, o->path) < 0)
		r = err_sys(err, "cannot write \"%s\"", o->path);
	if (r < 0 && o->part)
		(void)unlink(o->part); /* nothing of it is of use */
	return r;
}

static int run_save(struct call *call, struct err *err)
{
	const struct image_flags *f = call->options;
	const struct config *c;
	struct output out;
	struct engine *e;
	const char **names = json_doc_alloc(&call->memory, (size_t)call->nargs * sizeof(*names));

	if (!names)
		return err_oom(err);
	if (is_terminal_output(f->output))
		return cli_misused(call, err,
				   "cowardly refusing to save to a terminal: use -o FILE or redirect");
	int r = cli_engine(call, &e, err);
	if (r == 0)
		r = cli_config(call, &c, err);
	for (int i = 0; r == 0 && i < call->nargs; i++) {
		struct image image autoimage = {0}; /* before the file is touched */
		names[i] = named_image(call, c, i);
		r = image_find(engine_images(e), names[i], NULL, &image, err);
	}
	if (r == 0)
		r = output_open(call, f->output, &out, err);
	if (r < 0)
		return r;
	r = image_save(engine_images(e), names, (size_t)call->nargs, out.fd, err);
	return output_close(&out, r, err);
}

static int run_load(struct call *call, struct err *err)
{
	const struct image_flags *f = call->options;
	struct progress_line progress = {0};
	struct engine *e;

	if (!f->input && isatty(STDIN_FILENO))
		return cli_misused(
			call, err,
			"requested load from stdin, but stdin is a terminal: use -i FILE or redirect");
	int r = cli_engine(call, &e, err);
	if (r < 0)
		return r;
	autoclose int fd = f->input ? open(f->input, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);
	if (fd < 0)
		return err_sys(err, "cannot read \"%s\"", f->input ? f->input : "standard input");
	struct image_progress report = {.report = progress_report, .data = &progress};
	r = image_load(engine_images(e), fd, cli_tell, NULL,
		       f->quiet || !isatty(STDERR_FILENO) ? NULL : &report, err);
	progress_end(&progress);
	return r;
}

static int run_import(struct call *call, struct err *err)
{
	const struct image_flags *f = call->options;
	const struct config *c;
	autofree char *id = NULL;
	struct engine *e;
	bool standard = streq(call->args[0], "-");

	if (str_starts(call->args[0], "http://") || str_starts(call->args[0], "https://"))
		return err_set(
			err, EOPNOTSUPP,
			"cannot import from \"%s\": fetch it first, as in 'curl -L %s | coffer import -'",
			call->args[0], call->args[0]);
	int r = cli_engine(call, &e, err);
	if (r == 0)
		r = cli_config(call, &c, err);
	if (r < 0)
		return r;
	autoclose int fd = standard ? dup(STDIN_FILENO) : open(call->args[0], O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "cannot read \"%s\"", call->args[0]);
	struct image_make q = {.store = engine_images(e),
			       .tar_fd = fd,
			       .name = call->nargs > 1 ? named_image(call, c, 1) : NULL,
			       .comment = f->message ? f->message
					  : standard ? "Imported from -"
						     : "Imported from a file"};
	r = image_changes(&call->memory, &f->changes, f->platform, &q.config, err);
	if (r == 0)
		r = image_make(&q, &id, err);
	return r < 0 ? r : cli_println(id, err);
}

static int run_export(struct call *call, struct err *err)
{
	const struct image_flags *f = call->options;
	struct image image autoimage = {0};
	struct snapshot snapshot = {0};
	autofree char *id = NULL;
	bool user = call->cli->rootless; /* who is among the container's users by then, and sees its ids */
	struct output out;

	if (is_terminal_output(f->output))
		return cli_misused(call, err,
				   "cowardly refusing to save to a terminal: use -o FILE or redirect");
	int r = cli_container(call, call->args[0], &id, err);
	struct engine *e = call->cli->engine;
	if (r == 0)
		r = engine_snapshot(e, id, &snapshot, &image, err);
	if (r < 0)
		return r;
	autoclose int root = engine_root(e, id, true, err);
	if (root < 0)
		return root;
	r = output_open(call, f->output, &out, err);
	if (r < 0)
		return r;
	r = image_export(root, out.fd, user ? NULL : snapshot.uids, user ? NULL : snapshot.gids, err);
	return output_close(&out, r, err);
}

/* ---- commit, diff, cp ---- */

static const struct opt commit_options[] = {
	O_STR(IMG, author, "author", 'a', "Author (e.g., \"Ada Lovelace <ada@example.org>\")"),
	O_LIST(IMG, changes, "change", 'c',
	       "Apply a Dockerfile instruction to the image (CMD, ENV, USER, …)"),
	O_STR(IMG, message, "message", 'm', "Commit message"),
	O_BOOL(IMG, pause, "pause", 'p', "Pause the container meanwhile (default true)"),
	O_BOOL(IMG, quiet, "quiet", 'q', NULL),
};

static int run_commit(struct call *call, struct err *err)
{
	const struct image_flags *f = call->options;
	const struct config *c;
	autofree char *id = NULL, *image = NULL;
	int r = cli_container(call, call->args[0], &id, err);

	if (r == 0)
		r = cli_config(call, &c, err);
	if (r == 0)
		r = engine_commit(call->cli->engine, id, call->nargs > 1 ? named_image(call, c, 1) : NULL,
				  f->author, f->message, &f->changes, f->pause, &image, err);
	return r < 0 ? r : cli_println(image, err);
}

static int diff_each(void *data, const struct snapshot_change *c, struct err *err)
{
	struct str *out = data;

	str_putf(out, "%c %s\n", c->kind, c->path);
	return out->failed ? err_oom(err) : 0;
}

static const struct opt diff_options[] = {
	O_LATEST(IMG, 'l'),
};

static int run_diff(struct call *call, struct err *err)
{
	struct image image autoimage = {0};
	struct snapshot snapshot = {0};
	struct str out autostr = {0};
	autofree char *id = NULL;
	int r = cli_container(call, call->args[0], &id, err);

	if (r == 0)
		r = engine_snapshot(call->cli->engine, id, &snapshot, &image, err);
	if (r == 0)
		r = snapshot_diff(engine_images(call->cli->engine), &snapshot, diff_each, &out, err);
	return r < 0 ? r : cli_print_str(&out, err);
}

static const struct opt cp_options[] = {
	O_BOOL(IMG, archive, "archive", 'a', "Keep the owners of files"),
	O_BOOL(IMG, follow_link, "follow-link", 'L', "Follow a symbolic link in SRC_PATH"),
	O_BOOL(IMG, quiet, "quiet", 'q', NULL),
};

/* "web:/etc": a container's name before the first colon, unless the word looks like a path. */
static const char *container_side(struct json_doc *m, const char *word, const char **ret_path)
{
	size_t n = strcspn(word, ":");

	if (!word[n] || *word == '/' || *word == '.' || n == 0 || memchr(word, '/', n))
		return NULL;
	*ret_path = word + n + 1;
	return memory_text_n(m, word, n);
}

static int run_cp(struct call *call, struct err *err)
{
	const struct image_flags *f = call->options;
	const char *from_path = NULL, *to_path = NULL;
	const char *from = container_side(&call->memory, call->args[0], &from_path);
	const char *to = container_side(&call->memory, call->args[1], &to_path);
	autofree char *id = NULL;

	if (from && to)
		return cli_misused(
			call, err,
			"copying between containers is not supported: copy through this machine, or "
			"'coffer cp %s - | coffer cp - %s'",
			call->args[0], call->args[1]);
	if (!from && !to)
		return cli_misused(call, err, "must specify at least one container source: CONTAINER:PATH");
	int r = cli_container(call, from ? from : to, &id, err);
	if (r < 0)
		return r;
	struct engine_copy q = {.container = id,
				.container_path = from ? from_path : to_path,
				.host_path = from ? call->args[1] : call->args[0],
				.to_container = to != NULL,
				.follow_link = f->follow_link,
				.archive = f->archive};
	if (from && streq(q.host_path, "-") && isatty(STDOUT_FILENO))
		return cli_misused(call, err,
				   "cowardly refusing to write an archive to a terminal: redirect");
	return engine_copy(call->cli->engine, &q, err);
}

#define IMG_SIZE .options_size = sizeof(struct image_flags), .defaults = &image_defaults

const struct command command_tag = {
	.name = "tag",
	.summary = "Give an image a further name",
	.usage = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
	.examples = "coffer tag nginx registry.example:5000/team/nginx:1\n",
	.min_args = 2,
	.max_args = 2,
	.writes_images = true,
	.words = "@image",
	.run = run_tag,
};
const struct command command_rmi = {
	.name = "rmi",
	.summary = "Remove one or more images",
	.usage = "[OPTIONS] IMAGE [IMAGE...]",
	.examples = "coffer rmi nginx:1.24\ncoffer rmi $(coffer images -f dangling=true -q)\n",
	.options = {OPT_TABLE(rmi_options)},
	IMG_SIZE,
	.max_args = -1,
	.writes_images = true,
	.words = "@image",
	.run = run_rmi,
	.users = USERS_ENTER,
};
const struct command command_save = {
	.name = "save",
	.summary = "Save one or more images to a tar archive",
	.usage = "[OPTIONS] IMAGE [IMAGE...]",
	.description = "The archive is one that docker and podman load, with an OCI layout in it.",
	.examples = "coffer save -o web.tar nginx\ncoffer save nginx | ssh other coffer load\n",
	.options = {OPT_TABLE(save_options)},
	IMG_SIZE,
	.min_args = 1,
	.max_args = -1,
	.words = "@image",
	.run = run_save,
};
const struct command command_load = {
	.name = "load",
	.summary = "Load images from a tar archive or an OCI layout",
	.usage = "[OPTIONS]",
	.examples = "coffer load -i web.tar\ndocker save nginx | coffer load\n",
	.options = {OPT_TABLE(load_options)},
	IMG_SIZE,
	.max_args = 0,
	.writes_images = true,
	.run = run_load,
	.users = USERS_UNPACK,
};
const struct command command_import = {
	.name = "import",
	.summary = "Make an image of a tar archive of a root file system",
	.usage = "[OPTIONS] FILE|- [REPOSITORY[:TAG]]",
	.examples = "coffer import rootfs.tar.gz base:1\ntar -C rootfs -c . | coffer import -c 'CMD "
		    "[\"/bin/sh\"]' - base\n",
	.options = {OPT_TABLE(import_options)},
	IMG_SIZE,
	.min_args = 1,
	.max_args = 2,
	.writes_images = true,
	.words = "@file",
	.run = run_import,
	.users = USERS_UNPACK,
};
const struct command command_export = {
	.name = "export",
	.summary = "Write a container's file system as a tar archive",
	.usage = "[OPTIONS] CONTAINER",
	.examples = "coffer export web | tar t\ncoffer export -o web.tar web\n",
	.options = {OPT_TABLE(save_options)},
	IMG_SIZE,
	.min_args = 1,
	.max_args = 1,
	.words = "@container",
	.run = run_export,
};
const struct command command_commit = {
	.name = "commit",
	.summary = "Make an image of a container's changes",
	.usage = "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
	.examples = "coffer commit -m 'with tools' -c 'ENV DEBUG=1' shell tools:1\n",
	.options = {OPT_TABLE(commit_options)},
	IMG_SIZE,
	.min_args = 1,
	.max_args = 2,
	.writes_images = true,
	.words = "@container",
	.run = run_commit,
	.users = USERS_UNPACK,
};
const struct command command_diff = {
	.name = "diff",
	.summary = "Show what a container changed in its files",
	.usage = "[OPTIONS] CONTAINER",
	.description = "A: added, C: changed, D: deleted.",
	.examples = "coffer diff web\n",
	.options = {OPT_TABLE(diff_options)},
	IMG_SIZE,
	.latest = OPT_GIVEN(IMG, latest),
	.min_args = 1,
	.max_args = 1,
	.words = "@container",
	.run = run_diff,
	.users = USERS_ENTER,
};
const struct command command_cp = {
	.name = "cp",
	.summary = "Copy files between a container and this machine",
	.usage = "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-  |  SRC_PATH|- CONTAINER:DEST_PATH",
	.description = "\"-\" is a tar archive on standard input or output.",
	.examples = "coffer cp web:/etc/nginx/nginx.conf .\ncoffer cp site/. web:/usr/share/nginx/html/\n"
		    "coffer cp web:/var/log - | tar t\n",
	.options = {OPT_TABLE(cp_options)},
	IMG_SIZE,
	.min_args = 2,
	.max_args = 2,
	.words = "@container",
	.run = run_cp,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm build-kernel, fetch-kernel, build-initramfs, ls, rm: what level `vm`
 * boots.  Fetching and building is the work of the script
 * coffer-guest-kernel, which is run with the caller's own standard streams.
 */
#include "front/cli/cli.h"
#include "front/cli/units.h"

#include "base/file.h"
#include "base/proc.h"
#include "host/helper.h"
#include "isolate/machine.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

struct vm_flags {
	const char *format, *source, *arch;
	int jobs;
	bool install, again, quiet;
};
#define VM struct vm_flags

enum { NS_PER_S = 1000000000 };

#define O_AGAIN O_BOOL(VM, again, "again", 0, "Also where it is there already")

/* ---- build-kernel, fetch-kernel ---- */

static const struct opt build_options[] = {
	O_BOOL(VM, install, "install-packages", 0,
	       "Install the compiler and what else is missing (root; apt-get)"),
	O_INT(VM, jobs, "jobs", 'j', "Compilers at once (default: one a processor)"),
	O_STR(VM, source, "source", 0, "Tree of kernel source to build instead of Debian's", .value = "dir",
	      .words = "@dir"),
	O_AGAIN,
};
static const struct opt fetch_options[] = {
	O_STR(VM, arch, "arch", 0, "Debian's name of the architecture (default: this machine's)"),
	O_AGAIN,
};

struct script {
	const char *argv[12];
	size_t n;
};

static void add_words(struct script *s, const char *flag, const char *value)
{
	if (flag)
		s->argv[s->n++] = flag;
	if (value)
		s->argv[s->n++] = value;
}

/* The child: the script dies with us, and what it has begun is removed by the next one. */
static _Noreturn void become_script(pid_t parent, const char *path, const struct script *s)
{
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
		_exit(125);
	(void)execv(path, (char *const *)(uintptr_t)s->argv); /* what went wrong is told by the status */
	_exit(127);
}

/* The script tells of its errors itself. */
static int run_script(struct call *call, struct script *s, struct err *err)
{
	autofree char *path = NULL, *dir = guest_kernels_dir();
	int r = dir ? helper_path("coffer-guest-kernel", &path, err) : err_oom(err);

	if (r == 0 && (r = file_mkdir_all(dir, 0755)) < 0)
		r = err_num(err, r, "cannot make the directory \"%s\"", dir);
	if (r < 0)
		return r;
	s->argv[0] = path;
	s->argv[2] = dir;
	pid_t self = getpid(), pid = fork();
	if (pid < 0)
		return err_sys(err, "cannot start \"%s\"", path);
	if (pid == 0)
		become_script(self, path, s);
	int status = proc_wait(pid);
	if (status < 0)
		return err_num(err, status, "cannot wait for \"%s\"", path);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_set(err, ENOENT, "cannot execute \"%s\"", path);
	call->status = proc_exit_code(status);
	return 0;
}

static int run_build_kernel(struct call *call, struct err *err)
{
	const struct vm_flags *f = call->options;
	struct script s = {.argv = {NULL, "build", NULL}, .n = 3};
	char jobs[16];

	if (f->jobs < 0)
		return cli_misused(call, err, "invalid --jobs %d", f->jobs);
	(void)snprintf(jobs, sizeof(jobs), "%d", f->jobs); /* fits */
	add_words(&s, f->install ? "--install" : NULL, NULL);
	add_words(&s, f->again ? "--again" : NULL, NULL);
	if (f->jobs)
		add_words(&s, "--jobs", jobs);
	if (f->source)
		add_words(&s, "--source", f->source);
	return run_script(call, &s, err);
}

static int run_fetch_kernel(struct call *call, struct err *err)
{
	const struct vm_flags *f = call->options;
	struct script s = {.argv = {NULL, "fetch", NULL}, .n = 3};

	add_words(&s, f->again ? "--again" : NULL, NULL);
	if (f->arch)
		add_words(&s, "--arch", f->arch);
	return run_script(call, &s, err);
}

/* ---- of those that there are ---- */

static const struct guest_kernel *find_kernel(const struct guest_kernels *all, const char *name)
{
	for (size_t i = 0; i < all->n; i++)
		if (streq(all->v[i].name, name))
			return &all->v[i];
	return NULL;
}

static int run_build_initramfs(struct call *call, struct err *err)
{
	struct guest_kernels all;
	int r = guest_kernels_list(&all, err);

	if (r < 0)
		return r;
	if (!call->nargs && !all.n)
		r = err_set(err, ENOENT,
			    "there is no kernel to make an initramfs for: 'coffer vm fetch-kernel'");
	for (int i = 0; r == 0 && i < MAX_OF(call->nargs, 1); i++) {
		const struct guest_kernel *k = call->nargs ? find_kernel(&all, call->args[i]) : &all.v[0];
		autofree char *path = NULL;
		if (!k)
			r = err_set(err, ENOENT, "no such kernel: %s", call->args[i]);
		else if ((r = guest_initramfs_make(k, true, &path, err)) == 0)
			r = cli_println(path, err);
	}
	guest_kernels_free(&all);
	return r;
}

static const struct opt ls_options[] = {
	O_STR(VM, format, "format", 0, HELP_FORMAT),
	O_BOOL(VM, quiet, "quiet", 'q', "Print names alone"),
};
static const struct row_column vm_columns[] = {
	{"Created", "CREATED"}, {"Default", "DEFAULT"}, {"Dir", "DIRECTORY"}, {"Kernel", "KERNEL"},
	{"Name", "NAME"},	{"Size", "SIZE"},	{"Source", "SOURCE"},
};

static struct value *kernel_row(struct json_doc *m, const struct guest_kernel *k, bool first)
{
	struct value *v = value_new(m, VALUE_OBJECT);
	struct str created autostr = {0};

	str_putf(&created, "%s ago", duration_text(moment_now() - k->made * NS_PER_S).s);
	value_put(m, v, "Name", memory_text(m, k->name));
	value_put(m, v, "Kernel", memory_text(m, k->release));
	value_put(m, v, "Source", memory_text(m, k->source));
	value_put(m, v, "Size", memory_text(m, size_decimal((double)k->bytes, 3).s));
	value_put(m, v, "Dir", memory_text(m, k->dir));
	value_put(m, v, "Default", first ? "yes" : "");
	value_put(m, v, "Created", memory_take(m, &created));
	return v;
}

static int run_vm_ls(struct call *call, struct err *err)
{
	const struct vm_flags *f = call->options;
	const struct config *c;
	struct row_printer p;
	struct str out autostr = {0};
	struct guest_kernels all = {0};
	struct row_format format = {.format = f->format,
				    .table = "{{.Name}}\t{{.Kernel}}\t{{.Size}}\t{{.Default}}\t{{.Source}}",
				    .quiet = f->quiet && !f->format ? "{{.Name}}" : NULL,
				    .columns = vm_columns,
				    .ncolumns = ARRAY_LEN(vm_columns)};
	int r = cli_config(call, &c, err);

	if (r == 0)
		r = guest_kernels_list(&all, err);
	if (r == 0)
		r = rows_begin(&p, &call->memory, &format, &out, err);
	for (size_t i = 0; r == 0 && i < all.n; i++)
		r = rows_add(&p, &call->memory, kernel_row(&call->memory, &all.v[i], i == 0 && !c->vm.kernel),
			     err);
	guest_kernels_free(&all);
	if (r < 0)
		return r;
	rows_end(&p);
	return cli_print_str(&out, err);
}

/* Renamed first: a half removed kernel is none, and what is left of it the next fetch or build removes. */
static int remove_kernel(const struct guest_kernel *k, struct err *err)
{
	autofree char *gone = str_format(".old-%s", k->name), *up = str_format("%s/..", k->dir);
	autoclose int dir = up ? open(up, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (!gone || !up)
		return err_oom(err);
	if (dir < 0 || renameat(dir, k->name, dir, gone) < 0)
		return err_sys(err, "cannot remove \"%s\"", k->dir);
	int r = file_remove_tree_at(dir, gone);
	return r < 0 ? err_num(err, r, "cannot remove \"%s\"", k->dir) : 0;
}

static int vm_rm_one(struct call *call, struct engine *e, const char *name, struct err *err)
{
	struct guest_kernels all = {0};
	int r = guest_kernels_list(&all, err);

	(void)call;
	(void)e; /* there is none: cli_each_plain() */
	if (r == 0) {
		const struct guest_kernel *k = find_kernel(&all, name);
		r = k ? remove_kernel(k, err) : err_set(err, ENOENT, "no such kernel: %s", name);
	}
	guest_kernels_free(&all);
	return r;
}

static int run_vm_rm(struct call *call, struct err *err)
{
	return cli_each_plain(call, vm_rm_one, err);
}

#define VM_SIZE .options_size = sizeof(struct vm_flags)

const struct command command_vm_build_kernel = {
	.name = "build-kernel",
	.summary = "Build a small kernel for virtual machines",
	.usage = "[OPTIONS]",
	.description = "Of Debian's kernel source (linux-source-6.12), with a configuration of coffer's: all "
		       "drivers of a\nguest built in, nothing else.  It starts four times as fast as a "
		       "distribution's.  Takes some\nminutes and 3 GB while it is built; the same source, "
		       "configuration and compiler are not built\ntwice.  The name of the result is printed.",
	.examples = "coffer vm build-kernel --install-packages\n",
	.options = {OPT_TABLE(build_options)},
	VM_SIZE,
	.max_args = 0,
	.run = run_build_kernel,
};
const struct command command_vm_fetch_kernel = {
	.name = "fetch-kernel",
	.summary = "Fetch Debian's kernel for virtual machines",
	.usage = "[OPTIONS]",
	.description =
		"The newest of linux-image-cloud, by apt-get; unpacked, not installed.  Nothing is "
		"compiled: use\nit where build-kernel is too much.  The name of the result is printed.",
	.examples = "coffer vm fetch-kernel\n",
	.options = {OPT_TABLE(fetch_options)},
	VM_SIZE,
	.max_args = 0,
	.run = run_fetch_kernel,
};
const struct command command_vm_build_initramfs = {
	.name = "build-initramfs",
	.summary = "Make the initramfs of kernels anew",
	.usage = "[KERNEL...]",
	.description = "It is made when it is first needed, and again when coffer has changed: this is for "
		       "who wants\nit made before.  Without a name, that of the newest kernel.",
	.examples = "coffer vm build-initramfs\n",
	VM_SIZE,
	.max_args = -1,
	.words = "@vm-kernel",
	.run = run_build_initramfs,
};
const struct command command_vm_ls = {
	.name = "ls",
	.summary = "List the kernels for virtual machines",
	.usage = "[OPTIONS]",
	.examples = "coffer vm ls --format '{{.Name}} {{.Dir}}'\n",
	.options = {OPT_TABLE(ls_options)},
	VM_SIZE,
	.max_args = 0,
	.run = run_vm_ls,
};
const struct command command_vm_rm = {
	.name = "rm",
	.summary = "Remove kernels for virtual machines",
	.usage = "KERNEL [KERNEL...]",
	.description = "Machines that run are not touched: they have theirs in memory.",
	.examples = "coffer vm rm debian-6.1.0-56-cloud-amd64\n",
	VM_SIZE,
	.min_args = 1,
	.max_args = -1,
	.words = "@vm-kernel",
	.run = run_vm_rm,
};

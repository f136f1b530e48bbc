/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that come from outside: the container's first, and those of exec.
 *
 * The zygote forks; the child executes the stub with arguments that are
 * written onto its stack, which is a copy of the zygote's and fresh.
 */
#include "sentry/io/io.h"
#include "sentry/platform/image.h"

#include "base/err.h"
#include "oci/config.h"
#include "sentry/file.h"
#include "sentry/guest.h"
#include "sentry/path.h"
#include "sentry/platform/stub_x86_64.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum { ARGS_MAX = 120 << 10, NOT_FOUND = 127, NOT_EXECUTABLE = 126, FILES_MAX = 1 << 20 };

struct spawn {
	struct trace_request request;
	const struct oci_process *spec;
	struct task *task;
	struct err *err;
	int result;
	bool done;
};

static struct rlimit guest_limits[RLIM_NLIMITS];

void spawn_limits(void)
{
	struct rlimit files = {FILES_MAX, FILES_MAX};
	for (int i = 0; i < RLIM_NLIMITS; i++)
		(void)getrlimit((__rlimit_resource_t)i, &guest_limits[i]); /* cannot fail: our own */
	/* What a guest may raise for itself is not below that here, nor for stubs, which write files. */
	struct rlimit size = {guest_limits[RLIMIT_FSIZE].rlim_max, guest_limits[RLIMIT_FSIZE].rlim_max};
	(void)setrlimit(RLIMIT_FSIZE, &size); /* the hard limit stays: cannot fail */
	if (setrlimit(RLIMIT_NOFILE, &files) == 0)
		return;
	files = guest_limits[RLIMIT_NOFILE];
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files); /* as it was is good enough */
}

/* ---- the program ---- */

static const char *path_variable(const struct oci_process *spec)
{
	for (size_t i = 0; i < spec->env.n; i++)
		if (str_starts(spec->env.v[i], "PATH="))
			return spec->env.v[i] + strlen("PATH=");
	return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

static int search_program(struct task *t, const struct oci_process *spec, struct image **ret)
{
	const char *name = spec->args.v[0];
	char path[PATH_MAX];
	int result = -ENOENT;
	if (strchr(name, '/'))
		return image_open(t, AT_FDCWD, name, PATH_FOLLOW, ret);
	for (const char *dir = path_variable(spec); dir;
	     dir = strchr(dir, ':') ? strchr(dir, ':') + 1 : NULL) {
		int len = (int)strcspn(dir, ":");
		int n = snprintf(path, sizeof(path), "%.*s/%s", len ? len : 1, len ? dir : ".", name);
		if (n < 0 || (size_t)n >= sizeof(path))
			continue;
		int r = image_open(t, AT_FDCWD, path, PATH_FOLLOW, ret);
		if (r == 0 || (r != -ENOENT && r != -ENOTDIR && r != -EACCES))
			return r;
		if (r == -EACCES)
			result = r;
	}
	return result;
}

/* ---- its arguments ---- */

/* Strings and vectors of pointers to them, as one block that ends at `top` in the child. */
struct block {
	uint64_t top, argv, envp, empty;
	size_t size;
	char *bytes; /* of size */
};

static void put_pointers(struct block *b, const str_list *list, uint64_t start, size_t *strings,
			 size_t *words)
{
	for (size_t i = 0; i < list->n; i++) {
		size_t n = strlen(list->v[i]) + 1;
		uint64_t at = start + *strings;
		memcpy(b->bytes + *strings, list->v[i], n);
		memcpy(b->bytes + *words, &at, sizeof(at));
		*strings += n;
		*words += 8;
	}
	*words += 8; /* NULL */
}

static int make_block(const struct oci_process *spec, uint64_t top, struct block *ret)
{
	struct block b = {.top = top};
	size_t words = (spec->args.n + spec->env.n + 2) * 8, strings = 0;
	for (size_t i = 0; i < spec->args.n; i++)
		strings += strlen(spec->args.v[i]) + 1;
	for (size_t i = 0; i < spec->env.n; i++)
		strings += strlen(spec->env.v[i]) + 1;
	b.size = (words + strings + 1 + 15) & ~(size_t)15;
	if (b.size > ARGS_MAX)
		return -E2BIG;
	b.bytes = calloc(1, b.size);
	if (!b.bytes)
		return -ENOMEM;
	uint64_t start = (top - b.size) & ~UINT64_C(15);
	size_t string = words, word = 0;
	b.argv = start;
	put_pointers(&b, &spec->args, start, &string, &word);
	b.envp = start + word;
	put_pointers(&b, &spec->env, start, &string, &word);
	b.empty = start + string;
	b.top = start;
	*ret = b;
	return 0;
}

/* The child stands behind its fork, in the zygote's image. */
static int give_arguments(struct task *t, const struct oci_process *spec)
{
	struct arch_regs regs;
	struct block b;
	uint64_t args[6];
	int r = arch_get(t->host_tid, &regs);
	if (!r)
		r = make_block(spec, arch_sp(&regs) - ARCH_RED_ZONE, &b);
	if (r)
		return r;
	r = guest_write(t, b.top, b.bytes, b.size);
	free(b.bytes);
	if (r)
		return r;
	image_exec_args(args, b.empty, b.argv, b.envp);
	arch_make_call(&regs, zygote.stub_base + (uint64_t)(stub_syscall - stub_image), SYS_execveat, args);
	return arch_set(t->host_tid, &regs);
}

/* ---- on the main thread ---- */

static int launch(struct task *t, const struct oci_process *spec, struct err *err)
{
	if (fchdir(kernel.self_fd_fd) < 0) /* before the first process nobody has gone there yet */
		return err_sys(err, "cannot enter /proc/self/fd");
	int r = search_program(t, spec, &t->platform->image);
	if (r) {
		char text[64];
		(void)err_set(err, -r, "exec %s: %s", spec->args.v[0], err_text_lower(-r, text));
		err->exit_status = r == -ENOENT || r == -ENOTDIR ? NOT_FOUND : NOT_EXECUTABLE;
		return r;
	}
	const struct file *in = spec->terminal ? fd_table_get(t->files, 0) : NULL;
	t->platform->image->new_session = true;
	t->platform->image->tty_fd = in && file_is_tty(in) ? in->host_fd : -1;
	t->platform->stage = STAGE_LOADING;
	pid_t pid = zygote_fork(err);
	if (pid < 0)
		return pid;
	pid_t inner = guest_pid(pid);
	if (inner < 0) {
		(void)kill(pid, SIGKILL);
		return err_num(err, inner, "cannot read the pid of a new process");
	}
	process_set_ids(t->process, pid, inner);
	task_hash(t, pid, inner);
	r = give_arguments(t, spec);
	if (r) {
		(void)kill(pid, SIGKILL); /* its end is heard of, and finds the task */
		return err_num(err, r, "cannot give the program its arguments");
	}
	return 0;
}

static void start(struct trace_request *q)
{
	const struct platform_task *pt = container_of(q, struct platform_task, start);
	(void)trace_ptrace(PTRACE_CONT, pt->task->host_tid, 0); /* killed: its end is heard of */
}

static void run_spawn(struct trace_request *q)
{
	struct spawn *x = container_of(q, struct spawn, request);
	x->result = launch(x->task, x->spec, x->err);
	x->done = true;
	kernel_tell();
}

int platform_spawn(const struct oci_process *spec, struct fd_table *files, struct fs_context *fs,
		   struct creds *creds, void (*on_exit)(void *data, int status), void *data,
		   struct task **ret, struct err *err)
{
	struct task *t = spec->args.n ? task_new(NULL, 0, 0) : NULL;
	if (!t) {
		fd_table_unref(NULL, files);
		fs_unref(fs);
		creds_unref(creds);
		return spec->args.n ? err_oom(err) : err_set(err, EINVAL, "there is no program to run");
	}
	t->files = files;
	t->fs = fs;
	t->creds = creds;
	memcpy(t->process->limits, guest_limits, sizeof(guest_limits));
	t->process->counted = birth_counted_from_start();
	struct spawn x = {.request.run = run_spawn, .spec = spec, .task = t, .err = err};
	if (trace_is_main())
		run_spawn(&x.request);
	else
		trace_request(&x.request);
	while (!x.done)
		kernel_wait();
	if (x.result < 0) {
		if (t->host_tid == 0)
			task_end(t, 0);
		return x.result;
	}
	t->process->on_exit = on_exit;
	t->process->on_exit_data = data;
	/* It runs when the caller has set it up and lets the lock go. */
	t->platform->start.run = start;
	trace_request(&t->platform->start);
	*ret = t;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * execve.
 *
 * The call stops in the tracer.  Everything that Linux checks before the
 * point of no return is checked here; then the thread goes on natively, but
 * into the stub's file instead of the guest's: the host copies the arguments,
 * ends the other threads, lets go a parent in vfork, resets handlers and
 * names, all as it does.  What the host refuses (E2BIG, EFAULT) the guest
 * gets, with its old program intact.  Then the stub asks what to load
 * (load.c).
 */
#include "sentry/platform/image.h"

#include "base/err.h"
#include "base/fd.h"
#include "oci/config.h"
#include "sentry/file.h"
#include "sentry/fs/asked.h"
#include "sentry/fs/busy.h"
#include "sentry/fs/host.h"
#include "sentry/fs/tree.h"
#include "sentry/io/io.h"
#include "sentry/ipc/ipc.h"
#include "sentry/sys/mempolicy.h"
#include "sentry/path.h"
#include "sentry/platform/stub_x86_64.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { SCRIPT_LINE = 256, SCRIPTS_MAX = 5, EXEC_ARGS = 5 };

void image_free(struct image *x)
{
	if (!x)
		return;
	fd_drop(&x->fd);
	fd_drop(&x->interp_fd);
	elf_free(&x->elf);
	elf_free(&x->interp);
	place_unref(x->place);
	busy_execute_end(x->busy);
	for (size_t i = 0; i < x->nargs; i++)
		free(x->args[i]);
	free(x->path);
	free(x);
}

/* ---- scripts ---- */

/* The `#!` line of the file: interpreter and at most one argument, in `line`.  0, or -ENOEXEC. */
static int parse_script(char line[SCRIPT_LINE + 1], char **ret_interp, char **ret_arg)
{
	char *end = memchr(line, '\n', SCRIPT_LINE);
	char *name = line + 2 + strspn(line + 2, " \t");
	if (!end) {
		/* Cut off: well if the name of the interpreter is whole all the same. */
		end = line + SCRIPT_LINE;
		*end = '\0';
		if (!name[strcspn(name, " \t")] && strlen(line) >= SCRIPT_LINE)
			return -ENOEXEC;
	}
	*end = '\0';
	end = line + strlen(line);
	while (end > name && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	if (!*name)
		return -ENOEXEC;
	char *arg = name + strcspn(name, " \t");
	if (*arg) {
		*arg++ = '\0';
		arg += strspn(arg, " \t");
	}
	*ret_interp = name;
	*ret_arg = *arg ? arg : NULL;
	return 0;
}

/* In front of the arguments that are there, of which the first is the script's name, which `path` replaces.
 */
static int put_args(struct image *x, const char *interp, const char *arg, const char *path)
{
	size_t n = arg ? 2 : 1;
	size_t keep = x->nargs ? x->nargs - 1 : 0;
	if (n + 1 + keep > SCRIPT_ARGS_MAX)
		return -E2BIG;
	if (x->nargs)
		free(x->args[0]);
	memmove(&x->args[n + 1], &x->args[x->nargs - keep], keep * sizeof(x->args[0]));
	x->nargs = n + 1 + keep;
	x->args[0] = strdup(interp);
	if (arg)
		x->args[1] = strdup(arg);
	x->args[n] = strdup(path);
	return x->args[0] && x->args[1] && x->args[n] ? 0 : -ENOMEM;
}

/* ---- the way to the program ---- */

static int open_image_file(struct task *t, int dirfd, const char *path, unsigned flags, struct image *x)
{
	fd_drop(&x->fd);
	place_unref(x->place);
	x->place = NULL;
	busy_execute_end(x->busy);
	x->busy = NULL;
	int r = path_open_exec(t, dirfd, path, flags, &x->place, &x->fd);
	if (r)
		return r;
	r = (int)host_call(fstat(x->fd, &x->st));
	if (r)
		return r;
	if (x->st.st_mode & (S_ISUID | S_ISGID) && asked_nosuid(x->fd))
		x->st.st_mode &= ~(mode_t)(S_ISUID | S_ISGID);
	tree_read_natively(&(struct file_id){x->st.st_dev, x->st.st_ino}, NULL);
	return busy_execute(&(struct file_id){x->st.st_dev, x->st.st_ino}, &x->busy);
}

/* From a disk, or from somebody who does not answer. */
static int headers_of(int fd, struct elf_object *ret)
{
	int r;

	kernel_host_begin();
	r = elf_read(fd, ret);
	kernel_host_end();
	return r;
}

static int open_interp(struct task *t, struct image *x)
{
	struct place *place = NULL;
	struct stat st;
	if (!x->elf.interp)
		return 0;
	int r = path_open_exec(t, AT_FDCWD, x->elf.interp, PATH_FOLLOW, &place, &x->interp_fd);
	place_unref(place);
	if (r)
		return r;
	r = (int)host_call(fstat(x->interp_fd, &st));
	if (r)
		return r;
	tree_read_natively(&(struct file_id){st.st_dev, st.st_ino}, NULL);
	if (busy_is_written(&(struct file_id){st.st_dev, st.st_ino}))
		return -ETXTBSY;
	Elf64_Ehdr h;
	if (host_call(pread(x->interp_fd, &h, sizeof(h), 0)) != (long)sizeof(h))
		return -EIO;
	r = headers_of(x->interp_fd, &x->interp);
	return r == -ENOEXEC ? -ELIBBAD : r;
}

/* "/dev/fd/N" and "/dev/fd/N/path" are what a script or the auxiliary vector can be told of such a program.
 */
static char *program_name(int dirfd, const char *path)
{
	char *name = NULL;
	if (*path == '/' || dirfd == AT_FDCWD)
		return strdup(path);
	return asprintf(&name, *path ? "/dev/fd/%d/%s" : "/dev/fd/%d", dirfd, path) < 0 ? NULL : name;
}

static int follow_scripts(struct task *t, struct image *x, int dirfd, const char *path, unsigned flags)
{
	char line[SCRIPT_LINE + 1], next[SCRIPT_LINE + 1];
	char *interp, *arg;
	autofree char *name = program_name(dirfd, path);
	if (!name)
		return -ENOMEM;
	for (int depth = 0;; depth++) {
		int r = depth ? open_image_file(t, AT_FDCWD, next, PATH_FOLLOW, x)
			      : open_image_file(t, dirfd, path, flags, x);
		if (r)
			return r;
		memset(line, 0, sizeof(line));
		r = (int)host_call(pread(x->fd, line, SCRIPT_LINE, 0));
		if (r < 0)
			return r;
		if (line[0] != '#' || line[1] != '!')
			return 0;
		if (depth == SCRIPTS_MAX)
			return -ELOOP;
		r = parse_script(line, &interp, &arg);
		if (!r)
			r = put_args(x, interp, arg, depth ? next : name);
		if (r)
			return r;
		(void)snprintf(next, sizeof(next), "%s", interp);
	}
}

int image_open(struct task *t, int dirfd, const char *path, unsigned at_flags, struct image **ret)
{
	struct image *x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	x->fd = x->interp_fd = x->in_stub = x->interp_in_stub = x->tty_fd = x->tty_in_stub = -1;
	x->path = program_name(dirfd, path);
	int r = x->path ? follow_scripts(t, x, dirfd, path, at_flags) : -ENOMEM;
	if (!r)
		r = headers_of(x->fd, &x->elf);
	if (!r)
		r = open_interp(t, x);
	if (r)
		image_free(x);
	else
		*ret = x;
	return r;
}

/* ---- the call ---- */

void image_exec_args(uint64_t ret[6], uint64_t empty, uint64_t argv, uint64_t envp)
{
	const uint64_t args[6] = {STUB_FD, empty, argv, envp, AT_EMPTY_PATH};
	memcpy(ret, args, sizeof(args));
}

long platform_exec(struct task *t, struct call *c unused, int dirfd, uint64_t path, uint64_t argv,
		   uint64_t envp, unsigned at_flags)
{
	struct platform_task *pt = t->platform;
	char name[PATH_MAX];
	struct image *image;
	uint64_t args[6];
	if (at_flags & ~(unsigned)(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return -EINVAL;
	ssize_t len = guest_string(t, name, path, sizeof(name));
	if (len < 0)
		return len;
	if (t->too_many && platform_too_many(t, t->creds, 0))
		return -EAGAIN;
	t->too_many = false;
	if (len == 0 && !(at_flags & AT_EMPTY_PATH))
		return -ENOENT;
	unsigned flags = (at_flags & AT_EMPTY_PATH ? PATH_EMPTY : 0) |
			 (at_flags & AT_SYMLINK_NOFOLLOW ? 0 : PATH_FOLLOW);
	int r = image_open(t, dirfd, name, flags, &image);
	if (r)
		return r;
	image_free(pt->image); /* of an attempt that the host refused */
	pt->image = image;
	arch_change_nr(pt->regs, SYS_execveat);
	/* The path's end is an empty string.  If another thread changes it: there is nothing in the stub's
	 * root. */
	image_exec_args(args, path + (uint64_t)len, argv, envp);
	arch_change_args(pt->regs, args, EXEC_ARGS);
	return CALL_HOST;
}

HANDLER(sys_execve)
{
	return platform_exec(t, c, AT_FDCWD, c->args[0], c->args[1], c->args[2], 0);
}

HANDLER(sys_execveat)
{
	return platform_exec(t, c, (int)c->args[0], c->args[1], c->args[2], c->args[3], (unsigned)c->args[4]);
}

/* ---- behind the point of no return ---- */

static void set_comm(struct task *t, const char *path)
{
	const char *base = strrchr(path, '/');
	(void)snprintf(t->comm, sizeof(t->comm), "%s", base ? base + 1 : path); /* cut as the host does */
}

void exec_done(struct task *t)
{
	struct image *x = t->platform->image;
	struct process *p = t->process;
	if (!x || creds_exec(t, &x->st, &x->secure) < 0) {
		platform_kill(p, SIGKILL);
		return;
	}
	call_abandon(t);
	t->platform->stage = STAGE_LOADING;
	patch_unref(t);
	fd_close_on_exec(t);
	ipc_executed(p);
	aio_released(p);
	mempolicy_released(p);
	set_comm(t, x->path);
	place_unref(p->exe_place);
	p->exe_place = x->place;
	x->place = NULL;
	busy_execute_end(p->exe_busy);
	p->exe_busy = take_ptr(&x->busy);
	char path[PATH_MAX];
	free(p->exe);
	ssize_t n = place_path(t, p->exe_place, path, sizeof(path));
	p->exe = n < 0 ? NULL : strdup(path);
	process_new_image(p);
}

/*
 * What a loading stub may do natively; it is alone in its process and runs our commands only. SYS_close_range
 * is its last: from then on the process is the guest's.
 */
static bool may_do(const struct seccomp_notif *n)
{
	switch (n->data.nr) {
	case SYS_mmap:
	case SYS_mprotect:
	case SYS_rt_sigaction:
	case SYS_setsid:
	case SYS_close_range:
		return true;
	case SYS_ioctl:
		return n->data.args[1] == TIOCSCTTY;
	case SYS_prctl:
		return n->data.args[0] == PR_SET_NAME || n->data.args[0] == PR_SET_MM;
	default:
		return false;
	}
}

/*
 * The stub asks what it shall do.  A signal may interrupt its question, and it asks again: what has been
 * written over its first frame is not read as one.
 */
static void load_image(struct task *t, const struct seccomp_notif *n)
{
	struct image *x = t->platform->image;
	int r = x->loaded ? 0 : image_load(t, n->id, n->data.args[0], n->data.args[1]);
	if (r == -ENOENT || r == -ESRCH) /* interrupted, and gone before it had its descriptors */
		return;
	x->loaded = r == 0;
	if (r == 0)
		notify_send(n->id, 0, 0);
	else
		trace_fault(t, r == -ENOMEM ? SIGKILL : SIGSEGV);
}

bool exec_loading(struct task *t, const struct seccomp_notif *n)
{
	struct platform_task *pt = t->platform;
	if (pt->stage == STAGE_LOADED) {
		/* Interrupted and restarted by the host: the same call of the stub's once more. */
		if (n->data.nr == SYS_close_range && n->data.instruction_pointer == pt->last_ip) {
			notify_send(n->id, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
			return true;
		}
		pt->stage = STAGE_GUEST;
		return false;
	}
	if (n->data.nr == STUB_CALL && pt->image) {
		load_image(t, n);
		return true;
	}
	if (!may_do(n)) {
		kernel_log("process %d: the stub has gone astray, to call %d", t->tid, n->data.nr);
		platform_kill(t->process, SIGKILL);
		return true;
	}
	if (n->data.nr == SYS_close_range) {
		pt->stage = STAGE_LOADED;
		pt->last_ip = n->data.instruction_pointer;
		image_free(pt->image);
		pt->image = NULL;
	}
	notify_send(n->id, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
	return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "isolate/ns/env.h"

#include "base/fd.h"
#include "base/str.h"

#include <sys/stat.h>

enum { PASSWD_MAX = 1 << 20 };

void env_free(char **envp)
{
	for (char **e = envp; e && *e; e++)
		free(*e);
	free(envp);
}

static size_t name_len(const char *var)
{
	return strcspn(var, "=");
}

static const char *env_get(char *const *envp, const char *name)
{
	size_t n = strlen(name);

	for (; envp && *envp; envp++)
		if (strncmp(*envp, name, n) == 0 && (*envp)[n] == '=')
			return *envp + n + 1;
	return NULL;
}

struct numbered {
	const char *var;
	size_t index;
};

static int by_name(const void *a, const void *b)
{
	const struct numbered *x = a, *y = b;
	size_t nx = name_len(x->var), ny = name_len(y->var);
	int c = memcmp(x->var, y->var, MIN_OF(nx, ny));

	if (c == 0 && nx != ny)
		return nx < ny ? -1 : 1;
	if (c == 0)
		return x->index < y->index ? -1 : 1;
	return c;
}

/* Clears the entries that a later one of the same name overrides; a config may hold a hundred thousand. */
static int drop_overridden(const char **vars, size_t n)
{
	autofree struct numbered *sorted = calloc(n + 1, sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i] = (struct numbered){.var = vars[i], .index = i};
	qsort(sorted, n, sizeof(*sorted), by_name);
	for (size_t i = 0; i + 1 < n; i++) {
		size_t len = name_len(sorted[i].var);
		if (len == name_len(sorted[i + 1].var) && memcmp(sorted[i].var, sorted[i + 1].var, len) == 0)
			vars[sorted[i].index] = NULL;
	}
	return 0;
}

/* The sixth field of the line whose third is `uid`; the file is the container's and may be anything. */
static char *home_of(uint32_t uid)
{
	autoclose int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	autofree char *text = NULL;
	char *line, *rest;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    fd_read_all(fd, PASSWD_MAX, &text, NULL) < 0)
		return NULL;
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		char *fields[7] = {NULL};
		uint64_t number;
		for (size_t i = 0; i < ARRAY_LEN(fields); i++)
			fields[i] = strsep(&line, ":");
		if (fields[5] && str_to_u64(fields[2], 10, &number) == 0 && number == uid)
			return str_format("HOME=%s", fields[5]);
	}
	return NULL;
}

/* Fills `envp`, which has room for four more; false for lack of memory. */
static bool fill(char **envp, const char **vars, size_t n, uint32_t uid, int listen_fds)
{
	size_t out = 0;

	for (size_t i = 0; i < n; i++)
		/* An empty HOME is none, as runc has it. */
		if (vars[i] && !streq(vars[i], "HOME=") && !(envp[out++] = strdup(vars[i])))
			return false;
	if (!env_get(envp, "HOME")) {
		envp[out] = home_of(uid);
		if (!envp[out] && !(envp[out] = strdup("HOME=/")))
			return false;
		out++;
	}
	if (listen_fds <= 0)
		return true;
	return (envp[out++] = str_format("LISTEN_FDS=%d", listen_fds)) &&
	       (envp[out++] = str_format("LISTEN_PID=%d", getpid()));
}

static void cleanup_env(char ***envp)
{
	env_free(*envp);
}

int env_build(const struct oci_process *process, int listen_fds, char ***ret, struct err *err)
{
	size_t n = process->env.n;
	autofree const char **vars = calloc(n + 1, sizeof(*vars));
	__attribute__((cleanup(cleanup_env))) char **envp = calloc(n + 4, sizeof(*envp));

	if (!vars || !envp)
		return err_oom(err);
	for (size_t i = 0; i < n; i++)
		vars[i] = process->env.v[i];
	if (drop_overridden(vars, n) < 0 || !fill(envp, vars, n, process->user.uid, listen_fds))
		return err_oom(err);
	*ret = take_ptr(&envp);
	return 0;
}

/* 0 where execve may be tried, else an errno. */
static int executable(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno;
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? errno : 0;
}

static int give(const char *path, char **ret, struct err *err)
{
	char *copy = strdup(path);

	if (!copy)
		return err_oom(err);
	*ret = copy;
	return 0;
}

int env_find_program(const char *name, char *const *envp, char **ret, struct err *err)
{
	const char *dirs = env_get(envp, "PATH");
	int denied = 0;
	char text[64];

	if (strchr(name, '/')) {
		int code = executable(name);
		if (code == 0)
			return give(name, ret, err);
		err->exit_status = code == ENOENT || code == ENOTDIR ? 127 : 126;
		if (code == ENOENT || code == ENOTDIR)
			return err_set(err, code, "exec: \"%s\": stat %s: %s", name, name,
				       err_text_lower(code, text));
		/* Docker 20.10 tells "cannot execute" by these two words alone. */
		return err_set(err, code, "exec: \"%s\": %s%s", name, err_text_lower(code, text),
			       code == EISDIR ? ": permission denied" : "");
	}
	while (name[0] && dirs && dirs[0]) {
		size_t n = strcspn(dirs, ":");
		autofree char *path = str_format("%.*s/%s", n ? (int)n : 1, n ? dirs : ".", name);
		if (!path)
			return err_oom(err);
		int code = executable(path);
		if (code == 0)
			return give(path, ret, err);
		denied = code == EACCES ? code : denied;
		dirs += n + (dirs[n] == ':');
	}
	err->exit_status = denied ? 126 : 127;
	if (denied)
		return err_set(err, denied, "exec: \"%s\": %s", name, err_text_lower(denied, text));
	return err_set(err, ENOENT, "exec: \"%s\": executable file not found in $PATH", name);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of a container that has no control group, as an ordinary
 * user's mostly has none: those of its pid namespace.
 */
#include "engine/rootless.h"

#include "base/file.h"

#include <dirent.h>
#include <sys/stat.h>

enum { STAT_TEXT_MAX = 4096 };

static bool pid_namespace(const char *pid, struct stat *ret)
{
	char path[64];

	/* Who it belongs to may look, whichever of the user's ids the process has. */
	return snprintf(path, sizeof(path), "/proc/%.20s/ns/pid", pid) > 0 && stat(path, ret) == 0;
}

static int note_pid(pid_t **v, size_t *n, pid_t pid)
{
	pid_t *bigger = realloc(*v, (*n + 1) * sizeof(pid_t));

	if (!bigger)
		return -ENOMEM;
	*v = bigger;
	bigger[(*n)++] = pid;
	return 0;
}

int engine_rootless_processes(pid_t init, pid_t **ret, size_t *ret_n, struct err *err)
{
	autofree pid_t *v = NULL;
	struct stat wanted, own, st;
	size_t n = 0;
	char text[16];
	uint64_t pid;
	int r = 0;

	(void)snprintf(text, sizeof(text), "%d", (int)init); /* fits */
	if (!pid_namespace(text, &wanted))
		return err_sys(err, "cannot look at the container's processes");
	DIR *d = opendir("/proc");
	if (!d)
		return err_sys(err, "cannot read /proc");
	/* In the machine's own pid namespace one cannot tell which are the container's but the first. */
	if (pid_namespace("self", &own) && own.st_ino == wanted.st_ino)
		r = note_pid(&v, &n, init);
	else
		for (const struct dirent *e; r == 0 && (e = readdir(d));)
			if (str_to_u64(e->d_name, 10, &pid) == 0 && pid_namespace(e->d_name, &st) &&
			    st.st_ino == wanted.st_ino)
				r = note_pid(&v, &n, (pid_t)pid);
	(void)closedir(d); /* read only */
	if (r < 0)
		return err_oom(err);
	*ret = take_ptr(&v);
	*ret_n = n;
	return 0;
}

/* Resident bytes and nanoseconds of processors, added. */
static void add_usage(pid_t pid, struct engine_stats *s)
{
	autofree char *text = NULL, *memory = NULL;
	char path[32];
	unsigned long long user, kernel, size, resident;
	long hz = sysconf(_SC_CLK_TCK), page = sysconf(_SC_PAGESIZE);

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid); /* fits */
	const char *rest =
		file_read_at(AT_FDCWD, path, STAT_TEXT_MAX, &text, NULL) == 0 ? strrchr(text, ')') : NULL;
	if (rest && hz > 0 &&
	    sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &kernel) == 2)
		s->cpu_ns += (user + kernel) * (1000000000ULL / (uint64_t)hz);
	(void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid); /* fits */
	if (page > 0 && file_read_at(AT_FDCWD, path, STAT_TEXT_MAX, &memory, NULL) == 0 &&
	    sscanf(memory, "%llu %llu", &size, &resident) == 2)
		s->memory += resident * (uint64_t)page;
}

void engine_rootless_stats(pid_t init, struct engine_stats *s)
{
	autofree pid_t *v = NULL;
	struct err ignored = {0};
	size_t n = 0;

	if (engine_rootless_processes(init, &v, &n, &ignored) < 0)
		return; /* it has just ended */
	s->pids = n;
	for (size_t i = 0; i < n; i++)
		add_usage(v[i], s);
}

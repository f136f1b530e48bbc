/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer: runs commands and says how long each took, with as little of its own as possible.
 *
 *   timer alternate RUNS WARMUP < plan      variants in turn, one run of each per round
 *   timer storm COUNT PARALLEL < plan       COUNT chains of the first variant, PARALLEL at a time
 *
 * A plan has one step per line:
 *   V NAME [MNTNS]   begins a variant; its steps run in mount namespace MNTNS (a path) where given
 *   T LABEL ARGV     a timed command          U ARGV   an untimed command
 *   S MS             an untimed pause
 * Words are separated by tabs; "%n" in a word becomes the number of the run (or chain).
 *
 * Output, per timed command: NAME LABEL RUN NANOSECONDS MAXRSS_KB STATUS. A storm prints, per chain that
 * fails, "lost N STEP STATUS", and at the end "storm COUNT NANOSECONDS LOST".
 *
 * Timing is posix_spawn (vfork) to wait4, CLOCK_MONOTONIC. ru_maxrss never shows less than this program's
 * own size, as exec inherits the high-water mark of the spawner: it is static and small for that reason.
 */
#ifndef _GNU_SOURCE /* the build may define it */
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_VARIANTS = 16, MAX_STEPS = 16, MAX_WORDS = 32, MAX_SLOTS = 256 };

struct step {
	char kind;
	const char *label;
	char *argv[MAX_WORDS];
	long pause_ms;
};

struct variant {
	const char *name;
	int mntns; /* -1: the one we started in */
	struct step steps[MAX_STEPS];
	int count;
};

static void fail(const char *what)
{
	perror(what);
	exit(2);
}

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int words_of(char *line, char **words)
{
	int n = 0;
	for (char *save = NULL, *w = strtok_r(line, "\t\n", &save); w; w = strtok_r(NULL, "\t\n", &save))
		if (n < MAX_WORDS - 1)
			words[n++] = strdup(w);
	words[n] = NULL;
	return n;
}

static int read_plan(struct variant *variants)
{
	char *line = NULL, *words[MAX_WORDS];
	size_t size = 0;
	int count = 0;
	while (getline(&line, &size, stdin) > 0) {
		int n = words_of(line, words);
		if (n == 0)
			continue;
		if (words[0][0] == 'V' && n > 1 && count < MAX_VARIANTS) {
			struct variant *v = &variants[count++];
			v->name = words[1];
			v->mntns = n > 2 ? open(words[2], O_RDONLY | O_CLOEXEC) : -1;
			if (n > 2 && v->mntns < 0)
				fail(words[2]);
			continue;
		}
		struct variant *v = &variants[count - 1];
		if (count == 0 || n < 2 || v->count == MAX_STEPS)
			fail("bad plan");
		struct step *s = &v->steps[v->count++];
		int skip = words[0][0] == 'T' ? 2 : 1;
		s->kind = words[0][0];
		s->label = words[1];
		s->pause_ms = s->kind == 'S' ? atol(words[1]) : 0;
		memcpy(s->argv, words + skip, (size_t)(n - skip + 1) * sizeof(*words));
	}
	free(line);
	return count;
}

/* Starts a step's command; its standard streams are /dev/null but for stderr. */
static pid_t start(const struct step *s, long run, const posix_spawn_file_actions_t *streams)
{
	extern char **environ;
	static char text[MAX_WORDS][512];
	char *argv[MAX_WORDS];
	int n = 0;
	pid_t pid;
	for (; s->argv[n]; n++) {
		const char *mark = strstr(s->argv[n], "%n");
		argv[n] = s->argv[n];
		if (!mark)
			continue;
		snprintf(text[n], sizeof(text[n]), "%.*s%ld%s", (int)(mark - s->argv[n]), s->argv[n], run,
			 mark + 2);
		argv[n] = text[n];
	}
	argv[n] = NULL;
	errno = posix_spawn(&pid, argv[0], streams, NULL, argv, environ);
	if (errno)
		fail(argv[0]);
	return pid;
}

static void alternate(struct variant *variants, int count, long runs, long warmup,
		      const posix_spawn_file_actions_t *streams)
{
	int home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	for (long run = 0; run < runs + warmup; run++) {
		for (int i = 0; i < count; i++) {
			struct variant *v = &variants[i];
			if (v->mntns >= 0 && setns(v->mntns, CLONE_NEWNS) < 0)
				fail("setns");
			for (int k = 0; k < v->count; k++) {
				struct step *s = &v->steps[k];
				struct rusage use;
				int status;
				if (s->kind == 'S') {
					usleep((useconds_t)s->pause_ms * 1000);
					continue;
				}
				int64_t begin = now_ns();
				pid_t pid = start(s, run, streams);
				if (wait4(pid, &status, 0, &use) != pid)
					fail("wait4");
				int64_t end = now_ns();
				if (s->kind == 'T' && run >= warmup)
					printf("%s %s %ld %lld %ld %d\n", v->name, s->label, run,
					       (long long)(end - begin), use.ru_maxrss, status);
				else if (status)
					printf("%s untimed-step-%d %ld 0 0 %d\n", v->name, k, run, status);
			}
			if (v->mntns >= 0 && setns(home, CLONE_NEWNS) < 0)
				fail("setns home");
		}
	}
}

static void storm(struct variant *v, long total, int parallel, const posix_spawn_file_actions_t *streams)
{
	struct slot {
		pid_t pid;
		long chain;
		int step;
	} slots[MAX_SLOTS] = {0};
	long begun = 0, lost = 0;
	int busy = 0;
	if (parallel > MAX_SLOTS)
		parallel = MAX_SLOTS;
	if (v->mntns >= 0 && setns(v->mntns, CLONE_NEWNS) < 0)
		fail("setns");
	int64_t begin = now_ns();
	for (; begun < total && busy < parallel; begun++, busy++)
		slots[busy] = (struct slot){start(&v->steps[0], begun, streams), begun, 0};
	while (busy > 0) {
		int status, i = 0;
		pid_t pid = waitpid(-1, &status, 0);
		if (pid < 0)
			fail("waitpid");
		while (i < busy && slots[i].pid != pid)
			i++;
		if (i == busy)
			continue;
		struct slot *s = &slots[i];
		if (status) {
			printf("lost %ld %s %d\n", s->chain, v->steps[s->step].label, status);
			lost++;
		}
		if (!status && ++s->step < v->count)
			s->pid = start(&v->steps[s->step], s->chain, streams);
		else if (begun < total)
			*s = (struct slot){start(&v->steps[0], begun, streams), begun, 0}, begun++;
		else
			*s = slots[--busy];
	}
	printf("storm %ld %lld %ld\n", total, (long long)(now_ns() - begin), lost);
}

int main(int argc, char **argv)
{
	static struct variant variants[MAX_VARIANTS];
	posix_spawn_file_actions_t streams;
	if (argc < 4)
		return 2;
	int count = read_plan(variants);
	if (count == 0)
		fail("no variant");
	posix_spawn_file_actions_init(&streams);
	posix_spawn_file_actions_addopen(&streams, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&streams, 1, "/dev/null", O_WRONLY, 0);
	if (strcmp(argv[1], "storm") == 0)
		storm(&variants[0], atol(argv[2]), atoi(argv[3]), &streams);
	else
		alternate(variants, count, atol(argv[2]), atol(argv[3]), &streams);
	return 0;
}

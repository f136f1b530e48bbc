/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzzer's main() where libFuzzer is not: replays the seeds given as files
 * or directories, then a bounded number of random mutations of them.  The
 * random numbers' seed is printed; FUZZ_SEED=N repeats a run, FUZZ_RUNS=N and
 * FUZZ_SECONDS=N bound it otherwise.  A crash leaves its input in crash-input.
 */
#include "base/file.h"
#include "base/str.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

enum { SEEDS_MAX = 1024, INPUT_MAX = 1 << 16, RUNS = 20000, SECONDS = 3, HANG_SECONDS = 60 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "abort_on_error=1";
}

struct input {
	uint8_t *data;
	size_t len;
};

/* What a signal handler must reach; the only state of this program. */
static struct input current;
static struct input seeds[SEEDS_MAX];
static size_t nseeds;
static uint64_t random_state;

static void on_crash(int sig)
{
	static const char text[] = "the input is in crash-input\n";
	int fd = open("crash-input", O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	if (fd >= 0 && write(fd, current.data, current.len) == (ssize_t)current.len)
		ignore_result(write(2, text, sizeof(text) - 1) < 0); /* dying anyway */
	(void)signal(sig, SIG_DFL);
	(void)raise(sig);
}

static void run_one(const uint8_t *data, size_t len)
{
	/* An exact copy: a sanitizer sees the first byte that is read too far. */
	current.data = malloc(len ? len : 1);
	if (!current.data)
		abort();
	if (len)
		memcpy(current.data, data, len);
	current.len = len;
	(void)LLVMFuzzerTestOneInput(current.data, len); /* always 0 */
	free(current.data);
	current = (struct input){0};
}

static void add_seed(const char *path)
{
	char *data;
	size_t len;

	if (nseeds == SEEDS_MAX || file_read_at(AT_FDCWD, path, INPUT_MAX, &data, &len) < 0)
		return;
	seeds[nseeds++] = (struct input){(uint8_t *)data, len};
}

static void add_seeds(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *d;

	if (!dir) {
		add_seed(path);
		return;
	}
	while ((d = readdir(dir))) {
		autofree char *file = str_format("%s/%s", path, d->d_name);
		if (file && d->d_name[0] != '.')
			add_seed(file);
	}
	(void)closedir(dir);
}

/* xorshift64*: good enough, and the same everywhere. */
static uint64_t next_random(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 2685821657736338717ULL;
}

static size_t below(size_t n)
{
	return n ? (size_t)(next_random() % n) : 0;
}

/* A span of `buf` (at `at`, `n` bytes) is replaced by `with`. */
static size_t replace(uint8_t *buf, size_t len, size_t at, size_t n, const uint8_t *with, size_t with_len)
{
	if (len - n + with_len > INPUT_MAX)
		return len;
	memmove(buf + at + with_len, buf + at + n, len - at - n);
	if (with_len)
		memcpy(buf + at, with, with_len);
	return len - n + with_len;
}

static size_t mutate_once(uint8_t *buf, size_t len)
{
	static const char *const tokens[] = {"{",
					     "}",
					     "[",
					     "]",
					     ",",
					     ":",
					     "\"",
					     "\\",
					     "null",
					     "true",
					     "-1",
					     "0",
					     "18446744073709551616",
					     "1e9",
					     "\\u0000",
					     "\\ud800",
					     "\"\"",
					     "{}",
					     "[]"};
	size_t at = below(len + 1), n = below(MIN_OF(len - at, (size_t)32) + 1);
	uint8_t byte = (uint8_t)next_random(), chunk[64];

	switch (below(7)) {
	case 0: /* a bit */
		if (at < len)
			buf[at] ^= (uint8_t)(1U << below(8));
		return len;
	case 1: /* a byte */
		return replace(buf, len, at, at < len, &byte, 1);
	case 2: /* insert */
		return replace(buf, len, at, 0, &byte, 1);
	case 3: /* delete */
		return replace(buf, len, at, n, NULL, 0);
	case 4: { /* a token */
		const char *token = tokens[below(ARRAY_LEN(tokens))];
		return replace(buf, len, at, n, (const uint8_t *)token, strlen(token));
	}
	case 5: /* repeat a piece elsewhere */
		memcpy(chunk, buf + at, n);
		return replace(buf, len, below(len + 1), 0, chunk, n);
	default: /* cut */
		return below(8) ? len : at;
	}
}

static size_t mutate(uint8_t *buf, const struct input *seed)
{
	size_t len = seed->len;

	if (len)
		memcpy(buf, seed->data, len);
	for (size_t i = 1 + below(8); i > 0; i--)
		len = mutate_once(buf, len);
	/* The tail of another one. */
	if (nseeds > 1 && below(16) == 0) {
		const struct input *other = &seeds[below(nseeds)];
		size_t from = below(other->len + 1), at = below(len + 1);
		len = replace(buf, len, at, len - at, other->data + from, other->len - from);
	}
	return len;
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	uint64_t v;

	return text && str_to_u64(text, 10, &v) == 0 ? v : otherwise;
}

static time_t seconds_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
	return t.tv_sec;
}

int main(int argc, char **argv)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM};
	static const struct input nothing;
	autofree uint8_t *buf = malloc(INPUT_MAX + 1);
	uint64_t seed = setting("FUZZ_SEED", (uint64_t)time(NULL) ^ (uint64_t)getpid() << 20);
	uint64_t runs = setting("FUZZ_RUNS", RUNS), done = 0;
	time_t end = seconds_now() + (time_t)setting("FUZZ_SECONDS", SECONDS);

	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		if (signal(signals[i], on_crash) == SIG_ERR)
			return 2;
	if (!buf)
		return 2;
	random_state = seed ? seed : 1;
	for (int i = 1; i < argc; i++)
		add_seeds(argv[i]);
	printf("%zu seeds; FUZZ_SEED=%llu\n", nseeds, (unsigned long long)seed);
	(void)fflush(stdout);
	run_one((const uint8_t *)"", 0);
	for (size_t i = 0; i < nseeds; i++)
		run_one(seeds[i].data, seeds[i].len);
	for (; done < runs && seconds_now() <= end; done++) {
		(void)alarm(HANG_SECONDS); /* for one input: a busy machine is no hang */
		size_t len = mutate(buf, nseeds ? &seeds[below(nseeds)] : &nothing);
		run_one(buf, len);
	}
	(void)alarm(0);
	for (size_t i = 0; i < nseeds; i++)
		free(seeds[i].data);
	printf("%llu mutations\n", (unsigned long long)done);
	return 0;
}

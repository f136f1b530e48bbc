/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random calls of the file room, with arguments of the kinds that the table
 * tells, good and bad: nothing crashes, no file or descriptor of the host is
 * left over.  The process locks itself into a directory of its own first.
 * Argument: the seed; it is printed where the test fails.
 */
#include "fake.h"

#include "sentry/call.h"

#include <dirent.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>

#define CALL(name, handler, support, reason, returns, types) call_handler handle_##handler;
#define GUARDED(name, handler, reason, returns, types)	     call_handler handle_##handler;
#define NATIVE(name, reason, returns, types)
#define REFUSED(name, error, reason, returns, types)
#include "sentry/calls_file.def"
#undef CALL

static const struct {
	const char *name;
	call_handler *handler;
	const char *types;
} calls[] = {
#define CALL(name, handler, support, reason, returns, types) {#name, handle_##handler, types},
#include "sentry/calls_file.def"
};

enum { ROUNDS = 30000, FDS = 40 };

static uint64_t seed, state;
static char *memory; /* the guest's: 64 KiB, and nothing behind it */

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static uint64_t pick(uint64_t n)
{
	return next_random() % n;
}

static uint64_t number(void)
{
	static const uint64_t edges[] = {0,	     1,		 2,	    8,		4096,
					 65536,	     INT_MAX,	 INT64_MAX, UINT64_MAX, UINT32_MAX,
					 1ULL << 63, 1ULL << 47, IO_MAX,    77};

	return pick(3) ? pick(1 << pick(17)) : edges[pick(ARRAY_LEN(edges))];
}

static uint64_t pointer(void)
{
	static const uint64_t bad[] = {0, 8, 1ULL << 47, UINT64_MAX - 7, 0xffff800000000000};

	if (pick(6) == 0)
		return bad[pick(ARRAY_LEN(bad))];
	return ARG(memory) + pick(65536);
}

static uint64_t path(void)
{
	static const char *const names[] = {"a",      "b",	"d",	 "d/a",	       "l",
					    "loop",   "..",	".",	 "/",	       "",
					    "d/../b", "none/x", "/fake", "/fake/text", "fake/x",
					    "a/",     "//d//",	"d/./a", "/d/l",       "to-fake/text"};

	return pick(12) ? ARG(names[pick(ARRAY_LEN(names))]) : pointer();
}

static uint64_t argument(char type)
{
	switch (type) {
	case 'f':
	case 'D':
		return pick(8) ? (pick(4) ? pick(FDS) : (uint64_t)AT_FDCWD) : number();
	case 's':
	case 'S':
		return path();
	case 'p':
	case 'b':
	case 'B':
	case 'v':
		return pointer();
	case 'x':
		return pick(2) ? 1ULL << pick(32) | (pick(2) ? 1ULL << pick(12) : 0) : pick(8);
	default:
		return number();
	}
}

/* A synthetic tree at "/fake": one text, and itself again. */
static const struct synth_type storm_dir, storm_text;

static int storm_lookup(struct task *t, const struct synth_node *dir, const char *name,
			struct synth_node *ret)
{
	(void)t;
	(void)dir;
	ret->type = streq(name, "text") ? &storm_text : &storm_dir;
	return streq(name, "text") || streq(name, "a") ? 0 : -ENOENT;
}

static int storm_list(struct task *t, const struct synth_node *dir, uint64_t from, synth_list *each,
		      void *data)
{
	(void)t;
	if (from == 0)
		(void)each(data, "a", dir);
	return 0;
}

static int storm_show(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	(void)t;
	(void)node;
	synth_printf(text, "%s", "a line of text\n");
	return 0;
}

static ssize_t storm_store(struct task *t, const struct synth_node *node, const char *data, size_t n)
{
	(void)t;
	(void)node;
	return n && data[0] == 'x' ? -EINVAL : (ssize_t)n;
}

static const struct synth_type storm_dir = {
	.mode = S_IFDIR | 0555, .lookup = storm_lookup, .list = storm_list};
static const struct synth_type storm_text = {
	.mode = S_IFREG | 0644, .show = storm_show, .store = storm_store};

static int count_descriptors(void)
{
	DIR *d = fdopendir(openat(kernel.self_fd_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		(void)closedir(d);
	return n;
}

/* The world: a tmpfs of one megabyte as the root of all. */
static bool lock_in(void)
{
	static struct synth_mount mounts[] = {
		{.fstype = "proc", .dest = "/fake", .root = {.type = &storm_dir}, .dev = 1}, {0}};

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("storm", "/tmp", "tmpfs", 0, "size=1m,nr_inodes=500") < 0 || chdir("/tmp") < 0 ||
	    chroot(".") < 0)
		return false;
	synth_mounts = mounts;
	return mkdir("/d", 0755) == 0 && mkdir("/fake", 0755) == 0 && symlink("a", "/d/l") == 0 &&
	       symlink("loop", "/loop") == 0 && symlink("/fake", "/to-fake") == 0;
}

static void storm(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		size_t nr = pick(ARRAY_LEN(calls));
		struct call *c = &fake_task.call;
		long r;

		if (streq(calls[nr].name, "sync"))
			continue; /* waits for the disk of the machine */
		*c = (struct call){.deadline = INT64_MAX};
		for (size_t a = 0; a < 6; a++)
			c->args[a] = argument(a < strlen(calls[nr].types) ? calls[nr].types[a] : 'l');
		r = calls[nr].handler(&fake_task, c);
		if (c->release)
			c->release(&fake_task, c->data);
		CHECK(r >= -4095 || r == CALL_PARK || r == CALL_HOST);
	}
}

int main(int argc, char **argv)
{
	int before, home = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 20260;
	state = seed * 2 + 1;
	if (geteuid() != 0) {
		fprintf(stderr, "skipped: a mount namespace needs root\n");
		return 77;
	}
	if (!fake_start() || !lock_in()) {
		perror("cannot prepare");
		return 1;
	}
	/* The root is the new one. */
	(void)close(kernel.root_fd);
	kernel.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	fs_unref(fake_task.fs);
	if (fchdir(kernel.self_fd_fd) < 0 || !(fake_task.fs = fs_new()))
		return 1;
	fake_process.limits[RLIMIT_NOFILE] = (struct rlimit){FDS, FDS};
	fake_process.limits[RLIMIT_FSIZE].rlim_cur = 1 << 20;
	memory = mmap(NULL, 65536 + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	(void)munmap(memory + 65536, 4096);
	before = count_descriptors();
	storm();
	fd_table_unref(&fake_task, fake_task.files);
	fs_unref(fake_task.fs);
	CHECK_INT(count_descriptors(), before - 1); /* without the place of root and working directory */
	/* A leak checker wants /proc. */
	if (fchdir(home) < 0 || chroot(".") < 0)
		return 1;
	if (test_failures)
		fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
	return test_end();
}

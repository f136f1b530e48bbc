/* SPDX-License-Identifier: Apache-2.0 */
/* The file room's handlers against a tree of the host's and a synthetic one (fake.h). */
#include "fake.h"

#include "sentry/call.h"

#include <ftw.h>
#include <linux/openat2.h>
#include <signal.h>
#include <sys/syscall.h>

#define CALL(name, handler, support, reason, returns, types) call_handler handle_##handler;
#define GUARDED(name, handler, reason, returns, types)	     call_handler handle_##handler;
#define NATIVE(name, reason, returns, types)
#define REFUSED(name, error, reason, returns, types)
#include "sentry/calls_file.def"

/* ---- a synthetic tree: /fake/{text, link -> text, out -> ../real, magic, dir/} ---- */

static const struct synth_type dir_type, text_type, link_type, out_type, magic_type;
static struct place *magic_place;

static int dir_lookup(struct task *t, const struct synth_node *dir, const char *name, struct synth_node *ret)
{
	static const struct {
		const char *name;
		const struct synth_type *type;
	} entries[] = {{"text", &text_type},
		       {"link", &link_type},
		       {"out", &out_type},
		       {"magic", &magic_type},
		       {"dir", &dir_type}};

	(void)t;
	(void)dir;
	for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
		if (streq(name, entries[i].name)) {
			ret->type = entries[i].type;
			ret->arg = dir->arg + 1;
			return 0;
		}
	}
	return -ENOENT;
}

static int dir_list(struct task *t, const struct synth_node *dir, uint64_t from, synth_list *each, void *data)
{
	static const char *const names[] = {"text", "link"};
	struct synth_node node;

	for (uint64_t i = from; i < ARRAY_LEN(names); i++) {
		(void)dir_lookup(t, dir, names[i], &node);
		if (!each(data, names[i], &node))
			break;
	}
	return 0;
}

static int text_show(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	(void)t;
	synth_printf(text, "level %d\n", (int)node->arg);
	return 0;
}

static ssize_t put_text(char *buf, size_t size, const char *text)
{
	size_t n = MIN_OF(strlen(text), size);

	memcpy(buf, text, n);
	return (ssize_t)n;
}

static ssize_t link_text(struct task *t, const struct synth_node *node, char *buf, size_t size)
{
	(void)t;
	(void)node;
	return put_text(buf, size, "text");
}

static ssize_t out_text(struct task *t, const struct synth_node *node, char *buf, size_t size)
{
	(void)t;
	(void)node;
	return put_text(buf, size, "../real");
}

static int magic_follow(struct task *t, const struct synth_node *node, struct place **ret)
{
	(void)t;
	(void)node;
	*ret = place_ref(magic_place);
	return 0;
}

static const struct synth_type dir_type = {.mode = S_IFDIR | 0555, .lookup = dir_lookup, .list = dir_list};
static const struct synth_type text_type = {.mode = S_IFREG | 0444, .show = text_show};
static const struct synth_type link_type = {.mode = S_IFLNK | 0777, .readlink = link_text};
static const struct synth_type out_type = {.mode = S_IFLNK | 0777, .readlink = out_text};
static const struct synth_type magic_type = {
	.mode = S_IFLNK | 0777, .readlink = out_text, .follow = magic_follow};

/* ---- the tests ---- */

static char base[64];

static const char *in_base(const char *name)
{
	static char path[2][PATH_MAX];
	static int turn;

	turn ^= 1;
	(void)snprintf(path[turn], sizeof(path[turn]), "%s%s", base, name);
	return path[turn];
}

static bool make_tree(void)
{
	static struct synth_mount mounts[2];
	static char dest[80];
	struct stat st;

	(void)snprintf(base, sizeof(base), "/tmp/sentry-files-%d", (int)getpid());
	if (mkdir(base, 0755) < 0 || mkdir(in_base("/real"), 0755) < 0 || mkdir(in_base("/fake"), 0755) < 0)
		return false;
	/* The placeholder is told by its device: a file system of its own, which /dev/shm is as well. */
	if (stat("/dev/shm", &st) < 0)
		return false;
	(void)snprintf(dest, sizeof(dest), "%s/fake", base);
	mounts[0] = (struct synth_mount){
		.fstype = "proc", .dest = dest, .root = {.type = &dir_type}, .dev = st.st_dev};
	synth_mounts = mounts;
	return symlink("fake", in_base("/to-fake")) == 0 && symlink("real/x", in_base("/to-x")) == 0 &&
	       symlink("/dev/shm", in_base("/to-placeholder")) == 0;
}

static void test_read_write(void)
{
	char buf[64] = "";
	long fd = call(sys_openat, AT_FDCWD, in_base("/real/x"), O_CREAT | O_RDWR | O_EXCL, 0666);
	struct stat st;

	CHECK_INT(fd, 0);
	CHECK_INT(call(sys_write, fd, "hello", 5), 5);
	CHECK_INT(call(sys_lseek, fd, 1, SEEK_SET), 1);
	CHECK_INT(call(sys_read, fd, buf, sizeof(buf)), 4);
	CHECK_STR(buf, "ello");
	CHECK_INT(call(sys_pread64, fd, buf, 2, 3), 2);
	CHECK_INT(call(sys_pread64, fd, buf, 2, -1), -EINVAL);
	CHECK_INT(call(sys_write, fd, 8, 5), -EFAULT);
	CHECK_INT(call(sys_read, fd, buf, -1), -EFAULT);
	CHECK_INT(call(sys_read, 60, buf, 1), -EBADF);
	CHECK_INT(call(sys_fstat, fd, &st), 0);
	CHECK_INT(st.st_size, 5);
	CHECK_INT(st.st_mode & 07777, 0644);
	CHECK_INT(call(sys_openat, AT_FDCWD, in_base("/real/x"), O_CREAT | O_EXCL, 0666), -EEXIST);
	CHECK_INT(call(sys_openat, AT_FDCWD, in_base("/real/y"), O_RDONLY), -ENOENT);
	CHECK_INT(call(sys_openat, AT_FDCWD, in_base("/real/x/"), O_RDONLY), -ENOTDIR);
	CHECK_INT(call(sys_openat, AT_FDCWD, "", O_RDONLY), -ENOENT);
	CHECK_INT(call(sys_openat, AT_FDCWD, 8, O_RDONLY), -EFAULT);
	CHECK_INT(call(sys_close, fd), 0);
	CHECK_INT(call(sys_close, fd), -EBADF);
}

static void test_large(void)
{
	size_t n = 700001;
	char *out = malloc(n), *in = calloc(1, n);
	long fd = call(sys_openat, AT_FDCWD, in_base("/real/large"), O_CREAT | O_RDWR, 0600);

	for (size_t i = 0; i < n; i++)
		out[i] = (char)(i * 7);
	CHECK_INT(call(sys_write, fd, out, n), n);
	CHECK_INT(call(sys_lseek, fd, 0, SEEK_SET), 0);
	CHECK_INT(call(sys_read, fd, in, n + 5), n);
	CHECK(memcmp(in, out, n) == 0);
	fake_process.limits[RLIMIT_FSIZE].rlim_cur = n + 2;
	CHECK_INT(call(sys_write, fd, out, 5), 2);
	CHECK_INT(call(sys_write, fd, out, 5), -EFBIG);
	CHECK_INT(fake_signal, SIGXFSZ);
	CHECK_INT(call(sys_ftruncate, fd, n + 3), -EFBIG);
	CHECK_INT(call(sys_ftruncate, fd, 3), 0);
	fake_process.limits[RLIMIT_FSIZE].rlim_cur = RLIM_INFINITY;
	CHECK_INT(call(sys_close, fd), 0);
	free(out);
	free(in);
}

static void check_text(const char *path, const char *want)
{
	char buf[64] = "";
	long fd = call(sys_openat, AT_FDCWD, path, O_RDONLY);

	CHECK(fd >= 0);
	if (fd < 0) {
		fprintf(stderr, "%s: %ld\n", path, fd);
		return;
	}
	CHECK(call(sys_read, fd, buf, sizeof(buf) - 1) > 0);
	CHECK_STR(buf, want);
	CHECK_INT(call(sys_close, fd), 0);
}

static void test_synthetic(void)
{
	struct stat st;
	char buf[256];
	long fd;

	check_text(in_base("/fake/text"), "level 1\n");
	check_text(in_base("/fake/link"), "level 1\n");
	check_text(in_base("/fake/dir/dir/text"), "level 3\n");
	check_text(in_base("/fake/dir/../text"), "level 1\n");
	check_text(in_base("/to-fake/text"), "level 1\n");
	check_text(in_base("/real/../fake/./text"), "level 1\n");
	check_text(in_base("//fake//text"), "level 1\n");
	check_text(in_base("/fake/out/x"), "hello");
	check_text(in_base("/fake/magic/x"), "hello");
	check_text(in_base("/fake/dir/../../real/x"), "hello");
	CHECK_INT(call(sys_openat, AT_FDCWD, in_base("/fake/none"), O_RDONLY), -ENOENT);
	CHECK_INT(call(sys_openat, AT_FDCWD, in_base("/fake/none"), O_RDONLY | O_CREAT, 0600), -ENOENT);
	CHECK_INT(call(sys_openat, AT_FDCWD, in_base("/fake/text/none"), O_RDONLY), -ENOTDIR);
	CHECK_INT(call(sys_openat, AT_FDCWD, in_base("/fake/text/"), O_RDONLY), -ENOTDIR);
	CHECK_INT(call(sys_openat, AT_FDCWD, in_base("/fake/link"), O_RDONLY | O_NOFOLLOW), -ELOOP);
	CHECK_INT(call(sys_openat, AT_FDCWD, in_base("/fake"), O_RDWR), -EISDIR);
	CHECK_INT(call(sys_lstat, in_base("/fake/link"), &st), 0);
	CHECK(S_ISLNK(st.st_mode));
	CHECK_INT(call(sys_stat, in_base("/fake/link"), &st), 0);
	CHECK(S_ISREG(st.st_mode) && st.st_dev == synth_mounts[0].dev);
	CHECK_INT(call(sys_readlink, in_base("/fake/out"), buf, sizeof(buf)), 7);
	CHECK_INT(call(sys_mkdir, in_base("/fake/text"), 0755), -EEXIST);
	CHECK_INT(call(sys_mkdir, in_base("/fake/new"), 0755), -ENOENT);
	CHECK_INT(call(sys_unlink, in_base("/fake/text")), -EPERM);
	CHECK_INT(call(sys_rename, in_base("/fake/text"), in_base("/real/t")), -EXDEV);
	CHECK_INT(call(sys_rename, in_base("/real/x"), in_base("/fake/t")), -EXDEV);
	CHECK_INT(call(sys_link, in_base("/real/x"), in_base("/fake/text")), -EEXIST);
	CHECK_INT(call(sys_chmod, in_base("/fake/text"), 0600), -EPERM);
	CHECK_INT(call(sys_access, in_base("/fake/text"), R_OK), 0);
	CHECK_INT(call(sys_access, in_base("/fake/text"), X_OK), -EACCES);

	fd = call(sys_openat, AT_FDCWD, in_base("/fake"), O_RDONLY | O_DIRECTORY);
	CHECK(fd >= 0);
	CHECK(call(sys_getdents64, fd, buf, sizeof(buf)) > 0);
	CHECK_INT(call(sys_getdents64, fd, buf, sizeof(buf)), 0);
	CHECK_INT(call(sys_lseek, fd, 0, SEEK_SET), 0);
	CHECK_INT(call(sys_getdents64, fd, buf, 10), -EINVAL);
	CHECK_INT(call(sys_newfstatat, fd, "dir/text", &st, 0), 0);
	CHECK_INT(call(sys_newfstatat, fd, "../real/x", &st, 0), 0);
	CHECK_INT(st.st_size, 5);
	CHECK_INT(call(sys_newfstatat, fd, "", &st, AT_EMPTY_PATH), 0);
	CHECK(S_ISDIR(st.st_mode));
	CHECK_INT(call(sys_fchdir, fd), 0);
	CHECK_INT(call(sys_getcwd, buf, sizeof(buf)), strlen(base) + 6);
	CHECK_STR(buf, in_base("/fake"));
	check_text("text", "level 1\n");
	check_text("../real/x", "hello");
	CHECK_INT(call(sys_chdir, "../real"), 0);
	check_text("x", "hello");
	check_text("../fake/text", "level 1\n");
	CHECK_INT(call(sys_chdir, "/"), 0);
	CHECK_INT(call(sys_close, fd), 0);
}

/* Nobody sees a placeholder: a way that ends at one without naming a synthetic tree finds nothing. */
static void test_placeholder(void)
{
	struct stat st;

	CHECK_INT(call(sys_stat, in_base("/to-placeholder"), &st), -ENOENT);
	CHECK_INT(call(sys_openat, AT_FDCWD, in_base("/to-placeholder"), O_RDONLY), -ENOENT);
}

static void test_chroot(void)
{
	struct stat st;
	char buf[PATH_MAX];
	struct place *root = place_ref(fake_task.fs->root);

	CHECK_INT(call(sys_chdir, in_base("")), 0);
	CHECK_INT(call(sys_chroot, "real"), 0);
	CHECK_INT(call(sys_stat, "/x", &st), 0);
	CHECK_INT(call(sys_stat, "/../../x", &st), 0);
	CHECK_INT(call(sys_stat, "/real", &st), -ENOENT);
	CHECK_INT(call(sys_stat, "real/x", &st), 0); /* the working directory has stayed outside */
	CHECK(call(sys_getcwd, buf, sizeof(buf)) > 0);
	CHECK(str_starts(buf, "(unreachable)/tmp"));
	CHECK_INT(call(sys_chdir, "/"), 0);
	CHECK_INT(call(sys_getcwd, buf, sizeof(buf)), 2);
	CHECK_STR(buf, "/");
	CHECK_INT(call(sys_symlink, "/x", "/abs"), 0);
	CHECK_INT(call(sys_stat, "abs", &st), 0);
	CHECK_INT(st.st_size, 5);
	CHECK_INT(call(sys_unlink, "/abs"), 0);
	place_unref(fake_task.fs->root);
	fake_task.fs->root = root;
	CHECK_INT(call(sys_chdir, "/"), 0);
}

static void test_names(void)
{
	struct stat st;
	long fd;

	CHECK_INT(call(sys_mkdir, in_base("/real/d"), 0777), 0);
	CHECK_INT(call(sys_stat, in_base("/real/d"), &st), 0);
	CHECK_INT(st.st_mode & 07777, 0755);
	CHECK_INT(call(sys_mkdir, in_base("/real/d"), 0777), -EEXIST);
	CHECK_INT(call(sys_rename, in_base("/real/x"), in_base("/real/d/y")), 0);
	CHECK_INT(call(sys_rmdir, in_base("/real/d")), -ENOTEMPTY);
	CHECK_INT(call(sys_renameat2, AT_FDCWD, in_base("/real/d/y"), AT_FDCWD, in_base("/real/x"), 1), 0);
	CHECK_INT(call(sys_unlink, in_base("/real/d")), -EISDIR);
	CHECK_INT(call(sys_rmdir, in_base("/real/d")), 0);
	CHECK_INT(call(sys_mknod, in_base("/real/f"), S_IFIFO | 0600, 0), 0);
	CHECK_INT(call(sys_openat, AT_FDCWD, in_base("/real/f"), O_RDONLY), CALL_PARK);
	CHECK_INT(call(sys_openat, AT_FDCWD, in_base("/real/f"), O_WRONLY), CALL_PARK);
	CHECK_INT(call(sys_unlink, in_base("/real/f")), 0);
	CHECK_INT(call(sys_openat, AT_FDCWD, in_base("/real"), O_RDWR), -EISDIR);
	CHECK_INT(call(sys_openat, AT_FDCWD, in_base("/to-x"), O_RDONLY | O_NOFOLLOW), -ELOOP);
	check_text(in_base("/to-x"), "hello");
	fd = call(sys_openat, AT_FDCWD, in_base("/real"), O_TMPFILE | O_RDWR, 0600);
	CHECK(fd >= 0);
	CHECK_INT(call(sys_linkat, fd, "", AT_FDCWD, in_base("/real/tmp"), AT_EMPTY_PATH), 0);
	CHECK_INT(call(sys_stat, in_base("/real/tmp"), &st), 0);
	CHECK_INT(call(sys_close, fd), 0);
	fd = call(sys_openat, AT_FDCWD, in_base("/real/x"), O_PATH);
	CHECK(fd >= 0);
	CHECK_INT(call(sys_read, fd, &st, 1), -EBADF);
	CHECK_INT(call(sys_fstat, fd, &st), 0);
	CHECK_INT(call(sys_fchmod, fd, 0600), -EBADF);
	CHECK_INT(call(sys_fchownat, fd, "", -1, -1, AT_EMPTY_PATH), 0);
	CHECK_INT(call(sys_close, fd), 0);
}

static void test_fds(void)
{
	long fd = call(sys_openat, AT_FDCWD, in_base("/real/x"), O_RDONLY | O_CLOEXEC);

	CHECK_INT(fd, 0);
	CHECK_INT(call(sys_fcntl, fd, F_GETFD), FD_CLOEXEC);
	CHECK_INT(call(sys_dup, fd), 1);
	CHECK_INT(call(sys_fcntl, 1, F_GETFD), 0);
	CHECK_INT(call(sys_dup2, fd, 40), 40);
	CHECK_INT(call(sys_dup2, fd, 64), -EBADF);
	CHECK_INT(call(sys_dup3, fd, fd, 0), -EINVAL);
	CHECK_INT(call(sys_fcntl, fd, F_DUPFD, 40), 41);
	CHECK_INT(call(sys_fcntl, fd, F_DUPFD, 64), -EINVAL);
	for (int i = 2; i < 64; i++)
		if (i != 40 && i != 41)
			CHECK_INT(call(sys_dup, fd), i);
	CHECK_INT(call(sys_dup, fd), -EMFILE);
	CHECK_INT(call(sys_openat, AT_FDCWD, in_base("/real/never"), O_CREAT | O_RDWR, 0600), -EMFILE);
	CHECK_INT(access(in_base("/real/never"), F_OK), -1);
	CHECK_INT(call(call_close_range, 3, ~0U, 0), 0);
	CHECK_INT(fd_next(fake_task.files, 0), 0);
	CHECK_INT(fd_next(fake_task.files, 3), -1);
	CHECK_INT(call(call_close_range, 3, 2, 0), -EINVAL);
	CHECK_INT(call(sys_dup, fd), 3);
	CHECK_INT(call(sys_close, 2), 0);
	CHECK_INT(call(sys_dup, fd), 2);
	CHECK_INT(call(call_close_range, 0, ~0U, 0), 0);
}

static void test_locks(void)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10};
	struct fd_table *mine = fake_task.files, *other = fd_table_new();
	long fd = call(sys_openat, AT_FDCWD, in_base("/real/x"), O_RDWR);

	CHECK_INT(call(sys_fcntl, fd, F_SETLK, &fl), 0);
	fake_task.files = other;
	CHECK_INT(call(sys_openat, AT_FDCWD, in_base("/real/x"), O_RDWR), 0);
	fl = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
	CHECK_INT(call(sys_fcntl, 0, F_GETLK, &fl), 0);
	CHECK(fl.l_type == F_WRLCK && fl.l_start == 10 && fl.l_len == 10 && fl.l_pid == 1);
	fl = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 19, .l_len = 1};
	CHECK_INT(call(sys_fcntl, 0, F_SETLK, &fl), -EAGAIN);
	CHECK_INT(call(sys_fcntl, 0, F_SETLKW, &fl), CALL_PARK);
	/* The other way round would wait for ever. */
	fl.l_start = 30;
	fake_task.files = mine;
	{
		struct call parked = fake_task.call; /* it waits still */
		struct flock theirs = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 30, .l_len = 1};

		fake_task.files = other;
		CHECK_INT(call(sys_fcntl, 0, F_SETLK, &theirs), 0);
		fake_task.files = mine;
		CHECK_INT(call(sys_fcntl, fd, F_SETLKW, &theirs), -EDEADLK);
		parked.release(&fake_task, parked.data);
	}
	/* Cut in the middle, and asked for on both sides. */
	fl = (struct flock){.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = 12, .l_len = 2};
	CHECK_INT(call(sys_fcntl, fd, F_SETLK, &fl), 0);
	fake_task.files = other;
	fl = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 12, .l_len = 2};
	CHECK_INT(call(sys_fcntl, 0, F_SETLK, &fl), 0);
	fl.l_len = 3;
	CHECK_INT(call(sys_fcntl, 0, F_SETLK, &fl), -EAGAIN);
	/* Any descriptor's close gives up all. */
	fake_task.files = mine;
	CHECK_INT(call(sys_openat, AT_FDCWD, in_base("/real/x"), O_RDONLY), 1);
	CHECK_INT(call(sys_close, 1), 0);
	fake_task.files = other;
	CHECK_INT(call(sys_fcntl, 0, F_SETLK, &fl), 0);
	CHECK_INT(call(sys_flock, 0, 2), 0);
	fake_task.files = mine;
	CHECK_INT(call(sys_flock, fd, 2 | 4), -EAGAIN);
	fake_task.files = other;
	CHECK_INT(call(sys_close, 0), 0);
	fake_task.files = mine;
	CHECK_INT(call(sys_flock, fd, 2 | 4), 0);
	fl = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
	CHECK_INT(call(sys_fcntl, fd, F_OFD_SETLK, &fl), 0);
	fl = (struct flock){.l_type = 77, .l_whence = SEEK_SET};
	CHECK_INT(call(sys_fcntl, fd, F_SETLK, &fl), -EINVAL);
	CHECK_INT(call(sys_close, fd), 0);
	fd_table_unref(&fake_task, other);
}

static struct fd_table *ending;
static struct file *seen_first;

static int see_first(struct file *f, struct task *t)
{
	(void)f;
	(void)t;
	seen_first = fd_table_get(ending, 0); /* as another thread does that has the lock meanwhile */
	return 0;
}

static void release_nothing(struct file *f)
{
	(void)f;
}

static void test_tables(void)
{
	static const struct file_ops first_ops = {.name = "first", .release = release_nothing},
				     ops = {.name = "last", .flush = see_first, .release = release_nothing};
	static struct file files[2];
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
	struct fd_table *mine = fake_task.files, *other = fd_table_new();
	long fd = call(sys_openat, AT_FDCWD, in_base("/real/x"), O_RDWR | O_CREAT, 0644);

	/* Who has a table alone and is to have one of its own keeps it, and its locks. */
	CHECK_INT(call(sys_fcntl, fd, F_SETLK, &fl), 0);
	CHECK_INT(fd_table_split(&fake_task), 0);
	CHECK(fake_task.files == mine);
	fake_task.files = other;
	CHECK_INT(call(sys_openat, AT_FDCWD, in_base("/real/x"), O_RDWR), 0);
	CHECK_INT(call(sys_fcntl, 0, F_SETLK, &fl), -EAGAIN);
	fake_task.files = mine;
	CHECK_INT(call(sys_close, fd), 0);
	fd_table_unref(&fake_task, other);

	/* A table that ends shows no file that has gone. */
	ending = fd_table_new();
	file_init(&files[0], &first_ops, O_RDWR);
	file_init(&files[1], &ops, O_RDWR);
	fd_table_put(ending, 0, &files[0], false);
	fd_table_put(ending, 1, &files[1], false);
	seen_first = &files[1];
	fd_table_unref(&fake_task, ending);
	CHECK(seen_first == NULL);

	/* What is lent as the table is copied is left over in the copy; as it is split, it is the one's
	 * alone. */
	ending = fd_table_new();
	fd_table_shadows(ending)->lent[0] = 2;
	fd_table_shadows(ending)->at_work[0] = 4;
	other = fd_table_copy(ending);
	CHECK(fd_table_shadows(other)->lent[0] == 6 && fd_table_shadows(other)->at_work[0] == 0);
	fd_table_unref(&fake_task, other);
	fake_task.files = fd_table_ref(ending);
	CHECK_INT(fd_table_split(&fake_task), 0);
	CHECK(fake_task.files != ending && fd_table_shadows(fake_task.files)->lent[0] == 0 &&
	      fd_table_shadows(ending)->lent[0] == 2 && fd_table_shadows(ending)->at_work[0] == 4 &&
	      fd_table_shadows(ending)->split && fd_table_shadows(fake_task.files)->split);
	fd_table_unref(&fake_task, fake_task.files);
	fd_table_unref(&fake_task, ending);
	fake_task.files = mine;
}

static void test_openat2(void)
{
	struct open_how how = {.resolve = RESOLVE_BENEATH};
	long dir = call(sys_openat, AT_FDCWD, in_base("/real"), O_PATH | O_DIRECTORY), fd;

	CHECK_INT(call(call_openat2, dir, "../real/x", &how, sizeof(how)), -EXDEV);
	CHECK_INT(call(call_openat2, dir, in_base("/real/x"), &how, sizeof(how)), -EXDEV);
	how.resolve = RESOLVE_IN_ROOT;
	fd = call(call_openat2, dir, "/../x", &how, sizeof(how));
	CHECK(fd >= 0);
	CHECK_INT(call(sys_close, fd), 0);
	CHECK_INT(call(call_openat2, dir, "x", &how, 8), -EINVAL);
	how.resolve = 1 << 20;
	CHECK_INT(call(call_openat2, dir, "x", &how, sizeof(how)), -EINVAL);
	CHECK_INT(call(sys_close, dir), 0);
}

static void test_attrs(void)
{
	struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 2}};
	struct stat st;
	char buf[32];

	CHECK_INT(call(sys_chmod, in_base("/to-x"), 0640), 0);
	CHECK_INT(call(sys_utimensat, AT_FDCWD, in_base("/real/x"), times, 0), 0);
	CHECK_INT(call(sys_stat, in_base("/real/x"), &st), 0);
	CHECK(st.st_mtime == 2 && (st.st_mode & 07777) == 0640);
	CHECK_INT(call(sys_truncate, in_base("/real/x"), 3), 0);
	CHECK_INT(call(sys_truncate, in_base("/real"), 3), -EISDIR);
	CHECK_INT(call(sys_truncate, in_base("/real/x"), -1), -EINVAL);
	CHECK_INT(call(sys_setxattr, in_base("/real/x"), "", "v", 1, 0), -ERANGE);
	CHECK_INT(call(sys_setxattr, in_base("/real/x"), "user.a", "v", 1 << 17, 0), -E2BIG);
	CHECK_INT(call(sys_getxattr, in_base("/fake/text"), "user.a", buf, 4), -EOPNOTSUPP);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

int main(void)
{
	if (!fake_start() || !make_tree()) {
		perror("cannot prepare");
		return 1;
	}
	test_read_write();
	magic_place = place_new_host(open(in_base("/real"), O_PATH | O_CLOEXEC));
	test_large();
	test_synthetic();
	test_placeholder();
	test_chroot();
	test_names();
	test_fds();
	test_locks();
	test_tables();
	test_openat2();
	test_attrs();
	(void)nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* what stays is seen in /tmp */
	return test_end();
}

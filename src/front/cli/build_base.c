/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image build-base: an image from Debian packages, without any registry.
 *
 * The programs come from busybox-static as it is installed, or as apt-get
 * fetches it and dpkg-deb unpacks it into a directory that goes afterwards.
 * The root file system is written as a tar stream into memory, so that no
 * owner of a file on this machine gets into the image, and nothing has to be
 * cleaned up.
 */
#include "front/cli/cli.h"
#include "front/cli/images.h"

#include "base/file.h"
#include "base/proc.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct base_flags {
	const char *name, *suite;
	str_list packages;
	bool quiet;
};
static const struct base_flags base_defaults = {.name = "coffer/base"};
#define BASE struct base_flags
static const struct opt base_options[] = {
	O_STR(BASE, name, "name", 0, "Name of the image (default coffer/base)"),
	O_LIST(BASE, packages, "packages", 0,
	       "Package to take programs from (default busybox-static); others need --suite"),
	O_STR(BASE, suite, "suite", 0, "A whole Debian of this suite by mmdebstrap, as bookworm"),
	O_BOOL(BASE, quiet, "quiet", 'q', NULL),
};

enum { BUSYBOX_MAX = 16 << 20, APPLETS_MAX = 1 << 16, RUN_OUTPUT_MAX = 1 << 16 };

/* ---- tar, as ustar has it ---- */

struct tar_out {
	int fd;
	uint64_t size;
	struct err *err;
};

struct tar_entry {
	const char *name, *link;
	char type; /* '0' file, '2' symbolic link, '5' directory */
	unsigned mode, uid, gid;
	const void *data;
	size_t len;
};

static int tar_raw(struct tar_out *t, const void *data, size_t len)
{
	int r = fd_write_all(t->fd, data, len);

	t->size += len;
	return r < 0 ? err_num(t->err, r, "cannot write the image's files") : 0;
}

static int tar_put(struct tar_out *t, const struct tar_entry *e)
{
	static const char zeros[512];
	char head[512] = {0};
	unsigned sum = 0;

	if (strlen(e->name) > 99 || (e->link && strlen(e->link) > 99))
		return err_set(t->err, ENAMETOOLONG, "name too long: %s", e->name);
	memcpy(head, e->name, strlen(e->name));
	(void)snprintf(head + 100, 8, "%07o", e->mode);			       /* fits */
	(void)snprintf(head + 108, 8, "%07o", e->uid);			       /* fits */
	(void)snprintf(head + 116, 8, "%07o", e->gid);			       /* fits */
	(void)snprintf(head + 124, 12, "%011llo", (unsigned long long)e->len); /* fits */
	(void)snprintf(head + 136, 12, "%011o", 0U);			       /* the same bytes every time */
	memset(head + 148, ' ', 8);
	head[156] = e->type;
	if (e->link)
		memcpy(head + 157, e->link, strlen(e->link));
	memcpy(head + 257, "ustar\00000", 8);
	for (size_t i = 0; i < sizeof(head); i++)
		sum += (unsigned char)head[i];
	(void)snprintf(head + 148, 8, "%06o", sum); /* fits */
	int r = tar_raw(t, head, sizeof(head));
	if (r == 0 && e->len)
		r = tar_raw(t, e->data, e->len);
	if (r == 0 && e->len % 512)
		r = tar_raw(t, zeros, 512 - e->len % 512);
	return r;
}

static int tar_dir(struct tar_out *t, const char *name, unsigned mode)
{
	return tar_put(t, &(struct tar_entry){.name = name, .type = '5', .mode = mode});
}

static int tar_text(struct tar_out *t, const char *name, const char *text)
{
	return tar_put(t,
		       &(struct tar_entry){
			       .name = name, .type = '0', .mode = 0644, .data = text, .len = strlen(text)});
}

static int tar_link(struct tar_out *t, const char *name, const char *target)
{
	return tar_put(t, &(struct tar_entry){.name = name, .link = target, .type = '2', .mode = 0777});
}

/* ---- busybox ---- */

static int run_host(const char *path, const char *const *argv, const char *cwd, const char *what, char **ret,
		    struct err *err)
{
	autofree char *tmp = cwd ? str_format("TMPDIR=%s", cwd) : NULL;
	const char *const env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", tmp, NULL};
	struct proc_run q = {.path = path,
			     .argv = argv,
			     .envp = env,
			     .cwd = cwd,
			     .output_max = RUN_OUTPUT_MAX,
			     .timeout_ms = 600000};
	autofree char *output = NULL;
	int status = proc_run(&q, &output, err);

	if (status < 0)
		return status;
	if (status != 0) {
		const char *why = output ? output : "";
		size_t len = strlen(why);
		while (len && why[len - 1] == '\n')
			len--;
		const char *last = why;
		for (const char *p = why; p < why + len; p++)
			if (*p == '\n')
				last = p + 1;
		return err_set(err, EIO, "%s failed: %.*s", what,
			       (int)MIN_OF((size_t)(why + len - last), (size_t)300), last);
	}
	if (ret)
		*ret = take_ptr(&output);
	return 0;
}

/* A program that needs nothing else: no interpreter in its ELF header. */
static bool is_static_elf(const char *data, size_t len)
{
	uint64_t offset;
	uint16_t entry, n;

	if (len < 64 || memcmp(data, "\177ELF\2\1", 6) != 0)
		return false;
	memcpy(&offset, data + 32, sizeof(offset));
	memcpy(&entry, data + 54, sizeof(entry));
	memcpy(&n, data + 56, sizeof(n));
	for (size_t i = 0; i < n; i++) {
		uint32_t type;
		uint64_t at = offset + (uint64_t)entry * i;
		if (at > len - sizeof(type))
			return false;
		memcpy(&type, data + at, sizeof(type));
		if (type == 3) /* PT_INTERP */
			return false;
	}
	return true;
}

static int read_busybox(const char *path, char **ret, size_t *ret_len)
{
	autofree char *data = NULL;
	size_t len;
	int r = file_read_at(AT_FDCWD, path, BUSYBOX_MAX, &data, &len);

	if (r < 0 || !is_static_elf(data, len))
		return -ENOENT;
	*ret = take_ptr(&data);
	*ret_len = len;
	return 0;
}

/* From the package itself: apt-get download needs no rights and installs nothing. */
static int fetch_busybox(struct call *call, char **ret, size_t *ret_len, struct err *err)
{
	static const char *const download[] = {"/usr/bin/apt-get", "download", "-q", "busybox-static", NULL};
	char dir[] = "/tmp/coffer-base-XXXXXX";
	struct str path autostr = {0};
	const char *deb = NULL;

	if (access(download[0], X_OK) < 0)
		return err_set(
			err, ENOENT,
			"there is no static busybox here and no apt-get to fetch it: install the package "
			"busybox-static");
	if (!mkdtemp(dir))
		return err_sys(err, "cannot make a directory in /tmp");
	int r = run_host(NULL, download, dir, "apt-get download busybox-static (try 'apt-get update')", NULL,
			 err);
	DIR *d = r == 0 ? opendir(dir) : NULL;
	for (const struct dirent *x; d && (x = readdir(d));)
		if (str_ends(x->d_name, ".deb"))
			deb = memory_text(&call->memory, x->d_name);
	if (d)
		(void)closedir(d); /* read only */
	if (r == 0 && !deb)
		r = err_set(err, ENOENT, "apt-get download left no package");
	if (r == 0) {
		const char *const unpack[] = {"/usr/bin/dpkg-deb", "-x", deb, "root", NULL};
		r = run_host(NULL, unpack, dir, "dpkg-deb -x", NULL, err);
	}
	str_putf(&path, "%s/root/bin/busybox", dir);
	if (r == 0 && read_busybox(path.s, ret, ret_len) < 0) {
		path.len = 0;
		str_putf(&path, "%s/root/usr/bin/busybox", dir);
		if (read_busybox(path.s, ret, ret_len) < 0)
			r = err_set(err, ENOENT, "the package busybox-static holds no static busybox");
	}
	ignore_result(file_remove_tree_at(AT_FDCWD, dir) < 0); /* /tmp is swept by the machine */
	return r;
}

/* Its own list of what it can do: "usr/bin/awk" and the like. */
static int busybox_applets(const char *data, size_t len, char **ret, struct err *err)
{
	autoclose int fd = memfd_create("busybox", MFD_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "cannot hold busybox in memory");
	int r = fd_write_all(fd, data, len);
	if (r < 0)
		return err_num(err, r, "cannot hold busybox in memory");
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), fd); /* fits */
	const char *const argv[] = {"busybox", "--list-full", NULL};
	return run_host(path, argv, NULL, "busybox --list-full", ret, err);
}

static const char passwd_text[] = "root:x:0:0:root:/root:/bin/sh\n"
				  "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
				  "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"
				  "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
static const char group_text[] =
	"root:x:0:\ndaemon:x:1:\ntty:x:5:\nwww-data:x:33:\nusers:x:100:\nnogroup:x:65534:\n";

static int write_tree(struct tar_out *t, const char *busybox, size_t len, const char *applets)
{
	static const struct {
		const char *name;
		unsigned mode;
	} dirs[] = {{"bin/", 0755},	 {"sbin/", 0755}, {"usr/", 0755},      {"usr/bin/", 0755},
		    {"usr/sbin/", 0755}, {"etc/", 0755},  {"dev/", 0755},      {"proc/", 0555},
		    {"sys/", 0555},	 {"run/", 0755},  {"root/", 0700},     {"home/", 0755},
		    {"tmp/", 01777},	 {"var/", 0755},  {"var/tmp/", 01777}, {"var/www/", 0755},
		    {"lib/", 0755},	 {"mnt/", 0755}};
	static const char *const texts[][2] = {
		{"etc/passwd", passwd_text},
		{"etc/group", group_text},
		/* What each container has over these: a place that is there need not be made for each. */
		{"etc/hosts", ""},
		{"etc/hostname", ""},
		{"etc/resolv.conf", ""},
		{"etc/shells", "/bin/sh\n"},
		{"etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"},
		{"etc/profile", "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
				"/sbin:/bin\nPS1='\\u@\\h:\\w\\$ '\n"},
		{"etc/os-release",
		 "NAME=\"coffer base\"\nID=coffer\nPRETTY_NAME=\"coffer base " COFFER_VERSION
		 " (busybox)\"\n"}};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(dirs); i++)
		r = tar_dir(t, dirs[i].name, dirs[i].mode);
	if (r == 0)
		r = tar_put(t, &(struct tar_entry){.name = "bin/busybox",
						   .type = '0',
						   .mode = 0755,
						   .data = busybox,
						   .len = len});
	for (const char *p = applets; r == 0 && *p; p += strcspn(p, "\n"), p += *p == '\n') {
		char name[100];
		size_t n = strcspn(p, "\n");
		if (n == 0 || n >= sizeof(name) ||
		    (n == strlen("bin/busybox") && memcmp(p, "bin/busybox", n) == 0) || memchr(p, ' ', n) ||
		    str_starts(p, "linuxrc"))
			continue;
		(void)snprintf(name, sizeof(name), "%.*s", (int)n, p); /* fits */
		r = tar_link(t, name, "/bin/busybox");
	}
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(texts); i++)
		r = tar_text(t, texts[i][0], texts[i][1]);
	static const char end[1024];
	return r < 0 ? r : tar_raw(t, end, sizeof(end));
}

static int busybox_tar(struct call *call, int fd, struct err *err)
{
	static const char *const installed[] = {"/bin/busybox", "/usr/bin/busybox"};
	autofree char *busybox = NULL, *applets = NULL;
	size_t len = 0;
	struct tar_out t = {.fd = fd, .err = err};
	int r = -ENOENT;

	for (size_t i = 0; r < 0 && i < ARRAY_LEN(installed); i++)
		r = read_busybox(installed[i], &busybox, &len);
	if (r < 0)
		r = fetch_busybox(call, &busybox, &len, err);
	if (r == 0)
		r = busybox_applets(busybox, len, &applets, err);
	return r < 0 ? r : write_tree(&t, busybox, len, applets);
}

/* ---- a whole Debian ---- */

/*
 * In a directory of ours, so that it goes whatever happens, and a mount namespace of its own: mmdebstrap
 * mounts /proc, /sys and /dev/shm, and one that is killed leaves them where it has mounted them.
 */
static int suite_tar(const struct base_flags *f, int fd, struct err *err)
{
	struct str include autostr = {0};
	char out[64], dir[] = "/tmp/coffer-base-XXXXXX";

	if (access("/usr/bin/mmdebstrap", X_OK) < 0)
		return err_set(err, ENOENT, "--suite needs mmdebstrap: apt install mmdebstrap");
	for (size_t i = 0; i < f->packages.n; i++)
		str_putf(&include, "%s%s", i ? "," : "--include=", f->packages.v[i]);
	(void)snprintf(out, sizeof(out), "/proc/%d/fd/%d", (int)getpid(), fd); /* fits */
	const char *const argv[] = {"/usr/bin/unshare",
				    "--mount",
				    "--propagation",
				    "private",
				    "--",
				    "/usr/bin/mmdebstrap",
				    "--variant=minbase",
				    "--format=tar",
				    include.s ? include.s : "--quiet",
				    f->suite,
				    out,
				    NULL};
	if (!mkdtemp(dir))
		return err_sys(err, "cannot make a directory in /tmp");
	int r = chmod(dir, 0755) < 0 ? err_sys(err, "cannot open \"%s\" to apt's user", dir)
				     : run_host(NULL, argv, dir, "mmdebstrap", NULL, err);
	ignore_result(file_remove_tree_at(AT_FDCWD, dir) < 0); /* /tmp is swept by the machine */
	return r;
}

static int run_build_base(struct call *call, struct err *err)
{
	const struct base_flags *f = call->options;
	const struct config *c;
	autofree char *id = NULL;
	struct engine *e;
	static const char *cmd[] = {"/bin/sh"};
	static const char *env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
	const str_list none = {0};
	int r = 0;

	for (size_t i = 0; !f->suite && i < f->packages.n; i++)
		if (!streq(f->packages.v[i], "busybox-static"))
			return cli_misused(call, err,
					   "package \"%s\" needs a Debian around it: add --suite, as in "
					   "--suite bookworm "
					   "--packages %s",
					   f->packages.v[i], f->packages.v[i]);
	autoclose int fd = memfd_create("coffer-base", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "cannot hold the image in memory");
	r = cli_engine(call, &e, err);
	if (r == 0)
		r = cli_config(call, &c, err);
	if (r == 0)
		r = f->suite ? suite_tar(f, fd, err) : busybox_tar(call, fd, err);
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = err_sys(err, "cannot read the image's files");
	struct image_make q = {.store = engine_images(e),
			       .tar_fd = fd,
			       .name = config_image_name(c, &call->memory, f->name),
			       .created_by = "coffer image build-base",
			       .comment = f->suite ? "Debian by mmdebstrap" : "busybox-static"};
	if (r == 0)
		r = image_changes(&call->memory, &none, NULL, &q.config, err);
	if (r < 0)
		return r;
	q.config.cmd.v = cmd;
	q.config.cmd.n = 1;
	q.config.env.v = env;
	q.config.env.n = 1;
	r = image_make(&q, &id, err);
	return r < 0 ? r : cli_println(id, err);
}

const struct command command_build_base = {
	.name = "build-base",
	.summary = "Make a small image from Debian packages, without any registry",
	.usage = "[OPTIONS]",
	.description =
		"busybox with its links, and what programs look for in /etc.  With --suite a whole Debian.",
	.examples = "coffer image build-base && coffer run --rm -it coffer/base\n"
		    "coffer image build-base --name debian:12 --suite bookworm --packages python3\n",
	.options = {OPT_TABLE(base_options)},
	.options_size = sizeof(struct base_flags),
	.defaults = &base_defaults,
	.writes_images = true,
	.run = run_build_base,
	.users = USERS_UNPACK,
};

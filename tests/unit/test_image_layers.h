/* SPDX-License-Identifier: Apache-2.0 */
/* Layers out of archives, and trees that ought to be equal. */
#pragma once

#include "test.h"

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "image/content.h"
#include "image/layer.h"
#include "image/layer_probe.h"
#include "image/layer_target.h"
#include "image/tar.h"

#include <dirent.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

static char scratch[64];

static unused void scratch_begin(void)
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(scratch, sizeof(scratch), "%.40s/layers-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(scratch)) {
		perror("mkdtemp");
		exit(1);
	}
}

/* overlayfs can neither hold whiteouts for another overlayfs nor an image to mount. */
static unused bool scratch_on_overlay(void)
{
	struct statfs fs;

	return statfs(scratch, &fs) == 0 && fs.f_type == OVERLAYFS_SUPER_MAGIC;
}

static unused void scratch_end(void)
{
	char *name = strrchr(scratch, '/');

	*name = '\0';
	autoclose int dir = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(file_remove_tree_at(dir, name + 1), 0);
}

static unused struct image_store *scratch_store(const char *name, enum image_layers layers)
{
	autofree char *root = str_format("%s/%s", scratch, name);
	struct image_store *s;
	struct err err = {0};

	if (image_store_open(&(struct image_store_options){.root = root, .layers = layers}, &s, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		exit(1);
	}
	return s;
}

/* A script in the scratch directory; its output is shown where it fails. */
static unused int shell(const char *script)
{
	const char *argv[] = {"/bin/sh", "-ec", script, NULL},
		   *envp[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	struct proc_run run = {
		.argv = argv, .envp = envp, .cwd = scratch, .output_max = 4096, .timeout_ms = 60000};
	autofree char *out = NULL;
	struct err err = {0};
	int status = proc_run(&run, &out, &err);

	if (status != 0)
		fprintf(stderr, "%s\n%s\n", script, status < 0 ? err.msg : out);
	return status;
}

/* Feeds `bytes` in pieces; 0 and the diffID, or the error. */
static unused int build_bytes(struct image_store *s, const void *bytes, size_t len, size_t piece,
			      bool threads, const struct layer_limits *limits, struct layer_result *ret,
			      struct err *err)
{
	struct layer_builder *b;
	struct layer_builder_options o = {.store = s, .threads = threads, .limits = limits};
	int r = layer_builder_new(&o, &b, err);

	if (r < 0)
		return r;
	for (size_t at = 0; at < len && r == 0; at += piece)
		r = layer_builder_feed(b, (const char *)bytes + at, MIN_OF(piece, len - at), err);
	if (r == 0)
		r = layer_commit(b, ret, err);
	layer_builder_free(b);
	return r;
}

static unused int build_file(struct image_store *s, const char *name, size_t piece, struct layer_result *ret)
{
	autofree char *path = str_format("%s/%s", scratch, name), *data = NULL;
	struct err err = {0};
	size_t len;

	if (file_read_at(AT_FDCWD, path, 1 << 30, &data, &len) < 0)
		return -ENOENT;
	int r = build_bytes(s, data, len, piece, piece % 2, NULL, ret, &err);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", name, err.msg);
	return r;
}

/* The layer's tree: a detached mount, or its directory. */
static unused int open_layer(struct image_store *s, const char *diff_id)
{
	struct err err = {0};
	autoclose int dir = layer_open_dir(s, diff_id, false, &err);
	autoclose int fd = dir < 0 ? -1 : openat(dir, LAYER_EROFS, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return dir < 0 ? dir : openat(dir, LAYER_DIFF, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int mount = layer_mount_erofs(fd, &err);
	if (mount < 0)
		fprintf(stderr, "%s\n", err.msg);
	return mount;
}

/* ---- comparing ---- */

static unused char **sorted_names(int fd, size_t *ret_n)
{
	char **v = NULL;
	size_t n = 0;
	DIR *d = fdopendir(openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		v = realloc(v, (n + 1) * sizeof(*v));
		v[n++] = strdup(e->d_name);
	}
	if (d)
		(void)closedir(d);
	for (size_t i = 1; i < n; i++) /* few names: no comparison function */
		for (size_t k = i; k > 0 && strcmp(v[k - 1], v[k]) > 0; k--) {
			char *t = v[k];
			v[k] = v[k - 1];
			v[k - 1] = t;
		}
	*ret_n = n;
	return v;
}

static unused bool same_xattrs(int a, int b, const char *path)
{
	char names[4096], other[4096], x[65536], y[65536];
	autofree char *pa = str_format("/proc/self/fd/%d/%s", a, path),
		      *pb = str_format("/proc/self/fd/%d/%s", b, path);
	ssize_t na = llistxattr(pa, names, sizeof(names)), nb = llistxattr(pb, other, sizeof(other));

	if (na != nb) {
		fprintf(stderr, "%s: attributes' names of %zd and %zd bytes\n", path, na, nb);
		return false;
	}
	for (char *p = names; p < names + na; p += strlen(p) + 1) {
		ssize_t lx = lgetxattr(pa, p, x, sizeof(x)), ly = lgetxattr(pb, p, y, sizeof(y));
		if (lx != ly || lx < 0 || memcmp(x, y, (size_t)lx) != 0) {
			fprintf(stderr, "%s: attribute %s differs\n", path, p);
			return false;
		}
	}
	return true;
}

static unused bool same_bytes(int a, int b, const char *path, size_t size)
{
	autoclose int fa = openat(a, path, O_RDONLY | O_CLOEXEC), fb = openat(b, path, O_RDONLY | O_CLOEXEC);
	autofree char *x = malloc(size + 1), *y = malloc(size + 1);

	return fa >= 0 && fb >= 0 && fd_read_full(fa, x, size + 1) == (ssize_t)size &&
	       fd_read_full(fb, y, size + 1) == (ssize_t)size && memcmp(x, y, size) == 0;
}

static unused int compare_one(int a, int b, const char *path)
{
	struct stat x, y;
	char la[8192] = "", lb[8192] = "";

	if (fstatat(a, path, &x, AT_SYMLINK_NOFOLLOW) < 0 || fstatat(b, path, &y, AT_SYMLINK_NOFOLLOW) < 0) {
		fprintf(stderr, "%s: %s\n", path, err_text(errno));
		return 1;
	}
	bool same = x.st_mode == y.st_mode && x.st_uid == y.st_uid && x.st_gid == y.st_gid &&
		    x.st_rdev == y.st_rdev && (S_ISDIR(x.st_mode) || x.st_nlink == y.st_nlink) &&
		    (S_ISDIR(x.st_mode) || x.st_size == y.st_size) && x.st_mtim.tv_sec == y.st_mtim.tv_sec &&
		    x.st_mtim.tv_nsec == y.st_mtim.tv_nsec;
	if (S_ISLNK(x.st_mode))
		same = same && readlinkat(a, path, la, sizeof(la)) == readlinkat(b, path, lb, sizeof(lb)) &&
		       memcmp(la, lb, sizeof(la)) == 0;
	if (same && S_ISREG(x.st_mode))
		same = same_bytes(a, b, path, (size_t)x.st_size);
	if (!same)
		fprintf(stderr,
			"%s: mode %o %o, owner %u:%u %u:%u, links %ju %ju, size %ld %ld, time %ld.%09ld "
			"%ld.%09ld\n",
			path, x.st_mode, y.st_mode, x.st_uid, x.st_gid, y.st_uid, y.st_gid,
			(uintmax_t)x.st_nlink, (uintmax_t)y.st_nlink, x.st_size, y.st_size, x.st_mtim.tv_sec,
			x.st_mtim.tv_nsec, y.st_mtim.tv_sec, y.st_mtim.tv_nsec);
	return !same || !same_xattrs(a, b, path);
}

/* The number of differences between two trees; each is told. */
static unused int compare_trees(int a, int b, const char *path)
{
	size_t na, nb;
	int differences = compare_one(a, b, path);
	struct stat st;

	if (fstatat(a, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return differences;
	autoclose int fa = openat(a, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclose int fb = openat(b, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char **va = sorted_names(fa, &na), **vb = sorted_names(fb, &nb);
	if (na != nb) {
		fprintf(stderr, "%s: %zu and %zu entries\n", path, na, nb);
		differences++;
	}
	for (size_t i = 0; i < na && i < nb && differences < 20; i++) {
		if (!streq(va[i], vb[i])) {
			fprintf(stderr, "%s: \"%s\" and \"%s\"\n", path, va[i], vb[i]);
			differences++;
			break;
		}
		autofree char *sub = str_format("%s/%s", path, va[i]);
		differences += compare_trees(a, b, sub);
	}
	for (size_t i = 0; i < na; i++)
		free(va[i]);
	for (size_t i = 0; i < nb; i++)
		free(vb[i]);
	free(va);
	free(vb);
	return differences;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each network is a directory with a file an endpoint.  A file is never
 * changed, only replaced: its inode number, which a listing of the directory
 * tells, says whether it is known.  So after a change among 500 containers one
 * listing and the files that are new are read; without one, nothing but the
 * directory's time of change.
 */
#include "net/dns_names.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/str.h"

#include <ctype.h>
#include <dirent.h>
#include <sys/stat.h>
#include <time.h>

enum { HOSTS_MAX = 65536, NETWORKS_MAX = 1024, FILE_BYTES_MAX = 65536, ID_LEN = 64 };
enum { YOUNG_NS = 50000000 }; /* a time stamp may be as coarse as a tick of the kernel's */

struct host {
	ino_t ino;
	bool seen, outside; /* it is on another network too, one without names, that leads outside */
	struct ip ip4, ip6;
	char *names; /* lines; owned */
};
struct names_network {
	char id[ID_LEN + 1];
	bool seen, member, internal;
	ino_t own;  /* the container's own file */
	bool fresh; /* `changed` can be trusted */
	struct timespec changed;
	struct host *hosts;
	size_t n;
};
struct dns_names {
	char *dir, *id;
	struct names_network *networks;
	size_t n;
};

static void free_network(struct names_network *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->hosts[i].names);
	free(w->hosts);
	*w = (struct names_network){0};
}

int dns_names_open(const char *run_root, const char *id, struct dns_names **ret, struct err *err)
{
	struct dns_names *t = calloc(1, sizeof(*t));

	if (t) {
		t->dir = str_format("%s/net", run_root);
		t->id = strdup(id);
	}
	if (!t || !t->dir || !t->id) {
		dns_names_close(t);
		return err_oom(err);
	}
	*ret = t;
	return 0;
}

void dns_names_close(struct dns_names *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		free_network(&t->networks[i]);
	free(t->networks);
	free(t->dir);
	free(t->id);
	free(t);
}

static bool is_id(const char *s)
{
	return strlen(s) == ID_LEN && strspn(s, "0123456789abcdef") == ID_LEN;
}

/* ---- One file ---- */

static bool parse_host_file(char *text, struct host *h)
{
	char *names = strchr(text, '\n'), *six = strchr(text, ' '), *out = six ? strchr(six + 1, ' ') : NULL;

	if (!names || !out || out > names)
		return false;
	*names++ = '\0';
	*six++ = '\0';
	*out++ = '\0';
	h->outside = streq(out, "out");
	if (!streq(text, "-") && !ip_parse(text, &h->ip4))
		return false;
	if (!streq(six, "-") && !ip_parse(six, &h->ip6))
		return false;
	for (char *p = names; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	h->names = strdup(names);
	return h->names != NULL;
}

static void read_host_file(int dirfd, const char *name, ino_t ino, struct names_network *w)
{
	autofree char *text = NULL;
	struct host h = {.ino = ino, .seen = true};
	size_t len;

	if (w->n >= HOSTS_MAX || file_read_at(dirfd, name, FILE_BYTES_MAX, &text, &len) < 0 ||
	    !parse_host_file(text, &h))
		return;
	struct host *v = realloc(w->hosts, (w->n + 1) * sizeof(*v));
	if (!v) {
		free(h.names);
		return;
	}
	w->hosts = v;
	v[w->n++] = h;
}

/* ---- One network ---- */

static struct host *known(struct names_network *w, ino_t ino, size_t *hint)
{
	/* Listings come in much the same order each time. */
	for (size_t i = 0; i < w->n; i++) {
		struct host *h = &w->hosts[(*hint + i) % w->n];
		if (h->ino == ino) {
			*hint = (*hint + i + 1) % w->n;
			return h;
		}
	}
	return NULL;
}

static void drop_unseen(struct names_network *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++) {
		if (w->hosts[i].seen)
			w->hosts[n++] = w->hosts[i];
		else
			free(w->hosts[i].names);
	}
	w->n = n;
}

static bool is_young(const struct timespec *t)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
	return (now.tv_sec - t->tv_sec) * 1000000000LL + now.tv_nsec - t->tv_nsec < YOUNG_NS;
}

static void list_network(int fd, struct names_network *w)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *e;
	size_t hint = 0;

	if (!dir) {
		cleanup_close(&copy);
		return;
	}
	w->internal = false;
	for (size_t i = 0; i < w->n; i++)
		w->hosts[i].seen = false;
	while ((e = readdir(dir))) {
		struct host *h = is_id(e->d_name) ? known(w, e->d_ino, &hint) : NULL;
		w->internal |= streq(e->d_name, "internal");
		if (h)
			h->seen = true;
		else if (is_id(e->d_name))
			read_host_file(fd, e->d_name, e->d_ino, w);
	}
	(void)closedir(dir); /* was read only */
	drop_unseen(w);
}

static void refresh_network(const struct dns_names *t, int dirfd, struct names_network *w)
{
	struct stat st;
	autoclose int fd = openat(dirfd, w->id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	w->member = fd >= 0 && fstatat(fd, t->id, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (!w->member)
		return;
	w->own = st.st_ino;
	if (fstat(fd, &st) < 0)
		return;
	if (w->fresh && st.st_mtim.tv_sec == w->changed.tv_sec && st.st_mtim.tv_nsec == w->changed.tv_nsec)
		return;
	w->fresh = !is_young(&st.st_mtim);
	w->changed = st.st_mtim;
	list_network(fd, w);
}

static struct names_network *get_network(struct dns_names *t, const char *id)
{
	for (size_t i = 0; i < t->n; i++)
		if (streq(t->networks[i].id, id))
			return &t->networks[i];
	struct names_network *v = t->n < NETWORKS_MAX ? realloc(t->networks, (t->n + 1) * sizeof(*v)) : NULL;
	if (!v)
		return NULL;
	t->networks = v;
	v += t->n++;
	*v = (struct names_network){0};
	memcpy(v->id, id, sizeof(v->id));
	return v;
}

void dns_names_refresh(struct dns_names *t)
{
	DIR *dir = opendir(t->dir);
	const struct dirent *e;

	if (!dir)
		return;
	for (size_t i = 0; i < t->n; i++)
		t->networks[i].seen = false;
	while ((e = readdir(dir))) {
		struct names_network *w = is_id(e->d_name) ? get_network(t, e->d_name) : NULL;
		if (!w)
			continue;
		w->seen = true;
		refresh_network(t, dirfd(dir), w);
	}
	(void)closedir(dir); /* was read only */
	size_t n = 0;
	for (size_t i = 0; i < t->n; i++) {
		if (t->networks[i].seen)
			t->networks[n++] = t->networks[i];
		else
			free_network(&t->networks[i]);
	}
	t->n = n;
}

/* ---- Asking ---- */

static bool has_name(const struct host *h, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = h->names; *p;) {
		size_t line = strcspn(p, "\n");
		if (line == n && memcmp(p, name, n) == 0)
			return true;
		p += line + (p[line] == '\n');
	}
	return false;
}

void dns_names_find(const struct dns_names *t, const char *name,
		    void (*each)(void *data, const struct ip *ip4, const struct ip *ip6), void *data)
{
	for (size_t i = 0; i < t->n; i++)
		for (size_t k = 0; t->networks[i].member && k < t->networks[i].n; k++)
			if (has_name(&t->networks[i].hosts[k], name))
				each(data, &t->networks[i].hosts[k].ip4, &t->networks[i].hosts[k].ip6);
}

const char *dns_names_of(const struct dns_names *t, const struct ip *ip)
{
	for (size_t i = 0; i < t->n; i++)
		for (size_t k = 0; t->networks[i].member && k < t->networks[i].n; k++) {
			const struct host *h = &t->networks[i].hosts[k];
			if (ip_equal(&h->ip4, ip) || ip_equal(&h->ip6, ip))
				return h->names;
		}
	return NULL;
}

bool dns_names_outside(const struct dns_names *t)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct names_network *w = &t->networks[i];
		if (!w->member)
			continue;
		if (!w->internal)
			return true;
		for (size_t k = 0; k < w->n; k++)
			if (w->hosts[k].ino == w->own && w->hosts[k].outside)
				return true;
	}
	return false;
}

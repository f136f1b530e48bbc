/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mountinfo, and the formats that are made of it (rewrite.h).
 *
 *	id parent maj:min root dest options [tag:value]* - fstype source super-options
 *
 * Blanks inside fields are escaped by the kernel (\040), so that fields are
 * what stands between blanks.
 */
#include "sentry/proc/rewrite.h"

struct mount_line {
	struct field {
		const char *at;
		size_t n;
	} id, parent, device, root, dest, options, tags, fstype, source, super;
};

static bool next_field(const char **at, const char *end, struct field *ret)
{
	while (*at < end && **at == ' ')
		(*at)++;
	ret->at = *at;
	while (*at < end && **at != ' ')
		(*at)++;
	ret->n = (size_t)(*at - ret->at);
	return ret->n > 0;
}

static bool mount_parse(const char *line, size_t n, struct mount_line *m)
{
	const char *at = line, *end = line + n;
	struct field tag;

	if (!next_field(&at, end, &m->id) || !next_field(&at, end, &m->parent) ||
	    !next_field(&at, end, &m->device) || !next_field(&at, end, &m->root) ||
	    !next_field(&at, end, &m->dest) || !next_field(&at, end, &m->options))
		return false;
	m->tags.at = at;
	m->tags.n = 0;
	for (;;) {
		const char *before = at;

		if (!next_field(&at, end, &tag))
			return false;
		if (tag.n == 1 && *tag.at == '-') {
			m->tags.n = (size_t)(before - m->tags.at);
			break;
		}
	}
	return next_field(&at, end, &m->fstype) && next_field(&at, end, &m->source) &&
	       next_field(&at, end, &m->super);
}

static void put_mount_field(struct str *out, struct field f)
{
	str_put_n(out, f.at, f.n);
}

static bool mount_field_is(struct field f, const char *text)
{
	return f.n == strlen(text) && memcmp(f.at, text, f.n) == 0;
}

static struct field field_of(const char *text)
{
	return (struct field){text, strlen(text)};
}

/* Calls `put` for each line that can be read; others cannot be the kernel's. */
static int each_mount(const char *text, void (*put)(struct mount_line *m, const void *data, struct str *out),
		      const void *data, struct str *out)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		struct mount_line m;

		if (mount_parse(text, n, &m))
			put(&m, data, out);
		text += n + (text[n] == '\n');
	}
	return out->failed ? -ENOMEM : 0;
}

struct known_mounts {
	const struct mount_view *views;
	const struct mount_asked *asked;
};

/* Without what the sentry has added. */
static void put_asked_options(struct str *out, struct field options, const struct mount_asked *asked)
{
	const char *end = options.at + options.n;

	for (struct field f = {options.at, 0}; f.at < end; f.at += f.n + 1) {
		for (f.n = 0; f.at + f.n < end && f.at[f.n] != ',';)
			f.n++;
		if (asked && ((!asked->nosuid && mount_field_is(f, "nosuid")) ||
			      (!asked->nodev && mount_field_is(f, "nodev"))))
			continue;
		if (f.at != options.at)
			str_put(out, ",");
		put_mount_field(out, f);
	}
}

static void put_mountinfo(struct mount_line *m, const void *data, struct str *out)
{
	const struct known_mounts *known = data;
	const struct mount_asked *asked = mount_asked(known->asked, strtoull(m->id.at, NULL, 10));

	for (const struct mount_view *v = known->views; v->dest; v++) {
		if (!mount_field_is(m->dest, v->dest))
			continue;
		m->fstype = m->source = field_of(v->fstype);
		m->root = field_of("/");
		m->options = field_of(v->read_only ? "ro,nosuid,nodev,noexec,relatime"
						   : "rw,nosuid,nodev,noexec,relatime");
		m->super = field_of(v->read_only ? "ro" : "rw");
		asked = NULL;
	}
	const struct field before[] = {m->id, m->parent, m->device, m->root, m->dest};

	for (size_t i = 0; i < ARRAY_LEN(before); i++) {
		put_mount_field(out, before[i]);
		str_put(out, " ");
	}
	put_asked_options(out, m->options, asked);
	put_mount_field(out, m->tags);
	str_put(out, " - ");
	put_mount_field(out, m->fstype);
	str_put(out, " ");
	put_mount_field(out, m->source);
	str_put(out, " ");
	put_mount_field(out, m->super);
	str_put(out, "\n");
}

int rewrite_mountinfo(const char *host, const struct mount_view *mounts, const struct mount_asked *asked,
		      struct str *out)
{
	const struct known_mounts known = {mounts, asked};

	return each_mount(host, put_mountinfo, &known, out);
}

/* Options of the mount and of its file system are one list here: the file system's behind, without its rw or
 * ro. */
static void put_mounts_line(struct mount_line *m, const void *data, struct str *out)
{
	bool read_only = m->super.n >= 2 && memcmp(m->super.at, "ro", 2) == 0;
	struct field rest = m->super;

	(void)data;
	put_mount_field(out, m->source);
	str_put(out, " ");
	put_mount_field(out, m->dest);
	str_put(out, " ");
	put_mount_field(out, m->fstype);
	str_put(out, " ");
	if (read_only && m->options.n >= 2) {
		str_put(out, "ro");
		str_put_n(out, m->options.at + 2, m->options.n - 2);
	} else {
		put_mount_field(out, m->options);
	}
	if (rest.n > 3 && rest.at[2] == ',') {
		str_put(out, ",");
		str_put_n(out, rest.at + 3, rest.n - 3);
	}
	str_put(out, " 0 0\n");
}

int mountinfo_to_mounts(const char *mountinfo, struct str *out)
{
	return each_mount(mountinfo, put_mounts_line, NULL, out);
}

static void put_mountstats(struct mount_line *m, const void *data, struct str *out)
{
	(void)data;
	str_put(out, "device ");
	put_mount_field(out, m->source);
	str_put(out, " mounted on ");
	put_mount_field(out, m->dest);
	str_put(out, " with fstype ");
	put_mount_field(out, m->fstype);
	str_put(out, "\n");
}

int mountinfo_to_mountstats(const char *mountinfo, struct str *out)
{
	return each_mount(mountinfo, put_mountstats, NULL, out);
}

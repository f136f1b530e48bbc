/* SPDX-License-Identifier: Apache-2.0 */
/* -v, --mount and --tmpfs. */
#include "front/cli/create_flags.h"

#include "front/cli/units.h"

static const char *const propagations[] = {"rprivate", "private", "rshared", "shared", "rslave", "slave"};

static bool known_propagation(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(propagations); i++)
		if (streq(propagations[i], text))
			return true;
	return false;
}

static bool is_volume_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

	return n > 1 && s[n] == '\0' && !strchr("_.-", s[0]);
}

static int check_target(const char *target, const char *text, struct err *err)
{
	if (!target || *target != '/')
		return err_set(err, EINVAL,
			       "invalid mount \"%s\": the path in the container must be absolute, as in "
			       "SOURCE:/PATH",
			       text);
	if (streq(target, "/"))
		return err_set(err, EINVAL, "invalid mount \"%s\": destination can't be '/'", text);
	return 0;
}

/* "./x" and "~/x" are the shell's business but for the first, which Docker takes too. */
static const char *source_path(struct json_doc *memory, const char *source)
{
	struct str whole autostr = {0};
	char cwd[PATH_MAX];

	if (*source == '/' || !getcwd(cwd, sizeof(cwd)))
		return source;
	str_putf(&whole, "%s/%s", streq(cwd, "/") ? "" : cwd, source);
	return memory_take(memory, &whole);
}

static int volume_source(struct json_doc *memory, const char *source, struct engine_mount *m, struct err *err)
{
	if (*source == '/' || streq(source, ".") || streq(source, "..") || str_starts(source, "./") ||
	    str_starts(source, "../")) {
		m->kind = ENGINE_BIND;
		m->create_source = true;
		m->source = source_path(memory, source);
		return 0;
	}
	if (!is_volume_name(source))
		return err_set(err, EINVAL,
			       "\"%s\" includes invalid characters for a local volume name, only "
			       "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host "
			       "directory, "
			       "use absolute path",
			       source);
	m->kind = ENGINE_VOLUME;
	m->source = source;
	return 0;
}

/* One word behind the second colon; what only SELinux or other systems know goes on as it is. */
static int volume_option(struct json_doc *memory, const char *word, struct engine_mount *m, const char *text,
			 struct err *err)
{
	struct str rest autostr = {0};

	if (streq(word, "ro") || streq(word, "rro"))
		m->read_only = m->recursive_read_only = true;
	else if (streq(word, "nocopy"))
		m->no_copy = true;
	else if (streq(word, "idmap"))
		m->idmap = true;
	else if (known_propagation(word))
		m->propagation = word;
	else if (streq(word, "z") || streq(word, "Z"))
		str_putf(&rest, "%s%s%s", m->options ? m->options : "", m->options ? "," : "", word);
	else if (!streq(word, "rw") && !streq(word, "consistent") && !streq(word, "cached") &&
		 !streq(word, "delegated") && *word)
		return err_set(err, EINVAL,
			       "invalid volume specification: '%s': invalid mode: %s (ro, rw, rro, nocopy, "
			       "idmap, z, Z or "
			       "a propagation as rshared)",
			       text, word);
	if (rest.len)
		m->options = memory_take(memory, &rest);
	return 0;
}

int volume_flag_parse(struct json_doc *memory, const char *text, struct engine_mount *ret, struct err *err)
{
	struct engine_mount m = {.kind = ENGINE_VOLUME};
	size_t first = strcspn(text, ":"), second;
	int r = 0;

	if (text[first] == '\0') { /* an anonymous volume */
		m.target = text;
		r = check_target(m.target, text, err);
		if (r == 0)
			*ret = m;
		return r;
	}
	second = strcspn(text + first + 1, ":");
	m.target = memory_text_n(memory, text + first + 1, second);
	if (first == 0 || second == 0)
		return err_set(err, EINVAL,
			       "invalid volume specification: '%s': empty section between colons", text);
	r = volume_source(memory, memory_text_n(memory, text, first), &m, err);
	if (r == 0)
		r = check_target(m.target, text, err);
	const char *p = text + first + 1 + second;
	if (r == 0 && *p && strchr(p + 1, ':'))
		return err_set(err, EINVAL, "invalid volume specification: '%s': too many colons", text);
	unsigned modes = 0;
	for (p += *p == ':'; r == 0 && *p;) {
		size_t n = strcspn(p, ",");
		const char *word = memory_text_n(memory, p, n);
		modes |= streq(word, "rw") ? 1U : streq(word, "ro") || streq(word, "rro") ? 2U : 0;
		r = modes == 3
			    ? err_set(err, EINVAL, "invalid volume specification: '%s': both ro and rw", text)
			    : volume_option(memory, word, &m, text, err);
		p += n;
		p += *p == ',';
	}
	if (r == 0)
		*ret = m;
	return r;
}

int tmpfs_flag_parse(struct json_doc *memory, const char *text, struct engine_mount *ret, struct err *err)
{
	size_t n = strcspn(text, ":");
	struct engine_mount m = {.kind = ENGINE_TMPFS, .target = memory_text_n(memory, text, n)};
	int r = check_target(m.target, text, err);

	if (r < 0)
		return r;
	if (text[n])
		m.options = text + n + 1;
	*ret = m;
	return 0;
}

int csv_parse(struct json_doc *memory, const char *text, str_list *ret, struct err *err)
{
	for (const char *p = text;; p++) {
		struct str field autostr = {0};
		const char **item = memory_push(memory, ret, sizeof(*item));
		if (!item)
			return err_oom(err);
		if (*p == '"') {
			bool closed = false;
			for (p++; *p && !closed; p += !closed) {
				closed = *p == '"' && *++p != '"';
				if (!closed)
					str_put_n(&field, p, 1);
			}
			if (!closed || (*p && *p != ','))
				return err_set(err, EINVAL,
					       "invalid value \"%s\": a quote is missing or misplaced", text);
		} else {
			size_t n = strcspn(p, ",");
			if (memchr(p, '"', n))
				return err_set(err, EINVAL,
					       "invalid value \"%s\": a quote stands inside a field; quote "
					       "the whole "
					       "field, as in \"source=/a,b\"",
					       text);
			str_put_n(&field, p, n);
			p += n;
		}
		*item = memory_take(memory, &field);
		if (!*p)
			return 0;
	}
}

/* ---- --mount ---- */

struct mount_words {
	struct json_doc *memory;
	struct engine_mount m;
	const char *text, *type, *size, *mode;
	bool volume_key, tmpfs_key, bind_key;
};

static int mount_bool(const struct mount_words *w, const char *key, const char *value, bool *ret,
		      struct err *err)
{
	*ret = true;
	if (value && bool_parse(value, ret) < 0)
		return err_set(err, EINVAL, "invalid value for %s: %s (in --mount %s)", key, value, w->text);
	return 0;
}

static int mount_recursive(struct mount_words *w, const char *value, struct err *err)
{
	w->bind_key = true;
	if (streq(value, "enabled") || streq(value, "readonly"))
		w->m.recursive_read_only = true;
	else if (streq(value, "writable"))
		w->m.recursive_read_only = false;
	else if (streq(value, "disabled"))
		w->m.non_recursive = true;
	else
		return err_set(err, EINVAL,
			       "invalid value for bind-recursive: %s: must be \"enabled\", \"disabled\", "
			       "\"writable\" or \"readonly\"",
			       value);
	return 0;
}

/* Keys that take a value; 1 where the key is none of them. */
static int mount_value(struct mount_words *w, const char *key, const char *value, struct err *err)
{
	if (streq(key, "type")) {
		w->type = value;
	} else if (streq(key, "source") || streq(key, "src")) {
		w->m.source = value;
	} else if (streq(key, "target") || streq(key, "destination") || streq(key, "dst")) {
		w->m.target = value;
	} else if (streq(key, "bind-propagation")) {
		w->bind_key = true;
		w->m.propagation = value;
		if (!known_propagation(value))
			return err_set(err, EINVAL, "invalid propagation: %s", value);
	} else if (streq(key, "bind-recursive")) {
		return mount_recursive(w, value, err);
	} else if (streq(key, "volume-subpath")) {
		w->volume_key = true;
		w->m.subpath = value;
	} else if (streq(key, "volume-driver")) {
		w->volume_key = true;
		w->m.volume_driver = value;
	} else if (streq(key, "volume-label") || streq(key, "volume-opt")) {
		w->volume_key = true;
		return pair_put(w->memory,
				streq(key, "volume-opt") ? &w->m.volume_options : &w->m.volume_labels, value,
				err);
	} else if (streq(key, "tmpfs-size")) {
		w->tmpfs_key = true;
		w->size = value;
	} else if (streq(key, "tmpfs-mode")) {
		w->tmpfs_key = true;
		w->mode = value;
	} else if (!streq(key, "consistency")) {
		return 1;
	}
	return 0;
}

static int mount_word(struct mount_words *w, const char *word, struct err *err)
{
	size_t len = strcspn(word, "=");
	const char *key = memory_text_n(w->memory, word, len), *value = word[len] ? word + len + 1 : NULL;
	bool off;

	if (streq(key, "readonly") || streq(key, "ro"))
		return mount_bool(w, key, value, &w->m.read_only, err);
	if (streq(key, "idmap"))
		return mount_bool(w, key, value, &w->m.idmap, err);
	if (streq(key, "bind-create-src")) {
		w->bind_key = true;
		return mount_bool(w, key, value, &w->m.create_source, err);
	}
	if (streq(key, "volume-nocopy")) {
		w->volume_key = true;
		return mount_bool(w, key, value, &w->m.no_copy, err);
	}
	if (streq(key, "bind-nonrecursive")) {
		int r = mount_bool(w, key, value, &off, err);
		return r < 0 ? r : off ? mount_recursive(w, "disabled", err) : 0;
	}
	int r = value ? mount_value(w, key, value, err) : 1;
	if (r == 1 && !value)
		return err_set(err, EINVAL, "invalid field '%s' must be a key=value pair (in --mount %s)",
			       word, w->text);
	if (r == 1)
		return err_set(err, EINVAL, "unknown option '%s' in '%s'", key, w->text);
	return r;
}

static int mount_tmpfs_options(struct mount_words *w, struct err *err)
{
	struct str options autostr = {0};
	int64_t bytes;

	if (w->size) {
		if (bytes_parse(w->size, false, &bytes) < 0)
			return err_set(err, EINVAL, "invalid value for tmpfs-size: %s", w->size);
		str_putf(&options, "size=%lld", (long long)bytes);
	}
	if (w->mode) {
		uint64_t mode;
		if (str_to_u64(w->mode, 8, &mode) < 0 || mode > 07777)
			return err_set(err, EINVAL, "invalid value for tmpfs-mode: %s (octal digits)",
				       w->mode);
		str_putf(&options, "%smode=%s", options.len ? "," : "", w->mode);
	}
	if (options.len)
		w->m.options = memory_take(w->memory, &options);
	return 0;
}

static int mount_finish(struct mount_words *w, struct err *err)
{
	struct engine_mount *m = &w->m;
	const char *type = w->type ? w->type : "volume";
	bool bind = streq(type, "bind"), volume = streq(type, "volume"), tmpfs = streq(type, "tmpfs");

	if (!bind && !volume && !tmpfs)
		return err_set(err, EOPNOTSUPP,
			       "mount type \"%s\" is not known: bind, volume or tmpfs (in --mount %s)", type,
			       w->text);
	if (!m->target)
		return err_set(err, EINVAL,
			       "invalid argument \"%s\" for \"--mount\" flag: target is required", w->text);
	if (w->volume_key && !volume)
		return err_set(err, EINVAL, "cannot mix 'volume-*' options with mount type '%s'", type);
	if (w->bind_key && !bind)
		return err_set(err, EINVAL, "cannot mix 'bind-*' options with mount type '%s'", type);
	if (w->tmpfs_key && !tmpfs)
		return err_set(err, EINVAL, "cannot mix 'tmpfs-*' options with mount type '%s'", type);
	m->kind = bind ? ENGINE_BIND : volume ? ENGINE_VOLUME : ENGINE_TMPFS;
	if (bind && (!m->source || !*m->source))
		return err_set(err, EINVAL,
			       "invalid mount config for type \"bind\": field Source must not be empty");
	if (bind)
		m->source = source_path(w->memory, m->source);
	if (tmpfs && m->source)
		return err_set(err, EINVAL,
			       "invalid mount config for type \"tmpfs\": field Source must not be specified");
	if (volume && m->source && !is_volume_name(m->source))
		return err_set(
			err, EINVAL,
			"\"%s\" includes invalid characters for a local volume name; for a directory of this "
			"machine say type=bind",
			m->source);
	int r = check_target(m->target, w->text, err);
	return r == 0 && tmpfs ? mount_tmpfs_options(w, err) : r;
}

int mount_flag_parse(struct json_doc *memory, const char *text, struct engine_mount *ret, struct err *err)
{
	struct mount_words w = {
		.memory = memory, .text = text, .m = {.recursive_read_only = true, .by_mount = true}};
	str_list words = {0};
	int r = csv_parse(memory, text, &words, err);

	for (size_t i = 0; r == 0 && i < words.n; i++)
		r = mount_word(&w, words.v[i], err);
	if (r == 0)
		r = mount_finish(&w, err);
	if (r < 0)
		return r;
	w.m.recursive_read_only &= w.m.read_only;
	*ret = w.m;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The annotation's JSON.  base/json.h passes over members that it does not
 * know, as config.json wants it; here each name counts, so that the text,
 * once it is known to be well-formed, is gone through for its keys alone.
 */
#include "host/landlock_int.h"

#include "base/json.h"

struct path_entry {
	const char *path;
	str_list access;
};

struct document {
	uint32_t abi;
	LIST_OF(struct path_entry) paths;
	bool has_paths;
	u32_list bind, connect;
	bool has_bind, has_connect;
	str_list scope;
};

static const struct json_field path_fields[] = {
	F_STR(struct path_entry, path, "path", .required = true),
	F_STRS(struct path_entry, access, "access", .required = true),
};
static const struct json_table path_table = JSON_TABLE(struct path_entry, path_fields);
static const struct json_field tcp_fields[] = {
	F_U32S(struct document, bind, "bind", .present = JSON_PRESENT(struct document, has_bind),
	       .max = 65535),
	F_U32S(struct document, connect, "connect", .present = JSON_PRESENT(struct document, has_connect),
	       .max = 65535),
};
static const struct json_table tcp_table = JSON_TABLE(struct document, tcp_fields);
static const struct json_field fields[] = {
	F_U32(struct document, abi, "abi"),
	F_OBJECTS(struct document, paths, "paths", struct path_entry, &path_table,
		  .present = JSON_PRESENT(struct document, has_paths)),
	F_SPREAD("tcp", &tcp_table),
	F_STRS(struct document, scope, "scope"),
};
static const struct json_table table = JSON_TABLE(struct document, fields);

/* ---- Keys ---- */

static bool is_one_of(const char *p, size_t len, const char *const *names)
{
	for (; *names; names++)
		if (strlen(*names) == len && memcmp(*names, p, len) == 0)
			return true;
	return false;
}

/* The end of the string that begins behind the quotation mark at p - 1. */
static const char *string_end(const char *p)
{
	for (; *p && *p != '"'; p++)
		if (*p == '\\' && p[1])
			p++;
	return p;
}

/* `json` is well-formed.  The first key that is not known where it stands, or NULL. */
static const char *unknown_key(const char *json, size_t *ret_len)
{
	static const char *const top[] = {"abi", "paths", "tcp", "scope", NULL};
	static const char *const in_paths[] = {"path", "access", NULL};
	static const char *const in_tcp[] = {"bind", "connect", NULL};
	const char *const *inner = NULL;
	unsigned depth = 0; /* of objects */

	for (const char *p = json; *p; p++) {
		depth += *p == '{';
		depth -= *p == '}';
		if (*p != '"')
			continue;
		const char *start = p + 1;
		p = string_end(start);
		if (!*p)
			break;
		size_t len = (size_t)(p - start);
		if (p[1 + strspn(p + 1, " \t\r\n")] != ':')
			continue;
		if (depth == 1)
			inner = len == 5 && memcmp(start, "paths", len) == 0 ? in_paths : in_tcp;
		if (depth > 2 || !is_one_of(start, len, depth == 1 ? top : inner)) {
			*ret_len = len;
			return start;
		}
	}
	return NULL;
}

/* ---- Words ---- */

static const struct {
	const char *name;
	uint64_t rights;
	bool named; /* the kernel must know all of them */
} words[] = {
	{"read", LL_READ_FILE | LL_READ_DIR, false},
	{"execute", LL_EXECUTE, false},
	{"write", LL_WRITE_FILE | LL_TRUNCATE, false},
	{"create", LL_MAKE_REG | LL_MAKE_DIR | LL_MAKE_SYM | LL_MAKE_SOCK | LL_MAKE_FIFO, false},
	{"remove", LL_REMOVE_FILE | LL_REMOVE_DIR, false},
	{"refer", LL_REFER, true},
	{"device", LL_MAKE_CHAR | LL_MAKE_BLOCK, false},
	{"ioctl", LL_IOCTL_DEV, true},
	{"read_file", LL_READ_FILE, true},
	{"read_dir", LL_READ_DIR, true},
	{"write_file", LL_WRITE_FILE, true},
	{"truncate", LL_TRUNCATE, true},
	{"remove_file", LL_REMOVE_FILE, true},
	{"remove_dir", LL_REMOVE_DIR, true},
	{"make_char", LL_MAKE_CHAR, true},
	{"make_block", LL_MAKE_BLOCK, true},
	{"make_reg", LL_MAKE_REG, true},
	{"make_dir", LL_MAKE_DIR, true},
	{"make_sock", LL_MAKE_SOCK, true},
	{"make_fifo", LL_MAKE_FIFO, true},
	{"make_sym", LL_MAKE_SYM, true},
	{"ioctl_dev", LL_IOCTL_DEV, true},
};

static int take_access(const struct path_entry *e, struct landlock_path *to, uint64_t *named, struct err *err)
{
	for (size_t i = 0; i < e->access.n; i++) {
		size_t k = 0;

		while (k < ARRAY_LEN(words) && !streq(words[k].name, e->access.v[i]))
			k++;
		if (k == ARRAY_LEN(words))
			return err_set(err, EINVAL, LL_ANNOTATION "paths: there is no access \"%s\"",
				       e->access.v[i]);
		to->access |= words[k].rights;
		if (words[k].named)
			*named |= words[k].rights;
	}
	if (to->access == 0)
		return err_set(err, EINVAL,
			       LL_ANNOTATION "paths: \"%s\" has no access; leave it out to deny all",
			       e->path);
	return 0;
}

static int take_paths(const struct document *d, struct landlock_rules *r, struct err *err)
{
	if (!d->has_paths)
		return 0;
	if (d->paths.n > LANDLOCK_PATHS_MAX)
		return err_set(err, E2BIG, LL_ANNOTATION "paths: more than %d", LANDLOCK_PATHS_MAX);
	r->handled_fs = LL_FS_ALL;
	r->paths = calloc(d->paths.n + 1, sizeof(*r->paths));
	if (!r->paths)
		return err_oom(err);
	for (size_t i = 0; i < d->paths.n; i++) {
		const struct path_entry *e = &d->paths.v[i];
		struct landlock_path *to = &r->paths[i];

		if (!e->path || *e->path != '/')
			return err_set(err, EINVAL, LL_ANNOTATION "paths: \"%s\" is not absolute",
				       e->path ? e->path : "");
		to->path = strdup(e->path);
		if (!to->path)
			return err_oom(err);
		r->npaths = i + 1;
		int x = take_access(e, to, &r->named_fs, err);
		if (x < 0)
			return x;
	}
	return 0;
}

static int take_ports(const u32_list *list, bool given, uint64_t access, struct landlock_rules *r,
		      struct err *err)
{
	if (!given)
		return 0;
	if (list->n + r->nports > LANDLOCK_PORTS_MAX)
		return err_set(err, E2BIG, LL_ANNOTATION "tcp: more than %d ports", LANDLOCK_PORTS_MAX);
	r->handled_net |= access;
	struct landlock_port *bigger = realloc(r->ports, (r->nports + list->n + 1) * sizeof(*bigger));
	if (!bigger)
		return err_oom(err);
	r->ports = bigger;
	for (size_t i = 0; i < list->n; i++) {
		if (list->v[i] > 65535)
			return err_set(err, EINVAL, LL_ANNOTATION "tcp: %u is not a port", list->v[i]);
		r->ports[r->nports++] =
			(struct landlock_port){.port = (uint16_t)list->v[i], .access = access};
	}
	return 0;
}

static int take_scope(const struct document *d, struct landlock_rules *r, struct err *err)
{
	for (size_t i = 0; i < d->scope.n; i++) {
		if (streq(d->scope.v[i], "abstract-unix-socket"))
			r->scoped |= LL_SCOPE_ABSTRACT_UNIX;
		else if (streq(d->scope.v[i], "signal"))
			r->scoped |= LL_SCOPE_SIGNAL;
		else
			return err_set(err, EINVAL, LL_ANNOTATION "scope: there is no \"%s\"", d->scope.v[i]);
	}
	return 0;
}

static int take_document(const struct document *d, struct landlock_rules *r, struct err *err)
{
	r->abi = d->abi;
	int e = take_paths(d, r, err);
	if (e == 0)
		e = take_ports(&d->bind, d->has_bind, LL_NET_BIND, r, err);
	if (e == 0)
		e = take_ports(&d->connect, d->has_connect, LL_NET_CONNECT, r, err);
	if (e == 0)
		e = take_scope(d, r, err);
	if (e < 0)
		return e;
	/* Rules that govern nothing are a mistake, and the kernel would refuse them. */
	if (!r->handled_fs && !r->handled_net && !r->scoped)
		return err_set(err, EINVAL, LL_ANNOTATION "it has neither paths nor tcp ports nor scope");
	r->set = true;
	return 0;
}

int landlock_parse(const char *json, struct landlock_rules *ret, struct err *err)
{
	struct json_doc doc autojson = {0};
	struct landlock_rules r = {0};
	struct document d = {0};
	size_t len = 0;

	if (!json) {
		*ret = r;
		return 0;
	}
	int e = json_decode(&doc, json, strlen(json), "annotation \"dev.coffer.landlock\"", &table, &d, err);
	if (e < 0)
		return e;
	const char *unknown = unknown_key(json, &len);
	if (unknown)
		return err_set(err, EINVAL, LL_ANNOTATION "there is no member \"%.*s\" in this place",
			       (int)len, unknown);
	e = take_document(&d, &r, err);
	if (e < 0) {
		landlock_rules_free(&r);
		return e;
	}
	*ret = r;
	return 0;
}

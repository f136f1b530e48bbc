/* SPDX-License-Identifier: Apache-2.0 */
/* stat, status and maps (rewrite.h). */
#include "sentry/proc/rewrite.h"

/* The image that each process runs before the guest's program (platform/zygote.c); what is left of it is no
 * guest's. */
#define STUB_MAP_NAME "/memfd:program (deleted)"

/* Names may hold anything but NUL; stat shows them raw, status with line ends and backslashes escaped. */
static void put_escaped_name(struct str *out, const char *comm)
{
	for (; *comm; comm++)
		if (*comm == '\n')
			str_put(out, "\\n");
		else if (*comm == '\\')
			str_put(out, "\\\\");
		else
			str_put_n(out, comm, 1);
}

/* The host's fields behind the name, which may hold blanks and parentheses: state, ppid, pgrp, session, tty,
 * tpgid. */
int rewrite_stat(const char *host, const struct process_view *v, struct str *out)
{
	const char *rest = strrchr(host, ')');
	int parent, pgrp, session, tty, foreground, used = 0;
	char state;

	if (!rest || sscanf(rest, ") %c %d %d %d %d %d%n", &state, &parent, &pgrp, &session, &tty,
			    &foreground, &used) != 6)
		return -EINVAL;
	str_putf(out, "%d (%s) %c %d %d %d %d %d%s", v->tid, v->comm, v->state ? v->state : state, v->parent,
		 v->pgrp, v->session, tty, tty ? v->foreground : -1, rest + used);
	return out->failed ? -ENOMEM : 0;
}

/* ---- status ---- */

static const char *state_name(char state)
{
	return state == 'R' ? "R (running)" : "S (sleeping)";
}

static void put_four_ids(struct str *out, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
	str_putf(out, "\t%u\t%u\t%u\t%u", a, b, c, d);
}

static void put_groups(struct str *out, const struct creds *c)
{
	str_put(out, "\t");
	for (size_t i = 0; i < c->ngroups; i++)
		str_putf(out, "%u ", c->groups[i]);
	if (!c->ngroups)
		str_put(out, " ");
}

/* The value of one line of status, with its tabulator; false = the host's own. */
static bool put_process_value(const char *key, const struct process_view *v, struct str *out)
{
	if (streq(key, "Name")) {
		str_put(out, "\t");
		put_escaped_name(out, v->comm);
	} else if (streq(key, "Umask"))
		str_putf(out, "\t%04o", v->umask);
	else if (streq(key, "State") && v->state)
		str_putf(out, "\t%s", state_name(v->state));
	else if (streq(key, "Tgid") || streq(key, "NStgid"))
		str_putf(out, "\t%d", v->pid);
	else if (streq(key, "Pid") || streq(key, "NSpid"))
		str_putf(out, "\t%d", v->tid);
	else if (streq(key, "PPid"))
		str_putf(out, "\t%d", v->parent);
	else if (streq(key, "TracerPid"))
		str_put(out, "\t0");
	else if (streq(key, "NSpgid"))
		str_putf(out, "\t%d", v->pgrp);
	else if (streq(key, "NSsid"))
		str_putf(out, "\t%d", v->session);
	else if (streq(key, "FDSize"))
		str_putf(out, "\t%zu", v->fd_size);
	else if (streq(key, "Threads"))
		str_putf(out, "\t%u", v->threads);
	else
		return false;
	return true;
}

static bool put_creds_value(const char *key, const struct process_view *v, struct str *out)
{
	const struct creds *c = v->creds;
	const struct {
		const char *key;
		uint64_t set;
	} caps[] = {{"CapInh", c->cap_inheritable},
		    {"CapPrm", c->cap_permitted},
		    {"CapEff", c->cap_effective},
		    {"CapBnd", c->cap_bounding},
		    {"CapAmb", c->cap_ambient}};

	for (size_t i = 0; i < ARRAY_LEN(caps); i++)
		if (streq(key, caps[i].key)) {
			str_putf(out, "\t%016llx", (unsigned long long)caps[i].set);
			return true;
		}
	if (streq(key, "Uid"))
		put_four_ids(out, c->uid, c->euid, c->suid, c->fsuid);
	else if (streq(key, "Gid"))
		put_four_ids(out, c->gid, c->egid, c->sgid, c->fsgid);
	else if (streq(key, "Groups"))
		put_groups(out, c);
	else if (streq(key, "NoNewPrivs"))
		str_putf(out, "\t%d", c->no_new_privs);
	else if (streq(key, "Seccomp"))
		str_putf(out, "\t%d", v->filtered ? 2 : 0);
	else
		return false;
	return true;
}

static void put_status_line(const char *line, size_t n, const struct process_view *v, struct str *out)
{
	const char *colon = memchr(line, ':', n);
	char key[64];
	size_t len = colon ? (size_t)(colon - line) : n;

	if (colon && len < sizeof(key)) {
		memcpy(key, line, len);
		key[len] = '\0';
		if (streq(key, "Seccomp_filters")) {
			unsigned long filters = strtoul(colon + 1, NULL, 10);

			str_putf(out, "%s:\t%lu\n", key,
				 filters - MIN_OF(filters, (unsigned long)v->filters_below));
			return;
		}
		str_put_n(out, line, len + 1);
		if (put_process_value(key, v, out) || put_creds_value(key, v, out)) {
			str_put(out, "\n");
			return;
		}
		str_put_n(out, colon + 1, n - len - 1);
	} else {
		str_put_n(out, line, n);
	}
	str_put(out, "\n");
}

int rewrite_status(const char *host, const struct process_view *v, struct str *out)
{
	while (*host) {
		size_t n = strcspn(host, "\n");

		put_status_line(host, n, v, out);
		host += n + (host[n] == '\n');
	}
	return out->failed ? -ENOMEM : 0;
}

/* ---- maps ---- */

bool is_map_line(const char *line, size_t n)
{
	const char *dash = memchr(line, '-', n), *blank = memchr(line, ' ', n);

	return dash && blank && dash < blank && dash > line &&
	       strspn(line, "0123456789abcdef") == (size_t)(dash - line);
}

/* The sixth field: the name, behind address, permissions, offset, device and inode, aligned by blanks. */
static const char *map_name(const char *line, const char *end)
{
	const char *at = line;

	for (int field = 0; field < 5 && at < end; field++) {
		while (at < end && *at != ' ')
			at++;
		while (at < end && *at == ' ')
			at++;
	}
	return at;
}

static bool name_is(const char *name, const char *end, const char *prefix)
{
	size_t n = strlen(prefix);

	return (size_t)(end - name) >= n && memcmp(name, prefix, n) == 0;
}

bool rewrite_map_line(const char *line, size_t n, struct str *out)
{
	const char *end = line + n, *name = map_name(line, end);

	if (name_is(name, end, STUB_MAP_NAME))
		return false;
	if (name_is(name, end, "/memfd:SYSV")) {
		str_put_n(out, line, (size_t)(name - line));
		str_put(out, "/");
		name += strlen("/memfd:");
		line = name;
	}
	str_put_n(out, line, (size_t)(end - line));
	str_put(out, "\n");
	return true;
}

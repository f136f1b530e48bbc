/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  config.json has a list of rules in which a later one
 * wins over an earlier one.  v2 takes that as it is (cgroup_bpf.c).  The v1
 * controller knows a default and exceptions from it, and silently ignores
 * what it cannot express: an exception from an exception.  So the list is
 * played through here first, and such a rule is an error, not a hole.
 */
#include "host/cgroup_device.h"

#include <inttypes.h>

/*
 * What every container may use, whatever its rules say: making nodes (which
 * gives no access), the harmless devices, terminals, and tun, which clients
 * rely on.
 */
static const struct device_rule always[] = {
	{true, 'c', -1, -1, DEV_MKNOD}, {true, 'b', -1, -1, DEV_MKNOD}, {true, 'c', 1, 3, DEV_RWM}, /* null */
	{true, 'c', 1, 8, DEV_RWM},    /* random */
	{true, 'c', 1, 7, DEV_RWM},    /* full */
	{true, 'c', 5, 0, DEV_RWM},    /* tty */
	{true, 'c', 1, 5, DEV_RWM},    /* zero */
	{true, 'c', 1, 9, DEV_RWM},    /* urandom */
	{true, 'c', 136, -1, DEV_RWM}, /* pts */
	{true, 'c', 5, 2, DEV_RWM},    /* ptmx */
	{true, 'c', 10, 200, DEV_RWM}, /* net/tun */
};

/* Letters other than these three mean nothing, as with runc, whose clients send some. */
static unsigned parse_access(const char *text)
{
	unsigned bits = 0;

	if (!text || !*text)
		return DEV_RWM;

	for (const char *s = text; *s; s++) {
		if (*s == 'r')
			bits |= DEV_READ;
		else if (*s == 'w')
			bits |= DEV_WRITE;
		else if (*s == 'm')
			bits |= DEV_MKNOD;
	}
	return bits;
}

static int from_oci(const struct oci_device_rule *o, size_t index, struct device_rule *ret, struct err *err)
{
	struct device_rule d = {.allow = o->allow, .type = o->type ? o->type : 'a', .major = -1, .minor = -1};

	d.access = parse_access(o->access);
	if (!strchr("abc", d.type))
		return err_set(err, EINVAL, "invalid cgroup device type \"%c\"", d.type);
	if (o->major.set)
		d.major = o->major.v;
	if (o->minor.set)
		d.minor = o->minor.v;
	if (d.major < -1 || d.major > UINT32_MAX || d.minor < -1 || d.minor > UINT32_MAX)
		return err_set(err, EINVAL, "linux.resources.devices[%zu]: device number out of range",
			       index);
	*ret = d;
	return 0;
}

int device_rules_make(const struct oci_resources *r, device_rule_list *ret, struct err *err)
{
	size_t n = r ? r->devices.n : 0;
	/* A rule for both types may become two. */
	struct device_rule *v = calloc(n * 2 + ARRAY_LEN(always), sizeof(*v));
	size_t used = 0;

	if (!v)
		return err_oom(err);
	for (size_t i = 0; i < n; i++) {
		struct device_rule d;
		int e = from_oci(&r->devices.v[i], i, &d, err);
		if (e < 0) {
			free(v);
			return e;
		}
		if (d.type != 'a' || (d.major < 0 && d.minor < 0 && d.access == DEV_RWM)) {
			v[used++] = d;
			continue;
		}
		d.type = 'c';
		v[used++] = d;
		d.type = 'b';
		v[used++] = d;
	}
	memcpy(v + used, always, sizeof(always));
	ret->v = v;
	ret->n = used + ARRAY_LEN(always);
	return 0;
}

void device_rule_text(const struct device_rule *d, char buf[static 64])
{
	char major[24] = "*", minor[24] = "*";

	if (d->major >= 0)
		(void)snprintf(major, sizeof(major), "%" PRId64, d->major); /* 20 digits fit */
	if (d->minor >= 0)
		(void)snprintf(minor, sizeof(minor), "%" PRId64, d->minor);
	(void)snprintf(buf, 64, "%c %s:%s %s%s%s", d->type, major, minor, d->access & DEV_READ ? "r" : "",
		       d->access & DEV_WRITE ? "w" : "", d->access & DEV_MKNOD ? "m" : "");
}

/* --- playing the list through --- */

void device_state_free(struct device_state *s)
{
	free(s->but.v);
	*s = (struct device_state){0};
}

static bool same_device(const struct device_rule *a, const struct device_rule *b)
{
	return a->type == b->type && a->major == b->major && a->minor == b->minor;
}

static struct device_rule *find_exception(const struct device_state *s, const struct device_rule *d)
{
	for (size_t i = 0; i < s->but.n; i++)
		if (same_device(&s->but.v[i], d))
			return &s->but.v[i];
	return NULL;
}

unsigned device_state_access(const struct device_state *s, const struct device_rule *d)
{
	const struct device_rule *found = find_exception(s, d);

	return found ? found->access : 0;
}

static int add(struct device_state *s, const struct device_rule *d)
{
	struct device_rule *found = find_exception(s, d);

	if (found) {
		found->access |= d->access;
		return 0;
	}
	struct device_rule *v = reallocarray(s->but.v, s->but.n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v[s->but.n] = *d;
	v[s->but.n].allow = !s->allow;
	s->but.v = v;
	s->but.n++;
	return 0;
}

/* True where exception `wide` covers the device of `d` and others too. */
static bool is_wider(const struct device_rule *wide, const struct device_rule *d)
{
	return wide->type == d->type && !same_device(wide, d) &&
	       (wide->major < 0 || wide->major == d->major) && (wide->minor < 0 || wide->minor == d->minor);
}

static int take_away(struct device_state *s, const struct device_rule *d, struct err *err)
{
	for (size_t i = 0; i < s->but.n; i++) {
		struct device_rule *x = &s->but.v[i];
		char rule[64], wide[64];
		if (!is_wider(x, d) || !(x->access & d->access))
			continue;
		device_rule_text(d, rule);
		device_rule_text(x, wide);
		return err_set(err, EINVAL,
			       "requested rule [%s] not supported by devices cgroupv1 (cannot punch hole in "
			       "existing "
			       "wildcard rule [%s])",
			       rule, wide);
	}
	/* What is narrower goes with it; the kernel would keep it. */
	for (size_t i = s->but.n; i-- > 0;) {
		struct device_rule *x = &s->but.v[i];
		if (!same_device(x, d) && !is_wider(d, x))
			continue;
		x->access &= ~d->access;
		if (!x->access)
			memmove(x, x + 1, (--s->but.n - i) * sizeof(*x));
	}
	return 0;
}

static int play(struct device_state *s, const struct device_rule *d, struct err *err)
{
	if (d->type == 'a') {
		device_state_free(s);
		s->allow = d->allow;
		return 0;
	}
	if (d->allow == s->allow)
		return take_away(s, d, err);
	return add(s, d) < 0 ? err_oom(err) : 0;
}

int device_state_of(const device_rule_list *rules, struct device_state *ret, struct err *err)
{
	struct device_state s = {0}; /* denies everything */

	for (size_t i = 0; i < rules->n; i++) {
		int r = play(&s, &rules->v[i], err);
		if (r < 0) {
			device_state_free(&s);
			return r;
		}
	}
	*ret = s;
	return 0;
}

static int parse_number(const char *s, int64_t *ret)
{
	if (streq(s, "*")) {
		*ret = -1;
		return 0;
	}
	return str_to_i64(s, ret);
}

/* "c 1:3 rwm" */
static int parse_line(char *line, struct device_rule *ret)
{
	struct device_rule d = {.allow = true};
	char *type = cgroup_next(&line, ' '), *major = cgroup_next(&line, ':'),
	     *minor = cgroup_next(&line, ' ');

	if (!type || strlen(type) != 1 || !major || !minor || !line)
		return -EINVAL;
	d.type = *type;
	d.access = parse_access(line);
	if (parse_number(major, &d.major) < 0 || parse_number(minor, &d.minor) < 0)
		return -EINVAL;
	*ret = d;
	return 0;
}

int device_state_read(char *list, struct device_state *ret, struct err *err)
{
	struct device_state s = {0};
	char *line;

	while ((line = cgroup_next(&list, '\n'))) {
		struct device_rule d;
		int r = parse_line(line, &d);
		r = r < 0 ? err_set(err, EINVAL, "error parsing line \"%s\" of devices.list", line)
			  : play(&s, &d, err);
		if (r < 0) {
			device_state_free(&s);
			return r;
		}
	}
	*ret = s;
	return 0;
}

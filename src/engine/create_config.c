/* SPDX-License-Identifier: Apache-2.0 */
/* The image's configuration with what was asked for on top: Docker's rules. */
#include "engine/create.h"

void *engine_keep(struct engine_making *m, size_t size)
{
	return json_doc_alloc(&m->c.doc, size ? size : 1);
}

const char *engine_keep_text(struct engine_making *m, const char *text)
{
	size_t n = strlen(text) + 1;
	char *s = engine_keep(m, n);

	return s ? memcpy(s, text, n) : NULL;
}

const char *engine_keep_f(struct engine_making *m, const char *fmt, ...)
{
	char text[PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return n < 0 || (size_t)n >= sizeof(text) ? NULL : engine_keep_text(m, text);
}

static const char *or_else(const char *a, const char *b)
{
	return a && *a ? a : b;
}

/* "NAME=value" against "NAME". */
static bool same_variable(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return strncmp(a, b, n) == 0 && (b[n] == '=' || !b[n]);
}

static void create_config_set_variable(str_list *env, const char **v, const char *text)
{
	bool has_value = strchr(text, '=') != NULL;

	for (size_t i = 0; i < env->n; i++) {
		if (!same_variable(v[i], text))
			continue;
		if (has_value) {
			v[i] = text;
		} else { /* "NAME" alone, and the caller has none: taken away */
			memmove(v + i, v + i + 1, (env->n - i - 1) * sizeof(*v));
			env->n--;
		}
		return;
	}
	if (has_value)
		v[env->n++] = text;
}

static int merge_env(struct engine_making *m, struct oci_image_config *c, struct err *err)
{
	const struct engine_create *q = m->q;
	const str_list *base = &m->image.config.env;
	const char **v = engine_keep(m, (base->n + q->env.n) * sizeof(*v));

	if (!v)
		return err_oom(err);
	c->env = (str_list){.v = v};
	for (size_t i = 0; i < base->n; i++) {
		if (strchr(base->v[i], '=') && base->v[i][0] != '=' && !q->env_unset_all)
			create_config_set_variable(&c->env, v, base->v[i]);
	}
	for (size_t i = 0; i < q->env_unset.n; i++)
		if (!strchr(q->env_unset.v[i], '='))
			create_config_set_variable(&c->env, v, q->env_unset.v[i]);
	for (size_t i = 0; i < q->env.n; i++) {
		const char *text = q->env.v[i], *value;
		if (!*text || *text == '=')
			return err_set(err, EINVAL, "invalid environment variable: %s", text);
		if (!strchr(text, '=') && (value = getenv(text))) {
			text = engine_keep_f(m, "%s=%s", text, value);
			if (!text)
				return err_oom(err);
		}
		create_config_set_variable(&c->env, v, text);
	}
	return 0;
}

static int merge_labels(struct engine_making *m, struct oci_image_config *c, struct err *err)
{
	const pair_list *base = &m->image.config.labels, *own = &m->q->labels;
	struct oci_pair *v = engine_keep(m, (base->n + own->n) * sizeof(*v));

	if (!v)
		return err_oom(err);
	c->labels = (pair_list){.v = v};
	for (size_t i = 0; i < base->n + own->n; i++) {
		const struct oci_pair *p = i < base->n ? &base->v[i] : &own->v[i - base->n];
		size_t k = 0;
		while (k < c->labels.n && !streq(v[k].key, p->key))
			k++;
		v[k] = *p;
		if (k == c->labels.n)
			c->labels.n++;
	}
	return 0;
}

/* What runs: Docker's table of ENTRYPOINT, CMD, --entrypoint and arguments. */
static int merge_command(struct engine_making *m, struct oci_image_config *c, struct err *err)
{
	const struct engine_create *q = m->q;
	const struct oci_image_config *image = &m->image.config;

	if (q->entrypoint_set) {
		const char **v = engine_keep(m, sizeof(*v));
		if (!v)
			return err_oom(err);
		v[0] = q->entrypoint;
		c->entrypoint = (str_list){.v = v, .n = q->entrypoint && *q->entrypoint ? 1 : 0};
		c->cmd = q->command; /* the image's is for the image's entry point */
	} else {
		c->entrypoint = image->entrypoint;
		c->cmd = q->command.n ? q->command : image->cmd;
	}
	if (c->entrypoint.n + c->cmd.n == 0)
		return err_set(err, EINVAL, "no command specified");
	return 0;
}

static int merge_health(struct engine_making *m, struct oci_image_config *c, struct err *err)
{
	static const char *none[] = {"NONE"};
	const struct oci_healthcheck *image = m->image.config.healthcheck, *own = m->q->health;
	struct oci_healthcheck *h;

	if (!image && !own && !m->q->no_healthcheck)
		return 0;
	h = engine_keep(m, sizeof(*h));
	if (!h)
		return err_oom(err);
	if (image)
		*h = *image;
	if (m->q->no_healthcheck) {
		*h = (struct oci_healthcheck){.test = {.v = none, .n = 1}};
	} else if (own) {
		if (own->test.n)
			h->test = own->test;
		h->interval = own->interval ? own->interval : h->interval;
		h->timeout = own->timeout ? own->timeout : h->timeout;
		h->start_period = own->start_period ? own->start_period : h->start_period;
		h->start_interval = own->start_interval ? own->start_interval : h->start_interval;
		h->retries = own->retries ? own->retries : h->retries;
	}
	c->healthcheck = h;
	return 0;
}

/* "80", "80/tcp", "7000-8000/tcp". */
static int parse_exposed(const char *text, unsigned *first, unsigned *last, const char **proto,
			 struct err *err)
{
	size_t n = strcspn(text, "/");
	char *end;

	*proto = text[n] ? text + n + 1 : "tcp";
	unsigned long a = strtoul(text, &end, 10), b = a;
	if (*end == '-')
		b = strtoul(end + 1, &end, 10);
	bool known = strcasecmp(*proto, "tcp") == 0 || strcasecmp(*proto, "udp") == 0 ||
		     strcasecmp(*proto, "sctp") == 0;
	if (end != text + n || a == 0 || b < a || b > 65535 || !known)
		return err_set(err, EINVAL, "invalid range format for --expose: %.64s", text);
	*first = (unsigned)a;
	*last = (unsigned)b;
	return 0;
}

/* Ports that were met, of each protocol: lists of them may be as long as there are ports. */
struct exposed_seen {
	uint8_t bits[3][65536 / 8];
};

static int add_exposed_port(struct engine_making *m, struct exposed_seen *seen, str_list *l, const char **v,
			    unsigned port, const char *proto, struct err *err)
{
	uint8_t *byte = &seen->bits[strcasecmp(proto, "udp") == 0    ? 1
				    : strcasecmp(proto, "sctp") == 0 ? 2
								     : 0][port / 8 % sizeof(seen->bits[0])];
	uint8_t bit = (uint8_t)(1U << port % 8);

	if (*byte & bit)
		return 0;
	*byte |= bit;
	v[l->n] = engine_keep_f(m, "%u/%s", port, proto);
	if (!v[l->n])
		return err_oom(err);
	l->n++;
	return 0;
}

static int merge_exposed(struct engine_making *m, struct oci_image_config *c, struct err *err)
{
	const struct engine_create *q = m->q;
	const str_list *base = &m->image.config.exposed_ports;
	size_t room = base->n;
	unsigned first, last;
	const char *proto;
	int r;

	for (size_t i = 0; i < q->expose.n; i++) {
		r = parse_exposed(q->expose.v[i], &first, &last, &proto, err);
		if (r < 0)
			return r;
		room += last - first + 1;
	}
	for (size_t i = 0; i < q->ports.n; i++)
		room += q->ports.v[i].count ? q->ports.v[i].count : 1;
	const char **v = engine_keep(m, room * sizeof(*v));
	autofree struct exposed_seen *seen = calloc(1, sizeof(*seen));
	if (!v || !seen)
		return err_oom(err);
	str_list l = {.v = v};
	for (size_t i = 0; i < base->n; i++) {
		struct err ignored = {0};
		/* An image's nonsense is left out. */
		if (parse_exposed(base->v[i], &first, &last, &proto, &ignored) == 0 && first == last) {
			r = add_exposed_port(m, seen, &l, v, first, proto, err);
			if (r < 0)
				return r;
		}
	}
	for (size_t i = 0; i < q->expose.n; i++) {
		r = parse_exposed(q->expose.v[i], &first, &last, &proto, err);
		for (; r == 0 && first <= last; first++)
			r = add_exposed_port(m, seen, &l, v, first, proto, err);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < q->ports.n; i++) {
		const struct net_port *p = &q->ports.v[i];
		for (unsigned k = 0; k < (p->count ? p->count : 1U); k++) {
			r = add_exposed_port(m, seen, &l, v, p->container_port + k, p->proto, err);
			if (r < 0)
				return r;
		}
	}
	c->exposed_ports = l;
	return 0;
}

/* -p, and with -P every exposed port that is not among them. */
static int create_config_settle_ports(struct engine_making *m, const struct oci_image_config *c,
				      struct err *err)
{
	const struct engine_create *q = m->q;
	struct engine_record *rec = &m->c.record;
	struct engine_record_port *v =
		engine_keep(m, (q->ports.n + (q->publish_all ? c->exposed_ports.n : 0)) * sizeof(*v));

	if (!v)
		return err_oom(err);
	rec->ports.v = v;
	for (size_t i = 0; i < q->ports.n; i++) {
		const struct net_port *p = &q->ports.v[i];
		v[rec->ports.n++] = (struct engine_record_port){.host_ip = p->host_ip,
								.proto = p->proto,
								.host_port = p->host_port,
								.container_port = p->container_port,
								.count = p->count ? p->count : 1,
								.host_choices = p->host_choices};
	}
	for (size_t i = 0; q->publish_all && i < c->exposed_ports.n; i++) {
		unsigned first, last;
		const char *proto;
		bool have = false;
		int r = parse_exposed(c->exposed_ports.v[i], &first, &last, &proto, err);
		if (r < 0)
			return r;
		for (size_t k = 0; k < q->ports.n; k++)
			have |= streq(v[k].proto, proto) && first >= v[k].container_port &&
				first < (unsigned)v[k].container_port + v[k].count;
		if (!have)
			v[rec->ports.n++] = (struct engine_record_port){.proto = proto,
									.container_port = (uint16_t)first,
									.count = 1,
									.exposed = true};
	}
	return 0;
}

/* Lists are compared with one another, entry by entry: no image that anybody made has thousands of these. */
static int check_counts(const struct oci_image_config *image, struct err *err)
{
	enum { IMAGE_LIST_MAX = 4096 };
	const struct {
		const char *what;
		size_t n;
	} lists[] = {{"environment variables", image->env.n},
		     {"labels", image->labels.n},
		     {"volumes", image->volumes.n}};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (lists[i].n > IMAGE_LIST_MAX)
			return err_set(err, E2BIG, "the image has %zu %s, more than %d", lists[i].n,
				       lists[i].what, IMAGE_LIST_MAX);
	return 0;
}

int engine_create_config(struct engine_making *m, struct err *err)
{
	const struct engine_create *q = m->q;
	const struct oci_image_config *image = &m->image.config;
	struct oci_image_config *c = &m->c.record.config;
	int r = check_counts(image, err);

	if (r < 0)
		return r;
	c->user = or_else(q->user, image->user);
	c->working_dir = or_else(q->workdir, image->working_dir);
	c->stop_signal = or_else(q->stop_signal, image->stop_signal);
	c->volumes = image->volumes;
	c->shell = image->shell;
	c->on_build = image->on_build;
	if (c->working_dir && *c->working_dir && c->working_dir[0] != '/')
		return err_set(err, EINVAL,
			       "the working directory '%s' is invalid, it needs to be an absolute path",
			       c->working_dir);
	if (c->stop_signal && *c->stop_signal) {
		r = runtime_signal_number(c->stop_signal, err);
		if (r < 0)
			return err_prefix(err, "invalid stop signal");
	}
	r = merge_command(m, c, err);
	if (r == 0)
		r = merge_env(m, c, err);
	if (r == 0)
		r = merge_labels(m, c, err);
	if (r == 0)
		r = merge_health(m, c, err);
	if (r == 0)
		r = merge_exposed(m, c, err);
	return r < 0 ? r : create_config_settle_ports(m, c, err);
}

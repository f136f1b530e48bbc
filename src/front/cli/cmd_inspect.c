/* SPDX-License-Identifier: Apache-2.0 */
/* inspect of containers, images, volumes and networks. */
#include "front/cli/cli.h"
#include "front/cli/describe.h"

struct inspect_flags {
	bool size, latest;
	const char *format, *type;
};
#define INSPECT struct inspect_flags
static const struct opt inspect_options[] = {
	O_STR(INSPECT, format, "format", 'f', "Format output: json, or a Go TEMPLATE"),
	O_BOOL(INSPECT, size, "size", 's', "Add the sizes of containers"),
	O_LATEST(INSPECT, 'l'),
	O_STR(INSPECT, type, "type", 't', "Look among containers, images, networks or volumes alone",
	      .words = "container image network volume"),
};
static const struct opt inspect_one_options[] = {
	O_STR(INSPECT, format, "format", 'f', "Format output: json, or a Go TEMPLATE"),
};
static const struct opt inspect_container_options[] = {
	O_STR(INSPECT, format, "format", 'f', "Format output: json, or a Go TEMPLATE"),
	O_BOOL(INSPECT, size, "size", 's', "Add the sizes of the container"),
	O_LATEST(INSPECT, 'l'),
};

static int find_container(struct call *call, struct engine *e, const char *name, struct value **ret,
			  struct err *err)
{
	const struct inspect_flags *f = call->options;
	autofree char *id = NULL, *json = NULL;
	int r = engine_resolve(e, name, &id, err);

	if (r == 0)
		r = engine_inspect(e, id, f->size, &json, err);
	return r < 0 ? r
		     : value_read(&call->memory, json, strlen(json), "the container's description", ret, err);
}

static int find_image(struct call *call, struct engine *e, const char *name, struct value **ret,
		      struct err *err)
{
	struct image image autoimage = {0};
	const struct config *c;
	int r = cli_config(call, &c, err);

	if (r == 0)
		r = image_find(engine_images(e), config_image_name(c, &call->memory, name), NULL, &image,
			       err);
	return r < 0 ? r : describe_image(&call->memory, engine_images(e), &image, ret, err);
}

static int find_network(struct call *call, struct engine *e, const char *name, struct value **ret,
			struct err *err)
{
	return describe_network(&call->memory, e, name, ret, err);
}

static int find_volume(struct call *call, struct engine *e, const char *name, struct value **ret,
		       struct err *err)
{
	return describe_volume(&call->memory, e, name, ret, err);
}

static const struct inspect_kind {
	const char *name;
	int (*find)(struct call *call, struct engine *e, const char *name, struct value **ret,
		    struct err *err);
} inspect_kinds[] = {{"container", find_container},
		     {"image", find_image},
		     {"network", find_network},
		     {"volume", find_volume}};

/* -ENOENT with Docker's words where nothing of the wanted kinds has the name. */
static int find_any(struct call *call, struct engine *e, const char *type, const char *name,
		    struct value **ret, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(inspect_kinds); i++) {
		if (type && !streq(type, inspect_kinds[i].name))
			continue;
		int r = inspect_kinds[i].find(call, e, name, ret, err);
		if (r != -ENOENT || type)
			return r;
	}
	return err_set(err, ENOENT, "No such object: %s", name);
}

/* What Docker leaves out of the JSON where it is empty, and has for templates all the same. */
static void put_left_out(struct call *call, struct value *document)
{
	static const struct {
		const char *object, *key;
		enum value_kind kind;
	} left_out[] = {
		{"Config", "ExposedPorts", VALUE_NULL}, {"Config", "Healthcheck", VALUE_NULL},
		{"Config", "MacAddress", VALUE_STRING}, {"Config", "Shell", VALUE_NULL},
		{"Config", "StopSignal", VALUE_STRING}, {"Config", "StopTimeout", VALUE_NULL},
		{"HostConfig", "Mounts", VALUE_NULL},	{"HostConfig", "StorageOpt", VALUE_NULL},
		{"HostConfig", "Init", VALUE_NULL},	{"HostConfig", "Annotations", VALUE_NULL},
		{"HostConfig", "Sysctls", VALUE_NULL},	{"HostConfig", "Tmpfs", VALUE_NULL},
		{"State", "Health", VALUE_NULL},
	};

	for (struct value *object = document->first; object; object = object->next)
		for (size_t i = 0; i < ARRAY_LEN(left_out); i++)
			if (object->kind == VALUE_OBJECT && streq(object->key, left_out[i].object) &&
			    !value_member(object, left_out[i].key))
				value_add(object, left_out[i].key,
					  left_out[i].kind == VALUE_STRING
						  ? value_string(&call->memory, "")
						  : value_new(&call->memory, VALUE_NULL));
}

/* The document as it is printed first; where that has not what the template names, with what was left out. */
static int print_templated(struct call *call, const char *format, struct value *v, struct err *err)
{
	struct err again = {0};
	int r = cli_print_document(call, v, format, err);

	if (r == 0)
		return 0;
	put_left_out(call, v);
	return cli_print_document(call, v, format, &again) == 0 ? 0 : r;
}

static int inspect_print(struct call *call, const char *format, struct value *list, struct err *err)
{
	int r = 0;

	if (!format || !*format || streq(format, "json"))
		return cli_print_document(call, list, format, err);
	for (struct value *v = list->first; r == 0 && v; v = v->next)
		r = print_templated(call, format, v, err);
	return r;
}

static int inspect_all(struct call *call, const char *type, struct err *err)
{
	const struct inspect_flags *f = call->options;
	struct value *list = value_new(&call->memory, VALUE_LIST);
	struct str complaints autostr = {0};
	struct engine *e;
	int r = list ? cli_engine(call, &e, err) : err_oom(err);

	for (int i = 0; r == 0 && i < call->nargs; i++) {
		struct err one = {0};
		struct value *v = NULL;
		int k = find_any(call, e, type, call->args[i], &v, &one);
		if (k == 0)
			value_add(list, NULL, v);
		else
			str_putf(&complaints, "coffer: %s\n", one.msg);
	}
	if (r == 0)
		r = inspect_print(call, f->format, list, err);
	if (complaints.len) { /* behind what there is, as Docker has it */
		ignore_result(fd_write_all(STDERR_FILENO, complaints.s, complaints.len)); /* nobody there */
		call->status = 1;
	}
	return r;
}

static int run_inspect(struct call *call, struct err *err)
{
	const struct inspect_flags *f = call->options;

	for (size_t i = 0; f->type && i <= ARRAY_LEN(inspect_kinds); i++) {
		if (i == ARRAY_LEN(inspect_kinds))
			return cli_misused(
				call, err,
				"\"%s\" is not a valid value for --type: container, image, network, volume",
				f->type);
		if (streq(f->type, inspect_kinds[i].name))
			break;
	}
	return inspect_all(call, f->type, err);
}

static int run_inspect_container(struct call *call, struct err *err)
{
	return inspect_all(call, "container", err);
}

static int run_inspect_image(struct call *call, struct err *err)
{
	return inspect_all(call, "image", err);
}

static int run_inspect_network(struct call *call, struct err *err)
{
	return inspect_all(call, "network", err);
}

static int run_inspect_volume(struct call *call, struct err *err)
{
	return inspect_all(call, "volume", err);
}

/* ---- exists ---- */

static int find_exists(struct call *call, const char *type, struct err *err)
{
	struct value *v = NULL;
	struct engine *e;
	int r = cli_engine(call, &e, err);

	if (r == 0)
		r = find_any(call, e, type, call->args[0], &v, err);
	if (r == -ENOENT)
		call->status = 1;
	return r == -ENOENT ? 0 : r;
}

static int run_exists_container(struct call *call, struct err *err)
{
	return find_exists(call, "container", err);
}

static int run_exists_image(struct call *call, struct err *err)
{
	return find_exists(call, "image", err);
}

static int run_exists_network(struct call *call, struct err *err)
{
	return find_exists(call, "network", err);
}

static int run_exists_volume(struct call *call, struct err *err)
{
	return find_exists(call, "volume", err);
}

#define EXISTS                                                                                               \
	.name = "exists", .options_size = sizeof(struct inspect_flags), .min_args = 1, .max_args = 1,        \
	.error_status = 125,                                                                                 \
	.description = "Prints nothing: the exit status is 0 where it is there, 1 where not."

const struct command command_exists_container = {
	EXISTS,
	.summary = "Tell by the exit status whether a container is there",
	.usage = "CONTAINER",
	.examples = "coffer container exists web || coffer create --name web nginx\n",
	.words = "@container",
	.run = run_exists_container,
};
const struct command command_exists_image = {
	EXISTS,
	.summary = "Tell by the exit status whether an image is there",
	.usage = "IMAGE",
	.examples = "coffer image exists nginx:1.25 || coffer pull nginx:1.25\n",
	.words = "@image",
	.run = run_exists_image,
};
const struct command command_exists_network = {
	EXISTS,
	.summary = "Tell by the exit status whether a network is there",
	.usage = "NETWORK",
	.examples = "coffer network exists back || coffer network create back\n",
	.words = "@network",
	.run = run_exists_network,
};
const struct command command_exists_volume = {
	EXISTS,
	.summary = "Tell by the exit status whether a volume is there",
	.usage = "VOLUME",
	.examples = "coffer volume exists db || coffer volume create db\n",
	.words = "@volume",
	.run = run_exists_volume,
};

/* ---- inspect ---- */

#define INSPECTS                                                                                             \
	.options_size = sizeof(struct inspect_flags), .latest = OPT_GIVEN(INSPECT, latest), .min_args = 1,   \
	.max_args = -1, .name = "inspect"

const struct command command_inspect = {
	INSPECTS,
	.summary = "Return all there is to know about containers, images, networks or volumes",
	.usage = "[OPTIONS] NAME|ID [NAME|ID...]",
	.examples = "coffer inspect web\n"
		    "coffer inspect -f '{{.State.Status}} {{range "
		    ".NetworkSettings.Networks}}{{.IPAddress}}{{end}}' web\n"
		    "coffer inspect --type image nginx\n",
	.options = {OPT_TABLE(inspect_options)},
	.words = "@any",
	.run = run_inspect,
};
const struct command command_inspect_container = {
	INSPECTS,
	.summary = "Return all there is to know about containers",
	.usage = "[OPTIONS] CONTAINER [CONTAINER...]",
	.examples = "coffer container inspect -f '{{json .Config.Env}}' web\n",
	.options = {OPT_TABLE(inspect_container_options)},
	.words = "@container",
	.run = run_inspect_container,
};
const struct command command_inspect_image = {
	INSPECTS,
	.summary = "Return all there is to know about images",
	.usage = "[OPTIONS] IMAGE [IMAGE...]",
	.examples = "coffer image inspect -f '{{.Os}}/{{.Architecture}}' nginx\n",
	.options = {OPT_TABLE(inspect_one_options)},
	.words = "@image",
	.run = run_inspect_image,
};
const struct command command_inspect_network = {
	INSPECTS,
	.summary = "Return all there is to know about networks",
	.usage = "[OPTIONS] NETWORK [NETWORK...]",
	.examples = "coffer network inspect bridge\n",
	.options = {OPT_TABLE(inspect_one_options)},
	.words = "@network",
	.run = run_inspect_network,
};
const struct command command_inspect_volume = {
	INSPECTS,
	.summary = "Return all there is to know about volumes",
	.usage = "[OPTIONS] VOLUME [VOLUME...]",
	.examples = "coffer volume inspect -f '{{.Mountpoint}}' db\n",
	.options = {OPT_TABLE(inspect_one_options)},
	.words = "@volume",
	.run = run_inspect_volume,
};

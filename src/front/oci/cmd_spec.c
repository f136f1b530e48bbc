/* SPDX-License-Identifier: Apache-2.0 */
/* `spec` and `features`. */
#include "front/oci/front.h"

#include "base/file.h"
#include "base/str.h"

struct spec_args {
	const char *bundle;
	bool rootless;
};
static const struct arg spec_args[] = {
	{"bundle", 'b', ARG_STRING, offsetof(struct spec_args, bundle),
	 "path to the root of the bundle directory"},
	{"rootless", 0, ARG_BOOL, offsetof(struct spec_args, rootless),
	 "generate a configuration for a rootless container"},
};

static int spec(struct call *call, struct err *err)
{
	const struct spec_args *o = call->options;
	autofree char *json = NULL, *path = NULL;
	const char *bundle = o->bundle && *o->bundle ? o->bundle : ".";

	path = str_format("%s/config.json", bundle);
	if (!path)
		return err_oom(err);
	if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(err, EEXIST, "File config.json exists. Remove it first");
	int r = runtime_spec(o->rootless, &json, err);
	if (r < 0)
		return r;
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return err_sys(err, "cannot make \"%s\"", path);
	r = fd_write_all(fd, json, strlen(json));
	return r < 0 ? err_num(err, r, "cannot write \"%s\"", path) : 0;
}

static int features(struct call *call unused, struct err *err)
{
	autofree char *json = NULL;
	int r = runtime_features(&json, err);

	return r < 0 ? r : front_print(json, err);
}

const struct command command_spec = {
	.name = "spec",
	.summary = "create a new specification file",
	.usage = "",
	.description = "The spec command creates the new specification file named \"config.json\" for the\n"
		       "bundle.  It is a starter file, to be edited: its process.args start \"sh\", and\n"
		       "its root filesystem is the directory \"rootfs\" of the bundle.\n\n"
		       "With --rootless the container runs without root privileges: in a user namespace\n"
		       "that maps the caller to root, on the host's network.",
	.examples = "# mkdir -p hello/rootfs/bin && cp /bin/busybox hello/rootfs/bin/sh\n"
		    "# cd hello && coffer-oci spec && coffer-oci run hello\n"
		    "# coffer-oci spec --bundle /containers/web",
	.options = ARG_TABLE(spec_args),
	.options_size = sizeof(struct spec_args),
	.max_args = 0,
	.run = spec,
};

const struct command command_features = {
	.name = "features",
	.summary = "show the enabled features",
	.usage = "",
	.description = "Shows the enabled features as JSON, in the form of the runtime specification's\n"
		       "features.md.  The annotation \"dev.coffer.isolation.levels\" tells which isolation\n"
		       "levels there are, and what each one lacks and why.",
	.examples = "# coffer-oci features",
	.max_args = 0,
	.run = features,
};

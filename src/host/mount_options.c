/* SPDX-License-Identifier: Apache-2.0 */
#include "host/mount_options.h"

#include "base/str.h"
#include "base/sys.h"

enum option_kind {
	OPTION_NOTHING, /* "defaults" */
	OPTION_SET,	/* MS_* */
	OPTION_CLEAR,
	OPTION_PROPAGATION, /* MS_* */
	OPTION_REC_SET,	    /* MOUNT_ATTR_* */
	OPTION_REC_CLEAR,
	OPTION_COPYUP,
	OPTION_IDMAP,
	OPTION_RIDMAP,
};

/* Sorted by name: looked up by bisection, and listed as it is. */
#define OPTIONS(X)                                                                                           \
	X("async", CLEAR, MS_SYNCHRONOUS)                                                                    \
	X("atime", CLEAR, MS_NOATIME)                                                                        \
	X("bind", SET, MS_BIND)                                                                              \
	X("defaults", NOTHING, 0)                                                                            \
	X("dev", CLEAR, MS_NODEV)                                                                            \
	X("diratime", CLEAR, MS_NODIRATIME)                                                                  \
	X("dirsync", SET, MS_DIRSYNC)                                                                        \
	X("exec", CLEAR, MS_NOEXEC)                                                                          \
	X("idmap", IDMAP, 0)                                                                                 \
	X("iversion", SET, MS_I_VERSION)                                                                     \
	X("lazytime", SET, MS_LAZYTIME)                                                                      \
	X("loud", CLEAR, MS_SILENT)                                                                          \
	X("mand", SET, MS_MANDLOCK)                                                                          \
	X("noatime", SET, MS_NOATIME)                                                                        \
	X("nodev", SET, MS_NODEV)                                                                            \
	X("nodiratime", SET, MS_NODIRATIME)                                                                  \
	X("nodirsync", CLEAR, MS_DIRSYNC)                                                                    \
	X("noexec", SET, MS_NOEXEC)                                                                          \
	X("noiversion", CLEAR, MS_I_VERSION)                                                                 \
	X("nolazytime", CLEAR, MS_LAZYTIME)                                                                  \
	X("nomand", CLEAR, MS_MANDLOCK)                                                                      \
	X("norelatime", CLEAR, MS_RELATIME)                                                                  \
	X("nostrictatime", CLEAR, MS_STRICTATIME)                                                            \
	X("nosuid", SET, MS_NOSUID)                                                                          \
	X("nosymfollow", SET, MS_NOSYMFOLLOW)                                                                \
	X("private", PROPAGATION, MS_PRIVATE)                                                                \
	X("ratime", REC_CLEAR, MOUNT_ATTR_NOATIME)                                                           \
	X("rbind", SET, MS_BIND | MS_REC)                                                                    \
	X("rdev", REC_CLEAR, MOUNT_ATTR_NODEV)                                                               \
	X("rdiratime", REC_CLEAR, MOUNT_ATTR_NODIRATIME)                                                     \
	X("relatime", SET, MS_RELATIME)                                                                      \
	X("remount", SET, MS_REMOUNT)                                                                        \
	X("rexec", REC_CLEAR, MOUNT_ATTR_NOEXEC)                                                             \
	X("ridmap", RIDMAP, 0)                                                                               \
	X("rnoatime", REC_SET, MOUNT_ATTR_NOATIME)                                                           \
	X("rnodev", REC_SET, MOUNT_ATTR_NODEV)                                                               \
	X("rnodiratime", REC_SET, MOUNT_ATTR_NODIRATIME)                                                     \
	X("rnoexec", REC_SET, MOUNT_ATTR_NOEXEC)                                                             \
	X("rnorelatime", REC_CLEAR, MOUNT_ATTR_RELATIME)                                                     \
	X("rnostrictatime", REC_CLEAR, MOUNT_ATTR_STRICTATIME)                                               \
	X("rnosuid", REC_SET, MOUNT_ATTR_NOSUID)                                                             \
	X("rnosymfollow", REC_SET, MOUNT_ATTR_NOSYMFOLLOW)                                                   \
	X("ro", SET, MS_RDONLY)                                                                              \
	X("rprivate", PROPAGATION, MS_PRIVATE | MS_REC)                                                      \
	X("rrelatime", REC_SET, MOUNT_ATTR_RELATIME)                                                         \
	X("rro", REC_SET, MOUNT_ATTR_RDONLY)                                                                 \
	X("rrw", REC_CLEAR, MOUNT_ATTR_RDONLY)                                                               \
	X("rshared", PROPAGATION, MS_SHARED | MS_REC)                                                        \
	X("rslave", PROPAGATION, MS_SLAVE | MS_REC)                                                          \
	X("rstrictatime", REC_SET, MOUNT_ATTR_STRICTATIME)                                                   \
	X("rsuid", REC_CLEAR, MOUNT_ATTR_NOSUID)                                                             \
	X("rsymfollow", REC_CLEAR, MOUNT_ATTR_NOSYMFOLLOW)                                                   \
	X("runbindable", PROPAGATION, MS_UNBINDABLE | MS_REC)                                                \
	X("rw", CLEAR, MS_RDONLY)                                                                            \
	X("shared", PROPAGATION, MS_SHARED)                                                                  \
	X("silent", SET, MS_SILENT)                                                                          \
	X("slave", PROPAGATION, MS_SLAVE)                                                                    \
	X("strictatime", SET, MS_STRICTATIME)                                                                \
	X("suid", CLEAR, MS_NOSUID)                                                                          \
	X("symfollow", CLEAR, MS_NOSYMFOLLOW)                                                                \
	X("sync", SET, MS_SYNCHRONOUS)                                                                       \
	X("tmpcopyup", COPYUP, 0)                                                                            \
	X("unbindable", PROPAGATION, MS_UNBINDABLE)

struct option {
	const char *name;
	enum option_kind kind;
	unsigned long value;
};

#define AS_OPTION(name, kind, value) {name, OPTION_##kind, value},
#define AS_NAME(name, kind, value)   name,

static const struct option table[] = {OPTIONS(AS_OPTION)};
static const char *const names[] = {OPTIONS(AS_NAME)};

static int compare(const void *key, const void *entry)
{
	return strcmp(key, ((const struct option *)entry)->name);
}

static const struct option *find(const char *name)
{
	return bsearch(name, table, ARRAY_LEN(table), sizeof(*table), compare);
}

const char *const *mount_option_names(size_t *ret_n)
{
	*ret_n = ARRAY_LEN(names);
	return names;
}

unsigned long mount_flag_named(const char *name)
{
	const struct option *o = find(name);

	return o && (o->kind == OPTION_SET || o->kind == OPTION_CLEAR) ? o->value : 0;
}

unsigned long mount_propagation_named(const char *name)
{
	const struct option *o = find(name);

	return o && o->kind == OPTION_PROPAGATION ? o->value : 0;
}

static int add_propagation(struct mount_options *o, unsigned long value, struct err *err)
{
	/* What is said for the whole tree leaves nothing of what was said before but a mastery that sharing
	 * keeps. */
	if ((value & MS_REC) && !(value & MS_SHARED))
		o->n_propagation = 0;
	if (o->n_propagation == MOUNT_PROPAGATIONS_MAX)
		return err_set(err, EINVAL, "more than %d propagation options", MOUNT_PROPAGATIONS_MAX);
	o->propagation[o->n_propagation++] = value;
	return 0;
}

static void change_recursively(struct mount_options *o, uint64_t attr, bool on)
{
	if (on) {
		o->rec_set |= attr;
		o->rec_clear &= ~attr;
	} else {
		o->rec_clear |= attr;
		o->rec_set &= ~attr;
	}
	/* The access time is one number in several bits: the kernel wants all of them cleared first. */
	if ((attr & MOUNT_ATTR__ATIME) == attr) {
		if (on)
			o->rec_set = (o->rec_set & ~(uint64_t)MOUNT_ATTR__ATIME) | attr;
		o->rec_clear |= MOUNT_ATTR__ATIME;
	}
}

static int apply(struct mount_options *o, const struct option *opt, struct err *err)
{
	switch (opt->kind) {
	case OPTION_NOTHING:
		break;
	case OPTION_SET:
		o->flags |= opt->value;
		o->cleared &= ~opt->value;
		break;
	case OPTION_CLEAR:
		o->flags &= ~opt->value;
		o->cleared |= opt->value;
		break;
	case OPTION_PROPAGATION:
		return add_propagation(o, opt->value, err);
	case OPTION_REC_SET:
	case OPTION_REC_CLEAR:
		change_recursively(o, opt->value, opt->kind == OPTION_REC_SET);
		break;
	case OPTION_COPYUP:
		o->copyup = true;
		break;
	case OPTION_IDMAP:
	case OPTION_RIDMAP:
		o->idmap = true;
		o->ridmap = opt->kind == OPTION_RIDMAP;
		break;
	}
	return 0;
}

int mount_options_parse(const str_list *options, struct mount_options *ret, struct err *err)
{
	struct mount_options o = {0};
	struct str data autostr = {0};

	for (size_t i = 0; i < options->n; i++) {
		const struct option *opt = find(options->v[i]);
		int r = opt ? apply(&o, opt, err) : 0;
		if (r < 0)
			return r;
		if (!opt)
			str_putf(&data, "%s%s", data.len ? "," : "", options->v[i]);
	}
	if (data.failed)
		return err_oom(err);
	if (data.len) {
		o.data = str_take(&data);
		if (!o.data)
			return err_oom(err);
	}
	*ret = o;
	return 0;
}

void mount_options_free(struct mount_options *o)
{
	free(o->data);
	o->data = NULL;
}

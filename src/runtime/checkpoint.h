/* SPDX-License-Identifier: Apache-2.0 */
/* What `checkpoint` and `restore` tell criu in the same way. */
#pragma once

#include "host/cgroup.h"
#include "oci/config.h"
#include "runtime/criu.h"
#include "runtime/runtime.h"

/* The name of the namespace's key between a dump and its restore: "extRootNetNS". */
const char *criu_ns_key(enum oci_ns ns);

struct criu_dirs {
	char *image_path, *work_path; /* absolute or as given; owned; work_path may be NULL */
	int image_fd, work_fd;	      /* owned; work_fd may be -1 */
};
void criu_dirs_close(struct criu_dirs *d);
#define autocriudirs __attribute__((cleanup(criu_dirs_close)))
/* Makes (dump) or opens (restore) the directories. */
must_use int criu_dirs_open(const struct checkpoint_options *o, bool make, struct criu_dirs *ret,
			    struct err *err);

/* The options that both know, log_file among them. */
must_use int criu_put_common(struct str *opts, const struct checkpoint_options *o,
			     const struct criu_dirs *dirs, const struct oci_config *config,
			     const char *log_file, struct err *err);
void criu_put_pair(struct str *opts, enum criu_opt field, const char *first, const char *second);

bool criu_is_bind(const struct oci_mount *m);
/* An external mount: where links in the container's root lead `destination`; `source` on restore, NULL on
 * dump. */
void criu_put_mount(struct str *opts, int rootfs, const char *destination, const char *source);
/* Without a cgroup namespace the v1 view is made of bind mounts of the group's own directories. */
void criu_put_v1_mounts(struct str *opts, const struct oci_config *config, const struct cgroup *cg,
			const char *destination, bool restore);

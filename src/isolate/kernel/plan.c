/* SPDX-License-Identifier: Apache-2.0 */
#include "isolate/kernel/kernel.h"

#include "base/str.h"
#include "host/lsm.h"
#include "host/userns.h"
#include "wire/sentry.h"

/* SYS_ADMIN, SYS_CHROOT: to set itself up; it drops them before the first guest's instruction. */
static const char *caps[] = {
	"CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER",	    "CAP_FSETID",
	"CAP_KILL",    "CAP_SETGID",	   "CAP_SETUID",	  "CAP_SETPCAP",    "CAP_SETFCAP",
	"CAP_MKNOD",   "CAP_SYS_CHROOT",   "CAP_SYS_ADMIN",	  "CAP_SYS_PTRACE", "CAP_NET_BIND_SERVICE",
	"CAP_NET_RAW",
};
const str_list kernel_caps = {.v = caps, .n = ARRAY_LEN(caps)};

void kernel_plan_pids(struct opt_i64 *limit)
{
	if (limit->set && limit->v > 0 && limit->v < INT64_MAX - (int64_t)sentry_own_tasks())
		limit->v += (int64_t)sentry_own_tasks();
}

static int check(const struct oci_config *config, struct err *err)
{
	const struct oci_linux *linux = &config->linux;
	uint32_t host;

	/* The sentry's "/" must hold nothing but the container. */
	if (!linux->ns[OCI_NS_MOUNT].wanted)
		return err_set(
			err, EINVAL,
			"isolation level \"kernel\" needs a mount namespace: linux.namespaces has none");
	if (linux->ns[OCI_NS_PID].path)
		return err_set(
			err, ENOTSUP,
			"isolation level \"kernel\" cannot join the pid namespace %s: the processes of "
			"each container are of a kernel of its own",
			linux->ns[OCI_NS_PID].path);
	if (config->process && linux->uid_mappings.n &&
	    userns_host_id(&linux->uid_mappings, config->process->user.uid, &host) < 0)
		return err_set(err, EINVAL, "cannot set uid to unmapped user %u in user namespace",
			       config->process->user.uid);
	/* As at level ns: who asks for a label on a host that has none shall not believe to have it. */
	return lsm_check(config->process ? config->process->selinux_label : NULL, err);
}

int kernel_plan(const struct oci_config *config, struct supervised_plan *p, struct err *err)
{
	int r = check(config, err);

	if (r == 0)
		r = supervised_plan(config, &kernel_caps, p, err);
	if (r == 0)
		kernel_plan_pids(&p->config.linux.resources.pids_limit);
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Handing seccomp's listener to the agent that the profile names (config-linux.md, "The Container Process
 * State"). */
#include "isolate/ns/ns.h"

#include "base/fd.h"
#include "oci/state.h"

#include <sys/socket.h>
#include <sys/un.h>

static char *process_state(const struct sandbox *s, const struct oci_seccomp *seccomp, pid_t pid,
			   const char *status)
{
	struct json_out out autojsonout = {0};
	struct oci_state state = {
		.id = s->id,
		.status = status,
		.pid = s->pid,
		.bundle = s->bundle,
		.annotations = &s->config->annotations,
	};
	static const char *const fds[] = {"seccompFd"};

	json_begin_object(&out, NULL);
	json_put_str(&out, "ociVersion", OCI_VERSION);
	json_put_strs(&out, "fds", fds, ARRAY_LEN(fds));
	json_put_i64(&out, "pid", pid);
	json_put_opt_str(&out, "metadata", seccomp->listener_metadata);
	oci_state_write_spec(&out, "state", &state);
	json_end(&out);
	return json_take(&out);
}

int ns_notify_agent(const struct sandbox *s, const struct oci_seccomp *seccomp, pid_t pid, const char *status,
		    int listener, struct err *err)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	const char *path = seccomp ? seccomp->listener_path : NULL;
	autofree char *text = NULL;

	if (!path || !path[0])
		return err_set(err, EINVAL, "seccomp listenerPath is not set");
	if (strlen(path) >= sizeof(sa.sun_path))
		return err_set(err, ENAMETOOLONG, "seccomp listenerPath \"%s\" is too long for a socket",
			       path);
	memcpy(sa.sun_path, path, strlen(path) + 1);
	text = process_state(s, seccomp, pid, status);
	if (!text)
		return err_oom(err);
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, "cannot make a socket");
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return err_sys(
			err,
			"failed to connect with seccomp agent specified in the seccomp profile: dial unix %s",
			path);
	int r = fd_send(fd, text, strlen(text), &listener, 1);
	return r < 0 ? err_num(err, r, "cannot send seccomp fd to %s", path) : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coffer-probe: starts one health check in a container, for the monitor.  A
 * forker.  What the check's process is called stands in PID_FILE when this one ends.
 */
#include "monitor/program/probe_args.h"

#include "host/sealed_exe.h"
#include "runtime/runtime.h"

static bool is_paused(const struct runtime *rt, const char *id)
{
	autofree char *json = NULL;
	struct err ignored = {0};

	return runtime_state(rt, id, &json, &ignored) == 0 && strstr(json, "\"paused\"");
}

int main(int argc, char **argv)
{
	struct runtime rt = {0};
	struct err err = {0};
	int status = 0;

	if (argc < PROBE_ARGS || strlen(argv[4]) != 2)
		return 2;
	struct runtime_flags flags = {.root = argv[1][0] ? argv[1] : NULL,
				      .isolation = argv[3][0] ? argv[3] : NULL,
				      .systemd_cgroup = argv[4][1] == 's'};
	struct exec_options o = {
		.id = argv[2], .pid_file = argv[5], .detach = true, .argv = argv + PROBE_ARGS - 1};
	int r = sealed_exe_ensure(argv, &err);
	if (r == 0)
		r = runtime_setup(&flags, &rt, &err);
	if (r == 0)
		r = runtime_exec(&rt, &o, &status, &err);
	if (r == 0)
		return 0;
	if (rt.root && is_paused(&rt, o.id))
		return PROBE_PAUSED;
	dprintf(2, "%s\n", err.msg);
	return PROBE_FAILED;
}

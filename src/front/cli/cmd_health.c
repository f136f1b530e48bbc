/* SPDX-License-Identifier: Apache-2.0 */
/* healthcheck run: Podman's word for a health check that does not wait for its time. */
#include "front/cli/cli.h"

static int run_healthcheck(struct call *call, struct err *err)
{
	autofree char *id = NULL;
	int code = 0, r = cli_container(call, call->args[0], &id, err);

	if (r == 0)
		r = engine_check_health(call->cli->engine, id, &code, err);
	if (r < 0)
		return r;
	if (code != 0) {
		call->status = 1;
		return cli_println("unhealthy", err);
	}
	return 0;
}

const struct command command_healthcheck_run = {
	.name = "run",
	.summary = "Run a container's health check now",
	.usage = "CONTAINER",
	.description = "Says \"unhealthy\", and ends with 1, where the check fails. The result counts as if "
		       "it had been time for it.",
	.examples = "coffer healthcheck run db && echo well\n",
	.min_args = 1,
	.max_args = 1,
	.error_status = 125,
	.words = "@container",
	.run = run_healthcheck,
};

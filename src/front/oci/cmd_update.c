/* SPDX-License-Identifier: Apache-2.0 */
/* `update` and `events`. */
#include "front/oci/front.h"

#include "base/str.h"

#define UP(member) offsetof(struct update_options, member)

static const struct arg update_args[] = {
	{"resources", 'r', ARG_STRING, UP(resources),
	 "path to the file containing the resources to update or '-' to read from the standard input; all "
	 "other "
	 "options are ignored then"},
	{"blkio-weight", 0, ARG_OPT_I64, UP(blkio_weight),
	 "Specifies per cgroup weight, range is from 10 to 1000"},
	{"cpu-period", 0, ARG_STRING, UP(cpu_period),
	 "CPU CFS period to be used for hardcapping (in usecs). 0 to use system default"},
	{"cpu-quota", 0, ARG_STRING, UP(cpu_quota),
	 "CPU CFS hardcap limit (in usecs). Allowed cpu time in a given period"},
	{"cpu-burst", 0, ARG_STRING, UP(cpu_burst),
	 "CPU CFS hardcap burst limit (in usecs). Allowed accumulated cpu time additionally for burst a "
	 "given period"},
	{"cpu-share", 0, ARG_STRING, UP(cpu_share), "CPU shares (relative weight vs. other containers)"},
	{"cpu-rt-period", 0, ARG_STRING, UP(cpu_rt_period),
	 "CPU realtime period to be used for hardcapping (in usecs). 0 to use system default"},
	{"cpu-rt-runtime", 0, ARG_STRING, UP(cpu_rt_runtime),
	 "CPU realtime hardcap limit (in usecs). Allowed cpu time in a given period"},
	{"cpuset-cpus", 0, ARG_STRING, UP(cpuset_cpus), "CPU(s) to use"},
	{"cpuset-mems", 0, ARG_STRING, UP(cpuset_mems), "Memory node(s) to use"},
	{"kernel-memory", 0, ARG_STRING, UP(kernel_memory), NULL},
	{"kernel-memory-tcp", 0, ARG_STRING, UP(kernel_memory_tcp), NULL},
	{"memory", 0, ARG_STRING, UP(memory), "Memory limit (in bytes)"},
	{"cpu-idle", 0, ARG_STRING, UP(cpu_idle),
	 "set cgroup SCHED_IDLE or not, 0: default behavior, 1: SCHED_IDLE"},
	{"memory-reservation", 0, ARG_STRING, UP(memory_reservation),
	 "Memory reservation or soft_limit (in bytes)"},
	{"memory-swap", 0, ARG_STRING, UP(memory_swap),
	 "Total memory usage (memory + swap); set '-1' to enable unlimited swap"},
	{"pids-limit", 0, ARG_OPT_I64, UP(pids_limit), "Maximum number of pids allowed in the container"},
	{"l3-cache-schema", 0, ARG_STRING, UP(l3_cache_schema),
	 "The string of Intel RDT/CAT L3 cache schema"},
	{"mem-bw-schema", 0, ARG_STRING, UP(mem_bw_schema),
	 "The string of Intel RDT/MBA memory bandwidth schema"},
};

static int update(struct call *call, struct err *err)
{
	struct update_options *o = call->options;

	o->id = call->args[0];
	return runtime_update(&call->front->rt, o, err);
}

const struct command command_update = {
	.name = "update",
	.summary = "update container resource constraints",
	.usage = "<container-id>",
	.description = "What is not given stays as it is.  --resources takes JSON of the form of\n"
		       "linux.resources in config.json:\n\n"
		       "  {\n"
		       "    \"memory\": {\"limit\": 0, \"reservation\": 0, \"swap\": 0, "
		       "\"checkBeforeUpdate\": true},\n"
		       "    \"cpu\": {\"shares\": 0, \"quota\": 0, \"burst\": 0, \"period\": 0, "
		       "\"realtimeRuntime\": 0,\n"
		       "            \"realtimePeriod\": 0, \"cpus\": \"\", \"mems\": \"\", \"idle\": 0},\n"
		       "    \"pids\": {\"limit\": 0},\n"
		       "    \"blockIO\": {\"weight\": 0}\n"
		       "  }",
	.examples = "# coffer-oci update --memory 256m --pids-limit 100 web\n"
		    "# echo '{\"cpu\": {\"shares\": 512}}' | coffer-oci update --resources - web",
	.options = ARG_TABLE(update_args),
	.options_size = sizeof(struct update_options),
	.min_args = 1,
	.max_args = 1,
	.run = update,
};

static const struct events_options events_defaults = {.interval_ms = 5000};
static const struct arg events_args[] = {
	{"interval", 0, ARG_MILLISECONDS, offsetof(struct events_options, interval_ms),
	 "set the stats collection interval (default: 5s)"},
	{"stats", 0, ARG_BOOL, offsetof(struct events_options, stats),
	 "display the container's stats then exit"},
};

static int emit(void *data, const char *json)
{
	struct err *err = data;
	struct str b autostr = {0};

	str_putf(&b, "%s\n", json);
	return b.failed ? err_oom(err) : front_print(b.s, err);
}

static int events(struct call *call, struct err *err)
{
	struct events_options *o = call->options;

	o->id = call->args[0];
	o->emit = emit;
	o->data = err;
	return runtime_events(&call->front->rt, o, err);
}

const struct command command_events = {
	.name = "events",
	.summary = "display container events such as OOM notifications, cpu, memory, and IO usage statistics",
	.usage = TEXT_ID,
	.description = "The events command displays information about the container. By default the\n"
		       "information is displayed once every 5 seconds.",
	.examples = "# coffer-oci events --stats web\n# coffer-oci events --interval 1s web",
	.options = ARG_TABLE(events_args),
	.options_size = sizeof(struct events_options),
	.defaults = &events_defaults,
	.min_args = 1,
	.max_args = 1,
	.run = events,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* `update`: new limits for a container that lives. */
#include "runtime/runtime.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/str.h"
#include "host/intelrdt.h"
#include "runtime/container.h"
#include "runtime/lacks.h"
#include "runtime/size.h"

enum { RESOURCES_MAX = 1 << 20 }; /* bytes of --resources */

static int load_resources(const char *path, struct oci_resources *ret, struct oci_document **ret_doc,
			  struct err *err)
{
	autofree char *text = NULL;
	bool standard = streq(path, "-");
	char why[64];
	size_t len;
	int r = standard ? fd_read_all(STDIN_FILENO, RESOURCES_MAX, &text, &len)
			 : file_read_named(path, RESOURCES_MAX, &text, &len);

	if (r < 0)
		return err_set(err, -r, "open %s: %s", standard ? "standard input" : path,
			       err_text_lower(r, why));
	return oci_resources_parse(text, len, standard ? "standard input" : path, ret, ret_doc, err);
}

static int take_u64(const char *name, const char *text, struct opt_u64 *ret, struct err *err)
{
	if (!text || !*text)
		return 0;
	int r = str_to_u64(text, 10, &ret->v);
	if (r < 0)
		return err_set(err, -r, "invalid value for %s: \"%s\": expected a whole number", name, text);
	ret->set = true;
	return 0;
}

static int take_i64(const char *name, const char *text, struct opt_i64 *ret, struct err *err)
{
	if (!text || !*text)
		return 0;
	int r = str_to_i64(text, &ret->v);
	if (r < 0)
		return err_set(err, -r, "invalid value for %s: \"%s\": expected a whole number", name, text);
	ret->set = true;
	return 0;
}

static int take_size(const char *name, const char *text, struct opt_i64 *ret, struct err *err)
{
	if (!text || !*text)
		return 0;
	if (streq(text, "-1")) {
		*ret = (struct opt_i64){.v = -1, .set = true};
		return 0;
	}
	if (size_parse(text, &ret->v) < 0)
		return err_set(err, EINVAL, "invalid value for %s: invalid size: '%s'", name, text);
	ret->set = true;
	return 0;
}

static int take_cpu(const struct update_options *o, struct oci_cpu *cpu, struct err *err)
{
	int r = take_u64("cpu-burst", o->cpu_burst, &cpu->burst, err);

	if (r == 0)
		r = take_u64("cpu-period", o->cpu_period, &cpu->period, err);
	if (r == 0)
		r = take_u64("cpu-rt-period", o->cpu_rt_period, &cpu->realtime_period, err);
	if (r == 0)
		r = take_u64("cpu-share", o->cpu_share, &cpu->shares, err);
	if (r == 0)
		r = take_i64("cpu-quota", o->cpu_quota, &cpu->quota, err);
	if (r == 0)
		r = take_i64("cpu-rt-runtime", o->cpu_rt_runtime, &cpu->realtime_runtime, err);
	if (r == 0)
		r = take_i64("cpu-idle", o->cpu_idle, &cpu->idle, err);
	cpu->cpus = o->cpuset_cpus && *o->cpuset_cpus ? o->cpuset_cpus : NULL;
	cpu->mems = o->cpuset_mems && *o->cpuset_mems ? o->cpuset_mems : NULL;
	return r;
}

static int take_memory(const struct update_options *o, struct oci_memory *m, struct err *err)
{
	int r = take_size("memory", o->memory, &m->limit, err);

	if (r == 0)
		r = take_size("memory-swap", o->memory_swap, &m->swap, err);
	if (r == 0)
		r = take_size("memory-reservation", o->memory_reservation, &m->reservation, err);
	if (r == 0)
		r = take_size("kernel-memory", o->kernel_memory, &m->kernel, err);
	if (r == 0)
		r = take_size("kernel-memory-tcp", o->kernel_memory_tcp, &m->kernel_tcp, err);
	return r;
}

static int take_flags(const struct update_options *o, struct oci_resources *ret, struct err *err)
{
	int r = take_cpu(o, &ret->cpu, err);

	if (r == 0)
		r = take_memory(o, &ret->memory, err);
	if (r < 0)
		return r;
	if (o->blkio_weight.set && o->blkio_weight.v != 0) {
		if (o->blkio_weight.v < 0 || o->blkio_weight.v > UINT16_MAX)
			return err_set(err, ERANGE, "invalid value for blkio-weight: %lld",
				       (long long)o->blkio_weight.v);
		ret->block_io.weight = (struct opt_u32){.v = (uint32_t)o->blkio_weight.v, .set = true};
	}
	ret->pids_limit = o->pids_limit;
	return 0;
}

/* What goes only together, or not any more. */
static void fix(const struct runtime *rt, struct oci_resources *r)
{
	/* No limit on memory with one left on memory and swap is refused by the kernel. */
	if (r->memory.limit.set && r->memory.limit.v == -1 && !r->memory.swap.set)
		r->memory.swap = (struct opt_i64){.v = -1, .set = true};
	if (r->memory.kernel.set || r->memory.kernel_tcp.set) {
		runtime_warn(rt, "Kernel memory settings are ignored and will be removed");
		r->memory.kernel.set = r->memory.kernel_tcp.set = false;
	}
}

static int update_rdt(const struct container *c, const struct update_options *o, struct err *err)
{
	struct oci_intel_rdt rdt = {.l3_cache_schema = o->l3_cache_schema, .mem_bw_schema = o->mem_bw_schema};
	struct intelrdt group;

	if (rdt.l3_cache_schema && !*rdt.l3_cache_schema)
		rdt.l3_cache_schema = NULL;
	if (rdt.mem_bw_schema && !*rdt.mem_bw_schema)
		rdt.mem_bw_schema = NULL;
	if (rdt.l3_cache_schema && !intelrdt_cat_enabled())
		return err_set(err, ENOTSUP, "Intel RDT/CAT: l3 cache schema is not enabled");
	if (rdt.mem_bw_schema && !intelrdt_mba_enabled())
		return err_set(err, ENOTSUP, "Intel RDT/MBA: memory bandwidth schema is not enabled");
	if (!rdt.l3_cache_schema && !rdt.mem_bw_schema)
		return 0;
	if (!c->record.intel_rdt.dir)
		return err_set(err, EINVAL,
			       "updating a non-existent Intel RDT configuration is not supported");
	record_intel_rdt(&c->record, &group);
	return intelrdt_set(&group, &rdt, err);
}

int runtime_update(const struct runtime *rt, const struct update_options *o, struct err *err)
{
	autocontainer struct container c;
	struct oci_resources resources = {0};
	struct oci_document *document = NULL;
	int r;

	r = container_load(rt, o->id, CONTAINER_CONFIG, &c, err);
	if (r == 0)
		r = lacks_feature(c.level, ISOLATE_UPDATE, err);
	if (r == 0)
		r = o->resources && *o->resources ? load_resources(o->resources, &resources, &document, err)
						  : take_flags(o, &resources, err);
	if (r == 0)
		r = container_may(&c, LIFE_UPDATE, NULL, err);
	if (r == 0) {
		fix(rt, &resources);
		r = c.level->update(&c.sandbox, &resources, err);
	}
	if (r == 0)
		r = update_rdt(&c, o, err);
	oci_document_free(document);
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "isolate/vm/settings.h"

#include "base/file.h"
#include "base/str.h"
#include "base/toml.h"

enum {
	SETTINGS_MAX = 1 << 20,
	MIB = 1 << 20,
	MEMORY_MIN = 64,      /* MiB: less, and the kernel has no room for a program */
	MEMORY_MAX = 1 << 20, /* MiB */
	MEMORY_USUAL = 512,
	VCPUS_MAX = 64, /* CONFIG_NR_CPUS of the guest's kernel */
	START_TIMEOUT_USUAL = 60,
	SHARE_CACHE_USUAL = 1000,
	VOLUME_CACHE_USUAL = 100,
};

static const char *const hypervisors[] = {"auto", "qemu", "vmm", NULL};
static const char *const accelerators[] = {"auto", "kvm", "tcg", NULL};

static const struct json_field vm_fields[] = {
	F_STR(struct vm_settings, kernel, "kernel"),
	F_STR(struct vm_settings, initramfs, "initramfs"),
	F_STR(struct vm_settings, hypervisor, "hypervisor", .allowed = hypervisors),
	F_STR(struct vm_settings, accelerator, "accelerator", .allowed = accelerators),
	F_STR(struct vm_settings, memory, "memory"),
	F_U32(struct vm_settings, vcpus, "vcpus", .min = 1, .max = VCPUS_MAX),
	F_U32(struct vm_settings, start_timeout, "start_timeout", .min = 1, .max = 3600),
	F_U32(struct vm_settings, share_cache_ms, "share_cache_ms", .max = 3600000),
	F_U32(struct vm_settings, volume_cache_ms, "volume_cache_ms", .max = 1000),
};
const struct json_table vm_settings_table = JSON_TABLE(struct vm_settings, vm_fields);

struct file {
	struct vm_settings vm;
};
static const struct json_field file_fields[] = {
	F_OBJECT(struct file, vm, "vm", struct vm_settings, &vm_settings_table),
};
static const struct json_table file_table = JSON_TABLE(struct file, file_fields);

/* "512m", "1g", "536870912": whole MiB, or 0. */
static uint64_t parse_memory(const char *text)
{
	static const struct {
		char unit;
		uint64_t bytes;
	} units[] = {{'\0', 1}, {'b', 1}, {'k', 1 << 10}, {'m', MIB}, {'g', 1 << 30}};
	char *end;
	uint64_t n, bytes;

	if (*text < '0' || *text > '9')
		return 0;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || (end[0] && end[1]))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if ((*end | (*end ? 0x20 : 0)) != units[i].unit)
			continue;
		if (__builtin_mul_overflow(n, units[i].bytes, &bytes) || bytes / MIB < MEMORY_MIN ||
		    bytes / MIB > MEMORY_MAX)
			return 0;
		return bytes / MIB * MIB;
	}
	return 0;
}

static int check_absolute(const char *where, const char *key, const char *path, struct err *err)
{
	if (!path || *path == '/')
		return 0;
	return err_set(err, EINVAL, "%s: vm.%s must be an absolute path, not \"%s\"", where, key, path);
}

int vm_settings_complete(struct vm_settings *s, const char *where, struct err *err)
{
	int r = check_absolute(where, "kernel", s->kernel, err);

	if (r == 0)
		r = check_absolute(where, "initramfs", s->initramfs, err);
	if (r < 0)
		return r;
	s->memory_bytes = s->memory ? parse_memory(s->memory) : (uint64_t)MEMORY_USUAL * MIB;
	if (!s->memory_bytes)
		return err_set(
			err, EINVAL,
			"%s: vm.memory must be a size from %dm to %dm, as \"512m\" or \"2g\", not \"%s\"",
			where, MEMORY_MIN, MEMORY_MAX, s->memory);
	s->hypervisor = s->hypervisor ? s->hypervisor : "auto";
	s->accelerator = s->accelerator ? s->accelerator : "auto";
	s->vcpus = s->vcpus ? s->vcpus : 1;
	s->start_timeout = s->start_timeout ? s->start_timeout : START_TIMEOUT_USUAL;
	if (streq(s->hypervisor, "vmm") && streq(s->accelerator, "tcg"))
		return err_set(
			err, EINVAL,
			"%s: vm.hypervisor \"vmm\" works with KVM alone: accelerator \"tcg\" needs \"qemu\"",
			where);
	return 0;
}

/* By way of JSON, whose reader ignores what a table lacks: the command line checks the other tables. */
int vm_settings_decode(const char *text, size_t len, const char *where, struct vm_settings *ret,
		       struct err *err)
{
	struct json_doc memory = {0};
	struct file f = {.vm = {.share_cache_ms = SHARE_CACHE_USUAL, .volume_cache_ms = VOLUME_CACHE_USUAL}};
	autofree char *json = NULL;
	int r = len ? toml_to_json(text, len, where, &json, err) : 0;

	if (r == 0 && json)
		r = json_decode(&memory, json, strlen(json), where, &file_table, &f, err);
	if (r == 0)
		r = vm_settings_complete(&f.vm, where, err);
	if (r < 0) {
		json_doc_free(&memory);
		return r;
	}
	*ret = f.vm;
	ret->memory_of = memory;
	return 0;
}

static char *usual_path(void)
{
	const char *set = secure_getenv("COFFER_CONFIG"), *config = secure_getenv("XDG_CONFIG_HOME"),
		   *home = secure_getenv("HOME");

	if (set && *set == '/')
		return strdup(set);
	if (geteuid() == 0)
		return strdup("/etc/coffer/coffer.toml");
	if (config && *config == '/')
		return str_format("%s/coffer/coffer.toml", config);
	return str_format("%s/.config/coffer/coffer.toml", home && *home == '/' ? home : "");
}

int vm_settings_load(struct vm_settings *ret, struct err *err)
{
	autofree char *path = usual_path(), *text = NULL;
	size_t len = 0;

	if (!path)
		return err_oom(err);
	int r = file_read_at(AT_FDCWD, path, SETTINGS_MAX, &text, &len);
	if (r < 0 && r != -ENOENT && r != -ENOTDIR)
		return err_num(err, r, "cannot read the configuration \"%s\"", path);
	return vm_settings_decode(text ? text : "", len, path, ret, err);
}

void vm_settings_free(struct vm_settings *s)
{
	json_doc_free(&s->memory_of);
	*s = (struct vm_settings){0};
}

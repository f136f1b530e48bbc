/* SPDX-License-Identifier: Apache-2.0 */
/* doctor, info. */
#include "front/cli/cli.h"
#include "front/cli/doctor.h"
#include "front/cli/units.h"

#include "base/file.h"

#include "host/landlock.h"
#include "host/lsm.h"
#include "isolate/isolate.h"

#include <linux/magic.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

struct doctor_flags {
	const char *format;
	bool verbose;
};
#define DOC struct doctor_flags
static const struct opt doctor_options[] = {
	O_STR(DOC, format, "format", 'f', "Format output: json, or a Go TEMPLATE"),
};

static const char *const state_words[] = {"ok", "note", "lack", "bad"};

static int look_around(struct call *call, struct findings *f, struct err *err)
{
	const struct config *c;
	int r = cli_config(call, &c, err);

	if (r < 0)
		return r;
	*f = (struct findings){.memory = &call->memory, .data_root = cli_data_root(call->cli)};
	probe_isolation(f);
	probe_kernel(f);
	probe_mounts(f);
	probe_network(f);
	probe_programs(f);
	probe_vm(f, &c->vm);
	return 0;
}

static struct value *findings_value(const struct findings *f)
{
	struct json_doc *m = f->memory;
	struct value *list = value_new(m, VALUE_LIST);

	for (size_t i = 0; i < f->list.n; i++) {
		const struct finding *x = &f->list.v[i];
		struct value *v = value_new(m, VALUE_OBJECT);
		value_put(m, v, "Topic", x->topic);
		value_put(m, v, "Name", x->name);
		value_put(m, v, "State", state_words[x->state]);
		value_put(m, v, "Text", x->text);
		value_put(m, v, "Advice", x->state == FINDING_OK || !x->advice ? "" : x->advice);
		value_add(list, NULL, v);
	}
	return list;
}

static size_t count_state(const struct findings *f, enum finding_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < f->list.n; i++)
		n += f->list.v[i].state == state;
	return n;
}

static void print_findings(struct str *out, const struct findings *f)
{
	static const char *const marks[] = {"ok  ", "    ", "LACK", "BAD "};
	const char *topic = "";

	for (size_t i = 0; i < f->list.n; i++) {
		const struct finding *x = &f->list.v[i];
		if (!streq(topic, x->topic))
			str_putf(out, "%s%s\n", i ? "\n" : "", x->topic);
		topic = x->topic;
		str_putf(out, "  %s %-16s %s\n", marks[x->state], x->name, x->text);
		if (x->state != FINDING_OK && x->advice)
			str_putf(out, "  %21s -> %s\n", "", x->advice);
	}
}

static int run_doctor(struct call *call, struct err *err)
{
	const struct doctor_flags *f = call->options;
	struct str out autostr = {0};
	struct findings found;
	int r = look_around(call, &found, err);

	if (r < 0)
		return r;
	size_t bad = count_state(&found, FINDING_BAD), lacks = count_state(&found, FINDING_LACK);
	call->status = bad ? 1 : 0;
	if (f->format) {
		struct value *v = value_new(&call->memory, VALUE_OBJECT);
		value_add(v, "Runs", value_bool(&call->memory, !bad));
		value_add(v, "Checks", findings_value(&found));
		return v ? cli_print_document(call, v, f->format, err) : err_oom(err);
	}
	print_findings(&out, &found);
	str_put(&out, "\n");
	if (bad)
		str_put(&out, "Containers cannot run here: see what is BAD.\n");
	else if (lacks)
		str_putf(&out, "Containers run here; %zu thing%s could be better: see LACK.\n", lacks,
			 lacks == 1 ? "" : "s");
	else
		str_put(&out, "Containers run here, with everything that coffer knows to use.\n");
	return cli_print_str(&out, err);
}

/* ---- info ---- */

struct info_counts {
	size_t all, running, paused, stopped, images;
};

static int count_all(struct call *call, struct info_counts *n, struct err *err)
{
	const struct engine_list q = {.all = true};
	struct engine_rows rows;
	image_list images = {0};
	struct engine *e;
	int r = cli_list(call, &q, &e, &rows, err);

	*n = (struct info_counts){0};
	if (r < 0)
		return r;
	n->all = rows.rows.n;
	for (size_t i = 0; i < rows.rows.n; i++) {
		const char *state = rows.rows.v[i].state;
		n->running += streq(state, "running");
		n->paused += streq(state, "paused");
	}
	n->stopped = n->all - n->running - n->paused;
	engine_rows_free(&rows);
	r = image_list_all(engine_images(e), &images, err);
	n->images = images.n;
	image_list_free(&images);
	return r;
}

/* PRETTY_NAME of os-release(5). */
static const char *os_name(struct json_doc *m)
{
	autofree char *text = NULL;
	size_t len;

	if (file_read_at(AT_FDCWD, "/etc/os-release", 1 << 16, &text, &len) < 0)
		return "linux";
	const char *at = strstr(text, "PRETTY_NAME=");
	if (!at)
		return "linux";
	at += strlen("PRETTY_NAME=");
	at += *at == '"';
	return memory_text_n(m, at, strcspn(at, "\"\n"));
}

static struct value *security_options(struct json_doc *m)
{
	struct value *list = value_new(m, VALUE_LIST);

	if (lsm_apparmor_enabled())
		value_add(list, NULL, value_string(m, "name=apparmor"));
	if (lsm_selinux_enabled())
		value_add(list, NULL, value_string(m, "name=selinux"));
	value_add(list, NULL, value_string(m, "name=seccomp,profile=builtin"));
	if (landlock_abi() > 0)
		value_add(list, NULL, value_string(m, "name=landlock"));
	if (geteuid())
		value_add(list, NULL, value_string(m, "name=rootless"));
	value_add(list, NULL, value_string(m, "name=userns"));
	value_add(list, NULL, value_string(m, "name=cgroupns"));
	return list;
}

/* What level vm would run on, of the findings on it. */
static void put_vm(struct json_doc *m, struct value *v, const struct findings *found)
{
	static const struct {
		const char *finding, *member;
	} members[] = {{"hypervisor", "VmHypervisor"},
		       {"accelerator", "VmAccelerator"},
		       {"guest kernel", "VmKernel"}};
	struct value *hypervisors = value_new(m, VALUE_LIST);

	for (size_t i = 0; i < found->list.n; i++) {
		const struct finding *x = &found->list.v[i];
		if (!streq(x->topic, "Virtual machines"))
			continue;
		if (x->state == FINDING_OK && (streq(x->name, "qemu") || streq(x->name, "coffer-vmm")))
			value_add(hypervisors, NULL, value_string(m, x->name));
		for (size_t k = 0; k < ARRAY_LEN(members); k++)
			if (streq(x->name, members[k].finding))
				value_put(m, v, members[k].member, x->text);
	}
	value_add(v, "VmHypervisors", hypervisors);
}

static int info_value(struct call *call, const struct findings *found, struct value **ret, struct err *err)
{
	struct json_doc *m = &call->memory;
	struct value *v = value_new(m, VALUE_OBJECT), *levels = value_new(m, VALUE_LIST);
	struct info_counts n;
	const struct config *c;
	struct utsname u;
	struct statfs st;
	int r = count_all(call, &n, err);

	if (r == 0)
		r = cli_config(call, &c, err);
	if (r == 0 && uname(&u) < 0)
		r = err_sys(err, "cannot ask for the kernel's name");
	if (r < 0)
		return r;
	const char *manager =
		call->cli->globals.cgroup_manager ? call->cli->globals.cgroup_manager : c->cgroup_manager;
	bool v2 = statfs("/sys/fs/cgroup", &st) == 0 && st.f_type == CGROUP2_SUPER_MAGIC;
	for (size_t i = 0; isolate_levels[i]; i++)
		value_add(levels, NULL, value_string(m, isolate_levels[i]->name));
	value_add(v, "Containers", value_number(m, (int64_t)n.all));
	value_add(v, "ContainersRunning", value_number(m, (int64_t)n.running));
	value_add(v, "ContainersPaused", value_number(m, (int64_t)n.paused));
	value_add(v, "ContainersStopped", value_number(m, (int64_t)n.stopped));
	value_add(v, "Images", value_number(m, (int64_t)n.images));
	value_put(m, v, "ServerVersion", COFFER_VERSION);
	value_put(m, v, "Driver", "overlay");
	value_put(m, v, "Layers", c->layers ? c->layers : "auto");
	value_put(m, v, "LoggingDriver", c->containers.log_driver ? c->containers.log_driver : "json-file");
	value_put(m, v, "CgroupDriver", manager ? manager : "cgroupfs");
	value_put(m, v, "CgroupVersion", v2 ? "2" : "1");
	value_put(m, v, "DefaultIsolation", c->containers.isolation ? c->containers.isolation : "ns");
	value_add(v, "IsolationLevels", levels);
	value_add(v, "SecurityOptions", security_options(m));
	value_put(m, v, "KernelVersion", memory_text(m, u.release));
	value_put(m, v, "OperatingSystem", os_name(m));
	value_put(m, v, "OSType", "linux");
	value_put(m, v, "Architecture", memory_text(m, u.machine));
	value_add(v, "NCPU", value_number(m, sysconf(_SC_NPROCESSORS_ONLN)));
	value_add(v, "MemTotal", value_number(m, (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE)));
	value_put(m, v, "Name", memory_text(m, u.nodename));
	value_put(m, v, "DockerRootDir", cli_data_root(call->cli));
	value_put(m, v, "StateDir", cli_run_root(call->cli));
	value_put(m, v, "ConfigFile", c->path ? c->path : "");
	value_add(v, "Rootless", value_bool(m, geteuid() != 0));
	put_vm(m, v, found);
	value_add(v, "Checks", findings_value(found));
	*ret = v;
	return v ? 0 : err_oom(err);
}

/* " Name: value" of the document's members, lists with commas. */
static void info_text(struct str *out, const struct value *v)
{
	static const struct {
		const char *member, *label;
	} lines[] = {{"Containers", "Containers"},
		     {"ContainersRunning", " Running"},
		     {"ContainersPaused", " Paused"},
		     {"ContainersStopped", " Stopped"},
		     {"Images", "Images"},
		     {"ServerVersion", "Version"},
		     {"Driver", "Storage Driver"},
		     {"Layers", " Layers"},
		     {"LoggingDriver", "Logging Driver"},
		     {"CgroupDriver", "Cgroup Driver"},
		     {"CgroupVersion", "Cgroup Version"},
		     {"IsolationLevels", "Isolation Levels"},
		     {"DefaultIsolation", "Default Isolation"},
		     {"VmHypervisors", "Hypervisors"},
		     {"VmHypervisor", " Hypervisor"},
		     {"VmAccelerator", " Accelerator"},
		     {"VmKernel", " Guest Kernel"},
		     {"SecurityOptions", "Security Options"},
		     {"KernelVersion", "Kernel Version"},
		     {"OperatingSystem", "Operating System"},
		     {"OSType", "OSType"},
		     {"Architecture", "Architecture"},
		     {"NCPU", "CPUs"},
		     {"MemTotal", "Total Memory"},
		     {"Name", "Name"},
		     {"DockerRootDir", "Root Dir"},
		     {"StateDir", "State Dir"},
		     {"ConfigFile", "Configuration"}};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		const struct value *m = value_member(v, lines[i].member);
		if (!m)
			continue;
		str_putf(out, "%s:", lines[i].label);
		if (streq(lines[i].member, "MemTotal"))
			str_putf(out, " %s", size_binary(strtod(m->text, NULL)).s);
		else if (m->kind == VALUE_LIST)
			for (const struct value *x = m->first; x; x = x->next)
				str_putf(out, " %s", x->text);
		else
			str_putf(out, " %s", *m->text ? m->text : "(none)");
		str_put(out, "\n");
	}
}

static int run_info(struct call *call, struct err *err)
{
	const struct doctor_flags *f = call->options;
	struct str out autostr = {0};
	struct findings found;
	const struct config *c = NULL;
	struct value *v = NULL;
	int r = look_around(call, &found, err);

	if (r == 0)
		r = info_value(call, &found, &v, err);
	if (r == 0)
		r = cli_config(call, &c, err);
	if (r < 0)
		return r;
	const char *format = f->format ? f->format : c->formats.info;
	if (format)
		return cli_print_document(call, v, format, err);
	info_text(&out, v);
	for (size_t i = 0; i < found.list.n; i++)
		if (found.list.v[i].state >= FINDING_LACK)
			str_putf(&out, "WARNING: %s: %s: %s\n", found.list.v[i].topic, found.list.v[i].name,
				 found.list.v[i].text);
	if (count_state(&found, FINDING_LACK) + count_state(&found, FINDING_BAD))
		str_put(&out, "'coffer doctor' tells what to do about it.\n");
	return cli_print_str(&out, err);
}

const struct command command_doctor = {
	.name = "doctor",
	.summary = "Show what this machine can do, and what to do about what it lacks",
	.usage = "[OPTIONS]",
	.description = "Everything is tried, in ways that leave nothing behind.  The exit status is 1 where "
		       "no container\n"
		       "can run.",
	.examples = "coffer doctor\ncoffer doctor --format '{{range .Checks}}{{if eq .State "
		    "\"lack\"}}{{.Name}}: {{.Advice}}{{println}}{{end}}{{end}}'\n",
	.options = {OPT_TABLE(doctor_options)},
	.options_size = sizeof(struct doctor_flags),
	.run = run_doctor,
};
const struct command command_info = {
	.name = "info",
	.summary = "Show figures and settings of this installation",
	.usage = "[OPTIONS]",
	.examples = "coffer info\ncoffer info --format '{{.KernelVersion}} {{.IsolationLevels}}'\n",
	.options = {OPT_TABLE(doctor_options)},
	.options_size = sizeof(struct doctor_flags),
	.run = run_info,
};

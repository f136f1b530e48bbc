/* SPDX-License-Identifier: Apache-2.0 */
/* Device rules between cgroup_device_rules.c, cgroup_devices.c and cgroup_bpf.c; nobody else includes it. */
#pragma once

#include "host/cgroup_int.h"

enum {
	DEV_READ = 1 << 0,
	DEV_WRITE = 1 << 1,
	DEV_MKNOD = 1 << 2,
	DEV_RWM = DEV_READ | DEV_WRITE | DEV_MKNOD,
};

struct device_rule {
	bool allow;
	char type;	      /* 'c', 'b'; 'a' is every device with every access */
	int64_t major, minor; /* -1 = any */
	unsigned access;
};
typedef LIST_OF(struct device_rule) device_rule_list;

/* config.json's rules in their order, the runtime's own behind them; the caller frees ret->v. */
must_use int device_rules_make(const struct oci_resources *r, device_rule_list *ret, struct err *err);

/* What an ordered list comes to in the form of the v1 controller: a default and exceptions from it. */
struct device_state {
	bool allow;
	device_rule_list but; /* owned; no 'a' among them, every (type, major, minor) once */
};
must_use int device_state_of(const device_rule_list *rules, struct device_state *ret, struct err *err);
/* The state that devices.list shows.  Exceptions of an allowing group cannot be read there. */
must_use int device_state_read(char *list, struct device_state *ret, struct err *err);
void device_state_free(struct device_state *s);
/* "c 1:3 rwm" */
void device_rule_text(const struct device_rule *d, char buf[static 64]);
/* The access bits that `s` has for the device of `d` in its exceptions. */
unsigned device_state_access(const struct device_state *s, const struct device_rule *d);

/* Loads the list as an eBPF program and makes it the only one of the group at `fd`. */
must_use int device_bpf_attach(int fd, const device_rule_list *rules, struct err *err);
/* True where the list comes to "every device". */
bool device_bpf_allows_all(const device_rule_list *rules);
/* The program itself; the caller frees. */
struct bpf_insn;
must_use int device_bpf_assemble(const device_rule_list *rules, struct bpf_insn **ret, size_t *ret_n);

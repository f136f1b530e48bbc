/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table [vm] of coffer.toml: what level `vm` runs on.  docs/coffer.toml
 * describes each key.
 */
#pragma once

#include "base/json.h"

struct vm_settings {
	struct json_doc memory_of;	/* owns the texts */
	const char *kernel, *initramfs; /* absolute; NULL: of the newest kernel that is installed */
	const char *hypervisor;		/* "auto", "qemu", "vmm" */
	const char *accelerator;	/* "auto", "kvm", "tcg" */
	const char *memory;		/* as written: "512m" */
	uint64_t memory_bytes;		/* whole MiB */
	uint32_t vcpus;			/* 1..64 */
	uint32_t start_timeout;		/* seconds until the agent must be ready */
	uint32_t share_cache_ms; /* how long the guest may believe names and attributes; 0 = not at all */
};

/* Of struct vm_settings, for the command line's own reading of the file. */
extern const struct json_table vm_settings_table;

/* Fills what is not set, and refuses what makes no sense.  `where` names the file. */
must_use int vm_settings_complete(struct vm_settings *s, const char *where, struct err *err);
/* From TOML text; other tables than [vm] are not looked at. */
must_use int vm_settings_decode(const char *text, size_t len, const char *where, struct vm_settings *ret,
				struct err *err);
/*
 * From the file that the environment variable COFFER_CONFIG names (`coffer
 * --config` sets it), else /etc/coffer/coffer.toml, or the caller's own where
 * that is not root.  No such file: the defaults.  -> vm_settings_free()
 */
must_use int vm_settings_load(struct vm_settings *ret, struct err *err);
void vm_settings_free(struct vm_settings *s);

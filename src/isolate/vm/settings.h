/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime's own reading of the table [vm] of coffer.toml. */
#pragma once

#include "isolate/machine.h"

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

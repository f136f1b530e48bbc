/* SPDX-License-Identifier: Apache-2.0 */
/* The tables behind config.h, and the checks that tables cannot state.  Of use inside oci/ only. */
#pragma once

#include "oci/config.h"

struct oci_document {
	struct json_doc json;
};

extern const struct json_table oci_config_table, oci_process_table, oci_linux_table, oci_resources_table,
	oci_seccomp_table, oci_idmap_table;

/* An optional string: "" is none. */
#define F_TEXT(st, m, name, ...) F_STR(st, m, name, .empty_is_null = true, __VA_ARGS__)

/* What a check needs: the document's name for messages and its memory. */
struct oci_check {
	const char *where;
	struct json_doc *doc;
	struct err *err;
};

/* "FILE: text"; returns -EINVAL. */
int oci_invalid(const struct oci_check *ck, const char *fmt, ...) printf_like(2, 3);
/* "/X" for "X", in the document's memory; NULL without memory. */
const char *oci_make_absolute(const struct oci_check *ck, const char *path);
/* NULL, or the first of `list` that `known` (NULL-terminated) lacks. */
const char *oci_first_unknown(const str_list *list, const char *const *known);
bool oci_is_known(const char *s, const char *const *known);
/* "0-3,7" as the kernel has CPU and node lists, or nothing at all. */
bool oci_is_cpu_list(const char *s);
/* How many numbers such a list holds. */
size_t oci_cpu_list_count(const char *s);

must_use int oci_check_process(const struct oci_check *ck, const char *path, struct oci_process *p);
must_use int oci_check_linux(const struct oci_check *ck, struct oci_config *c);
/* `path`: "linux.resources", or "" where the document is the object. */
must_use int oci_check_resources(const struct oci_check *ck, const char *path, struct oci_resources *r);
must_use int oci_check_config(const struct oci_check *ck, struct oci_config *c);

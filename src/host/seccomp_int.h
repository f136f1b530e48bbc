/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of seccomp*.c. */
#pragma once

#include "host/seccomp.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

enum { SECCOMP_ARCHS_MAX = 24 };

/* Of one architecture in the kernel's sense (AUDIT_ARCH_*). */
struct seccomp_arch {
	uint32_t audit;
	uint32_t last;	   /* the highest number that the profile names; 0 = none */
	uint32_t last_x32; /* the same of x32, bit 30 included; 0 = x32 is not in the profile */
};

struct seccomp_archs {
	struct seccomp_arch v[SECCOMP_ARCHS_MAX]; /* the native one first */
	size_t n;
	bool enosys; /* numbers above the last get ENOSYS */
};

struct seccomp_prog {
	struct sock_filter *v; /* owned */
	size_t n;
};

/* seccomp_rules.c: the profile through libseccomp, as libseccomp writes it. */
must_use int seccomp_rules_compile(const struct oci_seccomp *s, struct seccomp_prog *ret,
				   struct seccomp_archs *ret_archs, struct err *err);
uint32_t seccomp_native_arch(void);

/* seccomp_bpf.c: the same decisions as a tree of ranges, with the ENOSYS rule. */
must_use int seccomp_bpf_optimise(const struct seccomp_prog *in, const struct seccomp_archs *archs,
				  struct seccomp_prog *ret, struct err *err);
/* Sound enough for the kernel: known instructions, jumps within, ends with a return. */
bool seccomp_bpf_valid(const struct sock_filter *v, size_t n);

/* seccomp_cache.c: 1 = found, 0 = not there (or not to be trusted). */
int seccomp_cache_get(int dirfd, const char *text, size_t text_len, struct seccomp_filter *ret);
void seccomp_cache_put(int dirfd, const char *text, size_t text_len, const struct seccomp_filter *f);

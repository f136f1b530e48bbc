/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seccomp profiles (config-linux.md, "Seccomp").
 *
 * The parent compiles the profile, or takes it compiled from the cache; the
 * child installs it with one system call right before execve.
 */
#pragma once

#include "base/err.h"
#include "oci/config.h"

struct sock_filter;

struct seccomp_filter {
	struct sock_filter *prog; /* owned; NULL where there is nothing to install */
	unsigned short len;	  /* instructions */
	unsigned flags;		  /* SECCOMP_FILTER_FLAG_* */
	bool notify;		  /* some call asks for SCMP_ACT_NOTIFY: seccomp_install() gives a listener */
};

/*
 * Compiles.  `s` may be NULL, or a profile without default action and rules:
 * then the filter is empty and seccomp_install() does nothing.
 *
 * As runc does it: unknown system call names are left out; several conditions
 * on one argument are alternatives; without `flags` SPEC_ALLOW is set; TSYNC
 * is taken and means nothing (there is one thread); numbers above the highest
 * that the profile names on an architecture give ENOSYS rather than the
 * default action, unless that allows, logs or traces, so that a C library
 * falls back from calls that the profile's author could not know.
 *
 * SCMP_ACT_NOTIFY is refused as the default action and for `write` (as runc)
 * and for `sendmsg`: that is the call which hands the listener out, and
 * nobody could answer for it yet.  Calls that come later (recvmsg, execve)
 * may ask: the agent has the listener by then.
 *
 * `cache_dirfd` (-1: none) is a directory of the caller's effective user
 * that nobody else may write; otherwise it is not used.  Failure to cache is
 * not an error.  `no_new_privileges` changes nothing in the filter.
 */
must_use int seccomp_prepare(const struct oci_seccomp *s, bool no_new_privileges, int cache_dirfd,
			     struct seccomp_filter *ret, struct err *err);
void seccomp_filter_free(struct seccomp_filter *f);
/*
 * One system call.  Needs CAP_SYS_ADMIN in the own user namespace or
 * no_new_privs.  *ret_listener_fd (close-on-exec, may be NULL without
 * notify) is -1 where the filter has no notify.
 */
must_use int seccomp_install(const struct seccomp_filter *f, int *ret_listener_fd, struct err *err);

/* For `features`; NULL-terminated, sorted. */
extern const char *const seccomp_known_actions[];
extern const char *const seccomp_known_operators[];
extern const char *const seccomp_known_archs[];
extern const char *const seccomp_known_flags[];
/* Does this kernel take the flag of that name? */
bool seccomp_flag_supported(const char *name);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks (config.md, "POSIX-platform Hooks"): programs of the host, or of the
 * container, that get the container's state on standard input.  A hook without an
 * environment of its own has the caller's.
 */
#pragma once

#include "runtime/runtime.h"

struct hook_call {
	const struct runtime *rt;
	const char *kind;      /* "prestart" */
	const hook_list *list; /* run in order */
	const char *id, *bundle, *status;
	const pair_list *annotations;
	pid_t pid;    /* 0 = none */
	bool inside;  /* runs in the container's namespaces: no change to the bundle's directory */
	bool forgive; /* a failure is a warning, and the next one runs */
};

/* 0, or the first failure: "error running prestart hook #0: exit status 1, stdout: , stderr: ...". */
must_use int hooks_run(const struct hook_call *call, struct err *err);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coffer-fetch: the program that moves images between registries and the
 * store.  It is started where content moves, so that nobody else pays for
 * libcurl and OpenSSL.  A threader: see main.c.
 *
 *	coffer-fetch [--root DIR] [--settings FD] COMMAND ...
 *
 *	  --root DIR      the store (default /var/lib/coffer; rootless ~/.local/share/coffer)
 *	  --settings FD   a descriptor (a pipe, a memfd, a file) from which one JSON
 *	                  document is read to its end: what the configuration file says
 *
 *	pull [--platform P] [--all-tags|-a] [--quiet|-q] [--progress MODE] REF
 *	push [--all-tags|-a] [--quiet|-q] [--progress MODE] REF
 *	login [-u USER] [-p PASSWORD | --password-stdin] [SERVER]
 *	logout [SERVER]
 *	catalog [--limit N] [--progress json] SERVER [PATTERN]   repositories; PATTERN is a shell pattern or a
 *part of the name tags [--limit N] REPOSITORY inspect [--raw] [--config] [--platform P] REF   without pulling
 *
 * MODE: auto (default: tty on a terminal, else plain), tty, plain, none, json
 * (one object a line: {"id","status","progressDetail":{"current","total"}},
 * {"status"} and at the end {"status","digest","reference","id"}).
 *
 * Results and progress go to standard output, errors to standard error as one
 * line "coffer: …".  Exit status: 0; 1 failed; 125 wrong usage; 130 interrupted.
 *
 * Settings (every key may be missing; unknown ones mean nothing):
 *
 *	{
 *	  "hosts": [{
 *	    "host": "registry.example:5000",     as in references; "docker.io" for Docker Hub
 *	    "insecure": false,                   unverified TLS, and plain HTTP where TLS is not spoken
 *	    "ca_file": "…", "ca_dir": "…",       beside the system's
 *	    "client_cert": "…", "client_key": "…",
 *	    "mirrors": ["mirror.example:5000", "https://other.example/prefix"]   tried first, in this order
 *	  }],
 *	  "certs_dir": "/etc/coffer/certs.d",    HOST/NAME.crt, NAME.cert and NAME.key, as Docker has it
 *	  "layers": "auto" | "erofs" | "directory",
 *	  "parallel": 6,                         transfers at once
 *	  "retries": 5,                          tries of a request before it fails
 *	  "stall_seconds": 30,                   under 1 KiB/s for so long is a failed try
 *	  "default_registry": "docker.io",       what a name without a host means (also as "short_names")
 *	  "aliases": {"nginx": "quay.io/nginx/nginx"}
 *	}
 *
 * 127.0.0.0/8, ::1 and localhost are insecure by default, as with Docker.
 * Proxies: HTTPS_PROXY, HTTP_PROXY, NO_PROXY and their small-letter forms.
 */
#pragma once

#include "image/content.h"

#include <signal.h>

struct settings;
struct progress;

/* What every command gets. */
struct fetch {
	const char *root;
	struct settings *settings;
	struct image_store *store; /* NULL until fetch_open_store() */
	bool store_in_use;	   /* by a thread that waits for another process: it is not closed */
};
must_use int fetch_open_store(struct fetch *f, struct err *err);

struct pull_options {
	const char *reference, *platform;
	bool all_tags, quiet;
	struct progress *progress;
};
must_use int fetch_pull(struct fetch *f, const struct pull_options *o, struct err *err);

struct push_options {
	const char *reference;
	bool all_tags, quiet;
	struct progress *progress;
};
must_use int fetch_push(struct fetch *f, const struct push_options *o, struct err *err);

struct login_options {
	const char *server, *user, *password;
	bool password_stdin;
};
must_use int fetch_login(struct fetch *f, const struct login_options *o, struct err *err);
must_use int fetch_logout(struct fetch *f, const char *server, struct err *err);

struct catalog_options {
	const char *server, *pattern;
	uint64_t limit; /* 0 = all */
	bool json;
};
must_use int fetch_catalog(struct fetch *f, const struct catalog_options *o, struct err *err);
must_use int fetch_tags(struct fetch *f, const char *repository, uint64_t limit, struct err *err);

struct inspect_options {
	const char *reference, *platform;
	bool raw, config;
};
must_use int fetch_inspect(struct fetch *f, const struct inspect_options *o, struct err *err);

/* SIGINT, SIGTERM or SIGHUP came: partial content stays for the next try. */
extern volatile sig_atomic_t fetch_interrupted;

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Landlock rules of a container: the annotation `dev.coffer.landlock`.
 *
 * A JSON object.  Landlock denies every right that some member governs but
 * for what the members allow; what no member governs stays as it is.
 *
 *   {
 *     "abi": 4,
 *     "paths": [
 *       {"path": "/usr", "access": ["read", "execute"]},
 *       {"path": "/data", "access": ["read", "write", "create"]}
 *     ],
 *     "tcp": {"bind": [80, 443], "connect": [443]},
 *     "scope": ["abstract-unix-socket", "signal"]
 *   }
 *
 * abi      Optional.  The Landlock version that the kernel must have at least;
 *          a kernel below it is refused.
 * paths    Present (even empty): every file system right that this program
 *          knows and the kernel has is governed.  `path` is absolute, in the
 *          container; it must exist; links are followed inside the root.
 *          `access` names groups of rights:
 *            read      read files, list directories
 *            execute   execute files
 *            write     write and truncate files
 *            create    make files, directories, links, sockets, fifos
 *            remove    remove files and directories
 *            refer     rename and link between directories
 *            device    make device nodes
 *            ioctl     ioctl on devices
 *          or single rights by the kernel's names in lower case: read_file,
 *          read_dir, write_file, truncate, remove_file, remove_dir, make_char,
 *          make_block, make_reg, make_dir, make_sock, make_fifo, make_sym,
 *          ioctl_dev.
 * tcp      `bind` present: binding TCP sockets is governed and allowed for
 *          these ports; `connect` likewise.  Port 0 in bind is the ephemeral
 *          range.
 * scope    The process may not reach abstract Unix sockets or signal
 *          processes outside.
 *
 * What is asked for by name is never dropped: a right named singly or by the
 * groups refer and ioctl, tcp or scope that the kernel does not know (refer
 * before version 2, truncate 3, tcp 4, ioctl 5, scope 6) is refused with the
 * reason, and so is everything where Landlock is off.  What `paths` implies
 * besides (that files which no rule names cannot be truncated, nor devices
 * controlled) holds as far as the kernel knows the right; "abi": 5 insists on
 * all of it.  An unknown member or access name, a port that is none: errors,
 * for a typing error must not open a hole.
 */
#pragma once

#include "base/err.h"

#include <sys/types.h>

struct landlock_path {
	char *path;	 /* owned */
	uint64_t access; /* LANDLOCK_ACCESS_FS_* */
};

struct landlock_rules {
	bool set;	     /* there are rules to apply */
	unsigned abi;	     /* asked for at least; 0 = any */
	uint64_t handled_fs; /* with paths: all known here; applied as far as the kernel knows it */
	uint64_t named_fs;   /* rights asked for by name: the kernel must know them */
	uint64_t handled_net, scoped;
	struct landlock_path *paths;
	size_t npaths;
	struct landlock_port {
		uint16_t port;
		uint64_t access; /* LANDLOCK_ACCESS_NET_* */
	} * ports;
	size_t nports;
};

enum { LANDLOCK_PATHS_MAX = 1024, LANDLOCK_PORTS_MAX = 4096 };

/* The kernel's version, 0 where Landlock is off or absent. */
int landlock_abi(void);
/* Parses the annotation; messages begin `annotation "dev.coffer.landlock": `.  json == NULL gives empty
 * rules. */
must_use int landlock_parse(const char *json, struct landlock_rules *ret, struct err *err);
/* Refuses what a kernel of version `abi` cannot do; call in the parent with landlock_abi(). */
must_use int landlock_check(const struct landlock_rules *r, int abi, struct err *err);
/*
 * Child, inside its root, after mounts are done; `root_fd` is an O_PATH
 * descriptor of the root directory.  Needs no_new_privs or CAP_SYS_ADMIN: sets
 * neither.  Open descriptors keep their rights.  Empty rules do nothing.
 */
must_use int landlock_apply(const struct landlock_rules *r, int root_fd, struct err *err);
void landlock_rules_free(struct landlock_rules *r);

/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of directory trees, by descriptor: for tmpcopyup. */
#pragma once

#include "base/fd.h"

/*
 * Copies what is in the directory `from` into the directory `to` (O_PATH will
 * do for both): files, directories, links, nodes and sockets with owner, mode,
 * times and extended attributes.  Nothing below `from` is followed: links are
 * copied as links, other mounts are not entered.  Modes are exact with umask 0.
 */
must_use int copy_tree(int from, int to, struct err *err);

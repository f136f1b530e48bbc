/* SPDX-License-Identifier: Apache-2.0 */
/* For db.c alone: the index of the write-ahead log outlives the process that made it. */
#pragma once

#include "base/err.h"

/*
 * Before SQLite opens the database at `path`: where the index of its log is this
 * boot's and fits the log, a descriptor that keeps SQLite from making it anew;
 * else -1.  It is to be closed after the connection.
 */
must_use int db_index_hold(const char *path);
/* After a connection that has read: the index that it leaves is one of this boot. */
void db_index_mark(const char *path);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a json-file log with rotation: PATH, PATH.1 (the one before), PATH.2 …
 *
 * Nobody else writes to it.  Entries are appended whole; where one could not
 * be (the disk is full) the file is cut back to the last whole one, and a
 * line that a killed monitor left torn is ended before anything is added.
 * Rotation is a chain of renames from the oldest on: killed in between it
 * leaves a gap in the numbers, never a lost or doubled file.
 */
#pragma once

#include "base/err.h"

struct log_file {
	int fd; /* owned */
	const char *path;
	uint64_t size, max_size; /* 0 = no limit */
	uint32_t max_files;	 /* 0 and 1: cut in place */
	char *out;		 /* entries to be written together; owned */
	size_t len, room;
	char *attrs; /* owned */
};

/* Takes fd (opened for appending) over, and attrs (log_line.h). */
must_use int log_file_begin(struct log_file *l, int fd, char *attrs, struct err *err);
/* Up to LOG_LINE_MAX bytes.  Errors come with the writing: log_file_flush(). */
void log_file_add(struct log_file *l, const char *text, size_t len, bool whole, bool is_err,
		  const char *time);
/* 0 or -errno: the entries since the last flush are lost. */
int log_file_flush(struct log_file *l);
void log_file_end(struct log_file *l);

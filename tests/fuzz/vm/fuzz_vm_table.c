/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot's table of files (vm/share/table.c), as somebody else wrote it:
 * what is taken can be kept again, and is the same then.
 *
 *	byte 0	1: the right head is put in front
 *	the rest	the rows
 */
#include "vm/share/share_int.h"

#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 24, ROW = 32 };

static int root = -1;

static void set_out(void)
{
	static char path[] = "/tmp/fuzz-table-XXXXXX";

	if (!mkdtemp(path))
		abort();
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 ||
	    rmdir(path) < 0) /* an empty directory without a name is left of it, and goes with us */
		abort();
}

static int write_table(const uint8_t *data, size_t size, bool head)
{
	struct {
		char magic[8];
		uint64_t nslots, bytes;
	} h = {.magic = "shtable1", .nslots = 1 + size / ROW, .bytes = HEAD + size};
	int fd = memfd_create("table", MFD_CLOEXEC);

	if (fd < 0 || (head && fd_write_all(fd, &h, sizeof(h)) < 0) || fd_write_all(fd, data, size) < 0)
		abort();
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct share_server *s = NULL;
	struct err err = {0};

	if (root < 0)
		set_out();
	if (size < 1)
		return 0;
	const struct share here = {.sock = -1, .root_fd = root, .proc_fd = -1, .table_fd = -1, .told_fd = -1};
	autoclose int table = write_table(data + 1, size - 1, data[0] & 1);
	if (share_new(&here, false, &s, &err) < 0)
		abort();
	if (share_table_load(s, table) == 0) {
		autoclose int again = memfd_create("again", MFD_CLOEXEC);
		if (again < 0 || share_table_save(s, again) < 0)
			abort();
		for (size_t i = 1; i < s->nslots; i++)
			if (s->slots[i]->id != i)
				abort();
	}
	share_free(s);
	return 0;
}

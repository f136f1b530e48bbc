/* SPDX-License-Identifier: Apache-2.0 */
/* Between qemu*.c and their tests. */
#pragma once

#include "base/str.h"
#include "vm/hypervisor.h"

enum {
	QMP_LINE_MAX = 64 << 10, /* of one message; QEMU's longest here is its greeting, 300 bytes */
	QMP_WAIT_MS = 120000,	 /* at most, for one answer: an emulator on a busy machine is slow */
};

struct qmp {
	int fd;	   /* borrowed */
	char *buf; /* owned; QMP_LINE_MAX */
	size_t len, used;
	int wait_ms;	    /* for one answer; the caller's to set; 0: QMP_WAIT_MS */
	char migration[24]; /* the last status that an event told; "" = none yet */
};

/* Reads the greeting and leaves negotiation mode.  q->wait_ms is set before. */
must_use int qmp_open(struct qmp *q, int fd, struct err *err);
void qmp_close(struct qmp *q);
/* `arguments`: a JSON object, or NULL.  fd: passed along; -1 = none.  `what` is for messages: "cannot WHAT".
 */
must_use int qmp_command(struct qmp *q, const char *command, const char *arguments, int fd, const char *what,
			 struct err *err);
/* Until a migration (there or here) has ended: 0 where it is "completed". */
must_use int qmp_wait_migration(struct qmp *q, const char *what, struct err *err);

/* The arguments of one start, and what they need open. */
struct qemu_args {
	char **v; /* owned, NULL-terminated */
	size_t n;
	bool failed;
	int fds[192]; /* borrowed */
	size_t nfds;
};

/* The machine that QEMU makes: each has its own processor. */
enum qemu_board {
	QEMU_MICROVM, /* x86-64 */
	QEMU_VIRT,    /* ARM64 */
};
#ifdef __aarch64__
#define QEMU_BOARD_HERE QEMU_VIRT
#else
#define QEMU_BOARD_HERE QEMU_MICROVM
#endif

struct qemu_plan {
	const struct vm_spec *spec;
	enum qemu_board board;
	int qmp_fd;	  /* QEMU's end */
	int memory_fd;	  /* -1: memory of its own */
	unsigned tsc_khz; /* 0: not known */
	bool acpi;
};
must_use int qemu_plan_args(const struct qemu_plan *p, struct qemu_args *ret, struct err *err);
void qemu_args_free(struct qemu_args *a);
/* 1: an ELF file, 0: a bzImage, or ARM64's Image; else why it is none that the board takes. */
must_use int qemu_kernel_is_elf(int fd, enum qemu_board board, struct err *err);

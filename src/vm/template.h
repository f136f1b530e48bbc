/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates: a machine that has booted once, up to its agent's READY and
 * before it was told anything of a container, kept in a file.  The next
 * machine of the same make begins there: tens of milliseconds instead of a
 * boot.
 *
 *	vm_template_open()   1: spec->from is set; no READY will come, HELLO is the first frame
 *	                     0: boot; and where t->writable, call vm_template_save() at READY,
 *	                        before HELLO
 *	start(spec)          fails with spec->from: vm_template_refuse(), then start again, which boots
 *	vm_template_close()
 *
 * Nothing of a container is in a template: no disk, no share, no address, and
 * the entropy of HELLO is new.  See template.c for what makes it safe.
 */
#pragma once

#include "vm/hypervisor.h"

enum { VM_TEMPLATE_KEY_MAX = 2048 };

/*
 * The file of a machine that stands still: a template, or a snapshot (snapshot.c).  `key` is all that it was
 * made of, in lines; only a machine of the same key can begin there.  `more`: whoever kept it has more to
 * say, behind the devices.
 */
struct vm_machine_head {
	char magic[16];
	uint64_t memory, state_at, state_len, boot_ns, more_len;
	char key[VM_TEMPLATE_KEY_MAX];
};
must_use int vm_machine_key(char key[static VM_TEMPLATE_KEY_MAX], const struct hypervisor *driver,
			    const struct vm_spec *s, struct err *err);
/* Of a machine that is paused, with its memory in the file s->memory_in: `file` is empty, and opened for
 * reading and writing.  head: magic, boot_ns, key; the rest is set. */
must_use int vm_machine_write(int file, struct vm_machine_head *head, struct vm *vm, const struct vm_spec *s,
			      struct err *err);
/* -ESTALE and which line is another one, in words, or 0. */
must_use int vm_machine_same(const char has[static VM_TEMPLATE_KEY_MAX],
			     const char wanted[static VM_TEMPLATE_KEY_MAX], struct err *err);
/* 0: it is whole, and of a machine of s->memory bytes; -EBADMSG else.  ret_from borrows the file. */
must_use int vm_machine_read(int file, const char magic[static 16], const struct vm_spec *s,
			     struct vm_machine_head *ret, struct vm_snapshot *ret_from, struct err *err);

struct vm_template {
	int dir_fd; /* borrowed */
	int proc_fd;
	int file; /* owned; -1 = none */
	struct vm_snapshot snapshot;
	bool writable;	  /* there is none, and one may be made */
	bool kept;	  /* it was made: vm_template_save() */
	uint64_t boot_ns; /* the guest's age in it: the caller's to set before it is saved, kept with it */
	char name[32];
	char key[VM_TEMPLATE_KEY_MAX];
};

/*
 * dir_fd: the cache directory; -1: no templates.  spec->memory_in is the caller's; without it none is made.
 * Changes `spec` as said above.  Never fails a start: why
 * there is none (a hostile file, say) stands in *err where err->code is set, for the log.
 */
int vm_template_open(struct vm_template *t, int dir_fd, const struct hypervisor *driver, struct vm_spec *spec,
		     struct err *err);
/*
 * One that somebody has made by name, in `file` (borrowed for as long as it is restored).  1: spec->from is
 * set; 0: the file is none, but may be a snapshot; -ESTALE: of another machine than `spec`; -EBADMSG.
 */
int vm_template_named(struct vm_template *t, int file, const struct hypervisor *driver, struct vm_spec *spec,
		      struct err *err);
/* Of a machine that boots: what vm_template_save() makes goes into `file` (empty, borrowed), and gets no
 * name. */
must_use int vm_template_into(struct vm_template *t, int file, struct err *err);
/* Of a machine that began with one: the same into `file`. */
must_use int vm_template_copy(const struct vm_template *t, int file, struct err *err);
/* The template was no good: it is removed where that may be done, and `spec` boots, with memory that the
 * caller gives anew. */
void vm_template_refuse(struct vm_template *t, struct vm_spec *spec);
/* Pauses the machine, keeps it, lets it go on.  A failure is the template's alone as long as vm goes on: -EIO
 * where it does not. */
must_use int vm_template_save(struct vm_template *t, struct vm *vm, const struct vm_spec *spec,
			      struct err *err);
void vm_template_close(struct vm_template *t);

/* A memfd for spec->memory_in, or -errno. */
must_use int vm_memory_new(uint64_t size);
/* Copies from[from_at, from_at + size); what is a hole there is left alone in `to`.  0 or -errno. */
must_use int vm_memory_copy(int from, off_t from_at, int to, off_t to_at, uint64_t size);

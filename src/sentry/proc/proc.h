/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc: how its tree is written down.
 *
 * Theory of operation
 *
 * The tree is tables of entries.  An entry begins with what it is called and
 * contains the synth_type (synth.h) that look-ups hand out, so that from a
 * node the way leads back to its entry, and a node needs no more than that
 * and the ids of the process that it is about.  Directories that depend on
 * the living kernel (pids, tids, descriptors, sysctls of the network) have
 * look-ups of their own.
 *
 * What a file says is the host's own text wherever the host knows better
 * (times, memory, signals of a stub; counters of the network namespace), with
 * ids, paths and limits translated (rewrite.h), and the sentry's own
 * otherwise.  Files of the host are read through kernel.proc_fd by paths that
 * are built from our tables and outer pids alone, never from a guest's text.
 */
#pragma once

#include "base/str.h"
#include "sentry/boot.h"
#include "sentry/synth.h"
#include "sentry/task.h"

struct proc_entry {
	const char *name;
	struct synth_type type;
	const struct proc_entry *children; /* of a directory; ended by name = NULL */
	const char *host;		   /* the file of the host's /proc with the same text */
};

#define PROC_DIR(called, kids)                                                                               \
	{                                                                                                    \
		.name = (called),                                                                            \
		.type = {.mode = S_IFDIR | 0555, .lookup = proc_lookup, .list = proc_list},                  \
		.children = (kids)                                                                           \
	}
#define PROC_FILE(called, shown) PROC_FILE_MODE(called, 0444, shown)
#define PROC_FILE_MODE(called, bits, shown)                                                                  \
	{                                                                                                    \
		.name = (called), .type = {.mode = S_IFREG | (bits), .show = (shown) }                       \
	}
#define PROC_HOST(called, file)                                                                              \
	{                                                                                                    \
		.name = (called), .type = {.mode = S_IFREG | 0444, .show = proc_show_host}, .host = (file)   \
	}
#define PROC_LINK(called, read, place)                                                                       \
	{                                                                                                    \
		.name = (called), .type = {.mode = S_IFLNK | 0777, .readlink = (read), .follow = (place) }   \
	}

static inline const struct proc_entry *proc_entry_of(const struct synth_node *node)
{
	return container_of(node->type, struct proc_entry, type);
}

/* Directories with a table. */
int proc_lookup(struct task *t, const struct synth_node *dir, const char *name, struct synth_node *ret);
int proc_list(struct task *t, const struct synth_node *dir, uint64_t from, synth_list *each, void *data);
/* The text of entry->host. */
int proc_show_host(struct task *t, const struct synth_node *node, struct synth_text *text);
/* entry->host itself is the text. */
int proc_show_fixed(struct task *t, const struct synth_node *node, struct synth_text *text);

/* Is it a /proc/PID itself?  Such a directory stands for its process where a pidfd does. */
bool proc_is_pid_dir(const struct synth_node *node);
/* The process and thread that a node is about; NULL = it has ended. */
struct process *proc_process(const struct synth_node *node);
struct task *proc_task(const struct synth_node *node);

/* A process that has ended and has not been waited for (zombies.c). */
struct zombie {
	struct zombie *next;
	pid_t host_pid, pid;
	char comm[TASK_COMM_LEN];
	struct creds *creds;
};
/* NULL = none of that number; borrowed, until somebody looks again. */
const struct zombie *proc_zombie(pid_t pid);
/* Its last thread ends: who waits for it finds a zombie. */
void proc_process_released(const struct process *p);
void proc_each_zombie(void (*visit)(void *data, pid_t pid), void *data);

/* A file of the host's /proc/PID, or of /proc/PID/task/TID for a node of a thread, whole; the caller frees.
 */
int proc_host_text(const struct synth_node *node, const char *file, char **ret, size_t *ret_len);
/* The guest's pid of an outer one; 0 where it is none of the guest's. */
pid_t proc_guest_pid(pid_t host_pid);
/* Gives a builder's text to the reader: 0 or -ENOMEM.  The builder is empty after. */
int proc_finish(struct str *from, struct synth_text *text);

/* Tables of this room's files, by what they are below /proc. */
extern const struct proc_entry proc_pid_entries[], proc_tid_entries[]; /* PID/, PID/task/TID/ */
extern const struct proc_entry proc_ns_entries[];		       /* PID/ns/ */
extern const struct proc_entry proc_sys_entries[];		       /* sys/ */

/* Directories by function. */
#define PROC_LOOKUP(name)                                                                                    \
	int name(struct task *t, const struct synth_node *dir, const char *called, struct synth_node *ret)
#define PROC_LIST(name)                                                                                      \
	int name(struct task *t, const struct synth_node *dir, uint64_t from, synth_list *each, void *data)
PROC_LOOKUP(proc_task_lookup);
PROC_LIST(proc_task_list);
unsigned proc_task_links(const struct synth_node *dir);
unsigned proc_count_threads(const struct process *p);
PROC_LOOKUP(proc_fd_lookup);
PROC_LIST(proc_fd_list);
PROC_LOOKUP(proc_fdinfo_lookup);
PROC_LIST(proc_fdinfo_list);
PROC_LOOKUP(proc_net_lookup);
PROC_LIST(proc_net_list);
PROC_LOOKUP(proc_sysctl_net_lookup);
PROC_LIST(proc_sysctl_net_list);

int proc_open_mem(struct task *t, const struct synth_node *node, int flags, struct file **ret);

/* Texts of single files. */
#define PROC_SHOW(name) int name(struct task *t, const struct synth_node *node, struct synth_text *text)
PROC_SHOW(proc_show_stat);
PROC_SHOW(proc_show_status);
PROC_SHOW(proc_show_statm);
PROC_SHOW(proc_show_maps);
PROC_SHOW(proc_show_smaps);
PROC_SHOW(proc_show_smaps_rollup);
PROC_SHOW(proc_show_mounts);
PROC_SHOW(proc_show_mountinfo);
PROC_SHOW(proc_show_mountstats);
PROC_SHOW(proc_show_limits);
PROC_SHOW(proc_show_meminfo);
PROC_SHOW(proc_show_cpuinfo);
PROC_SHOW(proc_show_machine_stat);
PROC_SHOW(proc_show_loadavg);

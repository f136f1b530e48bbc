/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that have ended and whose parents have not asked for them yet.
 *
 * Who waits for whom is the host's, so that nobody tells when a zombie goes.
 * Of each process that ends a record stays, and whoever looks asks the host
 * whether the pid still is a zombie of that number.  As the records become
 * twice as many as were there at the last look through all of them, those of
 * processes that have gone are dropped: about one question to the host for each end.
 */
#include "sentry/proc/proc.h"
#include "sentry/sys/proc_text.h"

#include "base/file.h"

enum { ZOMBIES_FEW = 64, STATUS_MAX = 8192 };

static struct {
	struct zombie *first;
	size_t n, limit;
} zombies = {.limit = ZOMBIES_FEW};

static bool is_zombie(const struct zombie *z)
{
	autofree char *text = NULL;
	char path[32];
	const char *state;

	(void)snprintf(path, sizeof(path), "%d/status", z->host_pid);
	if (file_read_at(kernel.proc_fd, path, STATUS_MAX, &text, NULL) < 0)
		return false;
	state = status_line(text, "State");
	return state && *state == 'Z' && status_last_number(text, "NSpid") == z->pid;
}

static void drop_gone(void)
{
	for (struct zombie **at = &zombies.first; *at;) {
		struct zombie *z = *at;

		if (is_zombie(z)) {
			at = &z->next;
			continue;
		}
		*at = z->next;
		creds_unref(z->creds);
		free(z);
		zombies.n--;
	}
	zombies.limit = MAX_OF(2 * zombies.n, (size_t)ZOMBIES_FEW);
}

void proc_process_released(const struct process *p)
{
	const struct task *last = process_task(p);
	struct zombie *z = last && last->creds ? calloc(1, sizeof(*z)) : NULL;

	if (!z)
		return; /* it is not shown */
	if (zombies.n >= zombies.limit)
		drop_gone();
	*z = (struct zombie){.next = zombies.first,
			     .host_pid = p->host_pid,
			     .pid = p->pid,
			     .creds = creds_ref(last->creds)};
	memcpy(z->comm, last->comm, sizeof(z->comm));
	zombies.first = z;
	zombies.n++;
}

const struct zombie *proc_zombie(pid_t pid)
{
	if (process_find(pid))
		return NULL;
	for (const struct zombie *z = zombies.first; z; z = z->next)
		if (z->pid == pid && is_zombie(z))
			return z;
	return NULL;
}

void proc_each_zombie(void (*visit)(void *data, pid_t pid), void *data)
{
	drop_gone();
	for (const struct zombie *z = zombies.first; z; z = z->next)
		if (!process_find(z->pid))
			visit(data, z->pid);
}

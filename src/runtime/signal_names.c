/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/runtime.h"

#include "base/str.h"

#include <signal.h>
#include <strings.h>

/* The names that the C library does not know by sigabbrev_np(). */
static const struct {
	const char *name;
	int number;
} aliases[] = {
	{"CLD", SIGCHLD},
	{"IOT", SIGABRT},
	{"POLL", SIGIO},
};

enum { SIG_MAX = 64 }; /* of Linux; SIGRTMIN is the kernel's 32 and 33 used up by the C library */

/* "RTMIN", "RTMIN+3", "RTMAX-2" */
static int realtime(const char *name)
{
	bool min = strncasecmp(name, "RTMIN", 5) == 0;
	uint64_t offset = 0;

	if (!min && strncasecmp(name, "RTMAX", 5) != 0)
		return -1;
	if (name[5] && (name[5] != (min ? '+' : '-') || str_to_u64(name + 6, 10, &offset) < 0))
		return -1;
	if (offset > (uint64_t)(SIGRTMAX - SIGRTMIN))
		return -1;
	return min ? SIGRTMIN + (int)offset : SIGRTMAX - (int)offset;
}

static int signal_by_name(const char *name)
{
	if (strncasecmp(name, "SIG", 3) == 0)
		name += 3;
	for (int i = 1; i < SIGRTMIN; i++) {
		const char *abbrev = sigabbrev_np(i);
		if (abbrev && strcasecmp(abbrev, name) == 0)
			return i;
	}
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
		if (strcasecmp(aliases[i].name, name) == 0)
			return aliases[i].number;
	return realtime(name);
}

int runtime_signal_number(const char *text, struct err *err)
{
	uint64_t number;
	int sig = -1;

	if (str_to_u64(text, 10, &number) == 0)
		sig = number <= SIG_MAX ? (int)number : -1;
	else
		sig = signal_by_name(text);
	return sig < 0 ? err_set(err, EINVAL, "unknown signal \"%s\"", text) : sig;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/caps.h"

#include "host/caps.h"

#include <ctype.h>

/*
 * Docker's set but for NET_RAW: raw sockets let a container forge packets of
 * its neighbours (ARP, DHCP, router advertisements).  ping works all the
 * same, by net.ipv4.ping_group_range.
 */
static const char *const default_caps[] = {
	"CAP_CHOWN",	  "CAP_DAC_OVERRIDE", "CAP_FSETID",	 "CAP_FOWNER",	"CAP_MKNOD",
	"CAP_SETGID",	  "CAP_SETUID",	      "CAP_SETFCAP",	 "CAP_SETPCAP", "CAP_NET_BIND_SERVICE",
	"CAP_SYS_CHROOT", "CAP_KILL",	      "CAP_AUDIT_WRITE",
};

static int cap_bit(const char *name, uint64_t *ret, struct err *err)
{
	char full[64] = "CAP_";
	size_t n = 4;

	if (strlen(name) >= sizeof(full) - 5)
		return err_set(err, EINVAL, "invalid capability: \"%.64s\"", name);
	if (strncasecmp(name, "CAP_", 4) == 0)
		name += 4;
	for (; *name; name++)
		full[n++] = (char)toupper((unsigned char)*name);
	full[n] = '\0';
	int nr = cap_number(full);
	if (nr < 0)
		return err_set(err, EINVAL, "invalid capability: unknown capability: \"%.64s\"", full);
	*ret = CAP_BIT(nr);
	return 0;
}

static uint64_t all_caps(void)
{
	return (CAP_BIT(caps_last_cap()) << 1) - 1;
}

static bool is_all(const char *name)
{
	return strcasecmp(name, "ALL") == 0 || strcasecmp(name, "CAP_ALL") == 0;
}

int engine_caps(const struct engine_create *q, uint64_t *ret, struct err *err)
{
	uint64_t caps = 0, add = 0, drop = 0, bit;
	bool drop_all = false;

	for (size_t i = 0; i < ARRAY_LEN(default_caps); i++)
		caps |= CAP_BIT(cap_number(default_caps[i]));
	for (size_t i = 0; i < q->cap_drop.n; i++) {
		if (is_all(q->cap_drop.v[i])) {
			drop_all = true;
			continue;
		}
		int r = cap_bit(q->cap_drop.v[i], &bit, err);
		if (r < 0)
			return r;
		drop |= bit;
	}
	for (size_t i = 0; i < q->cap_add.n; i++) {
		if (is_all(q->cap_add.v[i])) {
			add = all_caps();
			continue;
		}
		int r = cap_bit(q->cap_add.v[i], &bit, err);
		if (r < 0)
			return r;
		add |= bit;
	}
	if (q->privileged) {
		*ret = all_caps();
		return 0;
	}
	/* As Docker: what was dropped by name is not added by ALL; what was added by name survives dropping
	 * ALL. */
	*ret = ((drop_all ? 0 : caps) | add) & ~drop;
	return 0;
}

void engine_caps_write(struct json_out *out, const char *key, uint64_t caps)
{
	json_begin_list(out, key);
	for (unsigned i = 0; i < CAP_NR_KNOWN; i++) {
		if (caps & CAP_BIT(i))
			json_put_str(out, NULL, cap_name(i));
	}
	json_end(out);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CVE-2022-0811: a value with "+" made another program write core_pattern.
 * Nothing here takes a key apart into program arguments, but the keys are
 * held to plain characters all the same, and only what the kernel keeps per
 * namespace is let through.
 */
#include "host/sysctl.h"

#include "base/fd.h"
#include "base/str.h"
#include "host/procfs.h"

#include <sys/stat.h>

enum { KEY_MAX = 255, VALUE_MAX = 4095 };

/* "net/ipv4/conf/eth0.100/x" -> "net.ipv4.conf.eth0/100.x", where the first separator is a slash
 * (sysctl.d(5)). */
static void to_dots(const char *key, char out[static KEY_MAX + 1])
{
	size_t first = strcspn(key, "./");
	bool swap = key[first] == '/';

	(void)snprintf(out, KEY_MAX + 1, "%s", key); /* the length was checked */
	for (char *p = out; swap && *p; p++)
		*p = *p == '/' ? '.' : *p == '.' ? '/' : *p;
}

/* The file below /proc/sys: each "." is a separator and each "/" a dot of a name. */
static void to_path(const char *dots, char out[static KEY_MAX + 5])
{
	(void)snprintf(out, KEY_MAX + 5, "sys/%s", dots); /* room for both */
	for (char *p = out + strlen("sys/"); *p; p++)
		*p = *p == '/' ? '.' : *p == '.' ? '/' : *p;
}

static int check_words(const char *key, const char *value, struct err *err)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./@:";
	char path[KEY_MAX + 5], dots[KEY_MAX + 1];
	size_t n = strlen(key);

	if (n == 0 || n > KEY_MAX || strspn(key, plain) != n)
		return err_set(err, EINVAL, "sysctl \"%s\" is not a valid name", key);
	to_dots(key, dots);
	to_path(dots, path);
	/* Empty, "." and ".." components, whichever way they were written. */
	for (const char *p = path, *end; p; p = end ? end + 1 : NULL) {
		end = strchr(p, '/');
		size_t len = end ? (size_t)(end - p) : strlen(p);
		if (len == 0 || (len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.'))
			return err_set(err, EINVAL, "sysctl \"%s\" is not a valid name", key);
	}
	if (!value || strlen(value) > VALUE_MAX || strpbrk(value, "\n\r"))
		return err_set(err, EINVAL, "sysctl \"%s\": its value must be one line of at most %d bytes",
			       key, VALUE_MAX);
	return 0;
}

static bool is_ipc(const char *key)
{
	static const char *const names[] = {
		"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
		"kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (streq(key, names[i]))
			return true;
	return str_starts(key, "fs.mqueue.");
}

/* Is it the host's?  A namespace that is joined by path may be the runtime's own.  1, 0 or -errno. */
static int is_hosts(const struct oci_config *c, enum oci_ns which, struct err *err)
{
	const struct oci_namespace *ns = &c->linux.ns[which];
	struct stat own, there;
	char self[32];

	if (!ns->wanted)
		return 1;
	if (!ns->path)
		return 0;
	(void)snprintf(self, sizeof(self), "/proc/self/ns/%s", oci_ns_file(which)); /* fits */
	if (stat(self, &own) < 0)
		return err_sys(err, "cannot examine %s", self);
	if (stat(ns->path, &there) < 0)
		return err_sys(err, "invalid %sns path: cannot examine %s", oci_ns_file(which), ns->path);
	return own.st_dev == there.st_dev && own.st_ino == there.st_ino;
}

static int check_uts_key(const struct oci_config *c, const char *key, const char *value, struct err *err)
{
	bool domain = streq(key, "kernel.domainname");

	if (domain && (!c->domainname || (value && streq(value, c->domainname))))
		return 0;
	return err_set(err, EINVAL, "sysctl \"%s\" is not allowed as it conflicts with the OCI \"%s\" field",
		       key, domain ? "domainname" : "hostname");
}

static bool machine_is_containers;

void sysctl_own_machine(void)
{
	machine_is_containers = true;
}

static int check_key(const struct oci_config *c, const char *key, const char *value, struct err *err)
{
	bool uts = streq(key, "kernel.domainname") || streq(key, "kernel.hostname");
	int host = -1;

	if (is_ipc(key))
		host = is_hosts(c, OCI_NS_IPC, err);
	else if (str_starts(key, "net."))
		host = machine_is_containers ? 0 : is_hosts(c, OCI_NS_NETWORK, err);
	else if (uts)
		host = is_hosts(c, OCI_NS_UTS, err);
	else if (str_starts(key, "user."))
		host = is_hosts(c, OCI_NS_USER, err);
	else
		return err_set(err, EINVAL, "sysctl \"%s\" is not in a separate kernel namespace", key);
	if (host < 0)
		return host;
	if (!host)
		return uts ? check_uts_key(c, key, value, err) : 0;
	if (is_ipc(key))
		return err_set(err, EINVAL, "sysctl \"%s\" is not allowed in the hosts ipc namespace", key);
	if (str_starts(key, "net."))
		return err_set(err, EINVAL, "sysctl \"%s\" not allowed in host network namespace", key);
	if (str_starts(key, "user."))
		return err_set(err, EINVAL, "setting ucounts without a user namespace not allowed: %s", key);
	return err_set(err, EINVAL, "sysctl \"%s\" is not in a separate kernel namespace", key);
}

int sysctl_check(const struct oci_config *c, struct err *err)
{
	for (size_t i = 0; i < c->linux.sysctl.n; i++) {
		const struct oci_pair *s = &c->linux.sysctl.v[i];
		char key[KEY_MAX + 1];
		int r = check_words(s->key, s->value, err);

		if (r < 0)
			return r;
		to_dots(s->key, key);
		r = check_key(c, key, s->value, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int sysctl_apply(const struct oci_config *c, int procfs, struct err *err)
{
	for (size_t i = 0; i < c->linux.sysctl.n; i++) {
		const struct oci_pair *s = &c->linux.sysctl.v[i];
		char key[KEY_MAX + 1], path[KEY_MAX + 5];
		int r = check_words(s->key, s->value, err);

		if (r < 0)
			return r;
		to_dots(s->key, key);
		to_path(key, path);
		r = procfs_write(procfs, path, s->value, err);
		if (r < 0)
			return err_num(err, r, "failed to write sysctl %s = \"%s\"", s->key, s->value);
	}
	return 0;
}

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

/* A namespace that is joined by path may be the runtime's own. */
static int is_host_net(const struct oci_namespace *ns, struct err *err)
{
	struct stat own, there;

	if (!ns->wanted)
		return 1;
	if (!ns->path)
		return 0;
	if (stat("/proc/self/ns/net", &own) < 0)
		return err_sys(err, "invalid netns path: cannot examine /proc/self/ns/net");
	if (stat(ns->path, &there) < 0)
		return err_sys(err, "invalid netns path: cannot examine %s", ns->path);
	return own.st_dev == there.st_dev && own.st_ino == there.st_ino;
}

static int check_key(const struct oci_config *c, const char *key, struct err *err)
{
	const struct oci_namespace *ns = c->linux.ns;

	if (is_ipc(key)) {
		if (ns[OCI_NS_IPC].wanted)
			return 0;
		return err_set(err, EINVAL, "sysctl \"%s\" is not allowed in the hosts ipc namespace", key);
	}
	if (str_starts(key, "net.")) {
		int host = is_host_net(&ns[OCI_NS_NETWORK], err);
		if (host <= 0)
			return host;
		return err_set(err, EINVAL, "sysctl \"%s\" not allowed in host network namespace", key);
	}
	if (ns[OCI_NS_UTS].wanted && streq(key, "kernel.domainname") && !c->domainname)
		return 0;
	if (ns[OCI_NS_UTS].wanted && streq(key, "kernel.domainname"))
		return err_set(err, EINVAL,
			       "sysctl \"%s\" is not allowed as it conflicts with the OCI \"domainname\" field",
			       key);
	if (ns[OCI_NS_UTS].wanted && streq(key, "kernel.hostname"))
		return err_set(err, EINVAL,
			       "sysctl \"%s\" is not allowed as it conflicts with the OCI \"hostname\" field",
			       key);
	if (str_starts(key, "user.")) {
		if (ns[OCI_NS_USER].wanted)
			return 0;
		return err_set(err, EINVAL, "setting ucounts without a user namespace not allowed: %s", key);
	}
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
		r = check_key(c, key, err);
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

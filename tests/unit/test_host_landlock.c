/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "host/landlock.h"
#include "host/landlock_int.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

static const char *parse(const char *json, struct landlock_rules *ret)
{
	static struct err err;

	*ret = (struct landlock_rules){0};
	err = (struct err){0};
	return landlock_parse(json, ret, &err) < 0 ? err.msg : "ok";
}

static const char *refuse(const char *json)
{
	struct landlock_rules r;
	const char *msg = parse(json, &r);

	landlock_rules_free(&r);
	return msg;
}

static const char *check(const char *json, int abi)
{
	static struct err err;
	struct landlock_rules r;

	CHECK_STR(parse(json, &r), "ok");
	err = (struct err){0};
	int e = landlock_check(&r, abi, &err);
	landlock_rules_free(&r);
	return e < 0 ? err.msg : "ok";
}

#define A "annotation \"dev.coffer.landlock\": "

static void test_parse(void)
{
	struct landlock_rules r;

	CHECK_STR(parse("{\"abi\":1,\"paths\":[{\"path\":\"/usr\",\"access\":[\"read\",\"execute\"]},"
			"{\"path\":\"/data\",\"access\":[\"write\",\"create\",\"truncate\"]}],"
			"\"tcp\":{\"bind\":[80,443],\"connect\":[]},\"scope\":[\"signal\"]}",
			&r),
		  "ok");
	CHECK(r.set && r.abi == 1 && r.handled_fs == LL_FS_ALL && r.npaths == 2 && r.nports == 2);
	CHECK_STR(r.paths[0].path, "/usr");
	CHECK(r.paths[0].access == (LL_READ_FILE | LL_READ_DIR | LL_EXECUTE));
	CHECK(r.named_fs == LL_TRUNCATE);
	CHECK(r.handled_net == (LL_NET_BIND | LL_NET_CONNECT) && r.ports[1].port == 443 &&
	      r.ports[1].access == LL_NET_BIND);
	CHECK(r.scoped == LL_SCOPE_SIGNAL);
	landlock_rules_free(&r);
	CHECK_STR(parse("{\"paths\":[]}", &r), "ok");
	CHECK(r.set && r.handled_fs == LL_FS_ALL && r.npaths == 0 && r.handled_net == 0);
	landlock_rules_free(&r);
	CHECK_STR(parse(NULL, &r), "ok");
	CHECK(!r.set);

	CHECK_STR(refuse("{}"), A "it has neither paths nor tcp ports nor scope");
	CHECK_STR(refuse("{\"path\":[]}"), A "there is no member \"path\" in this place");
	CHECK_STR(refuse("{\"Paths\":[]}"), A "there is no member \"Paths\" in this place");
	CHECK_STR(refuse("{\"paths\":[{\"path\":\"/\",\"acess\":[\"read\"]}]}"),
		  "annotation \"dev.coffer.landlock\": paths[0].access: expected a list of strings, got "
		  "nothing");
	CHECK_STR(refuse("{\"paths\":[{\"path\":\"/\",\"access\":[\"read\"],\"bind\":1}]}"),
		  A "there is no member \"bind\" in this place");
	CHECK_STR(refuse("{\"tcp\":{\"bind\":[1],\"conect\":[2]}}"),
		  A "there is no member \"conect\" in this place");
	CHECK_STR(refuse("{\"tcp\":{\"bind\":[1]},\"x\\\"y\":{}}"),
		  A "there is no member \"x\\\"y\" in this place");
	CHECK_STR(refuse("{\"paths\":[{\"path\":\"usr\",\"access\":[\"read\"]}]}"),
		  A "paths: \"usr\" is not absolute");
	CHECK_STR(refuse("{\"paths\":[{\"path\":\"/\",\"access\":[\"reed\"]}]}"),
		  A "paths: there is no access \"reed\"");
	CHECK_STR(refuse("{\"paths\":[{\"path\":\"/\",\"access\":[]}]}"),
		  A "paths: \"/\" has no access; leave it out to deny all");
	CHECK_STR(refuse("{\"scope\":[\"x\"]}"), A "scope: there is no \"x\"");
	CHECK(str_starts(refuse("{\"tcp\":{\"bind\":[65536]}}"), "annotation \"dev.coffer.landlock\": tcp"));
	CHECK(!streq(refuse("{\"tcp\":{\"bind\":[-1]}}"), "ok"));
	CHECK(!streq(refuse("[]"), "ok"));
	CHECK(!streq(refuse("{\"paths\":[]"), "ok"));
	CHECK_STR(refuse("{\"paths\":[{\"path\":\"/a:\\\"b\\\"\",\"access\":[\"read\"]}]}"), "ok");
}

static void test_versions(void)
{
	const char *paths = "{\"paths\":[{\"path\":\"/\",\"access\":[\"write\"]}]}";

	CHECK_STR(check(paths, 0), A "this kernel has no Landlock, or it is switched off");
	CHECK_STR(check(paths, 1), "ok");
	CHECK_STR(check("{\"abi\":3,\"paths\":[]}", 2), A "asks for version 3; this kernel has version 2");
	CHECK_STR(check("{\"paths\":[{\"path\":\"/\",\"access\":[\"refer\"]}]}", 1),
		  A "access \"refer\" needs version 2; this kernel has version 1");
	CHECK_STR(check("{\"paths\":[{\"path\":\"/\",\"access\":[\"ioctl\"]}]}", 4),
		  A "access \"ioctl\" needs version 5; this kernel has version 4");
	CHECK_STR(check("{\"tcp\":{\"bind\":[]}}", 3), A "tcp needs version 4; this kernel has version 3");
	CHECK_STR(check("{\"scope\":[\"signal\"]}", 5), A "scope needs version 6; this kernel has version 5");
}

/* ---- In the kernel ---- */

static int restricted(const char *json, const char *dir, int (*body)(const char *dir))
{
	pid_t pid = fork();

	if (pid == 0) {
		struct landlock_rules r;
		struct err err = {0};
		int root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (landlock_parse(json, &r, &err) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    landlock_apply(&r, root, &err) < 0) {
			fprintf(stderr, "%s\n", err.msg);
			_exit(99);
		}
		_exit(body(dir));
	}
	return proc_exit_code(proc_wait(pid));
}

static int try_open(const char *dir, const char *name, int flags)
{
	autofree char *path = str_format("%s/%s", dir, name);
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int paths_body(const char *dir)
{
	if (try_open(dir, "ro/f", O_RDONLY) != 0)
		return 1;
	if (try_open(dir, "ro/f", O_WRONLY) != EACCES)
		return 2;
	if (try_open(dir, "rw/new", O_WRONLY | O_CREAT) != 0)
		return 3;
	if (try_open(dir, "rw/f", O_RDONLY) != EACCES)
		return 4;
	if (try_open(dir, "f", O_RDONLY) != 0) /* by a link that leads into the root */
		return 5;
	if (try_open("/etc", "passwd", O_RDONLY) != EACCES)
		return 6;
	autofree char *path = str_format("%s/rw/new", dir);
	return unlink(path) < 0 && errno == EACCES ? 0 : 7;
}

static int bind_errno(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)port),
				.sin_addr = {htonl(INADDR_LOOPBACK)}};
	autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
}

static int tcp_body(const char *dir unused)
{
	return bind_errno(0) == 0 && bind_errno(45871) == EACCES && try_open("/etc", "passwd", O_RDONLY) == 0
		       ? 0
		       : 1;
}

static int scope_body(const char *dir unused)
{
	return kill(getppid(), 0) < 0 && errno == EPERM ? 0 : 1;
}

static void test_kernel(void)
{
	char dir[] = "/tmp/coffer-ll-XXXXXX";
	int abi = landlock_abi();

	printf("Landlock version %d\n", abi);
	if (abi == 0)
		return;
	CHECK(mkdtemp(dir) != NULL);
	autoclose int d = open(dir, O_PATH | O_CLOEXEC);
	CHECK(mkdirat(d, "ro", 0755) == 0 && mkdirat(d, "rw", 0755) == 0);
	CHECK(file_replace_at(d, "ro/f", "x", 1, 0644, false) == 0 &&
	      file_replace_at(d, "rw/f", "x", 1, 0644, false) == 0);
	CHECK(file_replace_at(d, "f", "x", 1, 0644, false) == 0);
	/* The rule's own path is a link to the container's root: resolved inside. */
	CHECK(symlinkat("/f", d, "link") == 0);
	CHECK_INT(restricted("{\"paths\":[{\"path\":\"/ro\",\"access\":[\"read\"]},{\"path\":\"/"
			     "rw\",\"access\":[\"write\",\"create\"]},"
			     "{\"path\":\"/link\",\"access\":[\"read\"]}]}",
			     dir, paths_body),
		  0);
	CHECK_INT(restricted("{\"paths\":[{\"path\":\"/nosuch\",\"access\":[\"read\"]}]}", dir, paths_body),
		  99);
	CHECK_INT(restricted("{\"paths\":[{\"path\":\"/f\",\"access\":[\"create\"]}]}", dir, paths_body), 99);
	if (abi >= 4)
		CHECK_INT(restricted("{\"tcp\":{\"bind\":[0]}}", dir, tcp_body), 0);
	if (abi >= 6)
		CHECK_INT(restricted("{\"scope\":[\"signal\"]}", dir, scope_body), 0);
	autoclose int tmp = open("/tmp", O_PATH | O_CLOEXEC);
	CHECK_INT(file_remove_tree_at(tmp, dir + strlen("/tmp/")), 0);
}

int main(void)
{
	test_parse();
	test_versions();
	test_kernel();
	return test_end();
}

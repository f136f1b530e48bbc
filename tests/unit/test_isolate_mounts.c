/* SPDX-License-Identifier: Apache-2.0 */
#include "test_isolate_case.h"

#include <sys/xattr.h>

#define NS		     "\"namespaces\": [{\"type\": \"mount\"}]"
#define WITH(mounts, linux_) "\"mounts\": [" mounts "], \"linux\": {" NS ", " linux_ "}"
#define TMPFS(to, options)   MOUNT(to, "tmpfs", "tmpfs", options)

static void mount_host(const char *path, unsigned long flags)
{
	make_dir(path);
	if (syscall(SYS_mount, "tmpfs", path, "tmpfs", flags, "mode=755") < 0)
		_exit(2);
}

static void share_host(const char *path)
{
	if (syscall(SYS_mount, NULL, path, NULL, MS_SHARED | MS_REC, NULL) < 0)
		_exit(2);
}

static void volume(void)
{
	make_dir("../volume/sub");
	make_file("../volume/f", "text");
}

static void nested_volume(void)
{
	mount_host("../volume", MS_NOSUID | MS_NODEV);
	mount_host("../volume/sub", MS_NOEXEC);
}

/* --- flags of bind mounts --- */

static void inside_plain(void)
{
	CHECK(mounted("/plain", " rw,nosuid,nodev,"));
	CHECK(!is_mounted("/plain/sub"));
	CHECK(mounted("/rec/sub", " rw,noexec,"));
	/* Given flags replace the source's; those of what is below stay. */
	CHECK(mounted("/ro", " ro,relatime "));
	CHECK(mounted("/ro/sub", " rw,noexec,"));
	CHECK(mounted("/noatime", " rw,noatime "));
	CHECK(mounted("/suid", " rw,relatime "));
	CHECK(!can_write("/ro/new"));
}

static void inside_recursive(void)
{
	CHECK(mounted("/rro", " ro,nosuid,nodev,"));
	CHECK(mounted("/rro/sub", " ro,noexec,"));
	CHECK(mounted("/mix/sub", " rw,nosuid,noatime "));
	CHECK(mounted("/mix", " rw,nosuid,nodev,noatime "));
}

static void inside_remounted(void)
{
	CHECK(mounted("/v", " ro,"));
}

static void test_bind(void)
{
	const char *plain =
		ONLY(BIND("/plain", "volume", "") "," MOUNT("/rec", "none", "volume", "\"rbind\"") "," MOUNT(
			"/ro", "none", "volume",
			"\"rbind\", \"ro\"") "," MOUNT("/noatime", "none", "volume",
						       "\"bind\", \"noatime\"") "," MOUNT("/suid", "none",
											  "volume",
											  "\"bind\", "
											  "\"suid\""));
	const char *remounted =
		ONLY(BIND("/v", "volume", "") "," BIND("/v", "volume", ", \"remount\", \"ro\""));

	RUN(.config = plain, .prepare = nested_volume, .inside = inside_plain);
	RUN(.config = plain, .prepare = nested_volume, .inside = inside_plain, .no_setattr = true);
	RUN(.config = plain, .prepare = nested_volume, .inside = inside_plain, .no_api = true);
	RUN(.config = ONLY(MOUNT("/rro", "none", "volume", "\"rbind\", \"rro\"") "," MOUNT(
		    "/mix", "none", "volume", "\"rbind\", \"rnosuid\", \"rexec\", \"rnoatime\"")),
	    .prepare = nested_volume, .inside = inside_recursive);
	RUN(.config = ONLY(MOUNT("/rro", "none", "volume", "\"rbind\", \"rro\"")), .prepare = nested_volume,
	    .fails = "recursive mount attributes", .no_setattr = true);
	RUN(.config = remounted, .prepare = volume, .inside = inside_remounted);
	RUN(.config = remounted, .prepare = volume, .inside = inside_remounted, .no_api = true);
}

/* --- files as targets --- */

static void inside_files(void)
{
	struct stat st;

	CHECK(file_has("/a/b/file", "text"));
	CHECK(file_has("/existing", "text"));
	CHECK(stat("/a", &st) == 0 && (st.st_mode & 0777) == 0755);
}

static void volume_and_target(void)
{
	volume();
	make_file("existing", "covered");
}

static void test_files(void)
{
	const char *config = ONLY(BIND("/a/b/file", "volume/f", "") "," BIND("/existing", "volume/f", ""));

	RUN(.config = config, .prepare = volume_and_target, .inside = inside_files);
	RUN(.config = config, .prepare = volume_and_target, .inside = inside_files, .no_api = true);
}

/* --- propagation --- */

static void shared_volume(void)
{
	mount_host("../volume", 0);
	share_host("..");
}

static void inside_slave(void)
{
	CHECK(lacks("/", "shared:") && lacks("/", "master:"));
	CHECK(mounted("/default", " master:") && lacks("/default", "shared:"));
	CHECK(lacks("/private", "master:") && lacks("/private", "shared:"));
	CHECK(mounted("/shared", "shared:") && mounted("/shared", "master:"));
	CHECK(mounted("/unbindable", " unbindable "));
	CHECK(mounted("/tmpfs", " shared:") && lacks("/tmpfs", "master:"));
}

static void inside_root_shared(void)
{
	CHECK(mounted("/", " shared:") && lacks("/", "master:"));
	CHECK(mounted("/default", " shared:") && lacks("/default", "master:"));
}

static void inside_root_slave(void)
{
	CHECK(mounted("/", " master:") && lacks("/", "shared:"));
	CHECK(mounted("/default", " master:"));
}

static void inside_root_private(void)
{
	CHECK(lacks("/", "master:") && lacks("/", "shared:"));
	CHECK(lacks("/default", "master:") && lacks("/default", "shared:"));
}

static void inside_root_unbindable(void)
{
	CHECK(mounted("/", " unbindable "));
}

#define P_MOUNTS                                                                                             \
	BIND("/default", "volume", "")                                                                       \
	"," BIND("/private", "volume", ", \"rprivate\"") "," BIND(                                           \
		"/shared", "volume", ", \"rshared\"") "," BIND("/unbindable", "volume",                      \
							       ", \"unbindable\"") "," TMPFS("/tmpfs",       \
											     "\"shared\"")
#define P_ROOT(name) WITH(BIND("/default", "volume", ""), "\"rootfsPropagation\": \"" name "\"")

static void test_propagation(void)
{
	for (int old = 0; old < 3; old++) {
		struct test_case t = {.prepare = shared_volume, .no_setattr = old > 0, .no_api = old > 1};
		t.config = ONLY(P_MOUNTS);
		t.inside = inside_slave;
		case_run("propagation of mounts", &t);
		t.config = P_ROOT("shared");
		t.inside = inside_root_shared;
		case_run("shared root", &t);
		t.config = P_ROOT("rshared");
		case_run("rshared root", &t);
		t.config = P_ROOT("slave");
		t.inside = inside_root_slave;
		case_run("slave root", &t);
		t.config = P_ROOT("rprivate");
		t.inside = inside_root_private;
		case_run("private root", &t);
		t.config = P_ROOT("unbindable");
		t.inside = inside_root_unbindable;
		case_run("unbindable root", &t);
	}
}

/* --- tmpfs --- */

static void tree_to_copy(void)
{
	make_dir("t/dir/deep");
	make_file("t/file", "contents");
	make_file("t/dir/deep/er", "");
	make_link("/etc/passwd", "t/link");
	if (chmod("t", 01770) < 0 || chown("t/file", 7, 8) < 0 || chmod("t/file", 04711) < 0 ||
	    mkfifo("t/fifo", 0640) < 0 || mknod("t/null", S_IFCHR | 0600, makedev(1, 3)) < 0 ||
	    setxattr("t/file", "trusted.test", "x", 1, 0) < 0)
		_exit(2);
}

static void inside_tmpfs(void)
{
	struct stat st;

	CHECK(mounted("/t", " - tmpfs tmpfs rw,mode=1770") && stat("/t", &st) == 0 &&
	      (st.st_mode & 07777) == 01770);
	CHECK(access("/t/file", F_OK) < 0);
	CHECK(stat("/own", &st) == 0 && (st.st_mode & 07777) == 0700);
	CHECK(stat("/fresh", &st) == 0 && (st.st_mode & 07777) == 01777);
	CHECK(mounted("/ro", " ro,") && !can_write("/ro/x"));
	CHECK(mounted("/sized", "size=64k"));
}

static void inside_copy(void)
{
	struct stat st;
	char buf[64];

	CHECK(mounted("/t", " - tmpfs "));
	CHECK(file_has("/t/file", "contents"));
	CHECK(stat("/t/file", &st) == 0 && st.st_uid == 7 && st.st_gid == 8 && (st.st_mode & 07777) == 04711);
	CHECK(getxattr("/t/file", "trusted.test", buf, sizeof(buf)) == 1);
	CHECK(readlink("/t/link", buf, sizeof(buf)) == 11);
	CHECK(is_node("/t/null", S_IFCHR | 0600, 1, 3));
	CHECK(lstat("/t/fifo", &st) == 0 && st.st_mode == (S_IFIFO | 0640));
	CHECK(access("/t/dir/deep/er", F_OK) == 0);
	CHECK(mounted("/t", " ro,") && !can_write("/t/x"));
}

static void test_tmpfs(void)
{
	RUN(.config =
		    ONLY(TMPFS("/t", "") "," TMPFS("/own", "\"mode=700\"") "," TMPFS("/fresh", "") "," TMPFS(
			    "/ro", "\"ro\"") "," TMPFS("/sized", "\"size=64k\", \"mode=755\"")),
	    .prepare = tree_to_copy, .inside = inside_tmpfs);
	RUN(.config = ONLY(TMPFS("/t", "\"tmpcopyup\", \"ro\"")), .prepare = tree_to_copy,
	    .inside = inside_copy);
	RUN(.config = ONLY(TMPFS("/t", "\"tmpcopyup\", \"ro\"")), .prepare = tree_to_copy,
	    .inside = inside_copy, .no_api = true);
}

/* --- root, no pivot, overlay, odd flags --- */

static void inside_readonly(void)
{
	CHECK(mounted("/", " ro,"));
	CHECK(!can_write("/new"));
	CHECK(can_write("/dev/new"));
	CHECK(can_write("/dev/null"));
}

static void inside_no_pivot(void)
{
	CHECK(access(case_bundle, F_OK) < 0);
	CHECK(mounted("/proc", " - proc "));
	CHECK(is_node("/dev/null", S_IFCHR | 0666, 1, 3));
}

static void layers(void)
{
	make_dir("../lower");
	make_dir("../upper");
	make_dir("../work");
	make_file("../lower/f", "lower");
}

static void inside_overlay(void)
{
	CHECK(file_has("/o/f", "lower") && mounted("/o", " - overlay "));
	CHECK(mounted("/silent", " - tmpfs "));
}

static void test_root(void)
{
	char config[1024];

	(void)snprintf(config, sizeof(config), "\"mounts\": [%s], \"linux\": {" NS "}", DEV);
	RUN(.config = config, .inside = inside_readonly, .readonly = true);
	RUN(.config = config, .inside = inside_readonly, .readonly = true, .no_api = true);
	RUN(.config = ONLY(PROC), .inside = inside_no_pivot, .no_pivot = true);
	RUN(.config = ONLY(PROC), .inside = inside_no_pivot, .no_pivot = true, .no_api = true);
	/* Relative layers are relative to the caller's directory, which is the root on the host here. */
	RUN(.config = ONLY(MOUNT("/o", "overlay", "overlay",
				 "\"lowerdir=../lower,upperdir=../upper\", "
				 "\"workdir=../work\"") "," TMPFS("/silent", "\"silent\", \"sync\", "
									     "\"lazytime\"")),
	    .prepare = layers, .inside = inside_overlay);
}

/* --- devices and masks --- */

static void devices_there(void)
{
	make_dir("masked");
	make_dir("masked2");
	make_file("masked/secret", "");
	make_file("file", "secret");
	make_link("file", "link");
}

static void inside_devices(void)
{
	struct stat st;

	CHECK(is_node("/dev/fuse", S_IFCHR | 0640, 10, 229));
	CHECK(stat("/dev/fuse", &st) == 0 && st.st_uid == 3 && st.st_gid == 4);
	CHECK(is_node("/opt/disk", S_IFBLK | 0660, 8, 666));
	CHECK(lstat("/dev/pipe", &st) == 0 && st.st_mode == (S_IFIFO | 0666));
	CHECK(is_node("/dev/null", S_IFCHR | 0600, 1, 3));
	CHECK(mounted("/masked", " ro,") && mounted("/masked2", " - tmpfs "));
	CHECK(access("/masked/secret", F_OK) < 0);
	CHECK(is_node("/file", S_IFCHR | 0600, 1, 3) && !is_mounted("/absent"));
	CHECK(mounted("/readonly", " ro,"));
}

static void devices_and_readonly(void)
{
	devices_there();
	make_dir("readonly");
}

#define DEVICES                                                                                              \
	"\"devices\": [{\"path\": \"/dev/fuse\", \"type\": \"c\", \"major\": 10, \"minor\": 229, "           \
	"\"fileMode\": 416, \"uid\": 3, \"gid\": 4}, {\"path\": \"/opt/disk\", \"type\": \"b\", \"major\": " \
	"8, "                                                                                                \
	"\"minor\": 666, \"fileMode\": 432}, {\"path\": \"/dev/pipe\", \"type\": \"p\", \"major\": 8, "      \
	"\"minor\": 666}, {\"path\": \"/dev/null\", \"type\": \"u\", \"major\": 1, \"minor\": 3, "           \
	"\"fileMode\": 384}]"
#define MASKS                                                                                                \
	"\"maskedPaths\": [\"/masked\", \"/masked2\", \"/masked\", \"/absent\", \"/link\"], "                \
	"\"readonlyPaths\": [\"/readonly\", \"/absent\"]"

static void inside_host_dev(void)
{
	/* The user's /dev is left alone. */
	CHECK(access("/dev/zero", F_OK) < 0 && access("/dev/ptmx", F_OK) < 0);
	CHECK(access("/dev/sub", F_OK) == 0);
}

static void test_devices(void)
{
	RUN(.config = WITH(DEV, DEVICES ", " MASKS), .prepare = devices_and_readonly,
	    .inside = inside_devices);
	RUN(.config = WITH(DEV, DEVICES ", " MASKS), .prepare = devices_and_readonly,
	    .inside = inside_devices, .no_api = true);
	RUN(.config = ONLY(BIND("/dev", "volume", "")), .prepare = volume, .inside = inside_host_dev);
	/* A mask needs a null device that is one. */
	RUN(.config = WITH(BIND("/dev", "volume", ""), "\"maskedPaths\": [\"/dev/f\"]"), .prepare = volume,
	    .fails = "can't mask path \"/dev/f\": container's /dev/null is invalid");
}

/* --- user namespaces and mapped ids --- */

static void mapped_volume(void)
{
	mount_host("../volume", 0);
	make_file("../volume/f", "");
	if (chown("../volume/f", 1000, 1000) < 0)
		_exit(2);
}

static void inside_idmap(void)
{
	struct stat st;

	CHECK(stat("/v/f", &st) == 0 && st.st_uid == 2000 && st.st_gid == 3000);
}

static void inside_user_ns(void)
{
	CHECK(is_node("/dev/null", S_IFCHR | 0666, 1, 3) || is_node("/dev/null", S_IFCHR | 0644, 1, 3));
	CHECK(can_write("/dev/null"));
	CHECK(mounted("/dev/null", "/null /dev/null"));
	/* gid=5 has no place in the map. */
	CHECK(mounted("/dev/pts", " - devpts ") && lacks("/dev/pts", "gid="));
	CHECK(mounted("/v", " ro,") && is_node("/v/f", S_IFREG | 0644, 0, 0));
}

static void open_bundle(void)
{
	volume();
}

/* --- sources that are mounts of the same container --- */

#define MAPPED(to, from, id)                                                                                 \
	"{\"destination\": \"" to "\", \"type\": \"none\", \"source\": \"" from                              \
	"\", \"options\": [\"rbind\", "                                                                      \
	"\"idmap\"], \"uidMappings\": [{\"containerID\": 0, \"hostID\": " id ", \"size\": 1}], "             \
	"\"gidMappings\": [{\"containerID\": 0, \"hostID\": " id ", \"size\": 1}]}"
#define USER_NS                                                                                              \
	"\"linux\": {\"namespaces\": [{\"type\": \"mount\"}, {\"type\": \"user\"}], \"uidMappings\": "       \
	"[{\"containerID\": 0, \"hostID\": 0, \"size\": 1}], \"gidMappings\": [{\"containerID\": 0, "        \
	"\"hostID\": 0, \"size\": 1}]}"

static void tmpfs_volume(void)
{
	mount_host("../volume", 0);
	make_file("../volume/f", "text");
	make_dir("mnt");
	make_file("mnt/f", "covered");
	make_link("/mnt", "link");
}

static void inside_order(void)
{
	CHECK(file_has("/final/f", "text") && file_has("/linked/f", "text"));
}

static void inside_order_mapped(void)
{
	struct stat st;

	CHECK(stat("/mnt/f", &st) == 0 && st.st_uid == 0);
	CHECK(stat("/final/f", &st) == 0 && st.st_uid == 7 && st.st_gid == 7);
}

static void inside_order_mapped_user(void)
{
	struct stat st;

	CHECK(stat("/mnt/f", &st) == 0 && st.st_uid == 0);
	/* 7 has no name in the container's map. */
	CHECK(stat("/final/f", &st) == 0 && st.st_uid == 65534 && st.st_gid == 65534);
}

static void test_order(void)
{
	const char *plain = ONLY(BIND("/mnt", "volume", "") "," BIND("/final", "rootfs/mnt", "") "," BIND(
		"/linked", "rootfs/link", ""));

	RUN(.config = plain, .prepare = tmpfs_volume, .inside = inside_order);
	RUN(.config = plain, .prepare = tmpfs_volume, .inside = inside_order, .no_api = true);
	RUN(.config = "\"mounts\": [" BIND("/mnt", "volume", "") "," MAPPED("/final", "rootfs/mnt",
									    "7") "], "
										 "\"linux\": {" NS "}",
	    .prepare = tmpfs_volume, .inside = inside_order_mapped);
	RUN(.config = "\"mounts\": [" BIND("/mnt", "volume", "") "," MAPPED("/final", "rootfs/mnt",
									    "7") "], " USER_NS,
	    .prepare = tmpfs_volume, .inside = inside_order_mapped_user, .unshare = CLONE_NEWUSER);
	RUN(.config = ONLY(BIND("/final", "rootfs/absent", "")), .prepare = tmpfs_volume,
	    .fails = "/rootfs/absent: no such file or directory");
}

/* --- what a user namespace would lock --- */

static void locked_volume(void)
{
	mount_host("../volume", MS_NOSUID | MS_NODEV | MS_NOATIME);
	mount_host("../ro", MS_RDONLY | MS_NOSYMFOLLOW);
}

static void inside_locked(void)
{
	CHECK(mounted("/v", " ro,nosuid,nodev,noatime "));
	CHECK(mounted("/plain", " rw,nosuid,nodev,noatime "));
	CHECK(mounted("/ro", " ro,nosuid,") && lacks("/ro", "nosymfollow"));
}

static void test_locks(void)
{
	const char *rw = "\"mounts\": [" BIND("/ro", "ro", ", \"rw\"") "], " USER_NS;

	RUN(.config = "\"mounts\": [" BIND("/v", "volume", ", \"ro\"") "," BIND(
		    "/plain", "volume", "") "," BIND("/ro", "ro", ", \"nosuid\"") "], " USER_NS,
	    .prepare = locked_volume, .inside = inside_locked, .unshare = CLONE_NEWUSER);
	RUN(.config = rw, .prepare = locked_volume, .fails = "operation not permitted",
	    .unshare = CLONE_NEWUSER);
	RUN(.config = rw, .prepare = locked_volume, .fails = "operation not permitted",
	    .unshare = CLONE_NEWUSER, .no_api = true);
	RUN(.config = "\"mounts\": [" BIND("/v", "volume", ", \"relatime\"") "], " USER_NS,
	    .prepare = locked_volume, .fails = "operation not permitted", .unshare = CLONE_NEWUSER);
}

/* --- without privileges on the host --- */

static void users_bundle(void)
{
	volume();
	if (chown(".", 1000, 1000) < 0 || chmod("..", 0755) < 0)
		_exit(2);
}

static void inside_rootless(void)
{
	CHECK(mounted("/proc", " - proc "));
	CHECK(mounted("/sys", " ro,nosuid,nodev,noexec") && mounted("/sys", " - sysfs "));
	CHECK(can_write("/dev/null") && mounted("/dev/null", "/null /dev/null"));
	CHECK(file_has("/v/f", "text") && mounted("/v", " ro,"));
	CHECK(mounted("/dev/pts", " - devpts "));
	CHECK(mounted("/sys/fs/cgroup", " ro,"));
	CHECK(!can_write("/sys/fs/cgroup/x"));
	CHECK(mounted("/proc/timer_list", "/null "));
	CHECK(!can_write("/new"));
}

static void test_rootless(void)
{
	const char *config =
		"\"mounts\": [" PROC "," DEV
		"," MOUNT("/dev/pts", "devpts", "devpts", "\"gid=5\", \"newinstance\"") "," MOUNT(
			"/sys", "none", "/sys",
			"\"rbind\", \"nosuid\", \"noexec\", \"nodev\", "
			"\"ro\"") "," MOUNT("/sys/fs/cgroup", "cgroup", "cgroup",
					    "\"nosuid\", \"noexec\", "
					    "\"nodev\"") "," BIND("/v", "volume",
								  ", \"ro\"") "], \"linux\": "
									      "{\"maskedPaths\": "
									      "[\"/proc/timer_list\"], "
									      "\"namespaces\": [{\"type\": "
									      "\"mount\"}, {\"type\": "
									      "\"pid\"}, {\"type\": "
									      "\"user\"}], \"uidMappings\": "
									      "[{\"containerID\": 0, "
									      "\"hostID\": 1000, \"size\": "
									      "1}], \"gidMappings\": "
									      "[{\"containerID\": 0, "
									      "\"hostID\": 1000, \"size\": "
									      "1}]}";

	RUN(.config = config, .prepare = users_bundle, .inside = inside_rootless, .unshare = CLONE_NEWUSER,
	    .rootless = true, .readonly = true);
	RUN(.config = config, .prepare = users_bundle, .inside = inside_rootless, .unshare = CLONE_NEWUSER,
	    .rootless = true, .readonly = true, .no_api = true);
}

static void test_users(void)
{
	RUN(.config = "\"mounts\": [{\"destination\": \"/v\", \"type\": \"none\", \"source\": \"volume\", "
		      "\"options\": "
		      "[\"bind\", \"idmap\"], \"uidMappings\": [{\"containerID\": 1000, \"hostID\": 2000, "
		      "\"size\": "
		      "1}], \"gidMappings\": [{\"containerID\": 1000, \"hostID\": 3000, \"size\": 1}]}], "
		      "\"linux\": {" NS "}",
	    .prepare = mapped_volume, .inside = inside_idmap);
	RUN(.config = "\"mounts\": [" DEV
		      ", " MOUNT("/dev/pts", "devpts", "devpts", "\"gid=5\", \"newinstance\"") ", " BIND(
			      "/v", "volume",
			      ", \"ro\"") "], \"linux\": {\"namespaces\": [{\"type\": \"mount\"}, "
					  "{\"type\": \"user\"}], \"uidMappings\": [{\"containerID\": 0, "
					  "\"hostID\": 0, \"size\": 1}], "
					  "\"gidMappings\": [{\"containerID\": 0, \"hostID\": 0, \"size\": "
					  "1}]}",
	    .prepare = open_bundle, .inside = inside_user_ns, .unshare = CLONE_NEWUSER);
}

int main(void)
{
	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root\n");
		return CASE_SKIPPED;
	}
	test_bind();
	test_files();
	test_propagation();
	test_tmpfs();
	test_root();
	test_devices();
	test_users();
	test_order();
	test_locks();
	test_rootless();
	return test_end();
}

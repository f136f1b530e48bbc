/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file share's requests, in a tree of its own on a tmpfs-like temporary
 * directory: an input is a row of them, each as `opcode, node, length` and so
 * many bytes of body, so that mutations keep the frame.  What comes back must
 * be a whole reply; nothing may appear outside the tree.
 */
#include <linux/fuse.h> /* first: it has fields that base.h has macros for */

#include "base/fd.h"
#include "base/proc.h"
#include "vm/share/share.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	FLAGS = FUSE_AUTO_INVAL_DATA | FUSE_NO_OPEN_SUPPORT | FUSE_NO_OPENDIR_SUPPORT | FUSE_MAX_PAGES |
		FUSE_SETXATTR_EXT | FUSE_DONT_MASK,
	REPLY = 16 << 10
};

static struct share_server *server;
static char outside[] = "/tmp/fuzz-share-XXXXXX";

static size_t ask(uint32_t opcode, uint64_t node, const void *body, size_t len)
{
	static uint8_t reply[REPLY];
	struct fuse_in_header head = {
		.len = (uint32_t)(sizeof(head) + len), .opcode = opcode, .unique = 7, .nodeid = node};
	struct fuse_out_header out;
	/* An exact copy: an over-read is seen. */
	autofree uint8_t *request = malloc(head.len);
	if (!request)
		return 0;
	memcpy(request, &head, sizeof(head));
	if (len)
		memcpy(request + sizeof(head), body, len);
	size_t n = share_handle(server, request, head.len, reply, sizeof(reply));
	if (n == 0)
		return 0;
	memcpy(&out, reply, sizeof(out));
	if (n > sizeof(reply) || out.len != n || out.unique != 7 || out.error > 0 || out.error <= -512)
		abort();
	if (out.error && n != sizeof(out))
		abort();
	return n;
}

static void hello(void)
{
	struct fuse_init_in in = {.major = FUSE_KERNEL_VERSION, .minor = 36, .flags = FLAGS};
	if (ask(FUSE_INIT, 0, &in, sizeof(in)) == 0)
		abort();
}

static void clean_up(void)
{
	const char *argv[] = {"/bin/rm", "-rf", outside, NULL};
	struct proc_run run = {.argv = argv};
	struct err err = {0};
	share_free(server);
	server = NULL;
	ignore_result(chdir("/"));
	if (proc_run(&run, NULL, &err) != 0)
		fprintf(stderr, "%s is left\n", outside);
}

static void start(void)
{
	struct err err = {0};
	char path[64];
	/* Sizes are foreign: a file may be told to be large, but the disk is not the fuzzer's to fill. */
	struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};
	if (!mkdtemp(outside) || setrlimit(RLIMIT_FSIZE, &limit) < 0)
		abort();
	(void)signal(SIGXFSZ, SIG_IGN);
	(void)snprintf(path, sizeof(path), "%s/root", outside);
	if (mkdir(path, 0700) < 0)
		abort();
	autoclose int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct share s = {.sock = -1, .root_fd = root, .proc_fd = -1, .root_ttl_ms = 1000};
	if (mkdirat(root, "d", 0755) < 0 || symlinkat("/", root, "up") < 0 || mkdirat(root, "d/e", 0755) < 0)
		abort();
	autoclose int fd = openat(root, "f", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	if (fd < 0 || share_new(&s, false, &server, &err) < 0)
		abort();
	(void)atexit(clean_up);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stat before, after;
	if (!server)
		start();
	hello();
	if (stat(outside, &before) < 0)
		abort();
	while (size >= 4) {
		size_t len = MIN_OF((size_t)data[2] | (size_t)data[3] << 8, size - 4);
		/* No device of the machine's is made for a test's sake. */
		if (data[0] != FUSE_MKNOD || len < 4 || !(data[5] & 0x20))
			(void)ask(data[0], data[1], data + 4, len);
		data += 4 + len;
		size -= 4 + len;
	}
	if (stat(outside, &after) < 0 || before.st_mtim.tv_sec != after.st_mtim.tv_sec ||
	    before.st_mtim.tv_nsec != after.st_mtim.tv_nsec || after.st_nlink != 3)
		abort();
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU's arguments, and its monitor played by a hostile hand. */
#include "test.h"

#include "base/fd.h"
#include "vm/qemu_int.h"

#include <sys/mman.h>
#include <sys/socket.h>

static bool has(const struct qemu_args *a, const char *text)
{
	for (size_t i = 0; i < a->n; i++)
		if (strstr(a->v[i], text))
			return true;
	return false;
}

static void test_args(void)
{
	struct vm_spec s = {.memory = 64 << 20,
			    .vcpus = 1,
			    .kernel_fd = 10,
			    .initramfs_fd = 11,
			    .agent_fd = 12,
			    .share_fd = 13,
			    .kvm_fd = -1,
			    .cmdline = "x=y"};
	struct qemu_plan p = {.spec = &s, .qmp_fd = 14, .memory_fd = -1, .tsc_khz = 2000000};
	struct qemu_args a = {0};
	struct err err = {0};

	CHECK_INT(qemu_plan_args(&p, &a, &err), 0);
	CHECK(has(&a, "acpi=off") && has(&a, "nolapic_timer") && has(&a, "tsc_early_khz=2000000 x=y"));
	CHECK(has(&a, "/fd/10") && !has(&a, "memory-backend") && !has(&a, "-incoming"));
	CHECK_INT(a.nfds, 5);
	qemu_args_free(&a);
	p.acpi = true;
	p.memory_fd = 20;
	CHECK_INT(qemu_plan_args(&p, &a, &err), 0);
	CHECK(has(&a, "acpi=on") && !has(&a, "nolapic_timer") && has(&a, "mem-path=/fd/20"));
	qemu_args_free(&a);
	s.ndisks = 24;
	CHECK_INT(qemu_plan_args(&p, &a, &err), -E2BIG);
	s.ndisks = 0;
	s.memory++;
	CHECK_INT(qemu_plan_args(&p, &a, &err), -EINVAL);
}

/* ARM64's board, whatever the processor here. */
static void test_virt(void)
{
	struct vm_spec s = {.memory = 64 << 20, .vcpus = 2, .kvm_fd = -1, .ndisks = 25};
	struct qemu_plan p = {.spec = &s, .board = QEMU_VIRT, .memory_fd = 20, .tsc_khz = 5, .acpi = true};
	struct qemu_args a = {0};
	struct err err = {0};

	CHECK_INT(qemu_plan_args(&p, &a, &err), 0);
	CHECK(has(&a, "virt,acpi=off,its=off,gic-version=3,memory-backend=ram") && has(&a, "neoverse-n1"));
	CHECK(has(&a, "console=ttyAMA0") && !has(&a, "tsc") && !has(&a, "lapic") && !has(&a, "microvm"));
	qemu_args_free(&a);
	s.kvm_fd = 30;
	CHECK_INT(qemu_plan_args(&p, &a, &err), 0);
	CHECK(has(&a, "gic-version=host") && has(&a, "kvm") && !has(&a, "neoverse"));
	qemu_args_free(&a);
	s.ndisks = 31;
	CHECK_INT(qemu_plan_args(&p, &a, &err), -E2BIG);
	CHECK(strstr(err.msg, "virt has room for 30 ") != NULL);
}

static void test_kernels(void)
{
	autoclose int fd = memfd_create("kernel", MFD_CLOEXEC);
	struct err err = {0};

	CHECK_INT(qemu_kernel_is_elf(fd, QEMU_MICROVM, &err), -ENOEXEC);
	CHECK_INT(pwrite(fd, "\177ELF", 4, 0), 4);
	CHECK_INT(qemu_kernel_is_elf(fd, QEMU_MICROVM, &err), 1);
	CHECK_INT(pwrite(fd, "MZ\0\0", 4, 0), 4);
	CHECK_INT(qemu_kernel_is_elf(fd, QEMU_MICROVM, &err), -ENOEXEC);
	CHECK_INT(pwrite(fd, "HdrS", 4, 0x202), 4);
	CHECK_INT(qemu_kernel_is_elf(fd, QEMU_MICROVM, &err), 0);
	CHECK_INT(qemu_kernel_is_elf(fd, QEMU_VIRT, &err), -ENOEXEC);
	CHECK_INT(pwrite(fd, "ARM\x64", 4, 0x38), 4);
	CHECK_INT(qemu_kernel_is_elf(fd, QEMU_VIRT, &err), 0);
}

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n{\"return\": {}}\r\n"

/* What QEMU says, all of it at once; then one command. */
static int command_after(const char *says, size_t len, struct err *err)
{
	int pair[2];
	struct qmp q = {0};

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	autoclose int ours = pair[0], qemu = pair[1];
	CHECK_INT(fd_write_all(qemu, says, len), 0);
	CHECK_INT(shutdown(qemu, SHUT_WR), 0);
	int r = qmp_open(&q, ours, err);
	if (r == 0) {
		r = qmp_command(&q, "stop", NULL, -1, "pause the machine", err);
		qmp_close(&q);
	}
	return r;
}

static void test_monitor(void)
{
	static const struct {
		const char *says;
		int want;
	} cases[] = {
		{GREETING "{\"timestamp\": {}, \"event\": \"STOP\"}\r\n{\"return\": {}}\r\n", 0},
		{GREETING "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}\r\n", -EIO},
		{GREETING, -EPIPE},
		{"", -EPIPE},
		{"{\"return\": {}}\r\n", -EBADMSG},
		{"no JSON\n", -EINVAL},
		{GREETING "{\"event\": 5}\n", -EINVAL},
	};
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		CHECK_INT(command_after(cases[i].says, strlen(cases[i].says), &err), cases[i].want);
	autofree char *endless = malloc(QMP_LINE_MAX + 100);
	CHECK(endless);
	if (endless) {
		memset(endless, ' ', QMP_LINE_MAX + 100);
		CHECK_INT(command_after(endless, QMP_LINE_MAX + 100, &err), -EBADMSG);
	}
}

int main(void)
{
	test_args();
	test_virt();
	test_kernels();
	test_monitor();
	return test_end();
}

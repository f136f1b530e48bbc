/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/str.h"
#include "isolate/vm/guest_files.h"
#include "isolate/vm/settings.h"

#include <sys/stat.h>

static const struct {
	const char *toml, *why; /* why: part of the message; NULL = it is right */
	uint64_t memory;	/* MiB */
} settings[] = {
	{"", NULL, 512},
	{"[network]\nunknown = 1\n", NULL, 512}, /* the command line's to refuse */
	{"[vm]\nmemory = \"64m\"\n", NULL, 64},
	{"[vm]\nmemory = \"1G\"\n", NULL, 1024},
	{"[vm]\nmemory = \"100000k\"\n", NULL, 97},
	{"[vm]\nmemory = \"134217729\"\n", NULL, 128},
	{"[vm]\nmemory = \"134217728b\"\n", NULL, 128},
	{"[vm]\nmemory = \"\"\n", "must be a size", 0},
	{"[vm]\nmemory = \"-1g\"\n", "must be a size", 0},
	{"[vm]\nmemory = \"1gb\"\n", "must be a size", 0},
	{"[vm]\nmemory = \"18446744073709551615g\"\n", "must be a size", 0},
	{"[vm]\nmemory = 512\n", "vm.memory", 0},
	{"[vm]\nkernel = \"a\"\n", "absolute", 0},
	{"[vm]\naccelerator = \"x\"\n", "vm.accelerator", 0},
	{"[vm\n", "f:1", 0},
};

static void test_settings(void)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		struct err err = {0};
		struct vm_settings s = {0};
		int r = vm_settings_decode(settings[i].toml, strlen(settings[i].toml), "f", &s, &err);
		CHECK_INT(r < 0, settings[i].why != NULL);
		if (r < 0) {
			CHECK(settings[i].why && strstr(err.msg, settings[i].why));
			continue;
		}
		CHECK_INT(s.memory_bytes >> 20, settings[i].memory);
		CHECK_STR(s.hypervisor, "auto");
		CHECK_INT(s.vcpus, 1);
		CHECK_INT(s.share_cache_ms, 1000);
		CHECK_INT(s.volume_cache_ms, 100);
		vm_settings_free(&s);
	}
}

static void test_cache_may_be_off(void)
{
	static const char text[] = "[vm]\nshare_cache_ms = 0\nhypervisor = \"qemu\"\n";
	struct err err = {0};
	struct vm_settings s = {0};

	CHECK_INT(vm_settings_decode(text, strlen(text), "f", &s, &err), 0);
	CHECK_INT(s.share_cache_ms, 0);
	CHECK_STR(s.hypervisor, "qemu");
	vm_settings_free(&s);
}

static char top[] = "/tmp/test_isolate_machine.XXXXXX";

static void put_text(const char *name, const char *text)
{
	autofree char *path = str_format("%s/%s", top, name);

	CHECK_INT(file_replace_at(AT_FDCWD, path, text, strlen(text), 0755, false), 0);
}

static void test_open(const char *kernel, const char *initramfs, int want, const char *text,
		      enum guest_devices devices)
{
	struct vm_settings s = {.kernel = kernel, .initramfs = initramfs};
	struct guest_files f = {.kernel_fd = -1, .initramfs_fd = -1};
	struct err err = {0};

	CHECK_INT(guest_files_open(&s, &f, &err), want);
	if (want < 0) {
		CHECK(strstr(err.msg, text));
		return;
	}
	CHECK_STR(f.name, text);
	CHECK_INT(f.devices, devices);
	/* What a hypervisor gets can be read, and not written. */
	CHECK_INT(fcntl(f.kernel_fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	CHECK_INT(fcntl(f.initramfs_fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	CHECK(lseek(f.initramfs_fd, 0, SEEK_END) > 0);
	guest_files_close(&f);
	CHECK_INT(f.kernel_fd, -1);
}

static void test_files(void)
{
	struct guest_kernels none = {0};
	struct err err = {0};

	CHECK(mkdtemp(top) != NULL);
	CHECK_INT(setenv("COFFER_VM_DIR", top, 1), 0);
	CHECK_INT(setenv("COFFER_LIBEXECDIR", top, 1), 0);
	put_text("coffer-agent", "agent");
	CHECK_INT(guest_kernels_list(&none, &err), 0);
	CHECK_INT(none.n, 0);
	test_open(NULL, NULL, -ENOENT, "coffer vm fetch-kernel", 0);

	put_text("vmlinux", "ELF virtio_mmio.device");
	put_text("bzImage", "compressed");
	put_text("initrd", "cpio");
	autofree char *vmlinux = str_format("%s/vmlinux", top), *bzimage = str_format("%s/bzImage", top),
		      *initrd = str_format("%s/initrd", top), *nothing = str_format("%s/nothing", top);
	test_open(vmlinux, NULL, 0, vmlinux, GUEST_DEVICES_CMDLINE);
	test_open(bzimage, initrd, 0, bzimage, GUEST_DEVICES_ACPI);
	test_open(nothing, NULL, -ENOENT, "nothing", 0);
	test_open(top, NULL, -EINVAL, "no file", 0);
	CHECK_INT(chmod(initrd, 0666), 0);
	test_open(vmlinux, initrd, -EPERM, "everybody may write it", 0);

	autofree char *dir = str_format("%s/one/modules", top);
	CHECK_INT(file_mkdir_all(dir, 0755), 0);
	put_text("one/kernel", "ELF");
	put_text("one/info.json", "{\"source\":\"s\",\"release\":\"r\",\"devices\":\"acpi\",\"made\":1}");
	test_open(NULL, NULL, 0, "one", GUEST_DEVICES_ACPI);
	test_open(NULL, NULL, 0, "one", GUEST_DEVICES_ACPI); /* with the initramfs that there is now */
	test_open(NULL, bzimage, 0, "one", GUEST_DEVICES_ACPI);
	autoclose int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(file_remove_tree_at(tmp, top + strlen("/tmp/")), 0);
}

/* What the machine that the test runs on has decides a part: what coffer.toml says holds everywhere. */
static void test_choice(void)
{
	static const struct {
		const char *hypervisor, *accelerator;
		enum guest_devices devices;
		unsigned vcpus;
		const char *why; /* part of the refusal */
	} refused[] = {
		{"vmm", "auto", GUEST_DEVICES_ACPI, 1, "vm.hypervisor = \"vmm\""},
		{"vmm", "auto", GUEST_DEVICES_CMDLINE, VM_MONITOR_VCPUS + 1, "vm.hypervisor = \"vmm\""},
	};
	bool qemu = access("/usr/bin/" VM_QEMU, X_OK) == 0, kvm = access("/dev/kvm", R_OK | W_OK) == 0;
	struct vm_settings s = {.vcpus = 1, .accelerator = "auto"};
	struct vm_choice choice;
	struct err err = {0};
	int fd = -1;

	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		s.hypervisor = refused[i].hypervisor;
		s.accelerator = refused[i].accelerator;
		CHECK_INT(vm_choose(&s, refused[i].devices, refused[i].vcpus, &choice, &fd, &err), -ENOTSUP);
		CHECK(strstr(err.msg, refused[i].why) != NULL);
		CHECK_INT(fd, -1);
	}
	s = (struct vm_settings){.hypervisor = "vmm", .accelerator = "auto", .vcpus = 1};
#ifdef __x86_64__
	bool monitor = kvm;
#else
	bool monitor = false;
#endif
	if (!monitor)
		CHECK_INT(vm_choose(&s, GUEST_DEVICES_CMDLINE, 1, &choice, &fd, &err), -ENOTSUP);
	if (!kvm) {
		s = (struct vm_settings){.hypervisor = "auto", .accelerator = "kvm"};
		CHECK_INT(vm_choose(&s, GUEST_DEVICES_CMDLINE, 1, &choice, &fd, &err), -ENODEV);
	}
	if (monitor) {
		CHECK_INT(vm_choose(&s, GUEST_DEVICES_CMDLINE, 1, &choice, &fd, &err), 0);
		CHECK(choice.monitor && choice.kvm && fd >= 0);
		fd_drop(&fd);
	}
	s = (struct vm_settings){.hypervisor = "auto", .accelerator = "tcg"};
	int r = vm_choose(&s, GUEST_DEVICES_CMDLINE, 1, &choice, &fd, &err);
	CHECK_INT(r, qemu ? 0 : -ENOENT);
	CHECK(r < 0 || (!choice.monitor && !choice.kvm && fd == -1 && strstr(choice.why, "emulation")));
	/* Unnamed it is QEMU's. */
	s.accelerator = "auto";
	r = vm_choose(&s, GUEST_DEVICES_CMDLINE, 1, &choice, NULL, &err);
	CHECK(r < 0 || !choice.monitor);
}

int main(void)
{
	test_settings();
	test_cache_may_be_off();
	test_files();
	test_choice();
	return test_end();
}

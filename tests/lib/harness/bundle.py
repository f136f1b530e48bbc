# SPDX-License-Identifier: Apache-2.0
"""Root file systems from busybox-static, and a config.json like the one Docker writes."""
import atexit
import copy
import functools
import os
import shutil
import subprocess
import tempfile

from . import env

DEFAULT_CAPS = ["CAP_" + c for c in (
    "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP "
    "NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE").split()]

MASKED = ["/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
          "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
          "/sys/devices/virtual/powercap"]
READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _mount(dest, fstype, source, *options):
    return {"destination": dest, "type": fstype, "source": source, "options": list(options)}


def default_mounts():
    return [
        _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620",
               "gid=5"),
        _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro", "nosuid", "noexec", "nodev"),
        _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        _mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
    ]


def default_config(args, cgroups_path=None, seccomp=False):
    """What Docker gives runc for `docker run busybox`, without its network."""
    config = {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": list(args),
            "env": [PATH, "HOME=/root"],
            "cwd": "/",
            "capabilities": {k: list(DEFAULT_CAPS) for k in ("bounding", "effective", "permitted")},
            "oomScoreAdj": 0,
        },
        "root": {"path": "rootfs"},
        "hostname": "contract",
        "mounts": default_mounts(),
        "linux": {
            "resources": {"devices": default_device_rules()},
            "namespaces": [{"type": t} for t in ("mount", "network", "uts", "pid", "ipc", "cgroup")],
            "maskedPaths": list(MASKED),
            "readonlyPaths": list(READONLY),
        },
    }
    if cgroups_path:
        config["linux"]["cgroupsPath"] = cgroups_path
    if seccomp:
        config["linux"]["seccomp"] = docker_like_seccomp()
    return config


def default_device_rules():
    allow = [("c", None, None, "m"), ("b", None, None, "m"), ("c", 1, 5, "rwm"), ("c", 1, 3, "rwm"),
             ("c", 1, 9, "rwm"), ("c", 1, 8, "rwm"), ("c", 5, 0, "rwm"), ("c", 5, 1, "rwm"),
             ("c", 5, 2, "rwm"), ("c", 136, None, "rwm"), ("c", 1, 7, "rwm"), ("c", 10, 200, "rwm")]
    rules = [{"allow": False, "access": "rwm"}]
    for kind, major, minor, access in allow:
        rule = {"allow": True, "type": kind, "access": access}
        if major is not None:
            rule["major"] = major
        if minor is not None:
            rule["minor"] = minor
        rules.append(rule)
    return rules


# Calls a default profile of engines refuses to a container without extra capabilities.
_REFUSED = set("""acct add_key bpf clock_adjtime clock_settime create_module delete_module fanotify_init
finit_module fsconfig fsmount fsopen fspick get_kernel_syms get_mempolicy init_module ioperm iopl kcmp
kexec_file_load kexec_load keyctl lookup_dcookie mbind mount mount_setattr move_mount move_pages nfsservctl
open_by_handle_at open_tree perf_event_open personality pivot_root process_madvise process_vm_readv
process_vm_writev query_module quotactl quotactl_fd reboot request_key set_mempolicy setdomainname sethostname
setns settimeofday stime swapoff swapon _sysctl sysfs syslog umount umount2 unshare uselib userfaultfd ustat
vhangup vm86 vm86old clone clone3 socket""".split())


@functools.lru_cache(None)
def _kernel_calls():
    """Names of this architecture's system calls, from the compiler's own headers."""
    out = subprocess.run(["cc", "-E", "-dM", "-include", "sys/syscall.h", "-"], input="", text=True,
                         capture_output=True, check=True).stdout
    names = {line.split()[1][5:] for line in out.splitlines() if line.startswith("#define __NR_")}
    return sorted(n for n in names if not n.startswith("syscalls"))


def docker_like_seccomp():
    """An allow-list the size and shape of Docker's: some 350 calls, a few with argument filters."""
    allowed = [n for n in _kernel_calls() if n not in _REFUSED]
    rules = [{"names": allowed, "action": "SCMP_ACT_ALLOW"}]
    rules.append({"names": ["socket"], "action": "SCMP_ACT_ALLOW",
                  "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}]})
    for value in (0, 8, 0x20000, 0x20008, 0xFFFFFFFF):
        rules.append({"names": ["personality"], "action": "SCMP_ACT_ALLOW",
                      "args": [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"}]})
    rules.append({"names": ["clone"], "action": "SCMP_ACT_ALLOW",
                  "args": [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]})
    rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38})
    arches = {"x86_64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
              "aarch64": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]}
    return {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
            "architectures": arches.get(os.uname().machine, []), "syscalls": rules}


class Store:
    """Copies of busybox and of the guest helper, made once; root file systems link to them.

    The machine's own busybox is never linked: a container with a writable rootfs could change it.
    """

    def __init__(self, top):
        self.top = top
        self.busybox = os.path.join(top, "busybox")
        shutil.copy(env.BUSYBOX, self.busybox)
        self.applets = subprocess.run([self.busybox, "--list"], capture_output=True, text=True,
                                      check=True).stdout.split()
        # One symbolic link a name, linked again for each root: new inodes are what a file system is slow to give.
        self.links = os.path.join(top, "links")
        os.mkdir(self.links)
        for name in self.applets:
            if name != "busybox":
                os.symlink("busybox", os.path.join(self.links, name))
        self.guest = os.path.join(top, "guest")
        source = os.path.join(env.TESTS, "lib", "guest.c")
        subprocess.run(["cc", "-O1", "-static", "-w", "-o", self.guest, source, "-lpthread"], check=True)

    def rootfs(self, path):
        """A writable root file system with busybox's applets and /bin/guest."""
        for d in ("bin", "dev", "etc", "proc", "sys", "tmp", "root", "var", "mnt", "run", "home"):
            os.makedirs(os.path.join(path, d))
        os.chmod(os.path.join(path, "tmp"), 0o1777)
        os.link(self.busybox, os.path.join(path, "bin/busybox"))
        os.link(self.guest, os.path.join(path, "bin/guest"))
        for name in self.applets:
            if name != "busybox":
                os.link(os.path.join(self.links, name), os.path.join(path, "bin", name), follow_symlinks=False)
        for name, text in (("passwd", "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/home:/bin/sh\n"),
                           ("group", "root:x:0:\nweb:x:1000:\n"), ("hostname", "rootfs\n")):
            with open(os.path.join(path, "etc", name), "w") as f:
                f.write(text)
        return path


@functools.lru_cache(None)
def store():
    top = tempfile.mkdtemp(prefix="coffer-store-")
    os.chmod(top, 0o755)
    atexit.register(shutil.rmtree, top, ignore_errors=True)  # also for users outside pytest
    return Store(top)


def drop_store():
    if store.cache_info().currsize:
        shutil.rmtree(store().top, ignore_errors=True)
        store.cache_clear()


# ---- small edits of a config ----

def namespaces(config):
    return config["linux"]["namespaces"]


def without_namespace(config, *types):
    config["linux"]["namespaces"] = [n for n in namespaces(config) if n["type"] not in types]


def set_namespace(config, nstype, path=None):
    """Ask for a namespace: created, or joined at `path`."""
    without_namespace(config, nstype)
    entry = {"type": nstype}
    if path:
        entry["path"] = path
    namespaces(config).append(entry)


def add_mount(config, dest, fstype, source, *options):
    config["mounts"].append(_mount(dest, fstype, source, *options))


def bind(config, source, dest, *options):
    add_mount(config, dest, "bind", source, *(options or ("rbind", "rprivate")))


def user_namespace(config, host_id=100000, size=65536):
    """A user namespace as engines make it; sysfs and devices need what it may mount."""
    set_namespace(config, "user")
    config["linux"]["uidMappings"] = [{"containerID": 0, "hostID": host_id, "size": size}]
    config["linux"]["gidMappings"] = [{"containerID": 0, "hostID": host_id, "size": size}]


def all_caps(config):
    """Every capability that this machine gives."""
    from . import host
    names = [n for n, b in host.CAP_BIT.items() if host.capabilities() >> b & 1]
    config["process"]["capabilities"] = {k: names for k in ("bounding", "effective", "permitted")}


def clone(config):
    return copy.deepcopy(config)

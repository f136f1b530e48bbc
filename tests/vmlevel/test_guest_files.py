# SPDX-License-Identifier: Apache-2.0
"""`coffer vm`, the table [vm] of coffer.toml, and the initramfs that guests start from: all without a guest."""
import json
import os
import shutil
import stat
import subprocess
import time

import pytest

COFFER_OCI = os.environ.get("COFFER_OCI") or "build/coffer-oci"
BUILD = os.path.dirname(os.path.abspath(COFFER_OCI))
COFFER = os.path.join(BUILD, "coffer")
TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ELF = b"\x7fELF" + bytes(200)


@pytest.fixture
def place(tmp_path):
    """A directory of kernels of its own, and helpers of its own: an agent that need not run."""
    (tmp_path / "vm").mkdir()
    (tmp_path / "libexec").mkdir()
    agent(tmp_path, b"agent one")
    return tmp_path


def agent(place, content):
    path = place / "libexec" / "coffer-agent"
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(0o755)


def coffer(place, *words, config=None, libexec=True, **env):
    environ = dict(os.environ, COFFER_VM_DIR=str(place / "vm"), **env)
    if libexec:
        environ["COFFER_LIBEXECDIR"] = str(place / "libexec")
    argv = [COFFER, "--root", str(place / "data"), "--state", str(place / "run")]
    if config is not None:
        (place / "coffer.toml").write_text(config)
        argv += ["--config", str(place / "coffer.toml")]
    return subprocess.run(argv + list(words), capture_output=True, text=True, env=environ, timeout=120)


def kernel(place, name, made=1000, modules=None, **info):
    top = place / "vm" / name
    (top / "modules").mkdir(parents=True)
    (top / "kernel").write_bytes(ELF)
    names = modules if modules is not None else ["b.ko", "a.ko"]
    for n in names:
        if "/" not in n and n != "..":
            (top / "modules" / n).write_bytes(b"module " + n.encode())
    (top / "modules.list").write_text("".join(n + "\n" for n in names))
    document = {"source": "test 1", "release": "6.0-test", "devices": "cmdline", "made": made}
    document.update(info)
    (top / "info.json").write_text(json.dumps(document))
    return top


def unpack(data):
    """{name: (mode, content, (major, minor))} of a newc archive, in its order."""
    found, at = {}, 0
    while True:
        assert data[at:at + 6] == b"070701"
        f = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        name = data[at + 110:at + 110 + f[11] - 1].decode()
        at = (at + 110 + f[11] + 3) & ~3
        content = data[at:at + f[6]]
        at = (at + f[6] + 3) & ~3
        if name == "TRAILER!!!":
            assert at == len(data)
            return found
        assert name not in found
        found[name] = (f[1], content, (f[9], f[10]))


def initramfs_of(top):
    return sorted(n for n in os.listdir(top) if n.startswith("initramfs"))


def test_without_a_kernel_it_says_what_to_type(place):
    done = coffer(place, "vm", "build-initramfs")
    assert done.returncode == 1 and "coffer vm fetch-kernel" in done.stderr
    done = coffer(place, "vm", "ls", "-q")
    assert (done.returncode, done.stdout) == (0, "")


def test_the_newest_is_the_default(place):
    kernel(place, "old", made=10)
    kernel(place, "new", made=30)
    kernel(place, "middle", made=20)
    done = coffer(place, "vm", "ls", "--format", "{{.Name}}={{.Default}}")
    assert done.stdout.split() == ["new=yes", "middle=", "old="]
    assert coffer(place, "vm", "rm", "new", "nothing").returncode == 1
    assert coffer(place, "vm", "ls", "-q").stdout.split() == ["middle", "old"]
    assert sorted(os.listdir(place / "vm")) == ["middle", "old"]


@pytest.mark.parametrize("damage", ["no-info", "no-json", "no-kernel", "empty-kernel", "writable", "link", "devices"])
def test_what_is_no_whole_kernel_is_none(place, damage):
    top = kernel(place, "bad")
    if damage == "no-info":
        (top / "info.json").unlink()
    elif damage == "no-json":
        (top / "info.json").write_text('{"source": ')
    elif damage == "no-kernel":
        (top / "kernel").unlink()
    elif damage == "empty-kernel":
        (top / "kernel").write_bytes(b"")
    elif damage == "writable":
        (top / "kernel").chmod(0o666)
    elif damage == "link":
        (top / "kernel").unlink()
        (top / "kernel").symlink_to("/bin/true")
    else:
        shutil.rmtree(top)
        kernel(place, "bad", devices="usb")
    done = coffer(place, "vm", "ls", "-q")
    assert (done.returncode, done.stdout) == (0, "")


def test_initramfs_holds_agent_and_modules_in_order(place):
    top = kernel(place, "k")
    done = coffer(place, "vm", "build-initramfs")
    assert done.returncode == 0, done.stderr
    path = done.stdout.strip()
    assert os.path.dirname(path) == str(top) and initramfs_of(top) == [os.path.basename(path)]
    with open(path, "rb") as f:
        files = unpack(f.read())
    assert files["init"][:2] == (stat.S_IFREG | 0o755, b"agent one")
    assert files["lib/modules/coffer.list"][1] == b"/lib/modules/b.ko\n/lib/modules/a.ko\n"
    assert files["lib/modules/a.ko"][1] == b"module a.ko"
    assert files["dev/console"][0] == stat.S_IFCHR | 0o600 and files["dev/console"][2] == (5, 1)
    for n in ("dev", "proc", "sys", "run", "tmp"):
        assert stat.S_ISDIR(files[n][0])
    names = list(files)
    assert names.index("lib/modules") < names.index("lib/modules/a.ko") and names.index("dev") < names.index("dev/null")


def init_of(place):
    done = coffer(place, "vm", "build-initramfs")
    assert done.returncode == 0, done.stderr
    with open(done.stdout.strip(), "rb") as f:
        return unpack(f.read())["init"][1]


def test_what_nobody_loads_of_the_agent_stays_outside(place, tmp_path):
    """Sections and what is behind them; the rest is a program as before."""
    kernel(place, "k")
    with open("/bin/true", "rb") as f:
        program = f.read()
    agent(place, program + b"debug" * 100000)
    init = init_of(place)
    assert len(init) < len(program)
    (tmp_path / "init").write_bytes(init)
    (tmp_path / "init").chmod(0o755)
    assert subprocess.run([tmp_path / "init"], check=False).returncode == 0
    # A table of parts that is not there, and a part that is not: not to be cut.
    for at in (32, int.from_bytes(program[32:40], "little") + 32):
        bad = program[:at] + b"\xff" * 8 + program[at + 8:]
        agent(place, bad)
        assert init_of(place) == bad


def test_initramfs_is_the_same_bytes_every_time(place):
    kernel(place, "k")
    first = coffer(place, "vm", "build-initramfs").stdout.strip()
    with open(first, "rb") as f:
        before = f.read()
    again = coffer(place, "vm", "build-initramfs").stdout.strip()
    with open(again, "rb") as f:
        assert (again, f.read()) == (first, before)


def test_another_agent_gets_another_initramfs(place):
    top = kernel(place, "k")
    first = coffer(place, "vm", "build-initramfs").stdout.strip()
    os.utime(first, (time.time() - 3 * 86400,) * 2)
    agent(place, b"agent two")
    second = coffer(place, "vm", "build-initramfs").stdout.strip()
    assert second != first
    with open(second, "rb") as f:
        assert unpack(f.read())["init"][1] == b"agent two"
    assert initramfs_of(top) == [os.path.basename(second)] # that of the agent that is no more has gone


@pytest.mark.parametrize("name", ["../../secret", "sub/a.ko", ".."])
def test_a_module_out_of_its_folder_is_refused(place, name):
    (place / "secret").write_text("x")
    top = kernel(place, "k", modules=[name])
    done = coffer(place, "vm", "build-initramfs")
    assert done.returncode == 1 and "no name of a module" in done.stderr
    assert initramfs_of(top) == []


def test_a_module_that_is_a_link_is_refused(place):
    top = kernel(place, "k")
    (top / "modules" / "a.ko").unlink()
    (top / "modules" / "a.ko").symlink_to("/etc/shadow")
    done = coffer(place, "vm", "build-initramfs")
    assert done.returncode == 1 and 'cannot open the module "a.ko"' in done.stderr
    assert initramfs_of(top) == []


SETTINGS = [
    ('kernel = "vmlinux"', "vm.kernel must be an absolute path"),
    ('initramfs = "x"', "vm.initramfs must be an absolute path"),
    ('hypervisor = "xen"', "xen"),
    ('accelerator = "hax"', "hax"),
    ('memory = "lots"', "vm.memory must be a size"),
    ('memory = "63m"', "vm.memory must be a size"),
    ('memory = "99999999999999999999g"', "vm.memory must be a size"),
    ("vcpus = 0", "vm.vcpus"),
    ("vcpus = 65", "vm.vcpus"),
    ("start_timeout = 0", "vm.start_timeout"),
    ("share_cache_ms = -1", "vm.share_cache_ms"),
    ("volume_cache_ms = 1001", "vm.volume_cache_ms"),
    ('kernal = "/x"', 'unknown key "vm.kernal": did you mean "vm.kernel"?'),
    ('hypervisor = "vmm"\naccelerator = "tcg"', "works with KVM alone"),
]


@pytest.mark.parametrize("text,message", SETTINGS, ids=[s[0].split("\n")[0] for s in SETTINGS])
def test_settings_that_make_no_sense_are_refused(place, text, message):
    done = coffer(place, "vm", "ls", config="[vm]\n" + text + "\n")
    assert done.returncode != 0 and message in done.stderr, done.stderr


def test_every_key_of_the_sample_is_known(place):
    with open(TREE + "/docs/coffer.toml") as f:
        table = f.read().partition("\n[vm]\n")[2].partition("\n[")[0]
    keys = [line[1:] for line in table.splitlines() if line[:1] == "#" and line[1:2].islower()]
    assert {"kernel", "hypervisor", "volume_cache_ms"} <= {key.partition(" ")[0] for key in keys}
    done = coffer(place, "vm", "ls", config="[vm]\n" + "\n".join(keys) + "\n")
    assert done.returncode == 0, done.stderr


def test_info_and_doctor_say_what_machines_run_on(place):
    checks = json.loads(coffer(place, "doctor", "--format", "json").stdout)["Checks"]
    ours = {c["Name"]: c for c in checks if c["Topic"] == "Virtual machines"}
    assert set(ours) >= {"qemu", "coffer-vmm", "accelerator", "guest kernel"}
    assert "coffer vm fetch-kernel" in ours["guest kernel"]["Advice"]
    assert "/dev/kvm" in ours["accelerator"]["Text"]
    kernel(place, "k")
    info = json.loads(coffer(place, "info", "--format", "json").stdout)
    assert info["VmKernel"] == "k (6.0-test)" and info["VmAccelerator"] == ours["accelerator"]["Text"].partition(" (")[0] \
        or "ns an instruction" in info["VmAccelerator"]


def test_completion_knows_the_kernels(place):
    kernel(place, "alpha")
    kernel(place, "beta")
    out = coffer(place, "completion", "words", "vm", "rm", "al").stdout.splitlines()
    assert [line.split("\t")[0] for line in out] == ["words", "alpha"]


# ---- the script that fetches and builds, with an apt and a dpkg of our own ----

def fake_archive(place, release="6.1.0-1-cloud-amd64"):
    """A folder for PATH: apt-get and dpkg that know one package, made of the given files."""
    tools, tree = place / "tools", place / "tree"
    tools.mkdir()
    package = "linux-image-" + release
    modules = tree / "lib/modules" / release / "kernel"
    modules.mkdir(parents=True)
    (tree / "boot").mkdir()
    (tree / "boot" / ("vmlinuz-" + release)).write_bytes(b"\0" * 600 + b"not compressed")
    (tree / "boot" / ("config-" + release)).write_text("CONFIG_PVH=y\n")
    scripts = {
        "apt-cache": 'case $1 in policy) echo "  Candidate: 1.2-3";; depends) echo "  Depends: %s";; esac' % package,
        "apt-get": 'case $* in *download*) : >%s_1.2-3_amd64.deb;; esac' % package,
        "dpkg": 'case $1 in --print-architecture) echo amd64;; -x) mkdir -p "$3"; cp -r %s/. "$3";; esac' % tree,
        "depmod": ":",
        "modprobe": "exit 1",
    }
    for name, text in scripts.items():
        (tools / name).write_text("#!/bin/sh\n" + text + "\n")
        (tools / name).chmod(0o755)
    return "%s:%s" % (tools, os.environ["PATH"])


def test_fetch_makes_a_kernel_and_leaves_nothing_else(place):
    path = fake_archive(place)
    done = coffer(place, "vm", "fetch-kernel", libexec=False, PATH=path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "debian-6.1.0-1-cloud-amd64\n"
    assert sorted(os.listdir(place / "vm")) == [".lock", "debian-6.1.0-1-cloud-amd64"]
    rows = coffer(place, "vm", "ls", "--format", "{{.Name}} {{.Source}}").stdout
    assert rows == "debian-6.1.0-1-cloud-amd64 linux-image-6.1.0-1-cloud-amd64 1.2-3\n"
    done = coffer(place, "vm", "fetch-kernel", libexec=False, PATH=path)
    assert (done.returncode, done.stdout) == (0, "debian-6.1.0-1-cloud-amd64\n") and "already there" in done.stderr


def test_what_a_killed_fetch_left_is_removed(place):
    path = fake_archive(place)
    (place / "vm" / ".new-123").mkdir()
    (place / "vm" / ".new-work-abc").mkdir()
    (place / "vm" / ".new-work-abc" / "file").write_text("x")
    assert coffer(place, "vm", "ls", "-q").stdout == ""
    assert coffer(place, "vm", "fetch-kernel", libexec=False, PATH=path).returncode == 0
    assert sorted(os.listdir(place / "vm")) == [".lock", "debian-6.1.0-1-cloud-amd64"]


def test_an_archive_that_fails_leaves_nothing(place):
    path = fake_archive(place)
    (place / "tools" / "apt-get").write_text("#!/bin/sh\necho no network >&2\nexit 100\n")
    done = coffer(place, "vm", "fetch-kernel", libexec=False, PATH=path)
    assert done.returncode != 0 and "no network" in done.stderr
    assert os.listdir(place / "vm") == [".lock"]


def test_build_says_which_packages_are_missing(place):
    path = fake_archive(place)
    for name in ("sh", "sed", "id", "readlink", "dirname", "rm", "mkdir", "mktemp", "flock", "nproc", "cat"):
        (place / "tools" / name).symlink_to(shutil.which(name))
    done = coffer(place, "vm", "build-kernel", libexec=False, PATH=path.partition(":")[0])
    assert done.returncode == 1
    assert "apt-get install" in done.stderr and " flex" in done.stderr and " bison" in done.stderr

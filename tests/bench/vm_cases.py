# SPDX-License-Identifier: Apache-2.0
"""Level `vm`: what a start is made of, by hypervisor, on the accelerator that each one has here.

The kernel is the newest of COFFER_VM_DIR or of the tests' cache; one with its devices on the command line is what
coffer-vmm takes. QEMU is measured beside it on the same accelerator where QEMU can boot there, and says so where not.
"""
import glob
import json
import os
import re
import select
import shutil
import socket
import statistics
import struct
import subprocess
import time

ALL = {}
HERE = os.path.dirname(os.path.abspath(__file__))
MIB = 1 << 20
SECONDS = 900  # a host that emulates ring 0 boots in many
# In the keeper's log (COFFER_VM_LOG): what a stage ends with.
STAGES = [("hypervisor runs", "the hypervisor runs"), ("agent ready", "READY"), ("template kept", "past the template"),
          ("program runs", "the program runs"), ("program ended", "the program has ended"),
          ("machine ended", "the hypervisor has ended")]
PROMISES = [
    ("vm: snapshot to guest, ms", "vm-start", "exec to restored guest", "vmm", None, 15),
    ("vm: vmm's own memory, kB", "vm-start", "hypervisor's own memory", "vmm", None, 5120),
    ("vm: guest at rest, kB", "vm-start", "kernel and agent at rest", "vmm", None, 30720),
    ("vm: booted / Debian's shell", "vm-beside", "booted / shell", "qemu", None, 0.5),
    ("vm: template / booted", "vm-beside", "template / booted", "qemu", None, 0.1),
    ("vm: warm files / guest's own", "vm-files", "warm / own", "qemu", None, 2),
]


def case(function):
    ALL[function.__name__.replace("_", "-")] = function
    return function


def kernel_folder(devices=None):
    """The directory of the newest kernel with devices by "cmdline" or "acpi"; of any, but by "cmdline" first."""
    cache = os.path.join(os.environ.get("COFFER_TEST_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME", "/var/cache"), "coffer-tests"), "vm-guest-*")
    places = [os.environ["COFFER_VM_DIR"]] if "COFFER_VM_DIR" in os.environ else sorted(glob.glob(cache)) + ["/var/lib/coffer/vm"]
    found = []
    for info in (i for p in places for i in glob.glob(os.path.join(p, "*", "info.json"))):
        with open(info) as f:
            how = json.load(f)["devices"]
        if devices in (None, how):
            found.append((how == "cmdline", os.path.getmtime(info), os.path.dirname(info)))
    return max(found)[2] if found else None


class Machines:
    """A folder of kernels of our own, so that templates are made anew, and a configuration for each hypervisor."""

    def __init__(self, st, folder):
        self.st, self.top = st, os.path.join(st.top, "vm")
        os.mkdir(self.top)
        self.kernel = os.path.join(self.top, os.path.basename(folder), "kernel")
        shutil.copytree(folder, os.path.dirname(self.kernel), ignore=shutil.ignore_patterns("initramfs-*"))
        self.binary = st.runtime("coffer").binary
        self.bundle = st.bundles.make("vm-start", st.token + "/vm-start")
        self.count, self.said = 0, ""

    def run(self, hypervisor, accelerator="auto", bundle=None):
        """({stage: ms since the keeper began}, ms of the whole), or why it does not go."""
        self.count += 1
        log, config = os.path.join(self.top, "%d.log" % self.count), os.path.join(self.top, "coffer.toml")
        with open(config, "w") as f:
            f.write('[vm]\nhypervisor = "%s"\naccelerator = "%s"\nmemory = "256m"\n' % (hypervisor, accelerator))
        env = dict(os.environ, COFFER_CONFIG=config, COFFER_VM_DIR=self.top, COFFER_VM_LOG=log,
                   COFFER_VM_START_SECONDS=str(SECONDS))
        start = time.monotonic()
        done = subprocess.run([self.binary, "--root", os.path.join(self.st.state, "level-vm"), "--isolation", "vm", "run",
                               "--bundle", bundle or self.bundle, "bench-vm%d" % self.count], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, env=env, timeout=2 * SECONDS)
        whole = (time.monotonic() - start) * 1e3
        if done.returncode:
            return None, done.stderr.strip()
        self.said = done.stdout
        with open(log) as f:
            lines = [re.match(r"(\d+\.\d+) ms: (.*)", line) for line in f]
        return {stage: next((float(m[1]) for m in lines if m and m[2].startswith(words)), None)
                for stage, words in STAGES}, whole

    def templates(self):
        return glob.glob(os.path.join(self.top, "templates", "template-*"))


def template_facts(path):
    """(memory's size, where the state is, bytes of memory that are not zero) of a template: src/vm/template.c."""
    with open(path, "rb") as f:
        _, memory, state_at = struct.unpack("<16sQQ", f.read(32))
    return memory, state_at, os.stat(path).st_blocks * 512


class Restored:
    """coffer-vmm from a template, with nobody at the other ends of its ports."""

    def __init__(self, program, path):
        memory, state_at, _ = template_facts(path)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.path, self.control = path, ours
        self.ends = [socket.socketpair() for _ in range(2)]
        fds = {"kvm": os.open("/dev/kvm", os.O_RDWR), "console": os.open("/dev/null", os.O_WRONLY),
               "memory-file": os.open(path, os.O_RDONLY), "control": theirs.fileno(),
               "agent": self.ends[0][1].fileno(), "share": self.ends[1][1].fileno()}
        fds["state"] = os.dup(fds["memory-file"])
        argv = [program, "run", "memory=%d" % memory, "memory-at=%d" % (2 * MIB), "state-at=%d" % state_at]
        argv += ["%s=%d" % item for item in fds.items()]
        start = time.monotonic()
        self.process = subprocess.Popen(argv, pass_fds=list(fds.values()), stderr=subprocess.PIPE)
        answer = ours.recv(512)
        self.ms = (time.monotonic() - start) * 1e3
        for name in ("kvm", "console", "memory-file", "state"):
            os.close(fds[name])
        theirs.close()
        self.good = len(answer) >= 4 and struct.unpack("<i", answer[:4])[0] == 0

    def own_memory(self):
        """PSS in kB of everything but the guest's memory: the template's file, and what is anonymous where that has holes."""
        own, inside = 0, False
        with open("/proc/%d/smaps" % self.process.pid) as f:
            for line in f:
                head = re.match(r"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+\s*(.*)", line)
                if head:
                    size = int(head[2], 16) - int(head[1], 16)
                    inside = head[3] == self.path or (not head[3] and size >= 2 * MIB)
                elif line.startswith("Pss:") and not inside:
                    own += int(line.split()[1])
        return own

    def close(self):
        self.control.close()
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        for pair in self.ends:
            for end in pair:
                end.close()


def first_word_kernel(path):
    """A kernel of seven instructions, for 32-bit entry by PVH and for 64-bit entry: "b" on the serial line, a reset."""
    code = b"\x66\xba\xf8\x03\xb0\x62\xee\xb0\xfe\xe6\x64\xf4\xeb\xfd"
    at = 0x1000000
    note = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", at)
    head = 64 + 2 * 56
    elf = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1" + bytes(9), 2, 62, 1, at, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    elf += struct.pack("<IIQQQQQQ", 1, 7, 0x1000, at, at, len(code), len(code), 0x1000)
    elf += struct.pack("<IIQQQQQQ", 4, 4, head, 0, 0, len(note), len(note), 4)
    with open(path, "wb") as f:
        f.write((elf + note).ljust(0x1000, b"\0") + code)
    return path


def exec_to_word(argv, fds):
    """ms until the guest's byte, or None."""
    ours, theirs = os.pipe()
    start = time.monotonic()
    process = subprocess.Popen([a % {"out": theirs} if "%(out)" in a else a for a in argv], pass_fds=fds + [theirs],
                               stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    seen = bool(select.select([ours], [], [], 20)[0]) and os.read(ours, 1) == b"b"
    ms = (time.monotonic() - start) * 1e3
    process.kill()
    process.wait()
    os.close(ours)
    return ms if seen else None


def first_words(vmm, kernel, runs):
    """The same kernel and the same /dev/kvm, alternately."""
    kvm, image = os.open("/dev/kvm", os.O_RDWR), os.open(kernel, os.O_RDONLY)
    qemu = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-nographic", "-no-reboot", "-M",
            "microvm,acpi=off,pit=on,pic=on,rtc=on,isa-serial=on", "-accel", "kvm", "-cpu", "host,arch-capabilities=off", "-m", "64",
            "-kernel", kernel, "-chardev", "stdio,id=c,signal=off", "-serial", "chardev:c"]
    ours = [vmm, "run", "kvm=%d" % kvm, "kernel=%d" % image, "console=%(out)d", "memory=%d" % (64 * MIB)]
    found = {"vmm": [], "qemu": []}
    for _ in range(runs):
        found["vmm"].append(exec_to_word(ours, [kvm, image]))
        found["qemu"].append(exec_to_word(qemu, []))
    os.close(kvm)
    os.close(image)
    return {name: statistics.median(v) for name, v in found.items() if None not in v}


def accelerator(hypervisor):
    with open("/proc/cpuinfo") as f:
        hardware = bool(re.search(r"\b(vmx|svm)\b", f.read()))
    if hypervisor == "vmm":
        return "kvm" if hardware else "kvm that emulates ring 0"
    return "kvm" if hardware and os.access("/dev/kvm", os.W_OK) else "tcg"


def put(rows, label, unit, name, value):
    if value is not None:
        rows.setdefault(label, {"unit": unit, "values": {}})["values"][name] = value


def measure_starts(rows, machines, name, runs):
    """One boot, which keeps a template, and starts from it."""
    cold, whole = machines.run(name)
    if cold is None:
        print("  note: %s: %s" % (name, whole))
        return
    warm = [w for w in (machines.run(name) for _ in range(runs)) if w[0]]
    put(rows, "boot: whole", "ms", name, whole)
    for stage, _ in STAGES:
        put(rows, "boot: " + stage, "ms", name, cold[stage])
    put(rows, "template: whole", "ms", name, statistics.median(w[1] for w in warm) if warm else None)
    for stage, _ in STAGES:
        values = [w[0][stage] for w in warm if w[0][stage] is not None]
        put(rows, "template: " + stage, "ms", name, statistics.median(values) if values else None)


def measure_monitor(rows, vmm, template, runs):
    machines = []
    for _ in range(runs):
        machines.append(Restored(vmm, template))
        if not machines[-1].good:
            print("  note: coffer-vmm does not restore: %s" % machines[-1].process.stderr.read().decode())
            return
        time.sleep(0.5)
        machines[-1].own = machines[-1].own_memory()
        machines[-1].close()
    put(rows, "exec to restored guest", "ms", "vmm", statistics.median(m.ms for m in machines))
    put(rows, "exec to restored guest, best", "ms", "vmm", min(m.ms for m in machines))
    put(rows, "hypervisor's own memory", "kB", "vmm", statistics.median(m.own for m in machines))


@case
def vm_start(st):
    """a container in a machine: booted and from a template, by stage and hypervisor; the monitor's own part"""
    rows, folder = {}, kernel_folder()
    if not folder:
        print("  note: no kernel for machines: tools/vm-guest --build")
        return rows
    machines, runs = Machines(st, folder), 3 if st.quick else min(st.runs, 10)
    print("  kernel: %s; qemu: %s; vmm: %s" % (os.path.basename(folder), accelerator("qemu"), accelerator("vmm")))
    vmm = os.path.join(os.path.dirname(os.path.abspath(machines.binary)), "coffer-vmm")
    for name in ("qemu", "vmm"):
        before = set(machines.templates())
        measure_starts(rows, machines, name, runs)
        for path in set(machines.templates()) - before:
            put(rows, "kernel and agent at rest", "kB", name, template_facts(path)[2] // 1024)
            if name == "vmm":
                measure_monitor(rows, vmm, path, runs)
    if os.access("/dev/kvm", os.W_OK):
        for name, ms in first_words(vmm, first_word_kernel(os.path.join(machines.top, "word")), runs).items():
            put(rows, "same kvm: exec to first word", "ms", name, ms)
    return rows


def shell_archive(path):
    """An initramfs with a shell and nothing else, which says a word."""
    tree = path + ".d"
    os.makedirs(os.path.join(tree, "dev"))
    os.mknod(os.path.join(tree, "dev/console"), 0o20600, os.makedev(5, 1))
    shutil.copy("/bin/busybox", os.path.join(tree, "sh"))
    with open(os.path.join(tree, "init"), "w") as f:
        f.write("#!/sh\necho the-word\n")
    os.chmod(os.path.join(tree, "init"), 0o755)
    with open(path, "wb") as f:
        subprocess.run(["/bin/busybox", "cpio", "-o", "-H", "newc"], input=b"dev\ndev/console\nsh\ninit\n", cwd=tree, check=True,
                       stdout=f, stderr=subprocess.DEVNULL)
    return path


def to_the_word(argv, env=None):
    """ms from exec to the word on standard output; None where it does not come."""
    start, said = time.monotonic(), b""
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env)
    while b"the-word" not in said and time.monotonic() - start < SECONDS:
        data = os.read(process.stdout.fileno(), 65536) if select.select([process.stdout], [], [], SECONDS)[0] else b""
        if not data:
            break
        said += data
    ms = (time.monotonic() - start) * 1e3
    if argv[0].startswith("qemu"):
        process.kill()
    process.wait()
    process.stdout.close()
    return ms if b"the-word" in said else None


def tsc_khz():
    """What a kernel without a timer to measure it by is told, as coffer tells its own."""
    with open("/proc/cpuinfo") as f:
        return int(float(re.search(r"cpu MHz\s*: ([0-9.]+)", f.read())[1]) * 1000)


@case
def vm_beside(st):
    """a container's first word, booted and from a template, beside QEMU with Debian's cloud kernel and a shell in an initramfs"""
    rows, ours, debian = {}, kernel_folder("cmdline"), kernel_folder("acpi")
    if not ours or not debian or not os.access("/bin/busybox", os.X_OK):
        print("  note: this needs tools/vm-guest, tools/vm-guest --build, and busybox-static")
        return rows
    machines = Machines(st, ours)
    shutil.copy("/bin/busybox", os.path.join(st.bundles.rootfs, "sh"))
    bundle = st.bundles.make("vm-word", st.token + "/vm-word", args=("/sh", "-c", "echo the-word"))
    accel = accelerator("qemu")
    bare = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-nographic", "-no-reboot", "-M", "microvm", "-accel", accel,
            "-cpu", "max,la57=off" if accel == "tcg" else "host", "-m", "256", "-kernel", os.path.join(debian, "kernel"), "-initrd",
            shell_archive(os.path.join(machines.top, "shell")), "-serial", "stdio", "-append",
            "console=ttyS0 quiet tsc=reliable no_timer_check noreplace-smp tsc_early_khz=%d" % tsc_khz()]
    # A file where templates would have their folder: each machine boots.
    cold = os.path.join(st.top, "vm-cold")
    shutil.copytree(machines.top, cold, ignore=shutil.ignore_patterns("shell*"))
    open(os.path.join(cold, "templates"), "w").close()
    machines.run("qemu", bundle=bundle)  # the template
    times = {"shell": [], "booted": [], "template": []}
    for n in range(3 if st.quick else min(st.runs, 10)):
        for name in times:
            env = dict(os.environ, COFFER_CONFIG=os.path.join(machines.top, "coffer.toml"),
                       COFFER_VM_DIR=cold if name == "booted" else machines.top)
            times[name].append(to_the_word(bare if name == "shell" else [
                machines.binary, "--root", os.path.join(st.state, "level-vm"), "--isolation", "vm", "run", "--bundle", bundle,
                "bench-%s%d" % (name, n)], env))
    for name, values in times.items():
        if None in values:
            print("  note: %s did not say the word in %d of %d" % (name, values.count(None), len(values)))
        put(rows, name, "ms", "qemu", statistics.median(v for v in values if v) if any(values) else None)
    for over, under in (("booted", "shell"), ("template", "shell"), ("template", "booted")):
        pairs = [a / b for a, b in zip(times[over], times[under]) if a and b]
        put(rows, "%s / %s" % (over, under), "", "qemu", statistics.median(pairs) if pairs else None)
    return rows


def files_bundle(st):
    """The image has a tree of 5,000 files (files.c), and a tmpfs for a copy of it."""
    program = os.path.join(st.bundles.rootfs, "files")
    if not os.path.exists(program):
        subprocess.run(["cc", "-std=gnu17", "-O2", "-static", "-o", program, os.path.join(HERE, "files.c")], check=True)
        subprocess.run([program, "make", os.path.join(st.bundles.rootfs, "tree")], check=True)
    bundle = st.bundles.make("vm-files", st.token + "/vm-files", args=("/files", "walk", "/tree", "/tmp/copy"))
    path = os.path.join(bundle, "config.json")
    with open(path) as f:
        config = json.load(f)
    config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["size=100m"]})
    with open(path, "w") as f:
        json.dump(config, f)
    return bundle


@case
def vm_files(st):
    """find and read of 5,000 files (48 MB) of the image, from within the machine, beside a copy in the guest's own memory"""
    rows, folder = {}, kernel_folder()
    if not folder:
        print("  note: no kernel for machines: tools/vm-guest --build")
        return rows
    machines, bundle, found = Machines(st, folder), files_bundle(st), {}
    machines.run("qemu")  # the template
    for _ in range(1 if st.quick else 3):
        done = machines.run("qemu", bundle=bundle)
        if done[0] is None:
            print("  note: qemu: %s" % done[1])
            return rows
        for pass_, find, read in (line.split() for line in machines.said.splitlines()):
            found.setdefault(pass_, []).append((int(find) / 1e6, int(read) / 1e6))
    for pass_, times in found.items():
        for what, values in (("find", [t[0] for t in times]), ("read", [t[1] for t in times]), ("both", [sum(t) for t in times])):
            put(rows, "%s: %s" % (pass_, what), "ms", "qemu", statistics.median(values))
    # Of each pass and the one next to it, for the machine's speed changes.
    pairs = [sum(warm) / sum(own) for warm, own in zip(found["warm"], found["own"])]
    put(rows, "warm / own", "", "qemu", statistics.median(pairs))
    return rows

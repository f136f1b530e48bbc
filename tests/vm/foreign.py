# SPDX-License-Identifier: Apache-2.0
"""A Debian system and kernel for another processor, by unpacking alone: nothing of it can run here.

What the packages' own scripts would do and a guest for tests needs is done here: accounts, PAM, units, alternatives.
"""
import os
import shutil
import subprocess

# What minbase brings by itself where scripts can run.
BASE = """base-files base-passwd bash dash coreutils grep sed mawk debianutils diffutils findutils gzip hostname
init-system-helpers libc-bin login passwd mount ncurses-base tar perl-base""".split()
ALTERNATIVES = {"usr/bin/awk": "mawk", "usr/bin/cc": "gcc", "usr/sbin/iptables": "iptables-nft",
                "usr/sbin/ip6tables": "ip6tables-nft", "usr/sbin/iptables-save": "iptables-nft-save",
                "usr/sbin/iptables-restore": "iptables-nft-restore"}
PAM = {"common-auth": "auth required pam_permit.so", "common-account": "account required pam_permit.so",
       "common-password": "password required pam_permit.so",
       "common-session": "session required pam_unix.so\nsession optional pam_systemd.so",
       "common-session-noninteractive": "session required pam_unix.so"}
UNITS = {"sysinit.target.wants": ["apparmor.service"]}


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def link(target, path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.lexists(path):
        os.symlink(target, path)


def accounts(root):
    text = {}
    for name in ("passwd", "group"):
        with open("%s/usr/share/base-passwd/%s.master" % (root, name)) as f:
            text[name] = f.read().replace(":*:", ":x:")
        write("%s/etc/%s" % (root, name), text[name])
    for name, source, rest in (("shadow", "passwd", ":*:19000:0:99999:7:::"), ("gshadow", "group", ":*::")):
        users = [line.split(":")[0] for line in text[source].splitlines()]
        write("%s/etc/%s" % (root, name), "".join(x + rest + "\n" for x in users), 0o640)
    for name in ("subuid", "subgid"):
        write("%s/etc/%s" % (root, name), "")


def unpack(root, arch, packages, kernel):
    """Unpacks a system with its kernel; returns nothing, the kernel is in root/boot and root/lib/modules."""
    hooks = "/usr/share/mmdebstrap/hooks/merged-usr" # as systemd wants it
    # one that is killed leaves its mounts, which go with this namespace
    subprocess.run(["unshare", "--mount", "--propagation", "private", "mmdebstrap", "-q", "--mode=root", "--arch=" + arch,
                    "--variant=extract", "--hook-dir=" + hooks, "--include=" + ",".join(BASE + packages + [kernel]), "bookworm", root],
                   check=True)
    for name in ("doc", "man", "locale"):
        shutil.rmtree("%s/usr/share/%s" % (root, name), ignore_errors=True)
    for name in ("bin", "sbin", "lib", "share", "etc"):
        os.makedirs(root + "/usr/local/" + name, exist_ok=True)
    accounts(root)
    for path, target in ALTERNATIVES.items():
        link(target, root + "/" + path)
    for name, text in PAM.items():
        write("%s/etc/pam.d/%s" % (root, name), text + "\n")
    for target, units in UNITS.items():
        for unit in units:
            enable(root, unit, target)
    write(root + "/etc/machine-id", "")
    # Python's own bytecode is the same on each processor, and dear to make in a guest that is interpreted.
    subprocess.run(["/usr/bin/python3", "-m", "compileall", "-q", "-s", root, "-p", "/", root + "/usr/lib/python3",
                    root + "/usr/lib/python3.11"], stdout=subprocess.DEVNULL)


def enable(root, unit, target="multi-user.target.wants"):
    where = "/etc" if os.path.exists("%s/etc/systemd/system/%s" % (root, unit)) else "/lib"
    link("%s/systemd/system/%s" % (where, unit), "%s/etc/systemd/system/%s/%s" % (root, target, unit))


def mask(root, unit):
    link("/dev/null", "%s/etc/systemd/system/%s" % (root, unit))


def take_kernel(root, top):
    """Moves the kernel and its modules out of the system: the modules reach it as a share."""
    os.makedirs(top + "/lib")
    shutil.move(root + "/boot", top + "/boot")
    shutil.move(root + "/lib/modules", top + "/lib/modules")
    shutil.copy(root + "/bin/busybox", top + "/busybox")
    os.mkdir(root + "/boot")
    version = os.listdir(top + "/lib/modules")[0]
    subprocess.run(["depmod", "-b", top, version], check=True, env=dict(os.environ, PATH=os.environ["PATH"] + ":/sbin:/usr/sbin"))

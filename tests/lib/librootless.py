# SPDX-License-Identifier: Apache-2.0
"""coffer as an ordinary user, who exists in a mount namespace of the test's alone."""
import glob
import os
import shutil
import subprocess

import pytest

from harness import env
from libengine import Coffer, Engine, TOKEN, end, need, run

SUBIDS = 300000

# The machine's files of users, and /dev/net/tun, which is root's here and there; pasta wants a default route.
KEEPER = """
mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/group" /etc/group || exit
mount --bind "$1/subuid" /etc/subuid && mount --bind "$1/subuid" /etc/subgid || exit
[ ! -e /dev/net/tun ] || mount --bind "$1/tun" /dev/net/tun || exit
ip link set lo up
ip link add up0 type veth peer name up1 && ip link set up1 up && ip address add 10.99.0.1/24 dev up0 &&
    ip link set up0 up && ip route add default via 10.99.0.2 || exit
echo; exec sleep infinity
"""


class RootlessCoffer(Coffer):
    """coffer of a user with 65,536 subordinate ids, or with none."""

    def __init__(self, uid=2000, subids=True):
        need("newuidmap", "setpriv", "ip")
        if not os.path.exists("/etc/subuid") or not os.path.exists("/etc/subgid"):
            pytest.skip("no /etc/subuid to put another in place of")
        Engine.__init__(self)
        d = self.scratch
        self.uid, self.home, self.xdg = uid, d + "/home", d + "/xdg"
        for path in (self.home, self.xdg):
            os.mkdir(path, 0o700)
            os.chown(path, uid, uid)
        self.programs(d + "/bin")
        for name, line in (("passwd", "walter:x:%d:%d::%s:/bin/sh\n" % (uid, uid, self.home)),
                           ("group", "walter:x:%d:\n" % uid)):
            with open("/etc/" + name) as old, open(d + "/" + name, "w") as new:
                new.write(old.read() + line)
        with open(d + "/subuid", "w") as f:
            f.write("walter:%d:65536\n" % SUBIDS if subids else "")
        os.mknod(d + "/tun", 0o20666, os.makedev(10, 200))
        os.chmod(d + "/tun", 0o666)
        self.keeper = subprocess.Popen(["unshare", "-m", "-n", "--propagation", "private", "sh", "-c", KEEPER, "sh", d],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self.keeper.stdout.readline() == b"\n", "no namespaces for an ordinary user"
        self.environ = {"PATH": os.environ["PATH"], "HOME": self.home, "XDG_RUNTIME_DIR": self.xdg,
                        "COFFER_LIBEXECDIR": d + "/bin", "COFFER_TEST": TOKEN}
        self.inside = ["nsenter", "-t", str(self.keeper.pid), "-m", "-n", "--", "setpriv", "--reuid", str(uid),
                       "--regid", str(uid), "--clear-groups"]
        self.base = self.inside + [d + "/bin/coffer"]
        try:
            self.load_image()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def programs(where):
        """The build may lie where ordinary users cannot go."""
        os.mkdir(where)
        os.chmod(where, 0o755)
        for path in glob.glob(os.path.join(os.path.dirname(env.COFFER), "coffer*")):
            if os.path.isfile(path) and os.access(path, os.X_OK):
                shutil.copy(path, where)

    @property
    def data(self):
        return self.home + "/.local/share/coffer"

    def run_options(self):
        return []

    def state_dirs(self):
        return [self.xdg + "/coffer/oci", self.xdg + "/coffer/containers", self.data + "/containers"]

    def processes(self, word):
        """Pids of the user's processes whose command line has `word`."""
        done = run(["ps", "-u", str(self.uid), "-o", "pid=,stat=,args="], rc=None)
        return [int(x.split()[0]) for x in done.stdout.splitlines() if word in x and x.split()[1][0] != "Z"]

    def close(self):
        self("rm", "-f", *self.out("ps", "-aq", rc=None).split(), rc=None)
        end(self.keeper)
        self.keeper.stdout.close()
        Engine.close(self)

# SPDX-License-Identifier: Apache-2.0
"""CVE-2019-5736 by `coffer` itself: a container whose program is "#!/proc/self/exe" makes coffer's file its own.

With ids of its own the container gets so far, and cannot write; with the host's it does not get so far.
"""
import hashlib
import os
import threading
import time

import pytest

import libengine
from harness import env

pytestmark = pytest.mark.skipif(env.SANITIZED, reason="a sanitized program cannot be exchanged in place")

# A comment in a configuration: `coffer --config /trap events` goes on until it is killed.
TRAP = "printf '#!/proc/self/exe --config\\n' > /trap && chmod 755 /trap"
ATTACK = """
seen=0
for p in /proc/[0-9]*; do
    [ "$(wc -c < $p/exe 2>/dev/null)" = %d ] || continue
    seen=1
    (: >> $p/exe) 2>/tmp/said && echo WRITTEN
    grep -q 'ermission denied' /tmp/said || echo "OTHERWISE: $(cat /tmp/said)"
done
echo seen $seen
"""


def digest():
    with open(env.COFFER, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def trapped(coffer, *options):
    coffer("run", "-d", "--name", "trap", *coffer.run_options(), "--network", "none", "--cap-add", "ALL",
           *options, "box", "sh", "-c", TRAP + "; exec sleep 600")
    libengine.wait_for("the trap", lambda: coffer("exec", "trap", "test", "-x", "/trap", rc=None).returncode == 0)


def attack(coffer):
    return coffer.out("exec", "trap", "sh", "-c", ATTACK % os.path.getsize(env.COFFER)).split("\n")


def test_own_ids_cannot_write(coffer):
    before = digest()
    trapped(coffer)
    coffer("exec", "-d", "trap", "/trap", "events")
    libengine.wait_for("the program to be the container's", lambda: "seen 1" in attack(coffer))
    assert attack(coffer) == ["seen 1"]
    assert digest() == before


def test_own_ids_do_not_make_it_busy(coffer):
    """An open that fails with EROFS counts as a writer for an instant; these fail before."""
    trapped(coffer)
    coffer("exec", "-d", "trap", "/trap", "events")
    libengine.wait_for("the program to be the container's", lambda: "seen 1" in attack(coffer))
    # `:` would end the shell with its redirection.
    script = "while :; do for p in /proc/[0-9]*/exe; do true >> $p; done; done 2>/dev/null"
    loop = threading.Thread(target=lambda: coffer("exec", "trap", "timeout", "4", "sh", "-c", script, rc=None))
    began = time.monotonic()
    loop.start()
    while loop.is_alive():
        coffer("version")
    loop.join()
    assert time.monotonic() - began > 3


def test_the_hosts_ids_get_no_hold_of_it(coffer):
    before = digest()
    trapped(coffer, "--userns", "host")
    assert coffer("exec", "trap", "/trap", "events", rc=None).returncode == 126
    coffer("exec", "-d", "trap", "/trap", "events", rc=None)
    assert attack(coffer) == ["seen 0"]
    assert digest() == before
    coffer("run", "--rm", *coffer.run_options(), "--network", "none", "--userns", "host", "box", "/proc/self/exe", rc=126)


def test_nor_by_way_of_a_neighbour(coffer):
    """Who has the host's ids and sees its processes may open what they execute."""
    before = digest()
    trapped(coffer)
    coffer("run", "-d", "--name", "neighbour", *coffer.run_options(), "--network", "none", "--userns", "host", "--pid", "container:trap",
           "--cap-drop", "ALL", "box", "sleep", "600")
    assert coffer("exec", "trap", "/trap", "events", rc=None).returncode == 126
    assert digest() == before

# SPDX-License-Identifier: Apache-2.0
"""--log-driver journald beside a journald of our own, in the engine's mount namespace."""
import os
import subprocess

import pytest

from libengine import end, wait_for

JOURNALD = "/lib/systemd/systemd-journald"
CONFIG = "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\nReadKMsg=no\nAudit=no\nForwardToSyslog=no\n"


@pytest.fixture(scope="module")
def engine(session):
    if not os.path.exists(JOURNALD):
        pytest.skip("no program systemd-journald")
    conf, ident = session.scratch + "/journald.conf", session.scratch + "/machine-id"
    with open(conf, "w") as f:
        f.write(CONFIG)
    with open(ident, "w") as f:
        f.write("0123456789abcdef0123456789abcdef\n")
    session.here("mkdir", "-p", "/run/systemd", "/run/log")
    for dst in ("/run/systemd", "/run/log"):
        session.here("mount", "-t", "tmpfs", "journal", dst)
    session.here("mkdir", "/run/log/journal")
    session.here("mount", "--bind", conf, "/etc/systemd/journald.conf")
    session.here("mount", "--bind", ident, "/etc/machine-id")
    with open(session.scratch + "/journald.log", "w") as log:
        daemon = subprocess.Popen(session.inside + [JOURNALD], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    wait_for("journald", lambda: session.here("test", "-S", "/run/systemd/journal/socket", rc=None).returncode == 0)
    yield session
    end(daemon)
    for dst in ("/etc/machine-id", "/etc/systemd/journald.conf", "/run/log", "/run/systemd"):
        session.here("umount", "-l", dst)


def journaled(engine, script, *options):
    return engine.start("--log-driver", "journald", *options, "box", "sh", "-c", script)


def test_what_the_journal_has(coffer, engine):
    cid = journaled(coffer, "echo out; echo err >&2; printf rest", "--name", "talks", "--label", "team=x", "--log-opt", "labels=team")
    coffer("wait", cid)
    done = coffer("logs", "talks")
    assert done.stdout == "out\nrest" and done.stderr == "err\n"
    rows = coffer.here("journalctl", "-q", "-o", "cat", "--output-fields=MESSAGE,TEAM,CONTAINER_NAME,IMAGE_NAME,PRIORITY",
                       "CONTAINER_ID_FULL=" + cid, "MESSAGE=err").stdout.split()
    assert sorted(rows) == sorted(["3", "talks", "box", "x", "err"])
    assert coffer.out("logs", "--tail", "1", "talks") == "rest"
    assert coffer.out("logs", "--tail", "0", "talks") == ""
    assert coffer.out("logs", "--details", "--tail", "1", "talks") == "TEAM=x rest"
    assert coffer.out("logs", "-t", "--since", "1h", "talks").count("Z ") == 2
    assert coffer.out("logs", "--until", "1h", "talks") == ""


def test_long_lines_are_whole_again(coffer, engine):
    cid = journaled(coffer, "i=0; while [ $i -lt 5000 ]; do printf 0123456789; i=$((i+1)); done; echo; echo last")
    coffer("wait", cid)
    assert coffer("logs", cid).stdout == "0123456789" * 5000 + "\nlast\n"


def test_follows_to_the_end(coffer, engine):
    script = "i=0; while [ $i -lt 300 ]; do echo tick $i; i=$((i+1)); [ $((i%100)) -gt 0 ] || sleep 0.3; done"
    cid = journaled(coffer, script)
    assert coffer("logs", "-f", cid).stdout == "".join("tick %d\n" % n for n in range(300))
    coffer("start", cid)
    again = coffer("logs", "-f", "--tail", "0", cid).stdout
    assert again.endswith("tick 299\n") and len(again.splitlines()) <= 300


FORGE = "import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); " \
        "s.sendto(b'MESSAGE=forged\\nCONTAINER_ID_FULL=' + sys.argv[1].encode() + b'\\n', '/run/systemd/journal/socket')"


def test_nobody_else_writes_into_a_log(coffer, engine):
    """Any user may send any field to the journal, but not as root."""
    cid = journaled(coffer, "echo genuine")
    coffer("wait", cid)
    coffer.here("setpriv", "--reuid", "12345", "--clear-groups", "/usr/bin/python3", "-c", FORGE, cid)
    coffer.here("journalctl", "--sync")
    assert "forged" in coffer.here("journalctl", "-q", "CONTAINER_ID_FULL=" + cid).stdout
    assert coffer("logs", cid).stdout == "genuine\n"


def test_without_a_journal(fresh):
    """Where there is none, the container does not start, and the message says what to do."""
    engine = fresh()
    engine.here("mount", "-t", "tmpfs", "none", "/run")
    done = engine("run", "--rm", *engine.run_options(), "--log-driver", "journald", "box", "true", rc=125)
    assert "no journal at" in done.stderr and "--log-driver" in done.stderr

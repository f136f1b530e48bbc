# SPDX-License-Identifier: Apache-2.0
"""`coffer run --isolation=vm --pod NAME`: what a container in another one's machine is to the engine's users."""
import json
import os
import signal

import pytest

from libengine import wait_for

WAIT = ("box", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done")


def pid(coffer, name):
    return int(coffer.inspect(name, "{{.State.Pid}}"))


def test_a_pod_of_the_engine(vm, coffer):
    vm("--name", "first", "-p", "127.0.0.1:8341:80", *WAIT)
    web = vm("--pod", "first", "--name", "web", "-v", "pages:/pages", "-m", "100m",
             "box", "sh", "-c", "echo serving; exec httpd -f -p 80 -h /pages")
    pages = os.path.join(coffer.scratch, "root/volumes/pages/_data")
    with open(pages + "/index.html", "w") as f:
        f.write("page\n")
    # The published port of the machine reaches it; so does whoever else is in the machine.
    wait_for("the page", lambda: coffer.here("busybox", "wget", "-qO-", "http://127.0.0.1:8341/", rc=None).stdout == "page\n", 60)
    run = ["run", "--rm", "-i", "--isolation=vm", "--pod", "first", *coffer.run_options(), "box", "sh", "-c"]
    done = coffer(*run, "cat; wget -qO- http://127.0.0.1/; hostname; echo $HOSTNAME; echo bad >&2; exit 9", input="typed\n", rc=None,
                  limit=120)
    host = coffer.out("exec", "first", "hostname")
    assert done.returncode == 9 and done.stdout.splitlines() == ["typed", "page", host, host], done
    assert done.stderr == "bad\n"
    assert coffer.out("logs", web) == "serving"
    # Names are asked where the first one asks.
    assert coffer.out("exec", web, "cat", "/etc/resolv.conf") == coffer.out("exec", "first", "cat", "/etc/resolv.conf")
    assert coffer.out("exec", web, "cat", "/etc/hosts") == coffer.out("exec", "first", "cat", "/etc/hosts")
    # Files, processes, statistics.
    coffer("exec", web, "sh", "-c", "echo own >/own")
    coffer("cp", web + ":/own", coffer.scratch + "/own")
    with open(coffer.scratch + "/own") as f:
        assert f.read() == "own\n"
    assert "A /own" in coffer.out("diff", web) and "/own" not in coffer.out("diff", "first")
    assert "httpd -f" in coffer.out("top", web) and "httpd" not in coffer.out("top", "first")
    row = json.loads(coffer.out("stats", "--no-stream", "--format", "json", web).splitlines()[0])
    assert row["PIDs"] == "1" and row["MemUsage"].endswith("/ 100MiB"), row
    coffer("update", "-m", "90m", web)
    coffer("pause", web)
    assert (coffer.status(web), coffer.status("first")) == ("paused", "running")
    assert coffer.out("exec", "first", "echo", "on") == "on"
    coffer("unpause", web)
    assert coffer.out("exec", web, "echo", "on") == "on"
    t = coffer.tty(*[w if w != "-i" else "-it" for w in run[:-2]], "sh", rows=30, cols=70)
    t.send("stty size; exit 4\n")
    t.expect("30 70", 60)
    assert t.code() == 4
    # One goes by itself; the machine stays.
    coffer("stop", "-t", "1", web, limit=60)
    assert coffer.status("first") == "running"
    coffer("start", web, limit=120)
    wait_for("the page", lambda: coffer.here("busybox", "wget", "-qO-", "http://127.0.0.1:8341/", rc=None).stdout == "page\n", 60)
    # With the first one all go; they come again with it.
    coffer("stop", "-t", "5", "first", limit=60)
    assert coffer("wait", web, limit=60).stdout.strip() == "137"
    done = coffer("start", web, rc=None)
    assert done.returncode != 0 and "non running container" in done.stderr, done.stderr
    coffer("start", "first", limit=120)
    coffer("start", web, limit=120)
    assert coffer.out("exec", web, "hostname") == coffer.out("exec", "first", "hostname")


def test_kill_9_of_keepers(vm, coffer):
    vm("--name", "first", *WAIT)
    vm("--pod", "first", "--name", "a", *WAIT)
    vm("--pod", "first", "--name", "b", *WAIT)
    os.kill(pid(coffer, "a"), signal.SIGKILL)
    assert coffer("wait", "a", limit=60).stdout.strip() == "137"
    assert coffer.out("exec", "b", "echo", "on") == "on"
    os.kill(pid(coffer, "first"), signal.SIGKILL)
    assert coffer("wait", "first", limit=60).stdout.strip() == "137"
    assert coffer("wait", "b", limit=60).stdout.strip() == "137"


@pytest.mark.parametrize("words, text", [
    (("--isolation=ns", "--pod", "first"), '--pod puts a container into another one\'s machine: it needs --isolation=vm, not "ns"'),
    (("--isolation=vm", "--pod", "other"), 'container other is of isolation level "ns": only one of "vm" has a machine'),
    (("--isolation=vm", "--pod", "nobody"), "No such container: nobody"),
    (("--isolation=vm", "--pod", "first", "--network", "none"), "conflicting options: --network and --pod, whose network it has"),
    (("--isolation=vm", "--pod", "first", "-p", "80:80"), "conflicting options: port publishing"),
    (("--isolation=vm", "--pod", "first", "--hostname", "x"), "conflicting options: --hostname and --pod"),
    (("--isolation=vm", "--pod", "first", "--ip", "10.0.0.9"), "needs a network of its own, not that of --pod"),
    (("--isolation=vm", "--pod", "first", "--ipc", "private"), "conflicting options: --ipc and --pod"),
    (("--isolation=vm", "--annotation", "dev.coffer.vm.pod=x"), "annotation dev.coffer.vm.pod is set by --pod alone"),
])
def test_what_is_refused(coffer, words, text):
    coffer("create", "--isolation=vm", "--name", "first", *WAIT)
    coffer("create", "--isolation=ns", "--name", "other", *WAIT)
    done = coffer("create", *words, *WAIT, rc=None)
    assert done.returncode != 0 and text in done.stderr, done.stderr


def test_a_pod_that_does_not_run_or_is_none(coffer):
    coffer("create", "--isolation=vm", "--name", "first", *WAIT)
    done = coffer("run", "--rm", "--isolation=vm", "--pod", "first", *WAIT, rc=None)
    assert done.returncode == 125 and "non running container" in done.stderr, done.stderr
    coffer("create", "--isolation=vm", "--name", "second", "--pod", "first", *WAIT)
    done = coffer("create", "--isolation=vm", "--pod", "second", *WAIT, rc=None)
    assert done.returncode != 0 and "container second is in the pod of container" in done.stderr, done.stderr

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
    for name in ("first", "a"):
        with open("/proc/%d/status" % pid(coffer, name)) as f:
            rights = dict(line.split(":\t", 1) for line in f.read().splitlines() if ":\t" in line)
        # It hears a guest: CAP_KILL is left of its rights, and a list of calls.
        assert (rights["NoNewPrivs"], rights["Seccomp"], int(rights["CapEff"], 16)) == ("1", "2", 1 << 5), rights
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


def test_pod_commands(template, coffer):
    """From `pod create` to `pod rm`, and what a machine that stands still says."""
    coffer("pod", "create", "-p", "127.0.0.1:8342:80", "-l", "tier=front", "-m", "300m", *coffer.run_options(), "/site", limit=120)
    first = coffer.inspect("site", "{{.Id}}")
    assert coffer.inspect("site", "{{.HostConfig.Isolation}} {{.Config.Hostname}}") == "vm site"
    run = ("run", "-d", "--isolation=vm", "--pod", "site", *coffer.run_options())
    coffer(*run, "--name", "web", "box", "sh", "-c", "mkdir /p; hostname >/p/index.html; exec httpd -f -p 80 -h /p", limit=120)
    wait_for("the page", lambda: coffer.here("busybox", "wget", "-qO-", "http://127.0.0.1:8342/", rc=None).stdout == "site\n", 60)
    coffer(*run, "--name", "other", "box", "sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done", limit=120)
    wait_for("the trap", lambda: coffer.out("logs", "other") == "ready", 60)
    # ls, inspect.
    assert coffer.out("pod", "ls", "-q", "--no-trunc") == first
    assert coffer.out("pod", "ls", "--format", "{{.Name}} {{.State}} {{.NumberOfContainers}} {{.Containers}} {{.Label \"tier\"}}") in (
        "site running 3 other,web front", "site running 3 web,other front")
    head, row = coffer.out("pod", "ls").splitlines()
    assert head.split("  ")[0] == "POD ID" and "# OF CONTAINERS" in head and row.startswith(first[:12]) and "127.0.0.1:8342->80" in row
    assert json.loads(coffer.out("pod", "ls", "--format", "json"))["Name"] == "site"
    assert coffer.out("pod", "ls", "-q", "-f", "label=tier=back") == "" == coffer.out("pod", "ls", "-q", "-f", "status=exited")
    told = json.loads(coffer.out("pod", "inspect", "site"))[0]
    assert (told["Id"], told["Name"], told["State"], told["NumContainers"]) == (first, "site", "running", 3)
    assert {c["Name"] for c in told["Containers"]} == {"site", "web", "other"} and told["Memory"] == 300 << 20
    assert told["Ports"]["80/tcp"][0]["HostPort"] == "8342"
    assert coffer.out("pod", "inspect", "-f", "{{.Hostname}} {{.Labels.tier}}", "site") == "site front"
    done = coffer("pod", "inspect", "web", rc=None)
    assert done.returncode == 1 and "No such pod: web is a container, and no other one is in its machine" in done.stderr
    assert "No such pod: nobody" in coffer("pod", "stop", "nobody", rc=None).stderr
    done = coffer("pod", "rm", "site", rc=None)
    assert done.returncode == 1 and "cannot remove pod site: container site is running" in done.stderr
    # Nobody in a machine that stands still can be asked: it is said at once, and no signal waits for an answer.
    coffer("pause", "site")
    for words in (("pause", "web"), ("exec", "web", "true"), ("top", "web"), ("update", "-m", "90m", "web")):
        done = coffer(*words, rc=None, limit=25)
        assert done.returncode != 0 and "the container's machine is paused, which is that of container" in done.stderr, done
    coffer("kill", "-s", "TERM", "other", limit=25)
    coffer("unpause", "site")
    assert coffer("wait", "other", limit=60).stdout.strip() == "0"
    # Nor is one of it let go in a machine that stands still: it stays as paused as it was.
    coffer("pause", "web")
    coffer("pause", "site")
    done = coffer("unpause", "web", rc=None, limit=25)
    assert done.returncode != 0 and "the container's machine is paused" in done.stderr, done
    coffer("unpause", "site")
    assert coffer.status("web") == "paused"
    coffer("unpause", "web")
    assert coffer.out("exec", "web", "hostname") == "site"
    # stop, start, rm.
    coffer("pod", "stop", "-t", "5", "site", limit=120)
    assert coffer.inspect("site", "{{.State.Status}} {{.State.ExitCode}}") == "exited 0"
    assert coffer.status("web") == "exited"
    coffer("pod", "start", "site", limit=120)
    assert {coffer.status(c) for c in ("site", "web", "other")} == {"running"}
    coffer("pause", "site")
    coffer("pod", "rm", "-f", "site", limit=60)
    assert coffer.out("pod", "ls", "-q") == "" == coffer.out("ps", "-aq")
    coffer("pod", "rm", "-f", "site")


def test_a_pod_with_processes_in_common(template, coffer):
    coffer("pod", "create", "--share", "pid", *coffer.run_options(), "site", limit=120)
    told = json.loads(coffer.out("pod", "inspect", "site"))[0]
    assert told["SharedNamespaces"] == ["net", "ipc", "uts", "pid"]
    run = ("run", "-d", "--isolation=vm", "--pod", "site", *coffer.run_options())
    coffer(*run, "--name", "a", "box", "sleep", "2000", limit=120)
    coffer(*run, "--name", "b", "--pid", "private", "box", "sleep", "3000", limit=120)
    coffer(*run, "--name", "c", "--pid", "container:site", "box", "sleep", "4000", limit=120)
    assert coffer.inspect("a", "{{.HostConfig.PidMode}}") == "container:" + coffer.inspect("site", "{{.Id}}")
    for name, want in (("a", {"2000", "4000"}), ("b", {"3000"}), ("c", {"2000", "4000"})):
        seen = coffer.out("exec", name, "ps", "-o", "args")
        assert {n for n in ("2000", "3000", "4000") if "sleep " + n in seen} == want, seen
    assert "sleep 4000" not in coffer.out("top", "a") and "sleep 2000" in coffer.out("top", "a")
    lines = coffer.out("exec", "a", "ps", "-o", "pid,args").splitlines()
    coffer("exec", "a", "kill", "-9", next(line.split()[0] for line in lines if line.endswith("sleep 4000")))
    assert coffer("wait", "c", limit=60).stdout.strip() == "137"
    coffer("stop", "-t", "1", "a", limit=60)
    coffer("start", "a", limit=120)
    assert "sleep 2000" in coffer.out("exec", "a", "ps", "-o", "args")
    done = coffer("create", "--isolation=vm", "--pod", "site", "--pid", "container:b", *WAIT, rc=None)
    assert done.returncode != 0 and "conflicting options: --pid and --pod" in done.stderr, done.stderr
    coffer("pod", "rm", "-f", "site", limit=60)


@pytest.mark.parametrize("words, text", [
    (("--share", "net,cgroup"), '--share: "cgroup" is not shared by a pod\'s containers'),
    (("--name", "a", "b"), 'a pod has one name: "a" or "b"'),
    (("--network", "host"), 'a pod has a network of its own, not "host"'),
    (("--name", "first"), "is already in use by container"),
])
def test_pods_that_are_none(coffer, words, text):
    coffer("create", "--isolation=vm", "--name", "first", *WAIT)
    done = coffer("pod", "create", *words, rc=None)
    assert done.returncode != 0 and text in done.stderr, done.stderr
    assert coffer.out("pod", "ls", "-q") == ""

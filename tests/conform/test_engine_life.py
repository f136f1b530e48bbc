# SPDX-License-Identifier: Apache-2.0
"""The life of a container under Docker and Podman: exec, logs, stop, kill, pause, limits, restarts."""
import json
import os
import re
import shutil
import subprocess
import tarfile
import time

import pytest

from harness import env
from libengine import by_view, cgroup_value, wait_for

SLEEP = ["box", "sleep", "600"]
# a program that notes signals and ends on TERM with code 5
TRAP = "trap 'echo got-term; exit 5' TERM; trap 'echo got-usr1' USR1; echo ready; while :; do sleep 0.05; done"


def trapping(engine, *options):
    cid = engine.start(*options, "box", "sh", "-c", TRAP)
    wait_for("ready", lambda: "ready" in engine.out("logs", cid))
    return cid


EXEC = [
    ("plain", [], ["echo", "hi"], 0, "hi\n"),
    ("code", [], ["sh", "-c", "exit 9"], 9, ""),
    ("env", ["-e", "X=1 2"], ["sh", "-c", "echo $X $FROM_IMAGE"], 0, "1 2 yes\n"),
    ("user", ["-u", "1000:1000"], ["id", "-u"], 0, "1000\n"),
    ("user-name", ["-u", "web"], ["id", "-un"], 0, "web\n"),
    ("workdir", ["-w", "/tmp"], ["pwd"], 0, "/tmp\n"),
    ("privileged-off", [], ["sh", "-c", "mount -t tmpfs t /mnt 2>/dev/null || echo refused"], 0, "refused\n"),
    ("seccomp", [], ["sh", "-c", "grep ^Seccomp: /proc/self/status"], 0, "Seccomp:\t2\n"),
    ("pid-namespace", [], ["sh", "-c", "ps -o pid,args | grep -c 'sleep [6]00'"], 0, "1\n"),
    ("cgroup", [], ["sh", "-c", "cmp /proc/1/cgroup /proc/self/cgroup && echo same"], 0, "same\n"),
]


@pytest.mark.parametrize("options,argv,code,expected", [pytest.param(*c[1:], id=c[0]) for c in EXEC])
def test_exec(engine, options, argv, code, expected):
    cid = engine.start(*SLEEP)
    assert engine("exec", *options, cid, *argv, rc=code).stdout == expected


@pytest.mark.parametrize("path,codes", [("nosuch", (126, 127)), ("/no/such", (126, 127)), ("/noexec", (126,))])
def test_exec_cannot_execute(engine, path, codes):
    cid = engine.start(*SLEEP)
    done = engine("exec", cid, path, rc=None)
    assert done.returncode in codes, done
    if engine.like_docker:
        assert 'exec: "%s": ' % path in done.stdout + done.stderr
    assert engine("exec", cid, "true").stdout == ""


@pytest.mark.parametrize("template,expected", [
    ("{{json .Config.ExposedPorts}} {{json .Config.Healthcheck}} {{json .Config.MacAddress}}|{{.Config.StopSignal}}|", 'null null ""||'),
    ("{{json .HostConfig.Sysctls}} {{json .HostConfig.Tmpfs}} {{json .HostConfig.Mounts}}", "null null null"),
    ("{{if .State.Health}}has{{else}}none{{end}}", "none"), ("{{.State.Health.Status}}", None), ("{{.Nope}}", None)])
def test_inspect_of_what_the_json_leaves_out(engine, template, expected):
    if not engine.like_docker:
        return  # its documents are others
    cid = engine.start(*SLEEP)
    done = engine("inspect", "-f", template, cid, rc=0 if expected else 1)
    assert not expected or done.stdout == expected + "\n"
    assert "ExposedPorts" not in engine("inspect", cid).stdout


def test_exec_as_nobody_known(engine):
    cid = engine.start(*SLEEP)
    done = engine("exec", "-u", "nosuch", cid, "true", rc=None)
    assert "unable to find user nosuch" in done.stdout + done.stderr
    assert done.returncode == 126 or not engine.like_docker


def test_exec_stdin_and_large_output(engine):
    cid = engine.start(*SLEEP)
    text = "x" * 99 + "\n"
    assert engine("exec", "-i", cid, "cat", input=text * 5000).stdout == text * 5000
    assert len(engine("exec", cid, "head", "-c", "2000000", "/dev/zero").stdout) == 2000000


def test_exec_detached(engine):
    cid = engine.start(*SLEEP)
    engine("exec", "-d", cid, "sh", "-c", "echo done > /tmp/mark; sleep 600")
    wait_for("the mark", lambda: engine("exec", cid, "cat", "/tmp/mark", rc=None).stdout == "done\n")
    assert "sleep 600" in engine.out("top", cid)


def test_exec_sees_limits(engine):
    cid = engine.start("--memory", "40m", "--cap-drop", "ALL", *SLEEP)
    out = engine("exec", cid, "sh", "-c", "cat /sys/fs/cgroup/%s; "
                 "grep CapEff /proc/self/status" % ("memory.max" if engine.level != "ns" else
                                                     by_view("memory/memory.limit_in_bytes", "memory.max"))).stdout
    assert out == "41943040\nCapEff:\t0000000000000000\n"


def test_many_execs(engine):
    cid = engine.start(*SLEEP)
    for i in range(15):
        assert engine("exec", cid, "echo", str(i)).stdout == "%d\n" % i
    assert engine.status(cid) == "running"


def test_exec_in_stopped(engine):
    cid = engine.start("box", "true")
    engine.wait_status(cid, "exited")
    assert engine("exec", cid, "true", rc=None).returncode != 0


def test_logs(engine):
    cid = engine.start("box", "sh", "-c", "echo one; echo two >&2; seq 3 1000")
    assert engine.out("wait", cid) == "0"
    done = engine("logs", cid)
    assert (done.stdout + done.stderr).split()[:1] and "two" in done.stderr + done.stdout
    assert done.stdout.splitlines()[-1] == "1000"
    tail = engine("logs", "--tail", "2", cid).stdout
    assert tail in ("999\n1000\n", "1000\n")  # podman 4.3 and docker 20.10 lose one at times, with runc too


def test_stop_by_term(engine):
    cid = trapping(engine)
    engine("stop", "-t", "10", cid)
    assert engine.inspect(cid, "{{.State.ExitCode}} {{.State.Running}}") == "5 false"
    assert "got-term" in engine.out("logs", cid)


def test_stop_by_kill(engine):
    cid = engine.start("box", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    begin = time.monotonic()
    engine("stop", "-t", "1", cid)
    assert time.monotonic() - begin < 10
    assert engine.inspect(cid, "{{.State.ExitCode}}") == "137"


def test_stop_signal(engine):
    cid = engine.start("--stop-signal", "USR1", "box", "sh", "-c",
                       "trap 'exit 6' USR1; echo ready; while :; do sleep 0.05; done")
    wait_for("ready", lambda: "ready" in engine.out("logs", cid))
    engine("stop", cid)
    assert engine.inspect(cid, "{{.State.ExitCode}}") == "6"


@pytest.mark.parametrize("signal,code", [("KILL", 137), ("TERM", 5), ("15", 5), ("SIGKILL", 137)])
def test_kill(engine, signal, code):
    cid = trapping(engine)
    engine("kill", "-s", signal, cid)
    assert engine.out("wait", cid) == str(code)


def test_kill_without_end(engine):
    cid = trapping(engine)
    engine("kill", "-s", "USR1", cid)
    wait_for("the signal", lambda: "got-usr1" in engine.out("logs", cid))
    assert engine.status(cid) == "running"


def test_pause(engine):
    cid = engine.start("box", "sh", "-c", "while :; do date +%N > /tmp/now; sleep 0.02; done")
    engine("pause", cid)
    assert engine.status(cid) == "paused"
    assert engine("exec", cid, "true", rc=None).returncode != 0
    with open("/proc/%d/status" % engine.pid(cid)) as f:
        assert "State:" in f.read()
    engine("unpause", cid)
    assert engine.status(cid) == "running"
    first = engine("exec", cid, "cat", "/tmp/now").stdout
    wait_for("it to run on", lambda: engine("exec", cid, "cat", "/tmp/now").stdout != first)


def test_remove_paused(engine):
    cid = engine.start(*SLEEP)
    engine("pause", cid)
    engine("rm", "-f", *engine.rm_options(), cid)
    assert cid[:12] not in engine.out("ps", "-aq")


def test_stats(engine):
    cid = engine.start("--memory", "64m", "--pids-limit", "50", "box", "sh", "-c",
                       "head -c 8000000 /dev/zero | tail -c 8000000 | sleep 600 & while :; do :; done")
    time.sleep(0.3)
    row = json.loads(engine.out("stats", "--no-stream", "--format", "{{json .}}", cid)) \
        if engine.like_docker else json.loads(engine.out("stats", "--no-stream", "--format", "json", cid))[0]
    memory = row.get("MemUsage") or row.get("mem_usage")
    assert "64MiB" in memory or "67.11MB" in memory, row
    assert not memory.startswith("0B"), row
    assert int(row.get("PIDs") or row.get("pids")) >= 2, row
    assert float((row.get("CPUPerc") or row.get("cpu_percent")).rstrip("%")) > 0, row


def test_update(engine):
    cid = engine.start("--memory", "64m", "--memory-swap", "128m", *SLEEP)
    pid = engine.pid(cid)
    engine("update", "--memory", "48m", "--memory-swap", "96m", "--cpu-shares", "300", "--pids-limit", "77",
           *(["--cpu-period", "50000", "--cpu-quota", "25000"]), cid) \
        if engine.like_docker else \
        engine("update", "--memory", "48m", "--memory-swap", "96m", "--cpu-shares", "300",
               "--cpu-period", "50000", "--cpu-quota", "25000", cid)
    wanted = by_view({("memory", "memory.limit_in_bytes"): str(48 << 20), ("cpu", "cpu.shares"): "300",
                      ("memory", "memory.memsw.limit_in_bytes"): str(96 << 20),
                      ("cpu", "cpu.cfs_period_us"): "50000", ("cpu", "cpu.cfs_quota_us"): "25000"},
                     {("memory", "memory.max"): str(48 << 20), ("memory", "memory.swap.max"): str(48 << 20),
                      ("cpu", "cpu.max"): "25000 50000"})
    if engine.like_docker and engine.level == "ns":  # elsewhere the level's own tasks come on top
        wanted["pids", "pids.max"] = "77"
    if engine.level == "vm":  # and the memory of a machine beside its guest's
        wanted = {k: v for k, v in wanted.items() if k[0] != "memory"}
    assert {k: cgroup_value(pid, *k) for k in wanted} == wanted
    assert engine("exec", cid, "echo", "alive").stdout == "alive\n"


def test_top(engine):
    cid = engine.start("box", "sh", "-c", "sleep 601 & sleep 602; wait")
    wait_for("both", lambda: all(x in engine.out("top", cid) for x in ("sleep 601", "sleep 602")))


def test_inspect(engine):
    cid = engine.start("--name", "looked-at", "-e", "A=b", *SLEEP)
    info = json.loads(engine.out("inspect", "looked-at"))[0]
    assert info["Id"].startswith(cid[:12]) and info["State"]["Running"] is True
    assert "A=b" in info["Config"]["Env"]
    with open("/proc/%d/cmdline" % info["State"]["Pid"]) as f:
        assert f.read() == "sleep\0" "600\0" or engine.level != "ns"


def test_inspect_tells_what_was_asked_for(engine, tmp_path):
    """Where Docker tells of -v, --mount, --tmpfs, -p, -P and --ip, and every key of it."""
    if not engine.like_docker:
        return
    engine("network", "create", "--subnet", "10.77.0.0/24", "n1")
    cid = engine.start("--network", "n1", "--ip", "10.77.0.9", "--network-alias", "al", "-p", "18080:80", "-P", "--expose", "70",
                       "-v", "v1:/v", "-v", "%s:/t:ro" % tmp_path, "--tmpfs", "/tf:size=1m", "--mount", "type=tmpfs,dst=/mt,tmpfs-size=1m",
                       "--mount", "type=volume,src=v2,dst=/mv,readonly", "--blkio-weight", "0", *SLEEP)
    x = json.loads(engine.out("inspect", cid))[0]
    host, on = x["HostConfig"], x["NetworkSettings"]["Networks"]["n1"]
    assert sorted(host["Binds"]) == sorted(["v1:/v", "%s:/t:ro" % tmp_path])
    assert host["Mounts"] == [{"Type": "tmpfs", "Target": "/mt", "TmpfsOptions": {"SizeBytes": 1 << 20}},
                              {"Type": "volume", "Source": "v2", "Target": "/mv", "ReadOnly": True}]
    assert host["Tmpfs"] == {"/tf": "size=1m"}
    assert host["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "18080"}]} and host["PublishAllPorts"] is True
    assert {(m["Destination"], m["Type"], m["Mode"], m["RW"]) for m in x["Mounts"]} == {
        ("/v", "volume", "z", True), ("/t", "bind", "ro", False), ("/mt", "tmpfs", "", True), ("/mv", "volume", "z", False)}
    assert on["IPAMConfig"] == {"IPv4Address": "10.77.0.9"} and on["IPAddress"] == "10.77.0.9" and len(on["EndpointID"]) == 64
    net = json.loads(engine.out("network", "inspect", "n1"))[0]
    assert net["Containers"][x["Id"]]["EndpointID"] == on["EndpointID"]
    assert net["ConfigOnly"] is False and net["ConfigFrom"] == {"Network": ""} and net["IPAM"]["Options"] == {}
    assert os.readlink("/proc/%d/ns/net" % x["State"]["Pid"]).startswith("net:") and x["NetworkSettings"]["SandboxKey"]
    wanted = ("BlkioWeightDevice BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps ConsoleSize CpuCount "
              "CpuPercent IOMaximumIOps IOMaximumBandwidth DeviceRequests Dns DnsOptions DnsSearch VolumeDriver").split()
    assert not set(wanted) - set(host)
    assert host["Dns"] == host["DnsOptions"] == host["DnsSearch"] == []
    assert not {"SecondaryIPAddresses", "LinkLocalIPv6Address", "SandboxID", "EndpointID"} - set(x["NetworkSettings"])
    engine("rm", "-f", cid)
    engine("network", "rm", "n1")
    engine("volume", "rm", "v1", "v2")


def test_copy(engine, tmp_path):
    (tmp_path / "f").write_text("there and back")
    cid = engine.start(*SLEEP)
    engine("cp", "%s/f" % tmp_path, cid + ":/tmp/g")
    assert engine("exec", cid, "cat", "/tmp/g").stdout == "there and back"
    engine("cp", cid + ":/tmp/g", "%s/h" % tmp_path)
    assert (tmp_path / "h").read_text() == "there and back"


def test_copy_reaches_volumes_of_what_does_not_run(engine, tmp_path):
    """A volume, what the image has where one will be, a directory and a file of the host, and who made what."""
    (tmp_path / "f").write_text("given")
    host = tmp_path / "host"
    host.mkdir()
    engine("create", "--name", "still", *engine.run_options(), "-v", "still1:/data", "-v", "still2:/etc", "-v", "%s:/far/below" % host,
           "-v", "%s/f:/one/file" % tmp_path, "box", "sh", "-c", "stat -c %u:%g /data/f; ls /data /etc/passwd /far/below")
    engine("cp", "%s/f" % tmp_path, "still:/data/")
    engine("cp", "%s/f" % tmp_path, "still:/far/below/g")
    assert (host / "g").read_text() == "given"
    if engine.like_docker:  # Podman fills it at the start
        engine("cp", "still:/etc/passwd", "%s/passwd" % tmp_path)
        assert "root" in (tmp_path / "passwd").read_text()
        engine("cp", "still:/one/file", "%s/back" % tmp_path)
        assert (tmp_path / "back").read_text() == "given"
    assert engine.out("start", "-a", "still").split() == ["0:0", "/etc/passwd", "/data:", "f", "/far/below:", "g"]
    assert engine.sh("cat /v/f", "-v", "still1:/v") == "given"
    engine("rm", "still")
    engine("volume", "rm", "still1", "still2")


@pytest.mark.parametrize("runs", [True, False])
def test_copy_to_what_is_read_only(engine, tmp_path, runs):
    if not engine.like_docker:
        return  # it writes below the mounts
    (tmp_path / "f").write_text("x")
    engine("create", "--name", "ro", *engine.run_options(), "--read-only", "-v", "ro1:/in:ro", "-v", "ro2:/out", *SLEEP)
    if runs:
        engine("start", "ro")
    for where, text in (("/etc", "container rootfs is marked read-only"), ("/in", "mounted volume is marked read-only")):
        assert text in engine("cp", "%s/f" % tmp_path, "ro:" + where, rc=1).stderr
    engine("cp", "%s/f" % tmp_path, "ro:/out/f")
    engine("rm", "-f", "ro")
    engine("volume", "rm", "ro1", "ro2")


def test_restart(engine):
    cid = engine.start("box", "sh", "-c", "echo start >> /starts; exec sleep 600")
    first, look = engine.pid(cid), lambda: engine("exec", cid, "cat", "/starts", rc=None).stdout
    wait_for("the start", lambda: look() == "start\n")
    engine("restart", "-t", "0", cid)
    engine.wait_status(cid, "running")
    assert engine.pid(cid) != first and not os.path.exists("/proc/%d/root/starts" % first)
    wait_for("two starts", lambda: look() == "start\nstart\n")


def test_create_start_wait(engine):
    cid = engine.out("create", *engine.run_options(), "box", "sh", "-c", "sleep 0.1; exit 11")
    assert engine.status(cid) in ("created", "configured")
    engine("start", cid)
    assert engine.out("wait", cid) == "11"
    assert engine("start", "-a", cid, rc=11).stdout == ""


def test_remove_created(engine):
    cid = engine.out("create", *engine.run_options(), *SLEEP)
    engine("rm", cid)
    assert engine("inspect", cid, rc=None).returncode != 0


def test_remove_running_needs_force(engine):
    cid = engine.start(*SLEEP)
    assert engine("rm", cid, rc=None).returncode != 0
    assert engine.status(cid) == "running"
    pid = engine.pid(cid)
    engine("rm", "-f", *engine.rm_options(), cid)
    wait_for("its process to end", lambda: not os.path.exists("/proc/%d" % pid))


@pytest.mark.parametrize("policy,code,restarts", [("no", 1, 0), ("on-failure:2", 1, 2), ("on-failure:2", 0, 0)])
def test_restart_policy(engine, policy, code, restarts):
    cid = engine.start("--restart", policy, "box", "sh", "-c", "echo run; exit %d" % code)
    wait_for("the runs", lambda: engine.out("logs", cid).count("run") == restarts + 1, 20)
    engine.wait_status(cid, "exited")
    time.sleep(0.2)
    assert engine.out("logs", cid).count("run") == restarts + 1


def test_restart_always(engine):
    cid = engine.start("--restart", "always", *SLEEP)
    first = engine.pid(cid)
    os.kill(first, 9)
    wait_for("a new process", lambda: engine.pid(cid) not in (0, first), 20)
    engine("stop", "-t", "0", cid)
    assert engine.status(cid) == "exited"


def test_health(engine):
    cid = engine.start("--health-cmd", "test -e /tmp/well", "--health-interval", "1s", "--health-retries", "1",
                       "--health-start-period", "0s", "box", "sh", "-c", "sleep 0.1; exec sleep 600")
    health = "{{.State.Health.Status}}"

    def check(wanted):
        if engine.name == "podman":  # without systemd nobody runs podman's timers
            engine("healthcheck", "run", cid, rc=None)
        return engine.inspect(cid, health) == wanted
    wait_for("unhealthy", lambda: check("unhealthy"), 20)
    engine("exec", cid, "touch", "/tmp/well")
    wait_for("healthy", lambda: check("healthy"), 20)


def test_health_when_it_is_asked_for(engine):
    """Podman's `healthcheck run`, also in coffer; the result is one of the log's, and another has none or does not run."""
    if engine.name == "docker":
        return
    cid = engine.start("--health-cmd", "test -e /tmp/well", "--health-interval", "1h", "--health-retries", "2", *SLEEP)
    health, log = "{{.State.Health.Status}}", "{{range .State.Health.Log}}{{.ExitCode}} {{end}}"
    for status in ("starting", "unhealthy"):
        assert engine("healthcheck", "run", cid, rc=1).stdout == "unhealthy\n"
        assert engine.inspect(cid, health) == status
    engine("exec", cid, "touch", "/tmp/well")
    assert engine("healthcheck", "run", cid).stdout == ""
    assert engine.inspect(cid, health) == "healthy"
    assert engine.inspect(cid, log).split() == ["1", "1", "0"]
    without = engine.start(*SLEEP)
    assert "has no defined healthcheck" in engine("healthcheck", "run", without, rc=125).stderr
    engine("stop", "-t", "0", cid)
    assert "is not running" in engine("healthcheck", "run", cid, rc=125 if engine.name == "coffer" else None).stderr
    assert "no such container" in engine("healthcheck", "run", "nosuch", rc=125).stderr.lower()


PS = [
    (["status=running"], "up"), (["status=exited"], "done"), (["status=created"], "made"), (["status=foo"], None),
    (["exited=3"], "done"), (["exited=0"], ""), (["exited=foo"], None), (["health=none"], "done made up"), (["health=healthy"], ""),
    (["health=foo"], None), (["label=a"], "done up"), (["label=a=b"], "up"), (["label=a", "label=c=d"], "up"),
    (["is-task=true"], ""), (["is-task=false"], "done made up"), (["ancestor=box"], "done made up"), (["ancestor=nosuch"], ""),
    (["before=up"], "done"), (["since=up"], "made"), (["before=nosuch"], None), (["volume=psvol"], "up"), (["volume=/v"], "up"),
    (["network=none"], "done up"), (["name=^u", "name=made"], "made up"), (["name=x"], ""), (["nosuch=1"], None),
    (["publish=80"], ""), (["publish=foo"], None),
]


def test_ps_filters(engine):
    if not engine.like_docker:
        return
    more = engine.run_options()
    engine("run", "--name", "done", *more, "--network", "none", "-l", "a=x", "box", "sh", "-c", "exit 3", rc=3)
    engine("run", "-d", "--name", "up", *more, "--network", "none", "-l", "a=b", "-l", "c=d", "-v", "psvol:/v", *SLEEP)
    engine("create", "--name", "made", *more, "--network", "host", *SLEEP)
    for filters, wanted in PS:
        argv = ["ps", "-a", "--format", "{{.Names}}"] + [x for f in filters for x in ("--filter", f)]
        done = engine(*argv, rc=1 if wanted is None else 0)
        assert sorted(done.stdout.split()) == (wanted or "").split(), (filters, done)
    engine("rm", "-f", "done", "up", "made")
    engine("volume", "rm", "psvol")


def test_commit_with_a_dockerfiles_lines(engine):
    """An image as official ones are: variables, ranges of ports, a health check, and what an entry point does to the command."""
    if not engine.like_docker:
        return
    engine("create", "--name", "base", *engine.run_options(), "box", "true")
    lines = ["ENTRYPOINT [\"docker-entrypoint.sh\"]", "CMD [\"server\"]", "VOLUME /var/lib/db", "EXPOSE 5432 70-72/udp",
             "ENV PGDATA=/var/lib/db/data", "ENV A=1 B=\"b  c\"", "ENV P=$PATH:/x Q=${PGDATA}/q R=${NONE:-or} S=\\$A T='$A'",
             "HEALTHCHECK --interval=1m30s --timeout=3s --retries=2 CMD test -e $PGDATA", "LABEL at=$PGDATA v=${A:+set}", "ONBUILD RUN $A",
             "ENV U $B \"q  r\" s", "WORKDIR /var/lib", "WORKDIR \"db/../$A\"", "USER 'web'"]
    engine("commit", *[x for line in lines for x in ("-c", line)], "base", "official")
    c = json.loads(engine.out("image", "inspect", "official"))[0]["Config"]
    path = next(x for x in c["Env"] if x.startswith("PATH="))[5:]
    assert c["Env"][-9:] == ["PGDATA=/var/lib/db/data", "A=1", "B=b  c", "P=%s:/x" % path, "Q=/var/lib/db/data/q", "R=or", "S=$A", "T=$A",
                             "U=b  c q  r s"]
    assert c["Entrypoint"] == ["docker-entrypoint.sh"] and c["Cmd"] == ["server"] and c["User"] == "web"
    assert set(c["ExposedPorts"]) == {"5432/tcp", "70/udp", "71/udp", "72/udp"} and list(c["Volumes"]) == ["/var/lib/db"]
    assert c["Healthcheck"] == {"Test": ["CMD-SHELL", "test -e $PGDATA"], "Interval": 90 * 10**9, "Timeout": 3 * 10**9, "Retries": 2}
    assert c["Labels"] == {"at": "/var/lib/db/data", "v": "set"} and c["OnBuild"] == ["RUN $A"] and c["WorkingDir"] == "/var/lib/1"
    engine("create", "--name", "more", *engine.run_options(), "official")
    engine("commit", "-c", "ENTRYPOINT echo $A", "-c", "HEALTHCHECK NONE", "more", "shell")
    c = json.loads(engine.out("image", "inspect", "shell"))[0]["Config"]
    assert c["Entrypoint"] == ["/bin/sh", "-c", "echo $A"] and not c["Cmd"] and c["Healthcheck"]["Test"] == ["NONE"]
    engine("commit", "-c", "EXPOSE 10000-30000", "-c", "EXPOSE 9999-10001 10001/udp", "base", "wide")
    wide = json.loads(engine.out("image", "inspect", "wide"))[0]["Config"]["ExposedPorts"]
    assert len(wide) == 20003 and "30000/tcp" in wide and "10001/udp" in wide
    engine("rmi", "wide")
    for wrong in ("FOO x", "EXPOSE x", "HEALTHCHECK --interval=x CMD true", "HEALTHCHECK CMD", "ENV"):
        engine("commit", "-c", wrong, "base", "wrong", rc=1)
    engine("rm", "base", "more")
    engine("rmi", "shell", "official")


def test_zombies_of_orphans_are_gone(engine):
    """Ended execs leave nothing in the container."""
    cid = engine.start("--init", *SLEEP)
    for _ in range(5):
        engine("exec", cid, "sh", "-c", "(sleep 0.01 &)")
    wait_for("two processes", lambda: len(engine.out("top", cid).splitlines()) == 3)


def test_twenty_at_once(engine):
    ids = [engine.start(*SLEEP) for _ in range(20)]
    assert sorted(engine.out("ps", "-q", "--no-trunc").split()) == sorted(ids)
    engine("rm", "-f", *engine.rm_options(), *ids)
    assert engine.out("ps", "-aq") == ""


def test_diff_shows_the_programs_changes_alone(engine, tmp_path):
    """What an engine makes to mount something on is no change, in an image that has no places for it."""
    os.mkdir(tmp_path / "bin")
    shutil.copy(env.BUSYBOX, tmp_path / "bin/busybox")
    tar = subprocess.run(["tar", "-C", tmp_path, "-c", "."], stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(engine.base + ["import", "-", "lone"], input=tar, env=engine.environ, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    options = ["--network", "none", "--name", "bare"]
    engine("run", *engine.run_options(), *options, "lone", "/bin/busybox", "true")
    assert not {"A /proc", "A /sys", "A /dev", "A /etc/hosts", "A /etc/hostname", "A /etc/resolv.conf"} & \
        set(engine.out("diff", "bare").splitlines())
    engine("rm", "bare")
    engine("run", *engine.run_options(), *options, "lone", "/bin/busybox", "sh", "-c",
           "busybox mkdir /made; echo x > /etc/mine")
    diff = engine.out("diff", "bare").splitlines()
    assert {"A /made", "A /etc/mine"} <= set(diff) and "A /etc/hosts" not in diff, diff
    engine("commit", "bare", "changed")
    engine("rm", "bare")
    engine("save", "-o", str(tmp_path / "saved.tar"), "changed")
    names = layer_names(tmp_path / "saved.tar")
    assert {"made", "etc/mine"} <= names, names
    if engine.like_docker:  # Podman's layers have them
        assert not {"etc/hosts", "proc", "sys"} & names, names
    engine("rmi", "changed", "lone")


def layer_names(path):
    """Names in the last layer of a saved image."""
    with tarfile.open(path) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))
        with tarfile.open(fileobj=tar.extractfile(manifest[0]["Layers"][-1])) as layer:
            return {n.removeprefix("./").rstrip("/") for n in layer.getnames()}


@pytest.mark.parametrize("pattern, found", [("web", ["my-web", "web1"]), ("^web", ["web1"]), ("w.b[^0-9]*$", ["my-web"]),
                                            ("web[0-9]$|other", ["other", "web1"])])
def test_filters_by_name_are_patterns(engine, pattern, found):
    for name in ("my-web", "web1", "other"):
        engine("create", "--name", name, *engine.run_options(), "box", "true")
    assert sorted(engine.out("ps", "-a", "-f", "name=" + pattern, "--format", "{{.Names}}").split()) == found


@pytest.mark.parametrize("engine", ["docker", "coffer"], indirect=True)
def test_names_with_a_slash(engine):
    engine("create", "--name", "/slashed", *engine.run_options(), "box", "true")
    assert engine.inspect("slashed", "{{.Name}}") == "/slashed"
    engine("create", "--name", "/", "box", "true", rc=None)
    assert engine.out("ps", "-aq").count("\n") == 0


@pytest.mark.parametrize("engine", ["docker", "coffer"], indirect=True)
def test_events_of_exec_and_networks(engine):
    """Podman calls them otherwise."""
    cid = engine.start("--name", "life", "-v", "vol1:/v", "box", "sleep", "600")
    engine("exec", "life", "sh", "-c", "exit 3", rc=3)
    engine("top", "life")
    engine("rm", "-f", "life")
    wanted = {"container exec_create: sh -c exit 3", "container exec_start: sh -c exit 3", "container exec_die", "container top",
              "volume mount", "volume unmount", "network connect", "network disconnect"}

    def missing():
        return wanted - set(engine.out("events", "--since", "1h", "--until", "0s", "--format", "{{.Type}} {{.Action}}").splitlines())
    wait_for("what Docker tells when rm is back", lambda: not missing(), 20)
    die = engine.out("events", "--since", "1h", "--until", "0s", "-f", "container=" + cid, "-f", "event=exec_die", "--format",
                     "{{.Actor.Attributes.exitCode}} {{.Actor.Attributes.execID}}")
    assert re.fullmatch("3 [0-9a-f]{64}", die), die
    engine("volume", "rm", "vol1")


@pytest.mark.parametrize("name", ["podman", "coffer", "kernel"])
@pytest.mark.parametrize("options, line, wanted", [
    (["--umask", "0027"], "umask", "0027"), (["--unsetenv", "FROM_IMAGE"], "echo [$FROM_IMAGE]", "[]"),
    (["--unsetenv-all", "-e", "PATH=/bin"], "echo [$FROM_IMAGE]", "[]"), (["--env-host"], "echo $OF_CALLER", "it is"),
    (["--env-host", "-e", "OF_CALLER=other"], "echo $OF_CALLER", "other"),
    (["--hostname", "special"], "grep -q special /etc/hosts && echo named", "named"),
    (["--hostname", "special", "--no-hosts"], "grep -q special /etc/hosts 2>/dev/null || echo none", "none"),
    (["--tz", "local"], "wc -c < /etc/localtime", str(os.path.getsize("/etc/localtime")))], ids=str)
def test_options_of_podmans(name, options, line, wanted, request, monkeypatch):
    engine = request.getfixturevalue(name)
    monkeypatch.setitem(engine.environ, "OF_CALLER", "it is")
    assert engine.out("run", "--rm", *engine.run_options(), *options, "box", "sh", "-c", line) == wanted


@pytest.mark.parametrize("name", ["podman", "coffer"])
def test_naming_containers_by_options(name, request, tmp_path):
    engine = request.getfixturevalue(name)
    for n in ("one", "two"):
        engine("create", "--name", n, "--cidfile", str(tmp_path / n), *engine.run_options(), "--network", "none", *SLEEP)

    def running():
        return sorted(engine.out("ps", "--format", "{{.Names}}").split())
    engine("start", "--latest")
    assert running() == ["two"]
    engine("start", "--all")
    assert running() == ["one", "two"]
    engine("stop", "-t", "0", "--cidfile", str(tmp_path / "one"))
    assert running() == ["two"]
    assert engine.out("ps", "-a", "--sort", "names", "--format", "{{.Names}}").split() == ["one", "two"]
    engine("rm", "-f", "-t", "0", "-a")
    assert engine.out("ps", "-aq") == ""

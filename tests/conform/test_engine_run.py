# SPDX-License-Identifier: Apache-2.0
"""`run` with every option that reaches the runtime, by Docker, Podman and coffer, from one table."""
import os
import re
import subprocess

import pytest

from harness import host
from libengine import by_view, hex_caps, lacking_capabilities, run

MB = 1 << 20
KNOWN = (1 << 38) - 1  # the capabilities that Docker 20.10 knows


def bit(name):
    return 1 << host.CAP_BIT["CAP_" + name]


def caps(test):
    return lambda out: test(hex_caps(out))


def limit(controller, v1, v2):
    """A file of the container's cgroup as it is seen from inside."""
    return "cat /sys/fs/cgroup/" + by_view("%s/%s" % (controller, v1), v2)


STATUS = "cat /proc/self/status"
# (id, options, argv or shell line, stdout: exact text, pattern or test[, the only engine that has it])
CASES = [
    ("argv", [], ["echo", "a  b", "$HOME"], "a  b $HOME\n"),
    ("image-env", [], "echo $FROM_IMAGE", "yes\n"),
    ("env", ["-e", "A=x y", "-e", "B="], "echo \"[$A][${B-unset}]\"", "[x y][]\n"),
    ("workdir", ["-w", "/tmp"], "pwd", "/tmp\n"),
    ("workdir-made", ["-w", "/made/here"], "pwd", "/made/here\n", "docker"),
    ("entrypoint", ["--entrypoint", "/bin/echo"], ["hello"], "hello\n"),
    ("hostname", ["--hostname", "box1"], "hostname", "box1\n"),
    ("uts-host", ["--uts=host"], "readlink /proc/self/ns/uts", os.readlink("/proc/self/ns/uts") + "\n"),
    ("uts-own", [], "readlink /proc/self/ns/uts", lambda o: o.strip() != os.readlink("/proc/self/ns/uts")),
    ("domainname", ["--domainname", "dom.test"], "cat /proc/sys/kernel/domainname", "dom.test\n", "docker"),
    ("pid-own", [], "echo $$", "1\n"),
    ("pid-host", ["--pid=host"], "readlink /proc/self/ns/pid", os.readlink("/proc/self/ns/pid") + "\n"),
    ("ipc-host", ["--ipc=host"], "readlink /proc/self/ns/ipc", os.readlink("/proc/self/ns/ipc") + "\n"),
    ("ipc-private", ["--ipc=private"], "readlink /proc/self/ns/ipc",
     lambda o: o.strip() != os.readlink("/proc/self/ns/ipc")),
    ("ipc-none", ["--ipc=none"], "grep ' /dev/shm ' /proc/mounts || echo none", "none\n", "docker"),
    ("isolation-default", ["--isolation=default"], "echo ok", "ok\n", "docker"),
    ("net-none", ["--network=none"], "ls /sys/class/net", "lo\n"),
    ("cgroupns", ["--cgroupns=private"], "cut -d: -f3 /proc/self/cgroup | sort -u", "/\n"),
    ("user-ids", ["--user", "1234:2345"], "id -u; id -g", "1234\n2345\n"),
    ("user-name", ["--user", "web"], "id -un; id -gn; echo $HOME", "web\nweb\n/home\n"),
    ("group-add", ["--group-add", "77"], "id -G", lambda o: "77" in o.split()),
    ("read-only", ["--read-only"], "touch /x 2>&1 || echo refused", re.compile("Read-only file system\nrefused")),
    ("read-only-tmpfs", ["--read-only", "--tmpfs", "/t"], "touch /t/x && echo ok", "ok\n"),
    ("tmpfs-options", ["--tmpfs", "/t:size=1m,noexec,mode=1770"],
     "grep ' /t ' /proc/mounts; stat -c %a /t", re.compile(r"tmpfs .*noexec.*size=1024k.*\n1770\n")),
    ("shm-size", ["--shm-size", "2m"], "df -k /dev/shm | tail -1", re.compile(r"\s2048\s")),
    ("cap-drop-all", ["--cap-drop", "ALL"], STATUS, caps(lambda c: c == 0)),
    ("cap-drop", ["--cap-drop", "CHOWN"], STATUS, caps(lambda c: not c & bit("CHOWN") and c & bit("SETUID"))),
    ("cap-add", ["--cap-add", "SYS_TIME"], STATUS, caps(lambda c: c & bit("SYS_TIME") and c & bit("CHOWN"))),
    ("cap-drop-add", ["--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE"], STATUS,
     caps(lambda c: c == bit("NET_BIND_SERVICE"))),
    ("cap-drop-chown", ["--cap-drop", "CHOWN"], "chown 5 /tmp 2>&1 || echo refused",
     re.compile("Operation not permitted\nrefused")),
    ("user-no-caps", ["--user", "1000"], STATUS, caps(lambda c: c == 0)),
    ("no-new-privileges", ["--security-opt", "no-new-privileges"], STATUS, re.compile(r"NoNewPrivs:\s*1\n")),
    ("new-privileges", [], STATUS, re.compile(r"NoNewPrivs:\s*0\n")),
    ("seccomp-default", [], STATUS, re.compile(r"Seccomp:\s*2\n")),
    ("seccomp-default-refuses", [], "unshare -n true 2>&1 || echo refused", re.compile("refused")),
    ("seccomp-unconfined", ["--security-opt", "seccomp=unconfined"], STATUS, re.compile(r"Seccomp:\s*0\n")),
    ("init", ["--init"], "cat /proc/1/comm; ps | wc -l", re.compile(r"^(docker-init|catatonit|podman-init|coffer-init)\n")),
    ("init-reaps", ["--init"], "(sleep 0.05 &); sleep 0.3; ps -o stat,comm | grep -c '^Z' || true", "0\n"),
    ("init-signal", ["--init"], "kill -9 $$", ""),
    ("sysctl", ["--sysctl", "net.ipv4.ip_unprivileged_port_start=42", "--sysctl", "kernel.shm_rmid_forced=1"],
     "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced", "42\n1\n"),
    ("ulimit", ["--ulimit", "nofile=100:200", "--ulimit", "core=0:0", "--ulimit", "nproc=900:900"], "ulimit -Sn; ulimit -Hn; ulimit -c",
     "100\n200\n0\n"),
    ("oom-score-adj", ["--oom-score-adj", "321"], "cat /proc/self/oom_score_adj", "321\n"),
    ("memory", ["--memory", "32m"], limit("memory", "memory.limit_in_bytes", "memory.max"), "%d\n" % (32 * MB)),
    ("memory-swap", ["--memory", "32m", "--memory-swap", "48m"],
     limit("memory", "memory.memsw.limit_in_bytes", "memory.swap.max"), by_view("%d\n" % (48 * MB), "%d\n" % (16 * MB))),
    ("memory-reservation", ["--memory-reservation", "16m"],
     limit("memory", "memory.soft_limit_in_bytes", "memory.low"), "%d\n" % (16 * MB)),
    ("pids-limit", ["--pids-limit", "23"], limit("pids", "pids.max", "pids.max"), "23\n"),
    ("cpus", ["--cpus", "0.5"], limit("cpu", "cpu.cfs_quota_us", "cpu.max"), by_view("50000\n", "50000 100000\n")),
    ("cpu-shares", ["--cpu-shares", "512"], limit("cpu", "cpu.shares", "cpu.weight"),
     by_view("512\n", re.compile(r"^(20|59)\n$"))),
    ("cpuset", ["--cpuset-cpus", "0"], "grep Cpus_allowed_list /proc/self/status", "Cpus_allowed_list:\t0\n"),
    ("masked-kcore", [], "head -c1 /proc/kcore | wc -c", "0\n"),
    ("masked-dir", [], "ls /sys/firmware | wc -l", "0\n"),
    ("proc-sys-ro", [], "echo x > /proc/sys/kernel/hostname || echo refused", "refused\n"),
    ("sys-ro", [], "grep -c '^sysfs /sys sysfs ro' /proc/mounts", "1\n"),
    ("cgroup-ro", [], "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/x 2>/dev/null && echo made $d; done; "
     "echo end", "end\n"),
    ("dev-nodes", [], "for d in null zero full random urandom tty ptmx; do [ -c /dev/$d ] || echo no $d; done; "
     "readlink /dev/fd; readlink /dev/stdin", "/proc/self/fd\n/proc/self/fd/0\n"),
    ("dev-mqueue", [], "grep -c ' /dev/mqueue mqueue ' /proc/mounts", "1\n"),
    ("device", ["--device", "/dev/null:/dev/mine"], "ls -l /dev/mine | cut -c1; echo x > /dev/mine && echo ok",
     "c\nok\n"),
    ("device-write-only", ["--device", "/dev/kmsg:/dev/mine:w"],
     "(: > /dev/mine) && echo ok; (: < /dev/mine) 2>/dev/null || echo refused", "ok\nrefused\n"),
    ("device-not-given", ["--cap-add", "MKNOD"],
     "mknod /tmp/k c 1 11 && (cat < /tmp/k) 2>&1 | head -c80 | grep -o 'Operation not permitted'",
     "Operation not permitted\n"),
    ("privileged-caps", ["--privileged"], STATUS,
     caps(lambda c: c & KNOWN == host.capabilities() & host.capabilities(which="CapBnd") & KNOWN)),
    ("privileged-device", ["--privileged"], "mknod /tmp/k c 1 3 && echo x > /tmp/k && echo ok", "ok\n"),
    ("privileged-mount", ["--privileged"], "mount -t tmpfs t /mnt && grep -c ' /mnt ' /proc/mounts", "1\n"),
    ("no-mount", [], "mount -t tmpfs t /mnt 2>/dev/null || echo refused", "refused\n"),
    ("mount-tmpfs", ["--mount", "type=tmpfs,destination=/t"], "grep -c '^tmpfs /t ' /proc/mounts", "1\n"),
    ("stdout-stderr", [], "echo out; echo err >&2", "out\n"),
    ("large-output", [], "yes 0123456789abcde | head -n 131072 | md5sum; head -c 3000000 /dev/zero | wc -c",
     re.compile(r"^[0-9a-f]{32}  -\n3000000\n")),
]


def argv(line):
    return line if isinstance(line, list) else ["sh", "-c", line]


PARAMS = [pytest.param(e, *c[1:4], id="%s-%s" % (e, c[0])) for e in ("docker", "podman", "coffer")
          for c in CASES if not c[4:] or e == c[4] or (e, c[4]) == ("coffer", "docker")]


@pytest.mark.parametrize("engine,options,line,expected", PARAMS, indirect=["engine"])
def test_run(engine, options, line, expected, request):
    if "--privileged" in options and engine.name == "docker":
        lacking_capabilities()
    if "MKNOD" in options and engine.name == "coffer":
        options = options + ["--userns=host"]  # no capability makes device nodes in a user namespace
    rc = 137 if "init-signal" in request.node.name else 0
    out = engine.run(options, argv(line), rc=rc).stdout
    if isinstance(expected, str):
        assert out == expected
    elif isinstance(expected, re.Pattern):
        assert expected.search(out), out
    else:
        assert expected(out), out


@pytest.mark.parametrize("script,code", [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("false", 1),
                                         ("kill -9 $$; sleep 1; exit 3", 3)])
def test_exit_code(engine, script, code):
    engine.run([], ["sh", "-c", script], rc=code)


# (options, what Docker says of them)
REFUSED = [
    (["--memory", "50m", "--memory-swap", "40m"], "Minimum memoryswap limit should be larger than memory limit"),
    (["--memory-swap", "40m"], "You should always set the Memory limit when using Memoryswap limit"),
    (["--memory", "50m", "--memory-reservation", "60m"], "Minimum memory limit can not be less than memory reservation limit"),
    (["--memory", "5m"], "Minimum memory limit allowed is 6MB"),
    (["--cpus", "10000"], "ange of CPUs is from 0.01 to"),
    (["--cpus", "1", "--cpu-quota", "5000"], "Conflicting options: Nano CPUs and CPU"),
    (["--cpuset-cpus", "999"], "Requested CPUs are not available - requested 999, available: 0"),
    (["--cpuset-cpus", "foo"], "Invalid value foo for cpuset cpus"),
    (["--cpuset-mems", "999"], "Requested memory nodes are not available - requested 999, available: 0"),
    (["--cpu-period", "5"], "CPU cfs period can not be less than 1ms"),
    (["--cpu-quota", "5"], "CPU cfs quota can not be less than 1ms"),
    (["--tmpfs", "/t:foo"], r'invalid tmpfs option \["foo"\]'),
    (["--tmpfs", "/t:size=1m,foo=1"], r'invalid tmpfs option \["foo'),
    (["--mount", "type=bind,src=/no/such,dst=/t"], "bind source path does not exist: /no/such"),
    (["--mount", "type=bind,src=/tmp,dst=/t,volume-nocopy"], "cannot mix 'volume-\\*' options with mount type 'bind'"),
    (["-v", "relative/path:/t"], "includes invalid characters for a local volume name"),
    (["-p", "foo"], "Invalid containerPort: foo"),
    (["-p", "70000:80"], "Invalid hostPort: 70000"),
    (["-p", "8000-8001:80-82"], "Invalid ranges specified for container and host Ports: 80-82 and 8000-8001"),
    (["-p", "80/foo"], "Invalid proto: foo"),
    (["--expose", "foo"], "invalid range format for --expose: foo"),
    (["--user", "nosuch"], "unable to find user nosuch: no matching entries in passwd file"),
    (["--group-add", "nosuch"], "Unable to find group nosuch"),
    (["-w", "relative"], "the working directory 'relative' is invalid, it needs to be an absolute path"),
    (["--cap-add", "FOO"], 'unknown capability: "CAP_FOO"'),
    (["--ulimit", "foo=1"], "invalid ulimit type: foo"),
    (["--ulimit", "nofile=5:1"], "ulimit soft limit must be less than or equal to hard limit: 5 > 1"),
    (["--security-opt", "seccomp=/no/such"], "opening seccomp profile"),
    (["--device", "/no/such"], 'error gathering device information while adding custom device "/no/such"'),
    (["--device", "/dev/null:/dev/x:foo"], "bad mode specified: foo"),
    (["--restart", "always", "--rm"], "onflicting options: .*--restart and --rm"),
    (["--log-opt", "foo=bar"], "unknown log opt 'foo' for json-file log driver"),
    (["--no-healthcheck", "--health-cmd", "x"], "--no-healthcheck conflicts with --health-\\* options"),
    (["--network", "no-such"], "network no-such not found"),
    (["--network", "container:nosuch"], "No such container: nosuch"),
    (["--pid", "container:nosuch"], "No such container: nosuch"),
    (["--volumes-from", "nosuch"], "No such container: nosuch"),
    (["--memory-swappiness", "101"], "nvalid value: 101"),
    (["--add-host", "foo"], 'bad format for add-host: "foo"'),
    (["--attach", "foo"], "valid streams are STDIN, STDOUT and STDERR"),
    (["--no-such-flag"], "unknown flag: --no-such-flag"),
]


@pytest.mark.parametrize("name", ["docker", "coffer"])
def test_refused(name, request):
    """One engine after the other, all of the table: what can be said before the start is, with 125."""
    engine = request.getfixturevalue(name)
    for options, text in REFUSED:
        done = engine("run", *engine.run_options(), "--name", "refused", *options, "box", "true", rc=None)
        # 20.10 takes 127 from "no such file" wherever it stands
        assert done.returncode == 125 or (name == "docker" and done.returncode == 127), (options, done)
        assert re.search(text, done.stderr), (options, done.stderr)
        starts = name == "docker" or options[0] in ("--user", "--group-add", "--device") or options[-1] == "no-such"
        assert starts or engine.out("ps", "-aq") == "", options  # what is seen at the start alone leaves it
        engine("rm", "-f", "refused", rc=None)


def test_mount_over_what_is_of_another_kind(engine, tmp_path):
    """Whoever is first, the network or the mounts: the reason is told."""
    os.chmod(tmp_path, 0o755)
    (tmp_path / "f").write_text("")
    for _ in range(5):
        done = engine.run(["-v", "%s/f:/etc" % tmp_path], ["true"], rc=None)
        assert done.returncode in (125, 126, 127) and "ot a directory" in done.stderr, done


def test_bind_of_one_mount_alone(engine):
    if not engine.like_docker or engine.level == "vm":  # a machine has all that it is given as one mount
        return
    mount = "type=bind,source=/sys/fs,destination=/t"
    count = "grep -c ' /t[/ ]' /proc/mounts"
    assert int(engine.sh(count, "--mount", mount)) > 1
    assert engine.sh(count, "--mount", mount + ",bind-nonrecursive") == "1\n"


NO_EXEC = [
    ("nosuch", 127, r'exec: "nosuch": executable file not found in \$PATH'),
    ("/no/such", 127, r'exec: "/no/such": stat /no/such: no such file or directory'),
    ("/noexec", 126, r'exec: "/noexec": permission denied'),
    ("/tmp", 126, r'exec: "/tmp": (permission denied|is a directory)'),
]


@pytest.mark.parametrize("path,code,text", NO_EXEC, ids=["path", "absolute", "mode", "directory"])
def test_cannot_execute(engine, path, code, text):
    """Engines derive 126 and 127 from the runtime's sentence."""
    done = engine.run([], [path], rc=code)
    assert re.search(text, done.stderr) or (engine.name == "podman" and path != "/no/such" or
                                            "no such file" in done.stderr), done.stderr
    assert not done.stdout


def test_stdin(engine):
    text = "line\n" * 20000
    assert engine.run(["-i"], ["cat"], input=text).stdout == text
    assert engine.run([], ["cat"]).stdout == ""


def test_bind_volumes(engine, tmp_path):
    os.chmod(tmp_path, 0o755)
    (tmp_path / "in").write_text("given")
    v = "%s:/v" % tmp_path
    assert engine.sh("cat /v/in; echo back > /v/out", "-v", v) == "given"
    assert (tmp_path / "out").read_text() == "back\n"
    assert engine.sh("cat /v/in; echo x > /v/y || echo refused", "-v", v + ":ro") == "givenrefused\n"
    assert engine.sh("cat /f", "-v", "%s/in:/f" % tmp_path) == "given"
    ro = "type=bind,source=%s,destination=/m,readonly" % tmp_path
    assert engine.sh("touch /m/y 2>/dev/null || echo refused", "--mount", ro) == "refused\n"
    assert not (tmp_path / "y").exists()


def test_named_volume(engine):
    engine("volume", "create", "vol1")
    engine.sh("echo kept > /v/f", "-v", "vol1:/v")
    assert engine.sh("cat /w/f", "-v", "vol1:/w:ro") == "kept\n"
    assert engine.sh("echo 1 > /w/f || echo refused", "-v", "vol1:/w:ro") == "refused\n"
    engine("volume", "rm", "vol1")


def test_network_host(engine):
    if engine.level == "vm":
        done = engine("run", "--rm", *engine.run_options(), "--network=host", "box", "true", rc=125)
        assert "a guest cannot share the host's" in done.stderr, done.stderr
        return
    ours = os.readlink("/proc/%s/ns/net" % {"docker": lambda: engine.daemon.pid, "coffer": lambda: engine.keeper.pid}.get(
        engine.name, lambda: "self")())
    assert engine.sh("readlink /proc/self/ns/net", "--network=host").strip() == ours


# What kernels of their own have not in common, and what is said then.
APART = {("kernel", "pid"): "cannot join the pid namespace", ("vm", "pid"): "cannot join the pid namespace",
         ("vm", "ipc"): "cannot join the ipc namespace", ("vm", "network"): "the container's network is that of another machine"}


@pytest.mark.parametrize("kind", ["pid", "ipc", "network"])
def test_join_container(engine, kind):
    options = {"ipc": ["--ipc=shareable"]}.get(kind, [])
    first = engine.start("--name", "first", *options, "box", "sleep", "600")
    if (engine.level, kind) in APART:
        done = engine("run", "--rm", *engine.run_options(), "--%s=container:first" % kind, "box", "true", rc=None)
        assert done.returncode in (125, 126) and APART[engine.level, kind] in done.stderr, done
        return
    ns = {"network": "net"}.get(kind, kind)
    ours = os.readlink("/proc/%d/ns/%s" % (engine.pid(first), ns))
    got = engine.sh("readlink /proc/self/ns/" + ns, "--%s=container:first" % kind).strip()
    assert got == ours
    if kind == "pid":
        assert "sleep 600" in engine.sh("ps -o args", "--pid=container:first")


def test_seccomp_file(engine, tmp_path):
    profile = tmp_path / "p.json"
    profile.write_text('{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],'
                       '"action":"SCMP_ACT_ERRNO","errnoRet":95}]}')
    out = engine.sh("mkdir /tmp/x 2>&1; touch /tmp/y && echo ok", "--security-opt", "seccomp=%s" % profile)
    assert "not supported" in out and out.endswith("ok\n"), out


def test_pids_limit_holds(engine):
    out = engine.sh("i=0; while [ $i -lt 40 ]; do sleep 1 & i=$((i+1)); done 2>&1; wait", "--pids-limit", "10",
                    rc=None)
    assert "fork" in out


def test_out_of_memory(engine):
    cid = engine.start("--memory", "24m", "--memory-swap", "24m", "box", "sh", "-c",
                       "dd if=/dev/zero of=/dev/null bs=90M count=1 & wait $!; exec dd if=/dev/zero of=/dev/null bs=90M count=1")
    assert engine.out("wait", cid, limit=60) == "137"
    if engine.like_docker:
        assert engine.inspect(cid, "{{.State.OOMKilled}}") == "true"


def test_created_cgroup_is_below_parent(engine):
    cid = engine.start("box", "sleep", "600")
    with open("/proc/%d/cgroup" % engine.pid(cid)) as f:
        memory = [x for x in f.read().splitlines() if ":memory:" in x or x.startswith("0::")]
    assert any("/" + engine.cgroup + "/" in x and cid in x for x in memory), memory


def test_uid_mapping(podman):
    out = podman.sh("cat /proc/self/uid_map; id -u", "--uidmap", "0:200000:5000", "--gidmap", "0:200000:5000")
    assert out.split() == ["0", "200000", "5000", "0"]


def test_host_sees_nothing_new(engine):
    """No mount of a container shows on the host."""
    before = run(["cat", "/proc/self/mountinfo"]).stdout
    cid = engine.start("--tmpfs", "/seen-by-nobody", "box", "sleep", "600")
    assert "/seen-by-nobody" not in run(["cat", "/proc/self/mountinfo"]).stdout
    assert "/seen-by-nobody" in run(["cat", "/proc/%d/mountinfo" % engine.pid(cid)]).stdout
    assert before


@pytest.mark.parametrize("writer,reader", [("docker", "coffer"), ("coffer", "docker")])
def test_images_go_from_one_to_the_other(writer, reader, request):
    """`save | load`: the same id, and it runs."""
    one, other = request.getfixturevalue(writer), request.getfixturevalue(reader)
    one("tag", "box", "travels:1")
    saved = subprocess.run(one.base + ["save", "travels:1"], env=one.environ, capture_output=True, check=True)
    loaded = subprocess.run(other.base + ["load"], env=other.environ, input=saved.stdout, capture_output=True, check=True)
    assert b"Loaded image: travels:1" in loaded.stdout
    template = "{{.Id}} {{json .Config.Env}} {{json .Config.Cmd}}"
    assert one.out("image", "inspect", "-f", template, "travels:1") == other.out("image", "inspect", "-f", template, "travels:1")
    assert other.out("run", "--rm", *other.run_options(), "travels:1", "sh", "-c", "echo $FROM_IMAGE") == "yes"
    for engine in (one, other):
        engine("rmi", "travels:1")

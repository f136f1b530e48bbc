# SPDX-License-Identifier: Apache-2.0
"""Options that Podman and newer versions of Docker have: those that are here, and what those that are not say."""
import os

import pytest

from harness import env
from libengine import run

REFUSED = [
    ("run --timeout 5 box true", "timeout -s KILL SECONDS"), ("run --rmi box true", "coffer rmi IMAGE"),
    ("run --rootfs /x true", "coffer import - NAME"), ("run --preserve-fds 1 box true", "standard streams"),
    ("run --pidfile=x box true", "{{.State.Pid}}"), ("rmi -i box", "--force"),
    ("create --link-local-ip 169.254.1.1 box", "--ip"), ("create --arch arm64 box", "--platform, as linux/arm64"),
    ("exec -l sh", "coffer ps -lq"), ("rm --link a", "/etc/hosts"), ("rm -l", "--latest"), ("ps --watch 2", "watch coffer ps"),
    ("logs --names a", "sed"), ("search --filter stars=3 x", "names alone"), ("save --platform linux/arm64 box", "one platform"),
    ("save --format oci-archive box", "docker and podman load"), ("commit --squash a b", "coffer import"), ("images --sort size", "sort(1)"),
    ("restart --running", "--all"), ("volume rm --time 1 v", "coffer rm -f -t"), ("stats -i 5", "watch -n"),
    ("load --platform linux/arm64", "one platform"), ("history --platform linux/arm64 box", "one platform"),
    ("push --platform linux/arm64 box", "one platform"), ("rmi --platform linux/arm64 box", "one platform"),
    ("network create --ipam-opt a=b n", "--subnet"), ("network create --config-only n", "swarm"),
    ("network connect --driver-opt a=b n c", "network create --opt"), ("network connect --link-local-ip 169.254.1.1 n c", "--ip"),
    ("volume create --scope single v", "swarm"), ("start --checkpoint x a", "coffer-oci restore"),
    ("image tree box", "coffer history IMAGE"), ("volume export v", "tar -C /v -c"), ("volume import v x.tar", "tar -C /v -x"),
]


@pytest.mark.parametrize("line, says", REFUSED, ids=[x[0] for x in REFUSED])
def test_what_is_not_here_says_what_is(line, says):
    """Without an engine: it is told before anything is opened."""
    done = run([env.COFFER, *line.split()], rc=1 if line.split()[0] in ("image", "volume") and "--" not in line else 125)
    assert says in done.stderr and "did you mean" not in done.stderr


@pytest.mark.parametrize("argv, rc, says", [
    (["network", "create", "--ipam-driver", "null", "mine"], 1, "--network none"),
    (["network", "create", "--scope", "swarm", "mine"], 1, "local"), (["network", "create", "--ipv4=false", "mine"], 1, "--ipv6"),
    (["rm", "-t", "1", "a"], 1, "--force"), (["ps", "--sort", "colour"], 1, "created"), (["stop"], 1, "at least 1"),
    (["start"], 1, "at least 1"), (["start", "--all", "a"], 1, "one too many"), (["volume", "rm"], 1, "at least 1"),
    (["volume", "rm", "--all", "v"], 1, "one too many"), (["port", "--all", "a"], 1, "one too many"), (["port"], 1, "at least 1"),
    (["rmi"], 1, "at least 1"), (["rmi", "-a", "x"], 1, "one too many"),
    (["create", "--no-hosts", "--add-host", "a:1.2.3.4", "box"], 125, "--no-hosts leaves"),
    (["stop", "--latest"], 1, "no container that --latest"), (["stop", "--cidfile", "/no/such"], 1, "/no/such"),
    (["create", "--umask", "888", "box"], 125, "octal"), (["create", "--tz", "No/Where", "box"], 125, "no such time zone"),
    (["create", "--tz", "../../../etc/passwd", "box"], 125, "no such time zone")], ids=str)
def test_misuse(coffer, argv, rc, says):
    assert says in coffer(*argv, rc=rc).stderr
    assert not coffer.out("ps", "-aq") and "mine" not in coffer("network", "ls").stdout


def test_networks_and_volumes(coffer):
    coffer("network", "create", "--ipam-driver", "default", "--scope", "local", "--ipv4", "n1")
    assert coffer("network", "ls", "--noheading", "-f", "name=n1").stdout.count("\n") == 1
    cid = coffer.start("box", "sleep", "600")
    coffer("network", "connect", "--mac-address", "02:42:0a:00:00:07", "n1", cid)
    assert coffer.inspect(cid, '{{(index .NetworkSettings.Networks "n1").MacAddress}}') == "02:42:0a:00:00:07"
    coffer("rm", "-f", cid)
    coffer("network", "rm", "n1")
    for name in ("v1", "v2"):
        coffer("volume", "create", "-l", "a=b", name)
    assert len(coffer("volume", "ls", "--noheading").stdout.splitlines()) == 2
    assert sorted(coffer.out("volume", "rm", "--all").split()) == ["v1", "v2"]
    assert coffer.out("volume", "ls", "-q") == ""


def test_environment(coffer, monkeypatch):
    image = coffer.out("run", "--rm", "box", "env")
    assert "FROM_IMAGE=yes" in image
    assert "FROM_IMAGE" not in coffer.out("run", "--rm", "--unsetenv", "FROM_IMAGE", "box", "env")
    text = coffer.out("run", "--rm", "--unsetenv", "FROM_IMAGE", "-e", "FROM_IMAGE=new", "box", "env")
    assert "FROM_IMAGE=new" in text.split("\n")
    assert "FROM_IMAGE" not in coffer.out("run", "--rm", "--unsetenv-all", "-e", "PATH=/bin", "box", "env")
    monkeypatch.setitem(coffer.environ, "OF_CALLER", "it is")
    text = coffer.out("run", "--rm", "--env-host", "-e", "HOME=/x", "box", "env")
    assert "OF_CALLER=it is" in text.split("\n") and "HOME=/x" in text.split("\n")


def test_umask_and_time_zone(coffer):
    cid = coffer.start("--umask", "0027", "box", "sh", "-c", "umask; sleep 600")
    assert coffer.out("exec", cid, "sh", "-c", "umask") == "0027"
    assert coffer.out("logs", cid) == "0027"
    coffer("rm", "-f", cid)
    if os.path.exists("/etc/localtime"):
        with open("/etc/localtime", "rb") as f:
            zone = f.read()
        assert coffer.out("run", "--rm", "--tz", "local", "box", "wc", "-c", "/etc/localtime").split()[0] == str(len(zone))


def test_naming_by_options(coffer, tmp_path):
    for name in ("a", "b", "c"):
        coffer("create", "--name", name, "--network", "none", "--cidfile", str(tmp_path / name),
               "-l", "of=" + name, *coffer.run_options(), "box", "sleep", "600")

    def running():
        return sorted(coffer.out("ps", "--format", "{{.Names}}").split())
    coffer("start", "--latest")
    assert running() == ["c"]
    coffer("start", "-f", "label=of=b")
    assert running() == ["b", "c"]
    coffer("start", "--all")
    assert running() == ["a", "b", "c"]
    assert coffer.out("inspect", "-l", "-f", "{{.Name}}") == "/c"
    assert coffer("stop", "-t", "0", "--cidfile", str(tmp_path / "a"), "--cidfile", str(tmp_path / "nosuch"), "--ignore").stdout
    assert running() == ["b", "c"]
    coffer("kill", "--filter", "name=b")
    assert coffer.out("wait", "b", "--interval", "1ms") == "137"
    coffer("stop", "-t", "0", "-l")
    assert running() == []
    coffer("rm", "-f", "-t", "0", "--latest")
    coffer("rm", "--cidfile", str(tmp_path / "a"), "b")
    assert coffer.out("ps", "-aq") == ""


def test_files_of_the_image(coffer):
    show = ["box", "sh", "-c", "grep -c ' /etc/host' /proc/self/mountinfo"]
    assert coffer.out("run", "--rm", *show) == "2"
    assert coffer.out("run", "--rm", "--no-hosts", *show) == "1"
    assert coffer("run", "--rm", "--no-hosts", "--no-hostname", *show, rc=1).stdout == "0\n"


def test_all_images_and_the_last_container(coffer):
    coffer("create", "--name", "a", "--network", "none", *coffer.run_options(), "box", "sh", "-c", "touch /new; sleep 600")
    coffer("commit", "a", "more:1")
    assert "Untagged: more:1" in coffer("rmi", "--all", rc=1).stdout  # box is the container's
    assert coffer.out("images", "--noheading", "--format", "{{.Repository}}") == "box"
    coffer("start", "-l")
    assert "A /new" in coffer.out("diff", "--latest").split("\n")
    assert coffer.out("stats", "--no-stream", "-l", "--format", "{{.Name}}") == "a"


def test_ps_in_order(coffer):
    for name, command in (("b", "x"), ("c", "z"), ("a", "y")):
        coffer("create", "--name", name, "--network", "none", "box", command)

    def order(by):
        return "".join(coffer.out("ps", "-a", "--sync", "--sort", by, "--format", "{{.Names}}").split())
    assert (order("names"), order("command"), order("created")) == ("abc", "bac", "bca")
    assert sorted(order("size")) == sorted(order("status")) == ["a", "b", "c"]


def test_ports_of_all(coffer):
    cid = coffer.start("-p", "8125:80", "box", "sleep", "600")
    assert coffer.out("port", "--all").split("\n")[0] == "%s\t80/tcp -> 0.0.0.0:8125" % cid[:12]
    assert coffer("port", "-l", "80").stdout.startswith("0.0.0.0:8125\n")

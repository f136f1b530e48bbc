# SPDX-License-Identifier: Apache-2.0
"""The cases of the engines' bench: `coffer run` and its kin beside docker's and podman's, and beside the floor."""
import statistics
import time

import engines
import libengine
import pull as pull_

ALL = {}
IMAGE = "box"


def case(function):
    ALL["engine-" + function.__name__.replace("_", "-")] = function
    return function


def _row(timed, label):
    return {label: {"unit": "us", "values": {
        name: statistics.median(ns for ns, _ in t[label]) / 1e3 for name, t in timed.items() if label in t}}}


def _run(b, *options):
    plan = b.plan(("T", "run", ["run", "--rm", *options, IMAGE, "/bin/true"]))
    bridge = "none" not in options
    return _row(b.time(plan + b.floor("run", bridge), runs=min(b.runs, 30)), "run")


@case
def run(b):
    """run --rm of true with the bridge network"""
    return _run(b)


@case
def run_none(b):
    """run --rm of true without a network"""
    return _run(b, "--network", "none")


@case
def exec(b):
    """exec of true into a running container"""
    for e in b.engines:
        e("run", "-d", "--name", "bench-exec", IMAGE, "sleep", "1000")
    try:
        return _row(b.time(b.plan(("T", "exec", ["exec", "bench-exec", "/bin/true"])), runs=min(b.runs, 30)), "exec")
    finally:
        for e in b.engines:
            e("rm", "-f", "bench-exec")


@case
def ps(b):
    """ps beside 1 and beside 1000 created containers"""
    rows = {}
    coffer = b.engine("coffer")
    have = 0
    for count in (1, 100) if b.quick else (1, 1000):
        while have < count:
            coffer("create", "--name", "bench-ps%d" % have, IMAGE, "true")
            have += 1
        timed = b.time(b.plan(("T", "ps", ["ps", "-a"]), only=("coffer",)), runs=min(b.runs, 30))
        rows["ps -a beside %d" % count] = _row(timed, "ps")["ps"]
    coffer.clear()
    return rows


def _pss_kb(pids):
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/smaps_rollup" % pid) as f:
                total += next(int(line.split()[1]) for line in f if line.startswith("Pss:"))
        except OSError:
            pass
    return total


@case
def density(b):
    """500 idle containers on the bridge: starts per second, memory of ours for each, all of them answering"""
    coffer = b.engine("coffer")
    count = 50 if b.quick else 500
    begin = time.monotonic()
    ids = [coffer("run", "-d", IMAGE, "sh", "-c", "echo ok > /tmp/index.html; exec httpd -f -p 80 -h /tmp").stdout.strip()
           for _ in range(count)]
    took = time.monotonic() - begin
    monitors = coffer.monitors()
    pss = _pss_kb(monitors)
    answers = 0
    for cid in ids:
        ip = coffer.inspect(cid, "{{.NetworkSettings.IPAddress}}")
        answers += coffer.here("busybox", "wget", "-q", "-O", "-", "http://%s/" % ip, rc=None).stdout == "ok\n"
    rows = {"starts per second": {"unit": "/s", "values": {"coffer": count / took}},
            "ours per container": {"unit": "kB", "values": {"coffer": pss / max(1, len(monitors))}},
            "answering of %d" % count: {"unit": "", "values": {"coffer": answers}}}
    coffer.clear()
    return rows


@case
def pull(b):
    """pull from a local registry: one big layer, ten layers, 50,000 small files; free and shaped to 1 Gbit/s"""
    world = engines.World()
    registry = pull_.Registry(world)
    peers = [libengine.Coffer(netns=world.netns), libengine.Docker(runtime="runc", netns=world.netns),
             libengine.Podman(runtime="runc", network="bridge", netns=world.netns), pull_.Containerd(world)]
    rows = {}
    try:
        for name, image in pull_.images(registry, b.quick).items():
            for shaped in (False, True):
                if shaped:
                    pull_.shape(world, True)
                took = {e.name: [] for e in peers}
                for _ in range(2 if b.quick else 5):
                    for e in peers:
                        fetch, remove = pull_.COMMANDS[e.name]
                        begin = time.monotonic()
                        libengine.run(e.base + fetch + [image], limit=600, env=getattr(e, "environ", None))
                        took[e.name].append(time.monotonic() - begin)
                        libengine.run(e.base + remove + [image], limit=600, env=getattr(e, "environ", None))
                        if e.name == "coffer":
                            e("image", "prune", "-af")
                if shaped:
                    pull_.shape(world, False)
                rows["%s%s" % (name, ", 1 Gbit/s" if shaped else "")] = {
                    "unit": "us", "values": {n: statistics.median(t) * 1e6 for n, t in took.items()}}
    finally:
        for e in peers:
            e.close()
        registry.close()
        world.close()
    return rows


PROMISES = [
    ("run --rm / docker", "engine-run", "run", "coffer", "docker", 1 / 20),
    ("run --rm / podman", "engine-run", "run", "coffer", "podman", 1 / 20),
    ("run --rm / floor", "engine-run", "run", "coffer", "floor", 2),
    ("run --network none / docker", "engine-run-none", "run", "coffer", "docker", 1 / 25),
    ("run --network none / podman", "engine-run-none", "run", "coffer", "podman", 1 / 25),
    ("run --network none / floor", "engine-run-none", "run", "coffer", "floor", 2),
    ("exec / docker", "engine-exec", "exec", "coffer", "docker", 1 / 20),
] + [("pull of %s / %s" % (what, peer), "engine-pull", what, "coffer", peer, 1 / 2)
     for what in ("one layer", "ten layers", "small files", "one layer, 1 Gbit/s", "ten layers, 1 Gbit/s",
                  "small files, 1 Gbit/s") for peer in ("docker", "podman", "containerd")] + [
    ("kB of ours per container", "engine-density", "ours per container", "coffer", None, 1024),
]

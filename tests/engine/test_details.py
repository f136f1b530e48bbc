# SPDX-License-Identifier: Apache-2.0
"""Small things that scripts stumble over, as Docker has them; and images that are meant to make us slow."""
import hashlib
import io
import json
import os
import tarfile

import pytest

from libengine import wait_for


def test_the_users_group_is_among_the_supplementary_ones(coffer):
    """Or who gives it up passes by a file whose group may not what others may (CVE-2022-36109)."""
    groups = "sed -n 's/^Groups:[[:space:]]*//p' /proc/self/status"
    assert coffer.sh(groups, "-u", "1000").split() == ["1000"]
    assert coffer.sh(groups, "-u", "1000:5", "--group-add", "77").split() == ["5", "77"]
    cid = coffer.start("-u", "1000:5", "box", "sleep", "1000")
    assert coffer.out("exec", cid, "sh", "-c", groups).split() == ["5"]


def test_ps_quotes_arguments_with_blanks(coffer):
    coffer("create", "--name", "quoted", "box", "sh", "-c", "echo hi")
    assert coffer.out("ps", "-a", "--no-trunc", "--filter", "name=quoted", "--format", "{{.Command}}") == "\"sh -c 'echo hi'\""


@pytest.mark.parametrize("value", ["abc", "1x", ""])
def test_a_filter_by_exit_code_is_a_number(coffer, value):
    assert "invalid filter" in coffer("ps", "--filter", "exited=" + value, rc=1).stderr


def test_details_of_a_log_have_their_blank(coffer):
    cid = coffer.start("--label", "a=b", "--log-opt", "labels=a", "box", "echo", "x")
    plain = coffer.start("box", "echo", "x")
    for c, expected in ((cid, "a=b x\n"), (plain, " x\n")):
        coffer("wait", c)
        assert coffer("logs", "--details", c).stdout == expected


def test_a_volume_is_not_both_read_only_and_not(coffer, tmp_path):
    assert "both ro and rw" in coffer("run", "--rm", "-v", "%s:/d:ro,rw" % tmp_path, "box", "true", rc=125).stderr


def test_a_stop_without_end(coffer):
    script = "trap 'sleep 2; exit 7' TERM; echo up; while :; do sleep 0.1; done"
    cid = coffer.start("--stop-timeout", "-1", "box", "sh", "-c", script)
    assert coffer.inspect(cid, "{{.Config.StopTimeout}}") == "-1"
    wait_for("the trap", lambda: coffer.out("logs", cid))
    coffer("stop", cid)
    assert coffer.inspect(cid, "{{.State.ExitCode}}") == "7"
    short = coffer.start("--stop-timeout", "1", "box", "sh", "-c", script)
    wait_for("the trap", lambda: coffer.out("logs", short))
    coffer("stop", short)
    assert coffer.inspect(short, "{{.State.ExitCode}}") == "137"


def test_what_is_not_there_is_printed_as_go_does(coffer):
    cid = coffer.out("create", "box", "true")
    assert coffer.inspect(cid, "{{.Config.StopTimeout}} {{.Config.Volumes}} {{.Config.ExposedPorts}} {{.HostConfig.Binds}}") == \
        "<nil> map[] map[] []"
    other = coffer.out("create", "--expose", "80", "box", "true")
    assert coffer.inspect(other, "{{.Config.ExposedPorts}}") == "map[80/tcp:{}]"


@pytest.mark.parametrize("what", ["interval", "timeout", "start-period"])
def test_health_checks_are_a_millisecond_apart_at_least(coffer, what):
    done = coffer("create", "--health-cmd", "true", "--health-%s" % what, "1ns", "box", "true", rc=125)
    assert "cannot be less than 1ms" in done.stderr


def load(coffer, name, config):
    """An image of one empty layer with this configuration."""
    layer, image = io.BytesIO(), io.BytesIO()
    tarfile.open(fileobj=layer, mode="w").close()
    diff = "sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()
    files = {"layer.tar": layer.getvalue(),
             "config.json": json.dumps({"architecture": "amd64", "os": "linux", "config": config,
                                        "rootfs": {"type": "layers", "diff_ids": [diff]}}).encode(),
             "manifest.json": json.dumps([{"Config": "config.json", "RepoTags": [name + ":latest"], "Layers": ["layer.tar"]}]).encode()}
    with tarfile.open(fileobj=image, mode="w") as tar:
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    path = os.path.join(coffer.scratch, name + ".tar")
    with open(path, "wb") as f:
        f.write(image.getvalue())
    coffer("load", "-i", path)


@pytest.mark.parametrize("config", [{"Labels": {"l%d" % n: "" for n in range(100000)}}, {"Env": ["e%d=" % n for n in range(100000)]}],
                         ids=["labels", "env"])
def test_an_image_with_endless_lists_is_refused(coffer, config):
    config["Cmd"] = ["/bin/true"]
    load(coffer, "endless", config)
    done = coffer("create", "endless", rc=None)
    assert done.returncode != 0 and "more than 4096" in done.stderr, done.stderr


def test_every_port_can_be_exposed(coffer):
    cid = coffer.out("create", "--expose", "1-65535", "--expose", "1-65535/udp", "--expose", "7", "box", "true")
    assert len(json.loads(coffer.inspect(cid, "{{json .Config.ExposedPorts}}"))) == 2 * 65535

# SPDX-License-Identifier: Apache-2.0
"""A user namespace per container by default: ranges that never overlap, files that look right on both sides."""
import os

import pytest

from libengine import wait_for


def maps(coffer, *options):
    return coffer.sh("cat /proc/self/uid_map", *options).split()


def test_default(coffer):
    inside, outside, size = map(int, maps(coffer))
    assert inside == 0 and outside >= 524288 and size == 65536


def test_opt_out(coffer):
    assert maps(coffer, "--userns=host") == ["0", "0", "4294967295"]
    assert maps(coffer, "--privileged") == ["0", "0", "4294967295"]


def test_ranges_do_not_overlap(coffer):
    ids = [coffer.start("box", "sleep", "600") for _ in range(4)]
    starts = set()
    for cid in ids:
        with open("/proc/%d/uid_map" % coffer.pid(cid)) as f:
            starts.add(int(f.read().split()[1]))
    assert len(starts) == 4
    assert all(abs(a - b) >= 65536 for a in starts for b in starts if a != b)


def test_files_of_the_image_are_roots(coffer):
    assert coffer.sh("stat -c %u:%g / /bin/busybox /etc/passwd; touch /x && stat -c %u /x") == "0:0\n0:0\n0:0\n0\n"


def test_a_restart_keeps_the_files(coffer):
    cid = coffer.start("--name", "again", "box", "sh", "-c", "touch /mine; chown 7:8 /mine; sleep 600")
    coffer("restart", "-t", "0", cid)
    assert coffer.out("exec", cid, "stat", "-c", "%u:%g", "/mine") == "7:8"


def test_a_restart_is_no_end_of_one_that_removes_itself(coffer):
    cid = coffer.start("--rm", "-v", "/data", "box", "sh", "-c", "echo x >> /data/starts; sleep 600")
    coffer("restart", "-t", "0", cid)
    wait_for("the second start", lambda: coffer("exec", cid, "wc", "-l", "/data/starts", rc=None).stdout.startswith("2"))
    coffer("stop", "-t", "0", cid)
    wait_for("its removal", lambda: coffer("inspect", cid, rc=None).returncode == 1)


def test_digits_are_no_name_of_a_user(coffer):
    """CVE-2016-3697: an image may call its root 1000."""
    lines = "printf '1000:x:0:0::/:/bin/sh\\n' > /etc/passwd; printf '1001:x:0:\\n' > /etc/group; sleep 600"
    cid = coffer.start("box", "sh", "-c", lines)
    wait_for("its files", lambda: coffer("exec", cid, "grep", "-q", "1001", "/etc/group", rc=None).returncode == 0)
    assert coffer.out("exec", "-u", "1000", cid, "id", "-u") == "1000"
    assert coffer.out("exec", "-u", "1000:1001", cid, "sh", "-c", "id -u; id -g") == "1000\n1001"


def test_bind_mounts_show_the_hosts_owners(coffer, tmp_path):
    """As without a user namespace: what is root's outside is root's inside, and the other way round."""
    os.chmod(tmp_path, 0o755)
    (tmp_path / "f").write_text("x")
    os.chown(tmp_path / "f", 1000, 1000)
    v = "%s:/v" % tmp_path
    assert coffer.sh("stat -c %u:%g /v /v/f; touch /v/made; chown 33:44 /v/made", "-v", v) == "0:0\n1000:1000\n"
    st = os.stat(tmp_path / "made")
    assert (st.st_uid, st.st_gid) == (33, 44)


def test_volumes_move_between_containers(coffer):
    coffer.sh("touch /v/f; chown 5:6 /v/f", "-v", "moved:/v")
    assert coffer.sh("stat -c %u:%g /v/f", "-v", "moved:/v") == "5:6\n"
    assert coffer.sh("stat -c %u:%g /v/f", "-v", "moved:/v", "--userns=host") == "5:6\n"


@pytest.mark.parametrize("path", ["/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/sys/kernel/uevent_helper"])
def test_roots_files_of_the_host_are_not_the_containers(coffer, path):
    assert coffer.sh("(echo x > %s) 2>/dev/null && echo written || echo refused" % path,
                     "--security-opt", "systempaths=unconfined") == "refused\n"

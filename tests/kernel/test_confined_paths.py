# SPDX-License-Identifier: Apache-2.0
"""linux.readonlyPaths and linux.maskedPaths below /proc and /sys, at the level that makes these trees up itself."""
TRY = "(echo x > %s) 2>&1; echo done"


def test_file_below_read_only_path_cannot_be_opened_for_writing(sandbox):
    c = sandbox.container()
    c.linux["readonlyPaths"] = ["/proc/self/oom_score_adj", "/proc/sys/net"]
    assert "Read-only file system" in c.sh(TRY % "/proc/sys/net/ipv4/ip_forward").ok().out
    c = sandbox.container()
    c.linux["readonlyPaths"] = ["/proc/1"]
    r = c.sh("%s; cat /proc/1/oom_score_adj" % (TRY % "/proc/1/oom_score_adj")).ok()
    assert "Read-only file system" in r.out and r.lines[-1] == "0"


def test_what_is_not_listed_can_be_written(sandbox):
    c = sandbox.container()
    c.linux["readonlyPaths"] = ["/proc/sys"]
    r = c.sh("echo 7 > /proc/self/oom_score_adj; cat /proc/self/oom_score_adj").ok()
    assert r.lines[-1] == "7"


def test_masked_file_is_empty_and_masked_directory_has_nothing(sandbox):
    c = sandbox.container()
    c.linux["maskedPaths"] = ["/proc/sys/kernel/random", "/proc/version", "/proc/1/mountinfo", "/proc/none"]
    r = c.sh("ls /proc/sys/kernel/random | wc -l; cat /proc/version | wc -c; cat /proc/1/mountinfo | wc -c; "
             "cat /proc/self/mounts | wc -l; cat /proc/sys/kernel/random/uuid 2>/dev/null | wc -c").ok()
    assert [int(n) for n in r.lines[:3]] == [0, 0, 0] and int(r.lines[3]) > 0 and r.lines[4].strip() == "0"

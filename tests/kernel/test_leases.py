# SPDX-License-Identifier: Apache-2.0
"""Leases where somebody outside opens the file: the guest's program hears nothing of that."""
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


def test_the_first_process_is_not_told_of_the_hosts_leases(sandbox):
    c = sandbox.container(["/bin/program"])
    subprocess.run(["cc", "-O1", "-w", "-static", "-o", c.rootfs_file("/bin/program"),
                    os.path.join(HERE, "patch", "lease_loop.c")], check=True)
    path, opened = c.rootfs_file("/file", "x"), 0
    proc = c.spawn("run", stdout=subprocess.PIPE)
    assert proc.stdout.readline() == b"begin\n"
    while proc.poll() is None:
        for _ in range(200):
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
                opened += 1
            except BlockingIOError:
                pass  # in the moment of asking the host for one
    assert proc.returncode == 0 and opened > 0
    assert proc.stdout.read() == b"signals: 0\n"

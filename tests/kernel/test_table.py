# SPDX-License-Identifier: Apache-2.0
"""The page about system calls says what the sentry's table says."""
import os
import re
import subprocess

from harness import env

SENTRY = os.path.join(os.path.dirname(env.OCI), "coffer-sentry")
PAGE = os.path.join(env.REPO, "docs", "kernel-calls.md")


def test_page_is_as_the_table_prints_it():
    printed = subprocess.run([SENTRY, "--table"], capture_output=True, text=True, check=True).stdout
    with open(PAGE, encoding="utf-8") as f:
        assert f.read() == printed, "run: coffer-sentry --table > docs/kernel-calls.md"


def test_no_call_of_the_headers_is_without_a_row():
    header = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
    with open(header, encoding="utf-8") as f:
        known = {int(n) for n in re.findall(r"#define __NR_\w+ (\d+)", f.read())}
    known |= set(range(424, 470))  # headers may be older: file_setattr, 469, is Linux 6.18's last
    with open(PAGE, encoding="utf-8") as f:
        rows = {int(n) for n in re.findall(r"^\| (\d+) \|", f.read(), re.M)}
    assert not known - rows

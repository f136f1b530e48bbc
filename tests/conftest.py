# SPDX-License-Identifier: Apache-2.0
"""Every suite under tests/ uses the same harness, from tests/lib."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
sys.dont_write_bytecode = True

pytest_plugins = ["harness.plugin"]

# SPDX-License-Identifier: Apache-2.0
"""Shared helpers of the test suites: bundles, containers, terminals, leak snapshots.

A suite asks for the fixtures of `harness.plugin` (`ct`, `runtime`, `level`, ...)
and imports plain functions from the modules beside this file.
"""

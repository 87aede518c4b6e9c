#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# kill -9 at any system call of a load, under traffic, and a restart: nothing wrong is let through or dropped, counters go on, nothing leaks.
# As many as fit in FAULT_SECONDS (4), or FAULT_RUNS of them (make check-faults: 200).  make check-upgrade: every second load is another version's.
. "$(dirname "$0")/lib.sh.inc"
host a
python3 tests/e2e/faults.py "${FAULT_MODE:-kills}" "$tag" "$work" "$build" || fail "kills"
done_testing

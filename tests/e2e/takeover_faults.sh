#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Takeover under faults: a load, a hand-back or `off` is killed in any of its system calls, or one of them fails, under traffic: a host
# whose table sleeps always filters.  A sample that takes twice FAULT_SECONDS (6); FAULT_ALL=1: each call (make check-faults).
. "$(dirname "$0")/lib.sh.inc"
export FAULT_SECONDS=${FAULT_SECONDS:-6}
host a
python3 tests/e2e/faults.py takeover "$tag" "$work" "$build" || fail "kills"
python3 tests/e2e/faults.py takeover-errors "$tag" "$work" "$build" || fail "errors"
done_testing

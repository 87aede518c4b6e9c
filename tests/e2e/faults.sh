#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# One system call of a load fails (any of them, in turn), under traffic: the host filters as its rules say, and a restart recovers.
# A sample that takes FAULT_SECONDS (4); FAULT_ALL=1: each call with each error, about ten minutes (make check-faults).
. "$(dirname "$0")/lib.sh.inc"
host a
python3 tests/e2e/faults.py errors "$tag" "$work" "$build" || fail "faults"
done_testing

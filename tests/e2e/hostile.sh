#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A host that does not cooperate, under traffic: bpffs and state directory that cannot be used, state files and pins that are not ours,
# programs that the verifier refuses, interfaces that vanish during an attach, rules that move while they are read, events that are lost.
. "$(dirname "$0")/lib.sh.inc"
host a
python3 tests/e2e/faults.py hostile "$tag" "$work" "$build" || fail "hostile"
umount "$work"/* 2>/dev/null
done_testing

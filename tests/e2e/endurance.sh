#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A daemon follows changes of nft, iptables-nft, legacy tables and ipsets, under traffic: verdicts stay right, and its memory, descriptors,
# maps, programs, links and pins do not grow.  100 changes; CHANGES=100000 for make check-endurance.
. "$(dirname "$0")/lib.sh.inc"
host a
FLOW_RATE=${FLOW_RATE:-200} python3 tests/e2e/faults.py endurance "$tag" "$work" "$build" || fail "endurance"
done_testing

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A few of the mutants of make check-mutants are caught, and the lists of all of them fit the tree.
. "$(dirname "$0")/lib.sh.inc"
QUICK=1 MUTANTS_DIR=$work/tree tests/mutants.sh >"$work/log" 2>&1 || { cat "$work/log"; fail "mutants"; }
done_testing

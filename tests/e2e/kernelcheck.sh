#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A short run of make check-kernel: each back end at each site, fixed seeds.
. "$(dirname "$0")/lib.sh.inc"
"$build/tests/kernelcheck" --rulesets "${RULESETS:-9}" --packets "${PACKETS:-2000}" --seed "${SEED:-1}" --quiet || fail "kernelcheck"
done_testing

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The kernel as oracle of takeover: verdicts and all counters, of accepted packets too, with conntrack, both families.
. "$(dirname "$0")/lib.sh.inc"
check() {
	"$build/tests/kernelcheck" --takeover --no-shrink --site nf "$@" >"$work/out" 2>&1 || fail "kernelcheck --takeover $*: $(tail -5 "$work/out")"
	grep -q ' 0 counted by our programs' "$work/out" && [[ $* == *--file* ]] && fail "kernelcheck --takeover $*: nothing was taken over"
	grep -q DISAGREE "$work/out" && { fail "they disagree"; head -40 "$work/out"; }
}
check --backend native --file tests/rules/takeover.nft --packets "${PACKETS:-3000}" --seed "${SEED:-1}"
grep -q 'event=takeover table="ip fw"' "$work/out" || fail "IPv4 was not taken over"
grep -q 'event=takeover table="ip6 fw6"' "$work/out" || fail "IPv6 was not taken over"
check --backend native --file tests/rules/takeover_fragments.nft --packets "${PACKETS:-3000}" --seed "${SEED:-1}"
grep -q 'event=takeover table="ip fw"' "$work/out" || fail "IPv4 fragments: not taken over"
grep -q 'event=takeover table="inet both"' "$work/out" || fail "inet: not taken over"
for back in compat native; do
	check --backend $back --quiet --rulesets "${RULESETS:-4}" --packets 1500 --seed "${SEED:-7}"
done
done_testing

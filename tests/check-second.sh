#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The evaluator of the IR against the interpreters of the rules as they were read, without privilege: the rulesets of
# tests/ and of ../shared/corpus (or CORPUS), then random ones.
#   RULESETS=N PACKETS=M SEED=S tests/check-second.sh
set -u
cd "$(dirname "$0")/.."
build=${BUILD:-build}
corpus=${CORPUS:-../shared/corpus}
files=(tests/rules/*.v4 tests/rules/*.v6 tests/rules/*.nft tests/packets/*.v4 tests/packets/*.v6 tests/packets/*.nft
	tests/golden/*/in.*)
for f in "$corpus"/rulesets/*/*; do
	case $f in
	*.nft | *.v4 | *.v6 | *.save | *.iptables | *.ip6tables) files+=("$f") ;;
	esac
done
exec "$build/tests/second" --rulesets "${RULESETS:-300}" --packets "${PACKETS:-5000}" --seed "${SEED:-1}" "${files[@]}"

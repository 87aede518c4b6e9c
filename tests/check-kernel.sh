#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The kernel as oracle: random rulesets, or with "corpus" files of real ones, and the same packets to netfilter
# alone and to us (tests/tools/kernelcheck.c).  Needs root; touches no network but its own namespaces.
#   RULESETS=N PACKETS=M SEED=S tests/check-kernel.sh
#   PACKETS=M SEED=S CORPUS=DIR tests/check-kernel.sh corpus
set -u
cd "$(dirname "$0")/.."
check=${BUILD:-build}/tests/kernelcheck
args=(--packets "${PACKETS:-2000}" --seed "${SEED:-1}")
[ -z "${SECONDS_MAX:-}" ] || args+=(--seconds "$SECONDS_MAX")
[ -z "${V:-}" ] || args+=(--verbose)
if [ "$(id -u)" != 0 ]; then
	echo "make check-kernel needs root, for network namespaces"
	exit 77
fi
if [ "${1:-}" != corpus ]; then
	exec "$check" "${args[@]}" --rulesets "${RULESETS:-27}"
fi
corpus=${CORPUS:-../shared/corpus/rulesets}
if [ ! -d "$corpus" ]; then
	echo "no directory $corpus: CORPUS=DIR names one with files *.iptables, *.ip6tables, *.nft"
	exit 77
fi
mapfile -t files < <(find "$corpus" -name '*.iptables' -o -name '*.ip6tables' -o -name '*.nft' | sort)
exec "$check" "${args[@]}" "${files[@]:0:${RULESETS:-100000}}"

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The kernel as oracle, fixed seeds: the same rules and frames to a namespace with netfilter alone and one with us.
. "$(dirname "$0")/lib.sh.inc"
frames=${FRAMES:-250}
run() { "$build/tests/oracle" --packets "$frames" "$@" || fail "oracle $*"; }
r=tests/rules
for back in legacy compat; do
	for site in xdp tc; do
		run --backend $back --site $site --rules $r/stateless.v4 --rules6 $r/stateless.v6 --seed 11
		run --backend $back --site $site --rules $r/stateful.v4 --rules6 $r/stateful.v6 --seed 12
	done
	run --backend $back --rules $r/ufw.v4 --rules6 $r/ufw.v6 --seed 13 --rp-filter 1
	run --backend $back --rules $r/sets.v4 --ipsets $r/sets.ipset --seed 14 --rp-filter 2
done
for site in xdp tc; do
	run --backend native --site $site --rules $r/native.nft --seed 21
	run --backend native --site $site --rules $r/stateful.nft --seed 22 --rp-filter 1
done
done_testing

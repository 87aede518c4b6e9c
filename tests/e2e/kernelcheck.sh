#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A short run of make check-kernel: each back end at each site, fixed seeds.
. "$(dirname "$0")/lib.sh.inc"
"$build/tests/kernelcheck" --rulesets "${RULESETS:-9}" --packets "${PACKETS:-2000}" --seed "${SEED:-1}" --quiet || fail "kernelcheck"
# A packet that is dropped behind conntrack has changed its connection's entry all the same.
cat >"$work/behind.nft" <<'RULES'
table inet one {
	chain early {
		type filter hook prerouting priority 10; policy accept;
		tcp dport != { 31-65, 101-148, 5995, 6012 } counter drop
	}
	chain across {
		type filter hook forward priority 20; policy accept;
		ct state vmap { established : accept, related : accept, invalid : drop }
	}
}
RULES
"$build/tests/kernelcheck" --backend native --site xdp --rp-filter 1 --file "$work/behind.nft" --talk 17 --quiet ||
	fail "a drop behind conntrack"
done_testing

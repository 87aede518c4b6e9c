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
# A goto comes to the policy, whatever stands behind it; and which of two chains of one priority is first is not known.
cat >"$work/goto.nft" <<'RULES'
table inet one {
	chain end {
		counter
	}
	chain early {
		type filter hook prerouting priority 10; policy drop;
		counter
		udp dport 1-65535 goto end
		meta mark 254 counter accept
	}
	chain inside {
		type filter hook input priority 5; policy accept;
		tcp dport 1-65535 counter drop
	}
}
table inet two {
	chain early {
		type filter hook prerouting priority 10; policy accept;
		counter
	}
}
RULES
"$build/tests/kernelcheck" --backend native --site xdp --rp-filter 1 --packets 400 --no-shrink --quiet "$work/goto.nft" ||
	fail "a policy behind a goto"
done_testing

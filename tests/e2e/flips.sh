#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The rules flip between two rulesets under traffic, with a program in service: each packet is judged by rules that were in force when
# it was sent (tests/tools/flips.c says how it knows).  FLIPS=80 for each back end; FLIPS=10000 for make check-flips.
# Times from a change to its program, of 1,000 rules on a quiet link: FLIP_ARGS="rules=1000 free=0 wait=1 pause=300000".
. "$(dirname "$0")/lib.sh.inc"
FLIPS=${FLIPS:-80}
spaces_of=0
flip() { # mode backend arguments…
	local mode=$1 backend=$2 space=h$((spaces_of += 1)) pid options=(--mode="$1")
	shift 2
	[ "$mode" = assist ] || options+=(--early=off)
	host "$space"
	mkdir "$work/$space"
	./nf2bpfd --netns "$tag-$space" --state-dir "$work/$space" "${options[@]}" >"$work/$space/log" 2>&1 &
	pid=$!
	daemons+=($pid)
	timeout 3600 "$build/tests/flips" "$tag-w" "${space}0" "$tag-$space" "$backend" "$FLIPS" mode="$mode" wait=8 pause=4000 seed="${SEED:-1}" ${FLIP_ARGS:-} "$@" >"$work/$space/out" 2>&1 ||
		{ fail "$mode $backend $*"; grep -v event=trial "$work/$space/log" | tail -20; }
	cat "$work/$space/out"
	kill -0 $pid || fail "$mode $backend: the daemon is gone"
	echo "installed=$(grep -c event=installed "$work/$space/log") refused=$(grep -c event=refused "$work/$space/log")"
	kill $pid
	wait $pid 2>/dev/null
	./nf2bpf off --netns "$tag-$space" --state-dir "$work/$space" >/dev/null 2>&1
	ip netns del "$tag-$space"
}
for one in ${BACKENDS-legacy iptables-nft nft nft-set ipset}; do flip assist "$one"; done
# Here each flip waits for its program, and a whole table also until it sleeps again.
all=$FLIPS
FLIPS=$((all / 8))
for one in ${TAKEOVER-iptables-nft nft nft-set}; do flip takeover "$one"; done
FLIPS=$((all / 20))
for one in ${WAKES-iptables-nft nft}; do flip takeover "$one" full=1; done
done_testing

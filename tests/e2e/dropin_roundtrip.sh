#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Rulesets through iptables-bpf-restore, and every listing of them, against the real commands in a namespace of their own.
# CORPUS=DIR: also those below it (*.iptables, *.ip6tables). ipsets that they name are made empty.
. "$(dirname "$0")/lib.sh.inc"
host a
host b
dropin_names
export XTABLES_LOCKFILE=$work/lock NF2BPF_DROPIN
ours() { "$work/bin/$family-bpf$1" "${@:2}"; }
real() { nsenter --net="/run/netns/$tag-b" bash -c 'exec -a "$1" "$2" "${@:3}"' sh "$family$1" "$(command -v "$family-$kind$1")" "${@:2}"; }
compare() { # SUFFIX ARGS…
	local ra
	ours "$@" <"$work/in" >"$work/a.out" 2>"$work/a.err"
	ra=$?
	real "$@" <"$work/in" >"$work/b.out" 2>"$work/b.err"
	rb=$?
	expect "$personality: $file: $*: exit status" $rb $ra
	sed -i 's/^\(# [GC]o*.*\) on .*/\1/' "$work"/[ab].out
	for x in out err; do
		cmp -s "$work/a.$x" "$work/b.$x" || fail "$personality: $file: $*: std$x: $(diff "$work/b.$x" "$work/a.$x" | head -5)"
	done
}
sets() { # those that the file names, of the first type that could be meant
	local set type ns
	grep -oE -- '--(match|add|del|map)-set "?[^ "]+' "$1" | awk '{print $2}' | tr -d '"' | sort -u | while read -r set; do
		type=hash:ip
		grep -qE -- "-set \"?$set\"? (src|dst),(src|dst)" "$1" && type=hash:ip,port
		for ns in a b; do
			nsenter --net="/run/netns/$tag-$ns" ipset create "$set" $type family "$([ $family = ip6tables ] && echo inet6 || echo inet)" 2>/dev/null
		done
	done
}
clear() {
	local ns
	for ns in a b; do
		nsenter --net="/run/netns/$tag-$ns" nft flush ruleset
		for table in $(nsenter --net="/run/netns/$tag-$ns" cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null | sort -u); do
			for f in iptables ip6tables; do
				nsenter --net="/run/netns/$tag-$ns" $f-legacy -t "$table" -F 2>/dev/null
				nsenter --net="/run/netns/$tag-$ns" $f-legacy -t "$table" -X 2>/dev/null
			done
		done
		nsenter --net="/run/netns/$tag-$ns" ipset destroy 2>/dev/null
	done
}
count=0 good=0 lines=0
for file in tests/rules/*.v[46] $(find "${CORPUS:-/nonexistent}" -name '*.iptables' -o -name '*.ip6tables' 2>/dev/null | sort); do
	family=iptables
	[[ $file == *.v6 || $file == *.ip6tables ]] && family=ip6tables
	for personality in nf_tables legacy; do
		kind=nft
		[ $personality = legacy ] && kind=legacy
		NF2BPF_DROPIN="--netns=$tag-a --state-dir=$work --personality=$personality"
		sets "$file"
		cp "$file" "$work/in"
		compare -restore
		if [ $rb = 0 ]; then
			compare -restore -n -c
		else # the real one leaves what is before the error: so do we, when asked
			clear
			sets "$file"
			NF2BPF_DROPIN+=" --compat-partial"
			compare -restore
		fi
		[ $rb = 0 ] && good=$((good + 1))
		: >"$work/in"
		compare -save -c
		compare -save
		lines=$((lines + $(grep -c '^-A' "$work/b.out")))
		for table in filter nat mangle; do
			grep -q "^\*$table" "$file" || continue
			compare "" -t $table -L -n -v -x --line-numbers
			compare "" -t $table -S
			compare "" -t $table -S -v
		done
		clear
		count=$((count + 1))
	done
done
[ $count -ge 8 ] && [ $lines -ge 100 ] || fail "only $count rulesets, $lines rules"
[ -z "${CORPUS:-}" ] || echo "$count restores, $good good, $lines rules"
done_testing

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# An interface that takes no XDP program is left out, with the reason and the remedy in status; never generic XDP.
. "$(dirname "$0")/lib.sh.inc"
host a
ip -n "$tag-w" link add big type veth peer name eth1 netns "$tag-a"
ip -n "$tag-w" link set big mtu 65535 up
for i in all default eth1; do in_ns a sysctl -qw "net.ipv6.conf.$i.disable_ipv6=1"; done
ip -n "$tag-a" link set eth1 mtu 65535 up
in_ns a iptables-legacy -A INPUT -s 198.51.100.7 -j DROP
./nf2bpfd --netns "$tag-a" --state-dir "$work/one" --early=tc --interface=eth0 --once >"$work/log" 2>&1 || fail "tc where asked"
tool a nf2bpf off >/dev/null
# A stranger's program: that of another bpffs.
mkdir "$work/bpf" && mount -t bpf bpf "$work/bpf"
ip -n "$tag-w" link add c0 type veth peer name eth2 netns "$tag-a"
ip -n "$tag-w" link set c0 up
ip -n "$tag-a" link set eth2 up
./nf2bpfd --netns "$tag-a" --state-dir "$work/one" --bpffs "$work/bpf" --interface=eth2 --once >"$work/log" 2>&1 || fail "the stranger"
./nf2bpfd --netns "$tag-a" --state-dir "$work" --counters-interval=off >"$work/log" 2>&1 &
daemons+=($!)
wait_log 'the first load' event=installed
sleep 1
status=$(tool a nf2bpf status)
expect_match "another program" "eth2: another XDP program \(id [0-9]+\) is attached; remove it and reload" "$status"
expect_match "the others have ours" "xdp +eth0" "$status"
[[ $(ip -n "$tag-a" link show) != *xdpgeneric* ]] || fail "generic XDP"
expect "denied" dropped "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
expect "by the program" 1 "$(packets a bpf 198.51.100.7)"
./nf2bpf off --netns "$tag-a" --state-dir "$work/one" --bpffs "$work/bpf" >/dev/null
expect_match "after the remedy" "generation" "$(tool a nf2bpf reload)"
status=$(tool a nf2bpf status)
expect_match "it is ours too" "xdp +eth2" "$status"
[[ $status != *"another XDP"* ]] || fail "the note stayed: $status"
umount "$work/bpf"
[ $failures = 0 ] || cat "$work/log"
done_testing

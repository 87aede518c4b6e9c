#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# One file of packet cases (tests/lib/cases.h): what a person says, against netfilter, the evaluator, the loaded
# programs at the hook, and a host with our early program (tests/tools/oracle.c), for each back end that the file
# has rules for, with the early program at xdp and at tc.  Then the frames as a capture through nf2bpf eval:
# evaluator and program must agree there too.
#   tests/packets.sh FILE.cases     BUILD=dir
set -u
cd "$(dirname "$0")/.."
build=${BUILD:-build}
cases=$1
dir=$(dirname "$cases")
if [ "$(id -u)" != 0 ]; then
	echo "needs root for network namespaces"
	exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rc=0
file() { sed -n "s|^$1 *|$dir/|p" "$cases"; }

backends=
[ -z "$(file rules4)$(file rules6)" ] || backends="legacy compat"
[ -z "$(file native)" ] || backends="$backends native"
for backend in $backends; do
	for site in xdp tc; do
		"$build/tests/oracle" --backend "$backend" --site "$site" --cases "$cases" || rc=1
	done
done

"$build/tests/topcap" "$cases" "$work/frames.pcap" || rc=1
# A program at the hook has no word for "left to the kernel" but accept; "-": the kernel takes no such frame for a trial.
differences='$1 $2 ~ /^[0-9]+$/ && $4 != "-" && $3 != $4 && !($3 == "leave" && $4 == "accept" && site == "nf")'
for rules in $(file rules4) $(file rules6) $(file native); do
	for site in xdp tc nf; do
		./nf2bpf eval --site=$site --iif=eth0 --pcap "$work/frames.pcap" "$rules" >"$work/out" 2>"$work/err"
		code=$?
		found=$(awk -v site=$site "$differences" "$work/out"; grep -v "warning:" "$work/err")
		if [ -n "$found" ] || [ $code -gt 1 ]; then
			printf 'nf2bpf eval --site=%s %s, exit %d:\n%s\n' $site "$rules" $code "$found"
			rc=1
		fi
	done
done
exit $rc

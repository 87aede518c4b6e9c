#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# One refusal: what nf2bpf check says to in.*: exactly want.err on standard error, the exit code in want.code, and,
# where it is there, want.reasons: of each rule "TABLE CHAIN INDEX: WHERE, hook yes or no: why it stays in the kernel".
set -u
dir=${1%/}
in=$(ls "$dir"/in.* | head -n 1)
if [[ $in == *.nft && $(id -u) != 0 ]]; then
	echo "nft files are read by the kernel, in a network namespace of our own: needs root"
	exit 77
fi
got=$(./nf2bpf check "$in" 2>&1 >/dev/null)
code=$?
got=${got//$dir\//}
rc=0
diff -u "$dir/want.err" <([ -z "$got" ] || printf '%s\n' "$got") || rc=1
[ "$code" = "$(cat "$dir/want.code")" ] || { echo "exit code $code, wanted $(cat "$dir/want.code")"; rc=1; }
if [ -f "$dir/want.reasons" ]; then
	diff -u "$dir/want.reasons" <(./nf2bpf check --json "$in" | python3 -c '
import json, sys
for r in json.load(sys.stdin)["rules"]:
    r["hook"] = "yes" if r["hook"] else "no"
    print("%(table)s %(chain)s %(index)d: %(where)s, hook %(hook)s: %(reason)s" % r)') || rc=1
fi
exit $rc

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Bad input and lacking privileges: a clear error with its line or cause, the documented exit code, nothing changed.
. "$(dirname "$0")/lib.sh.inc"
host a
in_ns a iptables-legacy -A INPUT -s 198.51.100.0/24 -j DROP
check() { # what code pattern command…
	local what=$1 code=$2 pattern=$3 out rc
	shift 3
	out=$("$@" 2>&1)
	rc=$?
	expect "$what: exit code" "$code" "$rc"
	expect_match "$what" "$pattern" "$out"
}
printf '*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp --dprt 22 -j DROP\nCOMMIT\n' >"$work/option.v4"
printf '*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j DROP\n' >"$work/truncated.v4"
printf '*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j NOWHERE\n-A INPUT -s 1.2.3.400 -j DROP\nCOMMIT\n' >"$work/two.v4"
printf 'table ip x {\n chain c { type filter hook input priority 0; tcp dport blah drop; }\n}\n' >"$work/bad.nft"
check "unknown option" 2 'option.v4:3:.*dprt' ./nf2bpf check "$work/option.v4"
check "truncated file" 2 'truncated.v4:[34]:.*COMMIT' ./nf2bpf check "$work/truncated.v4"
check "two errors, the first" 2 'two.v4:3:.*NOWHERE' ./nf2bpf check "$work/two.v4"
check "two errors, the second" 2 'two.v4:4:.*1.2.3.400' ./nf2bpf check "$work/two.v4"
check "nft error" 2 'bad.nft:2:' ./nf2bpf check "$work/bad.nft"
check "missing file" 2 'No such file' ./nf2bpf check "$work/none.v4"
check "unknown command" 2 'unknown command' ./nf2bpf frobnicate
check "unknown option of ours" 2 'unrecognized option' ./nf2bpf check --frob
check "unknown site" 2 'unknown site' ./nf2bpf dump --site=moon --stage=ir
check "unknown stage" 2 'stage is' ./nf2bpf dump --stage=moon
check "no pcap" 2 'pcap' ./nf2bpf eval
check "unknown namespace" 2 'nowhere' ./nf2bpf status --netns nowhere
check "unknown interface" 3 'no interface nope' tool a nf2bpfd --once --interface=nope
check "no CAP_BPF" 3 '(CAP_|privileg|permitted)' setpriv --bounding-set=-bpf,-sys_admin --inh-caps=-bpf,-sys_admin \
	./nf2bpfd --once --state-dir "$work" --interface=none
expect_match "nothing was attached" "nothing is attached" "$(tool a nf2bpf status)"
tool a nf2bpfd --once >/dev/null 2>&1 || fail "a good load"
before=$(tool a nf2bpf status)
tool a nf2bpf check "$work/option.v4" >/dev/null 2>&1
expect "what was attached stays" "$before" "$(tool a nf2bpf status)"
done_testing

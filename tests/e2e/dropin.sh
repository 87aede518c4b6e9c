#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The drop-in against the real commands, in two namespaces alike: standard output, standard error, exit status and
# the rules afterwards must be the same, for every option and for the odd inputs that people have. DROPIN_ALL=1:
# with programs after each change, which takes longer (those: dropin_force.sh).
. "$(dirname "$0")/lib.sh.inc"
host a
host b
dropin_names
extra=--no-bpf
[ -z "${DROPIN_ALL:-}" ] || extra=
export XTABLES_LOCKFILE=$work/lock
# ours FAMILY SUFFIX ARGS…: with a name and options of its own; real likewise
ours() {
	local family=$1 suffix=$2
	shift 2
	NF2BPF_DROPIN="--netns=$tag-a --state-dir=$work --personality=$personality ${extra:-}" "$work/bin/$family-bpf$suffix" "$@"
}
real() {
	local family=$1 suffix=$2
	shift 2
	nsenter --net="/run/netns/$tag-b" bash -c 'exec -a "$1" "$2" "${@:3}"' sh "$family$suffix" "$(command -v "$family-$kind$suffix")" "$@"
}
rules() { # NS FAMILY
	nsenter --net="/run/netns/$tag-$1" "$2-$kind-save" -c 2>/dev/null | grep -v '^#'
}
# same WHAT FAMILY SUFFIX ARGS…: standard input from $work/in; what came out of the real one is left in $work/b.*
same() {
	local what="$personality: $1" family=$2 suffix=$3 ra rb x
	shift 3
	ours "$family" "$suffix" "$@" <"$work/in" >"$work/a.out" 2>"$work/a.err"
	ra=$?
	real "$family" "$suffix" "$@" <"$work/in" >"$work/b.out" 2>"$work/b.err"
	rb=$?
	expect "$what: exit status" "$rb" "$ra"
	for x in out err; do
		sed -i 's/ on [A-Z][a-z][a-z] [A-Z][a-z][a-z] .*//' "$work/a.$x" "$work/b.$x" # the date
		cmp -s "$work/a.$x" "$work/b.$x" || fail "$what: std$x: $(diff "$work/b.$x" "$work/a.$x")"
	done
	rules a "$family" >"$work/a.rules"
	rules b "$family" >"$work/b.rules"
	cmp -s "$work/a.rules" "$work/b.rules" || fail "$what: rules: $(diff "$work/b.rules" "$work/a.rules")"
	rc=$rb
}
# feed WHAT ARGS… <input: restore
feed() {
	local what=$1
	shift
	cat >"$work/in"
	same "$what" iptables -restore "$@"
}
# cmd ARGS…: iptables
cmd() {
	: >"$work/in"
	same "iptables $*" iptables "" "$@"
}
base() {
	feed base <<'R'
*filter
:INPUT DROP [7:8]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:FOO - [0:0]
:BAR - [0:0]
-A INPUT -s 198.51.100.0/24 -p tcp --dport 22 -j DROP
-A INPUT -j FOO
-A FOO -m comment --comment "a b" -j ACCEPT
COMMIT
R
}

restores() {
	base
	feed "empty input" </dev/null
	feed "only a comment" <<<'#foo'
	feed "keep the policy or not" <<<$'*filter\n:FORWARD DROP [0:0]\nCOMMIT'
	feed "with -n a declared chain is flushed" -n <<<$'*filter\n:INPUT DROP [0:0]\n:FOO - [0:0]\n-A FOO -j DROP\nCOMMIT'
	base
	feed "declare and delete" -n <<<$'*filter\n:BAR - [0:0]\n-X BAR\nCOMMIT'
	feed "declare and delete what is not there" --noflush <<<$'*filter\n:NEW - [0:0]\n-X NEW\nCOMMIT'
	feed "counters without -c" <<<$'*filter\n:INPUT ACCEPT [3:4]\n[5:6] -A INPUT -j ACCEPT\nCOMMIT'
	feed "counters with -c" -c <<<$'*filter\n:INPUT ACCEPT [3:4]\n[5:6] -A INPUT -j ACCEPT\nCOMMIT'
	feed "garbage for counters" -c <<<$'*filter\n:INPUT ACCEPT [xx]\nCOMMIT'
	feed "bad counters of a rule" -c <<<$'*filter\n[xx] -A INPUT -j ACCEPT\nCOMMIT'
	feed "all commands" <<'R'
*filter
:A - [0:0]
-N B
-A INPUT -j A
-I INPUT 1 -s 1.2.3.4 -j ACCEPT
-I INPUT -s 1.2.3.5 -j ACCEPT
-R INPUT 1 -s 1.2.3.6 -j DROP
-D INPUT 2
-D INPUT -j A
-E A C
-F C
-Z
-P FORWARD DROP
-X B
-L INPUT -n
COMMIT
R
	feed "-t within" <<<$'*filter\n-t nat -A INPUT -j ACCEPT\nCOMMIT'
	feed "-D of nothing" <<<$'*filter\n-D INPUT -s 9.9.9.9 -j ACCEPT\nCOMMIT'
	feed "no COMMIT" <<<$'*filter\n-A INPUT -j ACCEPT'
	feed "unknown target" <<<$'*filter\n-A INPUT -j NOSUCH\nCOMMIT'
	feed "unknown table" <<<$'*nosuch\nCOMMIT'
	feed "unknown option" <<<$'*filter\n-A INPUT --nosuch\nCOMMIT'
	feed "bad address" <<<$'*filter\n\n# x\n-A INPUT -s 1.2.3.400 -j ACCEPT\nCOMMIT'
	feed "leading blank" <<<$' *filter\nCOMMIT'
	feed "CRLF" <<<$'*filter\r\n-A INPUT -j ACCEPT\r\nCOMMIT\r'
	feed "blanks and tabs" <<<$'\n*filter \n# c\n\n-A INPUT\t-p  tcp   -j ACCEPT  \nCOMMIT\n\n'
	feed "chain without policy" <<<$'*filter\n:INPUT [0:0]\nCOMMIT'
	feed "a comma list, services, old negation" <<<$'*filter\n-A INPUT -s 1.1.1.1,2.2.2.0/24 -p tcp --dport ssh -j ACCEPT\n-A INPUT -s ! 3.3.3.3 -j DROP\nCOMMIT'
	feed "long options" <<<$'*filter\n--append INPUT --protocol udp --match udp --destination-port 53 --jump ACCEPT\nCOMMIT'
	feed "the same table twice" <<<$'*filter\n-A INPUT -j ACCEPT\nCOMMIT\n*filter\n-A FORWARD -j DROP\nCOMMIT'
	feed "two tables" <<<$'*mangle\n-A FORWARD -j MARK --set-mark 1\nCOMMIT\n*filter\n-A FORWARD -j DROP\nCOMMIT'
	feed "-T of two" -T filter <<<$'*mangle\n-A FORWARD -j MARK --set-mark 2\nCOMMIT\n*filter\n-A FORWARD -j ACCEPT\nCOMMIT'
	base
	feed "--test" --test <<<$'*filter\n-A INPUT -j ACCEPT\nCOMMIT'
	feed "-tv" -tv <<<$'*filter\n:FOO - [0:0]\n-A INPUT -j ACCEPT\nCOMMIT'
	feed "--test of a bad address" -t <<<$'*filter\n-A INPUT -s 1.2.3.400\nCOMMIT'
	feed "-v" -v <<<$'*filter\n:INPUT DROP [0:0]\n:FOO - [0:0]\n-A INPUT -s 1.2.3.4 -j ACCEPT\nCOMMIT'
	feed "-v of two" --verbose <<<$'*mangle\n:X - [0:0]\n-A X -j ACCEPT\nCOMMIT\n*filter\n:INPUT DROP [0:0]\n-A INPUT -s 1.2.3.4 -j ACCEPT\nCOMMIT'
	for o in "-w 1" "-w" "--wait=2" "--wait" "-w5" "-W 1" "-w 1 -W 100" "-M /bin/true" "--modprobe=/bin/true" "-h" "-V" "--version" "--help" \
		"--bogus" "-T" "one two" "/nonexistent" "-b" "--t" "--tes" "-w abc" "-nc" "-ct -w 1"; do
		# shellcheck disable=SC2086
		feed "restore $o" $o <<<$'*filter\n-A INPUT -s 1.2.3.4 -j ACCEPT\nCOMMIT'
	done
	printf '*filter\n-A OUTPUT -j ACCEPT\nCOMMIT\n' >"$work/file"
	feed "from a file" "$work/file" </dev/null
	feed "from a file, with an option behind" "$work/file" -c </dev/null
	printf '*filter\n:INPUT DROP [0:0]\n-A INPUT -p icmpv6 -j ACCEPT\n-A INPUT -s 2001:db8::/32 -p tcp --dport 1:2 -j REJECT\nCOMMIT\n' >"$work/in"
	same "ip6tables-restore" ip6tables -restore
	: >"$work/in"
	same "ip6tables-save" ip6tables -save -c
	same "ip6tables -L" ip6tables "" -L -n -v -x --line-numbers
}

commands() {
	base
	cmd -A INPUT -p udp --dport 53 -j ACCEPT
	cmd -I INPUT 2 -p udp --dport 54 -m comment --comment "-A it" -j ACCEPT
	cmd -C INPUT -p udp --dport 53 -j ACCEPT
	cmd -C INPUT -p udp -m udp --dport 53 -j ACCEPT
	cmd -C INPUT -p udp --dport 55 -j ACCEPT
	cmd -R INPUT 2 -s 10.0.0.5/255.255.0.0 -p tcp --syn -j REJECT
	cmd -D INPUT 2
	cmd -D INPUT -p udp --dport 53 -j ACCEPT
	cmd -D INPUT -p udp --dport 53 -j ACCEPT
	cmd -I INPUT 99 -j ACCEPT
	cmd -D INPUT 99
	cmd -R INPUT 99 -j ACCEPT
	cmd -N FOO
	cmd -N NEW
	cmd -N "$(printf 'x%.0s' {1..40})"
	cmd -E NEW OTHER
	cmd -X NOSUCH
	cmd -X FOO
	cmd -X OTHER
	cmd -P FORWARD DROP
	cmd -P FOO DROP
	cmd -F NOSUCH
	cmd -t bogus -L
	cmd -t nat -A POSTROUTING -o eth0 -j MASQUERADE
	cmd -A INPUT -o eth0 -j ACCEPT
	cmd -A INPUT -i abcdefghijklmnopqrst -j ACCEPT
	cmd -A INPUT -j LOG --log-prefix "a prefix that is longer than it may be"
	cmd -A INPUT -m limit --limit 60/minute -s 1.2.3.4,1.2.3.5 -j LOG --log-level info
	cmd -A INPUT
	cmd -A
	cmd
	cmd -A INPUT -j
	cmd -Q
	cmd --bogus
	cmd -V
	cmd --version
	cmd -h
	cmd -p tcp -h
	cmd -w -L INPUT -n
	cmd -w10 -S
	cmd -W 5 -L -n
	cmd -L FOO
	cmd -n -L FOO
	cmd -L NOSUCH -n
	cmd -S NOSUCH
	cmd -S
	cmd -S INPUT 1
	cmd -S -v
	cmd -n -v -x -L
	cmd -L INPUT -n -v --line-numbers
	cmd -L INPUT 1 -n
	cmd -L -n -Z
	cmd -L INPUT -n -v -x -Z
	cmd -Z INPUT 1
	cmd -Z FOO
	cmd -F FOO
	cmd -F
	cmd -X
	for o in "" -c "-t filter" "-t nat -c" "-t bogus" "--counters" -d -b -V -h --bogus "-f $work/saved" "-M x"; do
		# shellcheck disable=SC2086
		same "save $o" iptables -save $o
	done
}

for personality in nf_tables legacy; do
	kind=nft
	[ $personality = legacy ] && kind=legacy
	restores
	commands
	for n in a b; do
		for f in iptables ip6tables; do
			in_ns $n $f-$kind -F && in_ns $n $f-$kind -P INPUT ACCEPT && in_ns $n $f-$kind -P FORWARD ACCEPT
		done
	done
done 2>"$work/stray"
[ ! -s "$work/stray" ] || fail "the test itself said: $(cat "$work/stray")"
done_testing

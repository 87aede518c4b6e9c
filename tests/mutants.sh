#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Break it to prove it: each mutant is one wrong line in a copy of the tree, and one of the checks must see it.
# The lists are tests/mutants/*.mutants:
#   mutant NAME        of a line that is wrong,
#   what   TEXT        what that means for packets,
#   file   PATH        where it stands,
#   CHECK …            what should see it, the cheapest first (below),
#   quick              also tried by make check,
#   --- old, --- new, --- end    around the texts; old must stand in the file exactly once, or the list is out of date.
# Checks:
#   second [FILE…]     rules as we lower them against an interpreter of the rules as read (tests/tools/second.c)
#   kernel BACKEND SITE FILE…    netfilter against us with these rules of tests/mutants (tests/tools/kernelcheck.c)
#   packets NAME       one file of packet cases (tests/packets.sh)
#   campaign           a few random rulesets
#   e2e NAME           an end-to-end test
#   unit NAME          a unit test: only where no packet can tell, with the reason in "what"
# All packet cases and the campaign are tried in any case before a mutant is said to survive.  First all checks are run on
# the tree as it is: they must pass.
#   MUTANTS="NAME…" tests/mutants.sh      some (patterns); QUICK=1: those of make check; NAMED=1: only the checks named
set -u
cd "$(dirname "$0")/.."
if [ "$(id -u)" != 0 ]; then
	echo "needs root for network namespaces"
	exit 77
fi
here=$PWD
build=${BUILD:-build}
copy=${MUTANTS_DIR:-build-mutants}
names=() # in order
declare -A what path checks old new quick

die() { echo "mutants: $*" >&2; exit 2; }

read_list() { # FILE
	local line word rest name= in= text=
	while IFS= read -r line || [ -n "$line" ]; do
		if [ -n "$in" ]; then
			case $line in
			"--- new" | "--- end")
				[ "$in" = old ] && old[$name]=${text%$'\n'} || new[$name]=${text%$'\n'}
				in= text=
				[ "$line" = "--- new" ] && in=new
				;;
			*) text+=$line$'\n' ;;
			esac
			continue
		fi
		read -r word rest <<<"$line"
		case $word in
		"" | "#"*) ;;
		mutant)
			name=$rest
			[ -z "${what[$name]+x}" ] || die "$1: two mutants $name"
			names+=("$name") what[$name]= checks[$name]= quick[$name]=
			;;
		what) what[$name]+="${what[$name]:+ }$rest" ;;
		file) path[$name]=$rest ;;
		quick) quick[$name]=1 ;;
		second | kernel | packets | campaign | e2e | unit) checks[$name]+="$word $rest"$'\n' ;;
		---) [ "$rest" = old ] || die "$1: $line"; in=old ;;
		*) die "$1: what is \"$line\"?" ;;
		esac
	done <"$1"
	[ -z "$in" ] || die "$1: the last mutant has no end"
}

chosen() { # NAME
	local p
	[ -z "${QUICK:-}" ] || [ -n "${quick[$1]}" ] || return 1
	[ -n "${MUTANTS:-}" ] || return 0
	for p in $MUTANTS; do
		# shellcheck disable=SC2053
		[[ $1 == $p ]] && return 0
	done
	return 1
}

# The targets of make that a check needs.
needs() { # CHECK…
	case $1 in
	second) echo "$build/tests/second" ;;
	kernel | campaign) echo "$build/tests/kernelcheck" ;;
	packets) echo "all $build/tests/oracle $build/tests/topcap" ;;
	e2e) echo "all tools" ;;
	unit) echo "$build/tests/test_$2" ;;
	esac
}

# What a failure of make says is in ./log.  Only what a mutant touches is compiled: not optimised much.
compile() { # CHECK…
	# shellcheck disable=SC2046
	make --no-print-directory BUILD="$build" CC="${CC:-gcc}" CFLAGS=-O1 $(needs "$@") >log 2>&1
}

# Puts the text in place of the file's, and back; with its object, so that it is not compiled again.
mutate() { # FILE TEXT
	object=
	cp -p "$1" saved
	[[ $1 == *.c && -f $build/${1%.c}.o ]] && object=$build/${1%.c}.o && cp -p "$object" saved.o
	put_text "$2" "$1"
}

restore() { # FILE
	if [ -n "$object" ]; then
		cp -p saved "$1" && cp -p saved.o "$object"
		# What was linked with the other object is older than this one.
		rm -f "$build/libnf2bpf.a"
	else
		cat saved >"$1"
	fi
}

# 0: passed.
run_check() { # CHECK…
	local kind=$1 f args=()
	shift
	case $kind in
	second)
		[ $# -gt 0 ] || set -- $(cd tests/mutants && echo *.v4 *.v6 *.nft)
		for f in "$@"; do args+=("tests/mutants/$f"); done
		timeout 300 "$build/tests/second" --packets 3000 "${args[@]}"
		;;
	kernel)
		for f in "${@:3}"; do args+=(--file "tests/mutants/$f"); done
		timeout 120 "$build/tests/kernelcheck" --no-shrink --quiet --packets 2000 --backend "$1" --site "$2" "${args[@]}" &&
			grep -q "0 refused, 0 lines taken out" out
		;;
	campaign) timeout 300 "$build/tests/kernelcheck" --no-shrink --quiet --packets 1000 --rulesets 18 --seed 1 ;;
	packets) BUILD=$build timeout 300 tests/packets.sh "tests/packets/$1.cases" ;;
	e2e) BUILD=$build timeout 300 bash "tests/e2e/$1.sh" ;;
	unit) timeout 300 "$build/tests/test_$1" ;;
	esac >out 2>&1 </dev/null
}

count_in() { # TEXT PATTERN: how often
	local rest=$1 n=0
	while [[ $rest == *"$2"* ]]; do
		rest=${rest#*"$2"}
		n=$((n + 1))
	done
	echo $n
}

# Stands for the text of a file with its last newlines.
slurp() { text=$(cat "$1" && echo .) && text=${text%.}; }

put_text() { printf '%s' "$1" >"$2"; }

last_resort() {
	printf '%s\n' second campaign
	local f
	for f in tests/packets/*.cases; do
		f=${f##*/}
		echo "packets ${f%.cases}"
	done
}

try_checks() { # NAME: sets caught and tried
	local name=$1 list check rc
	list="${checks[$name]}"
	[ -n "${QUICK:-}${NAMED:-}" ] || list+=$(last_resort)
	caught= tried=
	# Unit tests come last.
	list=$(grep -v '^unit' <<<"$list"; grep '^unit' <<<"$list")
	while read -r check; do
		[ -n "$check" ] || continue
		[[ " $tried, " == *" $check, "* ]] && continue
		# shellcheck disable=SC2086
		compile $check || { caught=broken; return; }
		# shellcheck disable=SC2086
		run_check $check
		rc=$?
		tried+="${tried:+,} $check"
		case $rc in
		0) ;;
		2 | 77 | 124 | 126 | 127) [ "$rc" = 124 ] && caught="$check (no end)" && return; caught=broken; return ;;
		*) caught=$check; return ;;
		esac
	done <<<"$list"
}

make_copy() {
	rm -rf "$copy"
	mkdir -p "$copy"
	{ git ls-files -co --exclude-standard 2>/dev/null || find . -type f -not -path './build*' -not -path './.git/*'; } |
		sort -u | while IFS= read -r f; do [ ! -f "$f" ] || printf '%s\0' "$f"; done | xargs -0 cp -a --parents -t "$copy"
	# What is built already is not built again: names are relative, times are kept.
	[ ! -d "$build" ] || cp -a --parents "$build" "$copy"
	for f in nf2bpf nf2bpfd; do [ ! -e $f ] || cp -a $f "$copy"; done
}

check_baseline() { # NAMES…
	local name check
	for name in "$@"; do printf '%s' "${checks[$name]}"; done | sort -u >checks
	while read -r check; do
		# shellcheck disable=SC2086
		compile $check || { tail -n 20 log; die "\"$check\" does not build"; }
		# shellcheck disable=SC2086
		run_check $check || { tail -n 20 out; die "\"$check\" fails without any mutant"; }
	done <checks
}

for f in tests/mutants/*.mutants; do read_list "$f"; done
list=()
for name in "${names[@]}"; do
	[ -n "${path[$name]:-}" ] && [ -n "${old[$name]:-}" ] && [ -n "${new[$name]+x}" ] || die "$name: no file, old or new"
	[ -n "${checks[$name]}" ] || die "$name: no check"
	slurp "${path[$name]}" || die "$name: no file ${path[$name]}"
	n=$(count_in "$text" "${old[$name]}")
	[ "$n" = 1 ] || die "$name: its old text stands $n times in ${path[$name]}, not once"
	[ "${old[$name]}" != "${new[$name]}" ] || die "$name changes nothing"
	if chosen "$name"; then list+=("$name"); fi
done
[ ${#list[@]} -gt 0 ] || die "no such mutant"
make_copy
cd "$copy" || die "no directory $copy"
trap 'rm -rf "$here/$copy"' EXIT
start=$SECONDS
check_baseline "${list[@]}"
printf 'the tree as it is passes %d checks, %d s\n' "$(wc -l <checks)" $((SECONDS - start))
survived=0 broken=0 at=0
rows=()
for name in "${list[@]}"; do
	at=$((at + 1))
	slurp "${path[$name]}"
	before=$text
	mutate "${path[$name]}" "${before/"${old[$name]}"/"${new[$name]}"}"
	try_checks "$name"
	case $caught in
	"") result=SURVIVED && survived=$((survived + 1)) && tried="after$tried" ;;
	broken) result="ERROR" && broken=$((broken + 1)) && cat log out 2>/dev/null | tail -n 15 ;;
	*) result="caught by $caught" ;;
	esac
	restore "${path[$name]}"
	printf '%3d/%d  %-24s %s\n' $at ${#list[@]} "$name" "$result"
	rows+=("$(printf '%-24s %-34s %-58s %s' "$name" "${path[$name]#translator/}" "${result#caught by }" "${what[$name]}")")
done
printf '\n%-24s %-34s %-58s %s\n' MUTANT FILE "CAUGHT BY" "WHAT IS WRONG"
printf '%s\n' "${rows[@]}"
printf '%d mutants, %d survived, %d errors, %d s\n' ${#list[@]} $survived $broken $((SECONDS - start))
[ $survived = 0 ] && [ $broken = 0 ]

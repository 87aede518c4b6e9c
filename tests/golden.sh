#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# One golden directory: in.save, in.v6.save or in.nft, and want.STAGE: what nf2bpf dump --stage=STAGE says of it for
# xdp; want.nf.STAGE: at the netfilter hook.  Writes got.* beside want.* where they differ: a person reads it against
# the rules before it becomes the new want.  The verdicts are in tests/packets.
set -u
dir=${1%/}
in=$(ls "$dir"/in.* | head -n 1)
rc=0
if [[ $in == *.nft && $(id -u) != 0 ]]; then
	echo "nft files are read by the kernel, in a network namespace of our own: needs root"
	exit 77
fi
for want in "$dir"/want.*; do
	stage=${want##*.}
	site=xdp
	[[ $want != *.nf.* ]] || site=nf
	got=${want/want./got.}
	if ! ./nf2bpf dump --stage="$stage" --site=$site "$in" >"$got" 2>&1; then
		cat "$got"
		rc=1
	fi
	# How often the kernel was told something, and the numbers that it gives things, are not the rules' own.
	sed -i -E 's/generation([= ])[0-9]+/generation\1N/; s/handle([= ])[0-9]+/handle\1N/g; s|file="[^"]*/|file="|' "$got"
	if diff -u "$want" "$got"; then rm -f "$got"; else rc=1; fi
done
exit $rc

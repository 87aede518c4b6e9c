#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# One golden directory: in.save or in.nft; want.STAGE texts; packets: a pcap-less list of frames with the
# verdict that a person wrote from the documentation.  Writes got.* beside want.* when they differ.
set -u
dir=${1%/}
in=$(ls "$dir"/in.* | head -n 1)
rc=0
for want in "$dir"/want.*; do
	stage=${want##*.}
	got=$dir/got.$stage
	if ! ./nf2bpf dump --stage="$stage" "$in" >"$got" 2>&1; then
		cat "$got"
		rc=1
	fi
	if diff -u "$want" "$got"; then rm -f "$got"; else rc=1; fi
done
exit $rc

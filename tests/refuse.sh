#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# One refusal: in.* must give exactly want.err on standard error, with the exit code in want.code.
set -u
dir=${1%/}
in=$(ls "$dir"/in.* | head -n 1)
got=$(./nf2bpf check "$in" 2>&1 >/dev/null)
code=$?
got=${got//$dir\//}
rc=0
diff -u "$dir/want.err" <(printf '%s\n' "$got") || rc=1
[ "$code" = "$(cat "$dir/want.code")" ] || { echo "exit code $code, wanted $(cat "$dir/want.code")"; rc=1; }
exit $rc

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The page of nf2bpf check --html in a real browser: it opens without a word on the console, shows what the JSON says,
# and filters.  Needs a Chromium without a window (Debian: chromium-shell or chromium).
. "$(dirname "$0")/lib.sh.inc"
for browser in chromium-headless-shell chromium-shell chromium; do
	command -v "$browser" >/dev/null && break
	browser=
done
if [ -z "$browser" ]; then
	echo "no Chromium to open the page with (apt-get install chromium-shell)"
	exit 77
fi
rules=tests/rules/ufw.v4
printf '*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m comment --comment "</script><b>x" -s 10.0.0.0/8 -j DROP\nCOMMIT\n' >"$work/evil.v4"
open_page() { # file: the document after its scripts have run
	timeout 120 "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$work/profile" --virtual-time-budget=3000 \
		--enable-logging=stderr --dump-dom "file://$1" 2>"$work/console"
}
./nf2bpf check --html="$work/page.html" $rules >/dev/null
dom=$(open_page "$work/page.html")
n=$(./nf2bpf check --json $rules | /usr/bin/python3 -c 'import json, sys; print(len(json.load(sys.stdin)["rules"]))')
expect "no word on the console" 0 "$(grep -c 'CONSOLE' "$work/console")"
expect_match "all rules" ">$n of $n rules<" "$dom"
expect "a row for each" "$n" "$(grep -o '<td data-name="chain">' <<<"$dom" | wc -l)"
expect "nothing from elsewhere" 0 "$(grep -cE '(src|href)="(https?:)?//' "$work/page.html")"

# A person types: the same events, by a script at the end of the page.
sed 's|</body>|<script>const s = document.getElementById("search"); s.value = "ufw-user-input"; s.dispatchEvent(new Event("input"));</script></body>|' \
	"$work/page.html" >"$work/typed.html"
want=$(./nf2bpf check $rules | grep -c 'legacy ip filter.*ufw-user-input')
expect_match "filtered by words" ">$want of $n rules<" "$(open_page "$work/typed.html")"
sed 's|</body>|<script>const p = document.getElementById("place"); p.value = "kernel"; p.dispatchEvent(new Event("input"));</script></body>|' \
	"$work/page.html" >"$work/placed.html"
want=$(./nf2bpf check --json $rules | grep -c '"where": "kernel"')
expect_match "filtered by place" ">$want of $n rules<" "$(open_page "$work/placed.html")"

./nf2bpf check --html=- "$work/evil.v4" >"$work/evil.html"
dom=$(open_page "$work/evil.html")
expect_match "a comment is text" '&lt;/script&gt;&lt;b&gt;x' "$dom"
expect "and no element" 0 "$(grep -c '<b>x' <<<"$dom")"
done_testing

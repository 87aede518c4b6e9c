#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Real firewall programs in two namespaces: started, changed, reloaded and stopped, one namespace with nf2bpfd, one without.  After each
# step the same packets must get the same verdicts, and the tools must show the same rules (without counters; legacy tables with them).
# The programs have /etc, /run and their part of /var to themselves.  What is not installed is named: ufw, fail2ban, firewalld, docker.
. "$(dirname "$0")/lib.sh.inc"
[ -n "${FIREWALLS:-}" ] || { echo "some minutes: make check-firewalls"; exit 77; }
tried=0 probed=0 keepers=()

# A mount namespace in network namespace $1, with copies where programs write; stays until its keeper goes.
cell_mounts() {
	mount -t tmpfs tmpfs /mnt && cp -a /etc /mnt/etc && mount --bind /mnt/etc /etc
	mkdir /mnt/lib /mnt/work && mount -t overlay overlay -o lowerdir=/var/lib,upperdir=/mnt/lib,workdir=/mnt/work /var/lib || return 1
	mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/log || return 1
	for name in iptables iptables-restore iptables-save ip6tables ip6tables-restore ip6tables-save; do
		ln -sf "/usr/sbin/${name/tables/tables-$1}" "/etc/alternatives/$name"
	done
	mkdir -p /run/dbus
}
export -f cell_mounts
cell() { # name flavour
	host "$1"
	nsenter --net="/run/netns/$tag-$1" unshare -m --propagation private bash -c "cell_mounts $2 || exit 1; touch '$work/$1.up'; exec sleep 3000" &
	keepers+=($!)
	daemons+=($!)
	local i
	for i in $(seq 100); do [ -e "$work/$1.up" ] && break; sleep 0.05; done
	[ -e "$work/$1.up" ] || fail "cell $1"
	printf -v "keeper_$1" %s "$!"
}
inside() { # name command…
	local keeper=keeper_$1
	shift
	nsenter -t "${!keeper}" -m -n -- "$@"
}
both() { inside a "$@" >"$work/out.a" 2>&1 & local p=$!; inside b "$@" >"$work/out.b" 2>&1; local rc=$?; wait $p && return $rc; }

views() { # name
	local command
	for command in 'iptables-legacy-save -c' 'ip6tables-legacy-save -c' iptables-nft-save ip6tables-nft-save 'nft list ruleset' 'ipset list'; do
		# shellcheck disable=SC2086
		inside "$1" $command 2>/dev/null
	done
}
normal() { grep -v '^#' | sed -E '/^\s*flags dormant;?$/d; /^\s*$/d; s/packets [0-9]+ bytes [0-9]+/packets N bytes N/; s/ \[[0-9]+:[0-9]+\]$//; s/timeout [0-9]+/timeout N/; s/expires [0-9a-z]+/expires N/; s/0x[0-9a-f]{8}/0xN/'; }
probes() { # name: lines of what was sent and what became of it
	local proto source port
	while read -r proto source port; do
		echo "$proto $source $port $(probe "$1" "$proto" "$source" 10.9.0.1 $port)"
	done <<-'P'
		tcp 10.9.0.7 22
		tcp 10.9.0.7 80
		tcp 10.9.0.7 8080
		udp 10.9.0.7 53
		tcp 198.51.100.7 22
		tcp 198.51.100.9 80
		udp 203.0.113.5 5353
		icmp 10.9.0.7
	P
}
settled() { # the rules are those of the programs, or there is nothing to accelerate: 5 s
	local i
	for i in $(seq 50); do
		sleep 0.1
		tool a nf2bpf status 2>/dev/null | grep -qE 'stale|behind' || return 0
	done
}
same() { # what
	local p
	[ "$failures" -lt 5 ] || return 0
	settled
	probes a >"$work/probes.a" &
	p=$!
	probes b >"$work/probes.b"
	wait $p
	probed=$((probed + $(wc -l <"$work/probes.a")))
	diff "$work/probes.b" "$work/probes.a" >"$work/diff" || { fail "$title: $1: verdicts (< without, > with nf2bpfd)"; cat "$work/diff"; }
	sleep 1.5 # legacy counters are topped up within a second
	views a >"$work/raw"
	grep -q 'flags dormant' "$work/raw" && slept=$((slept + 1))
	normal <"$work/raw" >"$work/views.a"
	views b | normal >"$work/views.b"
	diff "$work/views.b" "$work/views.a" >"$work/diff" || { fail "$title: $1: views (< without, > with nf2bpfd)"; head -20 "$work/diff"; }
	printf '  %-44s %s dropped of %s\n' "$1" "$(grep -c dropped "$work/probes.a")" "$(wc -l <"$work/probes.a")"
}
step() { # what command…: in both, then compared
	local what=$1
	shift
	both "$@" || { fail "$title: $what"; tail -5 "$work/out.a" "$work/out.b"; }
	same "$what"
}
at_xdp() { in_ns a ethtool -S eth0 2>/dev/null | sed -n 's/.*rx_queue_.*_xdp_drops: //p' | python3 -c 'import sys; print(sum(map(int, sys.stdin)))'; }
begin() { # title flavour mode
	title=$1
	tried=$((tried + 1))
	rm -f "$work"/*.up
	cell a "$2"
	cell b "$2"
	./nf2bpfd --netns "$tag-a" --state-dir "$work" --mode="${3:-assist}" >"$work/log" 2>&1 &
	follower=$!
	daemons+=($follower)
	slept=0
	echo "$title"
}
finish() {
	echo "  dropped at XDP: $(at_xdp); steps with a table taken over: $slept; installed $(grep -c event=installed "$work/log"), refused $(grep -c event=refused "$work/log")"
	kill -0 $follower || fail "$title: the daemon is gone"
	[ "$failures" = 0 ] || grep -v event=trial "$work/log" | tail -5
	kill $follower
	wait $follower 2>/dev/null
	./nf2bpf off --netns "$tag-a" --state-dir "$work" >/dev/null 2>&1
	kill "${keepers[@]}"
	wait "${keepers[@]}" 2>/dev/null
	keepers=()
	local one
	for one in a b; do # what the firewalls have left behind
		kill -9 $(ip netns pids "$tag-$one") 2>/dev/null
		ip -n "$tag-w" link del "${one}0"
		ip netns del "$tag-$one"
	done
	rm -f "$work"/*.json "$work"/state*
}
have() { command -v "$1" >/dev/null || { echo "$1: not installed"; return 1; }; }
wanted() { [ "${ONLY:-$1}" = "$1" ]; }

firewall_ufw() { # flavour mode
	begin "ufw, iptables-$1, $2" "$1" "$2"
	both sed -i 's/^IPV6=.*/IPV6=yes/' /etc/default/ufw
	both ufw logging "$3"
	step "enable" ufw --force enable
	step "allow 22" ufw allow 22/tcp
	step "deny from" ufw insert 1 deny from 198.51.100.0/24
	step "limit 80" ufw limit 80/tcp
	step "allow to" ufw allow proto udp from 10.9.0.0/24 to any port 53
	step "reload" ufw reload
	step "delete" ufw delete deny from 198.51.100.0/24
	step "default allow" ufw default allow incoming
	step "disable" ufw --force disable
	finish
}

firewall_fail2ban() { # flavour action mode
	begin "fail2ban, $2, $3" "$1" "$3"
	both bash -c "mkdir -p /run/fail2ban; echo >/var/log/test.log; rm -f /etc/fail2ban/jail.d/*
		printf '[test]\nenabled = true\nfilter = sshd\nbackend = polling\nlogpath = /var/log/test.log\nport = 22,80\nbanaction = $2\nbantime = 1h\n' >/etc/fail2ban/jail.d/test.local
		printf '[Init]\nblocktype = DROP\n' >/etc/fail2ban/action.d/iptables.local
		printf '[Init]\nblocktype = drop\n' >/etc/fail2ban/action.d/nftables.local
		printf '[DEFAULT]\nallowipv6 = no\n' >/etc/fail2ban/fail2ban.local"
	step "start" fail2ban-client -x start
	step "ban" fail2ban-client set test banip 198.51.100.7
	step "ban more" fail2ban-client set test banip 198.51.100.9 203.0.113.5 10.9.0.7
	step "unban" fail2ban-client set test unbanip 10.9.0.7
	step "reload" fail2ban-client reload
	step "restart" fail2ban-client restart test
	step "stop" fail2ban-client stop
	finish
}

firewall_firewalld() { # backend flavour mode
	begin "firewalld, $1, $3" "$2" "$3"
	both sed -i "s/^FirewallBackend=.*/FirewallBackend=$1/" /etc/firewalld/firewalld.conf
	both dbus-daemon --system --fork
	inside a firewalld --nofork --nopid >"$work/firewalld.a" 2>&1 &
	local one=$!
	inside b firewalld --nofork --nopid >"$work/firewalld.b" 2>&1 &
	local two=$! i
	daemons+=($one $two)
	for i in $(seq 100); do both firewall-cmd --state && break; sleep 0.3; done
	grep -q running "$work/out.a" || { fail "$title: does not start"; cat "$work/out.a" "$work/firewalld.a"; }
	same "start"
	step "interface" firewall-cmd --zone=public --add-interface=eth0
	step "service http" firewall-cmd --add-service=http
	step "rich rule" firewall-cmd --add-rich-rule='rule family="ipv4" source address="198.51.100.0/24" drop'
	step "permanent" firewall-cmd --permanent --add-port=8080/tcp
	step "drop zone" firewall-cmd --permanent --zone=drop --add-source=203.0.113.0/24
	step "reload" firewall-cmd --reload
	step "an ipset" bash -c 'firewall-cmd --permanent --new-ipset=bad --type=hash:ip && firewall-cmd --permanent --ipset=bad --add-entry=198.51.100.9 &&
		firewall-cmd --permanent --zone=drop --add-source=ipset:bad && firewall-cmd --reload'
	step "panic on" firewall-cmd --panic-on
	step "panic off" firewall-cmd --panic-off
	kill $one $two
	wait $one $two 2>/dev/null
	same "stop"
	both bash -c 'kill $(cat /run/dbus/pid 2>/dev/null) 2>/dev/null; true'
	finish
}

docker_start() {
	inside a dockerd --storage-driver=vfs --pidfile=/run/docker.pid >"$work/dockerd.a" 2>&1 &
	dockers=$!
	inside b dockerd --storage-driver=vfs --pidfile=/run/docker.pid >"$work/dockerd.b" 2>&1 &
	dockers="$dockers $!"
	daemons+=($dockers)
	local i
	for i in $(seq 60); do both docker version && return 0; sleep 0.5; done
	return 1
}
docker_stop() {
	kill $dockers 2>/dev/null
	wait $dockers 2>/dev/null
}
firewall_docker() { # flavour
	begin "docker, iptables-$1, $2" "$1" "$2"
	if ! docker_start; then
		echo "  dockerd does not run here: $(tail -n 1 "$work/dockerd.a")"
		docker_stop
		finish
		return
	fi
	same "start"
	step "network create" docker network create --subnet=172.30.0.0/24 -o com.docker.network.bridge.name=br-test test
	step "internal network" docker network create --internal --subnet=172.31.0.0/24 -o com.docker.network.bridge.name=br-in inner
	step "a drop in DOCKER-USER" iptables -I DOCKER-USER -s 198.51.100.0/24 -j DROP
	step "and in INPUT" iptables -I INPUT -s 198.51.100.0/24 -j DROP
	docker_stop
	docker_start || fail "$title: does not start again"
	same "restart"
	step "network rm" docker network rm test
	docker_stop
	same "stop"
	finish
}

if wanted ufw && have ufw; then
	firewall_ufw legacy assist low
	firewall_ufw nft assist off
	firewall_ufw nft takeover off
fi
if wanted fail2ban && have fail2ban-client; then
	firewall_fail2ban legacy iptables-multiport assist
	firewall_fail2ban nft iptables-multiport takeover
	firewall_fail2ban nft nftables-multiport assist
	firewall_fail2ban nft nftables-multiport takeover
fi
if wanted firewalld && have firewalld; then
	firewall_firewalld nftables nft assist
	firewall_firewalld nftables nft takeover
	firewall_firewalld iptables legacy assist
	firewall_firewalld iptables nft assist
fi
if wanted docker && have dockerd; then
	firewall_docker legacy assist
	firewall_docker nft assist
fi
[ $tried != 0 ] || { echo "none of ufw, fail2ban, firewalld, docker is installed"; exit 77; }
echo "$probed packets judged with and without us"
done_testing

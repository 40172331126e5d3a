#!/usr/bin/env bash
# A real Kubernetes of several nodes on one machine, without systemd, Docker or a registry.
#
#   cluster.sh NAME up [N]          start, or leave as it is if it runs
#   cluster.sh NAME down            end it and take everything away
#   cluster.sh NAME kubeconfig      print the path of the administrator's kubeconfig
#   cluster.sh NAME load TAR...     import image archives on every node
#   cluster.sh NAME sh NODE CMD...  run a command in a node's namespaces
#   cluster.sh NAME nodes           print the names of the nodes
#   cluster.sh NAME node-off NODE   as a power failure; node-on NODE ends it
#   cluster.sh NAME stand-in CMD... run a program that plays a node and its pods, as it were on a machine of its
#                                   own; it is told the node's address and the first of its pods'
#
# NAME is `demo` or `test`; each has networks and names of its own, so both can run at once. A node is a
# set of namespaces (network, mount, pid, uts) with its own containerd, kubelet and kube-proxy; see
# docs/local-kubernetes.md. Nothing listens outside these namespaces.
. "$(dirname "$0")/../setup/common.sh"

NAME=${1:?demo or test} COMMAND=${2:-help}
shift $(($# < 2 ? $# : 2))
case $NAME in
demo) NET=172.30.0 PODS=10.244 SERVICES=10.96 ;;
test) NET=172.31.0 PODS=10.245 SERVICES=10.97 ;;
*) echo "unknown cluster $NAME: demo or test" && exit 2 ;;
esac
NODES=${NODES:-3}
DIR=${DQLITE_CLUSTER_DIR:-/var/tmp/dqlite-operator}/$NAME
API=$NET.1 NS=dq-$NAME PKI=$DIR/pki
BIN=$("$ROOT/e2e/setup/tools.sh" --path)
SYSTEM_IMAGES=$("$ROOT/e2e/setup/system-images.sh" --path)
export PATH=$BIN:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

. "$ROOT/e2e/local/pki.sh"
. "$ROOT/e2e/local/control-plane.sh"
. "$ROOT/e2e/local/node.sh"

k() { kubectl --kubeconfig "$PKI/admin.kubeconfig" "$@"; }

# Starts a program that outlives this script, and notes its process id.
background() {
	local name=$1
	shift
	setsid "$@" >"$DIR/log/$name.log" 2>&1 </dev/null 9>&- &
	echo $! >"$DIR/$name.pid"
}

# Ends a program by the id that was noted, if that id is still the same program's.
stop() {
	local file=$DIR/$1.pid pid
	[ -f "$file" ] || return 0
	pid=$(cat "$file")
	rm -f "$file"
	grep -qs "$DIR\|$BIN" "/proc/$pid/cmdline" || return 0
	kill -KILL "$pid" 2>/dev/null || true
}

alive() { [ -f "$DIR/$1.pid" ] && [ -d "/proc/$(cat "$DIR/$1.pid")" ]; }

network_up() { # one bridge for all; this machine is a host on it, and reaches every pod
	local i j n
	ip netns add "$NS"
	ip -n "$NS" link set lo up
	ip -n "$NS" link add br0 type bridge
	ip -n "$NS" addr add "$API/24" dev br0
	ip -n "$NS" link set br0 up
	ip link add "$NS" type veth peer name root netns "$NS"
	ip -n "$NS" link set root master br0 up
	ip addr add "$NET.254/24" dev "$NS"
	ip link set "$NS" up
	# Services answer on every node; this machine goes through the first.
	ip route add "$SERVICES.0.0/16" via "$NET.11"
	for i in $(seq "$NODES"); do
		n=$NS-n$i
		attach "$n" "v$i" "$NET.1$i"
		ip netns exec "$n" sysctl -qw net.ipv4.ip_forward=1
		ip route add "$PODS.$i.0/24" via "$NET.1$i"
		ip -n "$NS" route add "$PODS.$i.0/24" via "$NET.1$i"
		for j in $(seq "$NODES"); do
			[ "$j" = "$i" ] || ip -n "$n" route add "$PODS.$j.0/24" via "$NET.1$j"
		done
	done
}

attach() { # NAMESPACE LINK ADDRESS: a machine on the bridge
	ip netns add "$1"
	ip -n "$NS" link add "$2" type veth peer name eth0 netns "$1"
	ip -n "$NS" link set "$2" master br0 up
	ip -n "$1" link set lo up
	ip -n "$1" addr add "$3/24" dev eth0
	ip -n "$1" link set eth0 up
	ip -n "$1" route add default via "$API"
}

# Every address of the pods is the program's own, so that it may listen for all of them.
stand_in() {
	local n=$NS-stand-in address=$NET.99 pods=$PODS.128.0/17 i
	if ! [ -e "/run/netns/$n" ]; then
		attach "$n" stand-in "$address"
		ip -n "$n" route add local "$pods" dev lo
		for i in $(seq "$NODES"); do
			ip -n "$NS-n$i" route add "$pods" via "$address"
			ip -n "$n" route add "$PODS.$i.0/24" via "$NET.1$i"
		done
	fi
	exec nsenter "--net=/run/netns/$n" "$@" "$address" "$PODS.128.1"
}

network_down() {
	local i
	for i in n{1..9} stand-in; do ip netns del "$NS-$i" 2>/dev/null || true; done
	ip link del "$NS" 2>/dev/null || true
	ip netns del "$NS" 2>/dev/null || true
}

ready_nodes() { k get nodes --no-headers 2>/dev/null | grep -c ' Ready ' || true; }

wait_for() { # SECONDS TEXT COMMAND...
	local end=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || { echo "waited in vain for: $what (logs in $DIR/log)"; return 1; }
		sleep 0.3
	done
}

all_nodes_ready() { [ "$(ready_nodes)" = "$NODES" ]; }

up() {
	local i
	if alive apiserver && all_nodes_ready; then
		return 0
	fi
	down
	mkdir -p "$DIR/log" "$DIR/etcd"
	echo "nameserver $API" >"$DIR/resolv.conf"
	make_pki
	network_up
	control_plane_up
	for i in $(seq "$NODES"); do node_on "$i"; done
	wait_for 120 "$NODES nodes ready" all_nodes_ready
	sed "s/@SERVICES@/$SERVICES/" "$ROOT/e2e/local/addons.yaml" | k apply -f -
	k -n kube-system rollout status deployment/coredns --timeout=120s
	k -n local-path-storage rollout status deployment/local-path-provisioner --timeout=120s
}

down() {
	local i
	for i in $(seq 9); do node_off "$i"; done
	control_plane_down
	sleep 0.5
	network_down
	sweep_cgroups "$NS-n[1-9]"
	rm -rf "$DIR"
}

load() {
	local i tar
	for i in $(seq "$NODES"); do
		for tar in "$@"; do
			in_node "$i" ctr -n k8s.io images import - <"$tar" >/dev/null &
		done
	done
	wait
}

case $COMMAND in
up)
	NODES=${1:-$NODES}
	up
	;;
down) down ;;
kubeconfig) echo "$PKI/admin.kubeconfig" ;;
load) load "$@" ;;
sh)
	i=${1#n}
	shift
	in_node "$i" "$@"
	;;
stand-in) stand_in "$@" ;;
nodes) for i in $(seq "$NODES"); do echo "n$i"; done ;;
node-off) node_off "${1#n}" ;;
node-on) node_on "${1#n}" ;;
*) sed -n '2,13p' "$0" && exit 2 ;;
esac

# One node: namespaces with containerd, kube-proxy and kubelet, for cluster.sh.

# The node's init, as this machine sees it; it shares the node's namespaces.
node_pid() { pgrep -P "$(cat "$DIR/n$1.pid")" | head -1; }

in_node() { # I COMMAND...
	local i=$1
	shift
	nsenter -t "$(node_pid "$i")" -m -n -u "$@"
}

node_on() {
	! alive "n$1" || return 0
	local i=$1 dir=$DIR/n$1 cgroup
	ip -n "$NS" link set "v$i" up
	mkdir -p "$dir"/{kubelet,containerd,cni-net,cni-state,pods,containers,opt,sys,cgroup}
	sweep_cgroups "$NS-n$i"
	for cgroup in /sys/fs/cgroup/*/; do
		case $cgroup in */unified/) ;; *) mkdir -p "$cgroup$NS-n$i" ;; esac
	done
	write_cni "$i" >"$dir/10-pods.conflist"
	write_containerd >"$dir/containerd.toml"
	write_kubelet "$i" >"$dir/kubelet.yaml"
	write_kube_proxy "$i" >"$dir/kube-proxy.yaml"
	write_init "$i" >"$dir/init.sh"
	background "n$i" nsenter "--net=/run/netns/$NS-n$i" \
		unshare --mount --pid --fork --kill-child=KILL --uts --propagation private bash "$dir/init.sh"
}

# As in a power failure: the cable first, so that nothing says goodbye; then SIGKILL to the parent of the
# pid namespace, so that all of it dies at once.
node_off() {
	ip -n "$NS" link set "v$1" down 2>/dev/null || true
	stop "n$1"
}

# A node that ended leaves its cgroups; the next kubelet would lose three seconds on each.
sweep_cgroups() { # NAME-PATTERN
	local cgroup
	for cgroup in /sys/fs/cgroup/*/$1; do
		[ -d "$cgroup" ] && find "$cgroup" -depth -type d -exec rmdir {} \; 2>/dev/null || true
	done
}

write_cni() {
	cat <<-T
		{"cniVersion": "0.4.0", "name": "pods", "plugins": [
		  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true, "mtu": 1500,
		   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$PODS.$1.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
		  {"type": "portmap", "capabilities": {"portMappings": true}}]}
	T
}

# restrict_oom_score_adj: this machine may lack the right to lower it.
write_containerd() {
	cat <<-T
		version = 2
		[plugins."io.containerd.internal.v1.opt"]
		  path = "/var/lib/containerd/opt"
		[plugins."io.containerd.grpc.v1.cri"]
		  sandbox_image = "registry.k8s.io/pause:3.10"
		  restrict_oom_score_adj = true
		  disable_apparmor = true
		  [plugins."io.containerd.grpc.v1.cri".containerd]
		    snapshotter = "overlayfs"
		    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
		      runtime_type = "io.containerd.runc.v2"
		      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
		        BinaryName = "/usr/sbin/runc"
		        SystemdCgroup = false
		  [plugins."io.containerd.grpc.v1.cri".cni]
		    bin_dir = "/usr/lib/cni"
		    conf_dir = "/etc/cni/net.d"
	T
}

write_kubelet() {
	local others
	# Each node believes that the whole machine is its own: the others' share is reserved.
	others=$(awk -v n="$NODES" '/MemTotal/ { print int($2 / 1024 * n / (n + 1)) }' /proc/meminfo)
	cat <<-T
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
		cgroupDriver: cgroupfs
		cgroupRoot: /$NS-n$1
		failCgroupV1: false
		failSwapOn: false
		oomScoreAdj: 0
		maxOpenFiles: $(ulimit -Hn)
		address: $NET.1$1
		clusterDNS: [$SERVICES.0.10]
		clusterDomain: cluster.local
		resolvConf: $DIR/resolv.conf
		authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
		authorization: {mode: Webhook}
		systemReserved: {memory: ${others}Mi, cpu: 500m}
		imageGCHighThresholdPercent: 100
		evictionHard: {memory.available: 100Mi, nodefs.available: 1Gi, imagefs.available: 1Gi}
		nodeStatusUpdateFrequency: 4s
	T
}

write_kube_proxy() {
	cat <<-T
		apiVersion: kubeproxy.config.k8s.io/v1alpha1
		kind: KubeProxyConfiguration
		clientConnection: {kubeconfig: $PKI/kube-proxy.kubeconfig}
		mode: iptables
		clusterCIDR: $PODS.0.0/16
		hostnameOverride: n$1
		conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
	T
}

# Runs as process 1 of the node. The kubelet wants some kernel settings: it is shown them, and this
# machine keeps its own. Every start has a boot id of its own.
write_init() {
	local i=$1 dir=$DIR/n$1
	cat <<-T
		set -eu
		hostname n$i
		mount --make-rprivate /
		mount -t proc proc /proc
		mount --rbind /sys/fs/cgroup $dir/cgroup
		mount -t sysfs sysfs /sys
		mount --rbind $dir/cgroup /sys/fs/cgroup
		umount -l $dir/cgroup
		for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1; do
			file=$dir/sys/\$(echo \${setting%=*} | tr / _)
			echo \${setting#*=} >\$file
			mount --bind \$file /proc/sys/\${setting%=*}
		done
		cat /proc/sys/kernel/random/uuid >$dir/sys/boot_id
		mount --bind $dir/sys/boot_id /proc/sys/kernel/random/boot_id
		mount -t tmpfs tmpfs /run
		mkdir -p /run/netns /run/lock /run/containerd
		own() { mkdir -p \$2; mount --bind $dir/\$1 \$2; }
		own kubelet /var/lib/kubelet
		own containerd /var/lib/containerd
		own cni-net /etc/cni/net.d
		own cni-state /var/lib/cni
		own pods /var/log/pods
		own containers /var/log/containers
		own opt /opt
		mount --make-rshared /
		cp $dir/10-pods.conflist /etc/cni/net.d/
		containerd -c $dir/containerd.toml >$DIR/log/n$i-containerd.log 2>&1 &
		for _ in \$(seq 100); do ctr version >/dev/null 2>&1 && break; sleep 0.1; done
		for tar in $SYSTEM_IMAGES/*.tar; do
			mark=$dir/\$(basename \$tar).loaded
			[ -e \$mark ] || { ctr -n k8s.io images import \$tar && touch \$mark; }
		done
		$BIN/kube-proxy --config=$dir/kube-proxy.yaml >$DIR/log/n$i-proxy.log 2>&1 &
		# Process 1 stays this shell, which reaps what containers leave behind.
		$BIN/kubelet --config=$dir/kubelet.yaml --kubeconfig=$PKI/n$i.kubeconfig --hostname-override=n$i \
			--node-ip=$NET.1$i --node-labels=topology.kubernetes.io/zone=z$i >$DIR/log/n$i-kubelet.log 2>&1 &
		wait \$!
	T
}

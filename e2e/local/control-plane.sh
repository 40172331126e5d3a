# etcd, API server, controller manager and scheduler in one network namespace, for cluster.sh.

in_control_plane() { # NAME COMMAND...
	local name=$1
	shift
	background "$name" nsenter "--net=/run/netns/$NS" "$@"
}

control_plane_up() {
	# The data is thrown away with the cluster, so nothing waits for the disk.
	in_control_plane etcd "$BIN/etcd" --name cp --data-dir "$DIR/etcd" --unsafe-no-fsync \
		--listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
		--listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
		--initial-cluster cp=http://127.0.0.1:2380
	# No kube-proxy runs beside the API server: it goes to the pods of a Service itself.
	in_control_plane apiserver "$BIN/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
		--bind-address="$API" --advertise-address="$API" --secure-port=6443 \
		--service-cluster-ip-range="$SERVICES.0.0/16" --enable-aggregator-routing=true \
		--client-ca-file="$PKI/ca.crt" --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
		--service-account-issuer=https://kubernetes.default.svc.cluster.local \
		--service-account-key-file="$PKI/sa.pub" --service-account-signing-key-file="$PKI/sa.key" \
		--kubelet-client-certificate="$PKI/apiserver-kubelet-client.crt" \
		--kubelet-client-key="$PKI/apiserver-kubelet-client.key" --kubelet-preferred-address-types=InternalIP \
		--requestheader-client-ca-file="$PKI/front-proxy-ca.crt" --requestheader-allowed-names=front-proxy-client \
		--requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group \
		--requestheader-username-headers=X-Remote-User \
		--proxy-client-cert-file="$PKI/front-proxy-client.crt" --proxy-client-key-file="$PKI/front-proxy-client.key" \
		--authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
		--default-not-ready-toleration-seconds=20 --default-unreachable-toleration-seconds=20
	wait_for 60 "the API server" k get --raw=/readyz
	in_control_plane controller-manager "$BIN/kube-controller-manager" --kubeconfig="$PKI/controller-manager.kubeconfig" \
		--authentication-kubeconfig="$PKI/controller-manager.kubeconfig" \
		--authorization-kubeconfig="$PKI/controller-manager.kubeconfig" \
		--bind-address=127.0.0.1 --leader-elect=false --use-service-account-credentials=true \
		--service-account-private-key-file="$PKI/sa.key" --root-ca-file="$PKI/ca.crt" \
		--cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key" \
		--allocate-node-cidrs=false --cluster-cidr="$PODS.0.0/16" --node-monitor-grace-period=20s
	in_control_plane scheduler "$BIN/kube-scheduler" --kubeconfig="$PKI/scheduler.kubeconfig" \
		--authentication-kubeconfig="$PKI/scheduler.kubeconfig" --authorization-kubeconfig="$PKI/scheduler.kubeconfig" \
		--bind-address=127.0.0.1 --leader-elect=false
}

control_plane_down() {
	local p
	for p in scheduler controller-manager apiserver etcd; do stop "$p"; done
}

# Keys, certificates and kubeconfigs of a local Kubernetes, for cluster.sh.

make_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null; }

make_ca() { # NAME
	make_key "$1"
	openssl req -x509 -new -key "$1.key" -sha256 -days 3650 -subj "/CN=$1" -out "$1.crt" \
		-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature
}

make_certificate() { # NAME CA SUBJECT USAGE [SANS]
	make_key "$1"
	openssl req -new -key "$1.key" -subj "$3" |
		openssl x509 -req -CA "$2.crt" -CAkey "$2.key" -CAcreateserial -sha256 -days 3650 -out "$1.crt" -extfile <(
			printf 'basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment\n'
			printf 'extendedKeyUsage=%s\n%s\n' "$4" "${5:+subjectAltName=$5}"
		) 2>/dev/null
}

make_kubeconfig() { # NAME SUBJECT
	make_certificate "$1" ca "$2" clientAuth
	local c=(kubectl config "--kubeconfig=$1.kubeconfig")
	{
		"${c[@]}" set-cluster "$NAME" --server="https://$API:6443" --certificate-authority=ca.crt --embed-certs
		"${c[@]}" set-credentials "$1" --client-certificate="$1.crt" --client-key="$1.key" --embed-certs
		"${c[@]}" set-context "$NAME" --cluster="$NAME" --user="$1"
		"${c[@]}" use-context "$NAME"
	} >/dev/null
}

make_pki() {
	local i sans
	mkdir -p "$PKI"
	cd "$PKI"
	make_ca ca
	make_ca front-proxy-ca
	sans=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc
	sans=$sans,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:$SERVICES.0.1,IP:127.0.0.1,IP:$API
	make_certificate apiserver ca /CN=kube-apiserver serverAuth "$sans"
	make_certificate apiserver-kubelet-client ca /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
	make_certificate front-proxy-client front-proxy-ca /CN=front-proxy-client clientAuth
	make_kubeconfig admin /O=system:masters/CN=admin
	make_kubeconfig controller-manager /CN=system:kube-controller-manager
	make_kubeconfig scheduler /CN=system:kube-scheduler
	make_kubeconfig kube-proxy /CN=system:kube-proxy
	for i in $(seq "$NODES"); do
		make_kubeconfig "n$i" "/O=system:nodes/CN=system:node:n$i"
	done
	openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out sa.key 2>/dev/null
	openssl pkey -in sa.key -pubout -out sa.pub
	cd - >/dev/null
}

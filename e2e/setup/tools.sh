#!/usr/bin/env bash
# Builds the programs of a local Kubernetes from their published Go modules (pinned by the go.mod and
# go.sum files in ../local/tools) and prints the directory they are in. About 13 minutes on two cores
# the first time, nothing after that.
. "$(dirname "$0")/common.sh"

TOOLS=$ROOT/e2e/local/tools
BIN=$(cache_dir kubernetes "$TOOLS"/*/go.mod "$TOOLS"/*/*.go "$0")
export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS='-trimpath -mod=readonly -buildvcs=false'

# The version that a program reports is set at link time; without it nodes and Helm's checks break.
kubernetes_version() {
	local v=$1 minor package flags=
	minor=${v#v1.}
	for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		flags="$flags -X $package.gitVersion=$v -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
		flags="$flags -X $package.gitTreeState=clean -X $package.gitCommit=module -X $package.buildDate=2026-01-01T00:00:00Z"
	done
	echo "-s -w $flags"
}

version_of() { awk -v m="$2" '$1 == m || ($1 == "require" && $2 == m) { print $NF == "indirect" ? $(NF-2) : $NF; exit }' "$TOOLS/$1/go.mod"; }

build() {
	local out=$1 p
	cd "$TOOLS/kubernetes"
	local flags
	flags=$(kubernetes_version "$(version_of kubernetes k8s.io/kubernetes)")
	for p in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
		go build -ldflags "$flags" -o "$out/" "k8s.io/kubernetes/cmd/$p"
	done
	go build -ldflags '-s -w' -o "$out/etcd" go.etcd.io/etcd/server/v3
	cd "$TOOLS/coredns" && go build -tags grpcnotrace -ldflags '-s -w' -o "$out/coredns" .
	cd "$TOOLS/helm" && go build -o "$out/helm" \
		-ldflags "-s -w -X helm.sh/helm/v4/internal/version.version=$(version_of helm helm.sh/helm/v4)" helm.sh/helm/v4/cmd/helm
	cd "$TOOLS/local-path" && go build -ldflags '-s -w' -o "$out/local-path-provisioner" github.com/rancher/local-path-provisioner
}

if [ "${1:-}" = --path ]; then
	echo "$BIN"
else
	build_once "$BIN" build
fi

#!/usr/bin/env bash
# A Kubernetes of kind, for machines with Docker: the same commands as ../local/cluster.sh.
#   cluster.sh NAME up | down | kubeconfig | load TAR...
set -euo pipefail

NAME=dqlite-${1:?demo or test} COMMAND=${2:-help}
shift $(($# < 2 ? $# : 2))
CONFIG=/var/tmp/dqlite-operator/$NAME.kubeconfig

case $COMMAND in
up)
	mkdir -p "$(dirname "$CONFIG")"
	kind get clusters | grep -qx "$NAME" || kind create cluster --name "$NAME" --kubeconfig "$CONFIG" --config - <<-T
		kind: Cluster
		apiVersion: kind.x-k8s.io/v1alpha4
		nodes: [{role: control-plane}, {role: worker}, {role: worker}, {role: worker}]
	T
	;;
down) kind delete cluster --name "$NAME" --kubeconfig "$CONFIG" ;;
kubeconfig) echo "$CONFIG" ;;
load) for tar in "$@"; do kind load image-archive "$tar" --name "$NAME"; done ;;
*) sed -n '2,3p' "$0" && exit 2 ;;
esac

# Source it with a cluster's name: sets KUBECONFIG and PATH for that cluster.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
case ${E2E_PROVIDER:-local} in
local)
	PATH=$("$ROOT/e2e/setup/tools.sh" --path):$PATH
	KUBECONFIG=$("$ROOT/e2e/local/cluster.sh" "$1" kubeconfig)
	;;
kind) KUBECONFIG=$("$ROOT/e2e/kind/cluster.sh" "$1" kubeconfig) ;;
given) : "${KUBECONFIG:?E2E_PROVIDER=given needs KUBECONFIG}" ;;
esac
export PATH KUBECONFIG E2E_CLUSTER=$1

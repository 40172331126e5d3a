#!/usr/bin/env bash
# Brings up a Kubernetes with the operator in it, from nothing: up.sh demo|test
# Every part is skipped where it is there already. E2E_PROVIDER=kind or given uses another Kubernetes.
. "$(dirname "$0")/common.sh"

NAME=${1:?demo or test}
SETUP=$ROOT/e2e/setup
export E2E_PROVIDER=${E2E_PROVIDER:-local}
started=$SECONDS

"$SETUP/toolchain.sh"
case $E2E_PROVIDER in
local)
	step "images of the operator and the node (about 8 min the first time)" "$SETUP/images.sh"
	step "Kubernetes '$NAME' with three nodes" "$ROOT/e2e/local/cluster.sh" "$NAME" up 3
	step "load the images on the nodes" "$ROOT/e2e/local/cluster.sh" "$NAME" load "$ROOT"/target/images/*.tar
	;;
kind)
	step "images of the operator and the node (about 8 min the first time)" "$SETUP/images.sh"
	step "kind cluster '$NAME'" "$ROOT/e2e/kind/cluster.sh" "$NAME" up
	step "load the images on the nodes" "$ROOT/e2e/kind/cluster.sh" "$NAME" load "$ROOT"/target/images/*.tar
	;;
given) ;;
*) echo "E2E_PROVIDER must be local, kind or given" && exit 2 ;;
esac
. "$SETUP/kubeconfig.sh" "$NAME"

# The images keep their tag, so the pods must be told that there are new ones.
install() {
	local version
	version=$(cat "$ROOT"/target/images/*.tar 2>/dev/null | sha256sum | cut -c1-12)
	helm upgrade --install dqlite-operator "$ROOT/charts/dqlite-operator" \
		--namespace dqlite-system --create-namespace --wait --timeout 3m \
		--set "image.tag=${E2E_TAG:-dev},nodeImage.tag=${E2E_TAG:-dev},podAnnotations.build=$version"
}
step "operator, by Helm" install
echo "==> all set up after $((SECONDS - started)) s"

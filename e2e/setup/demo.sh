#!/usr/bin/env bash
# `make demo`: sets everything up, shows the operator at work, says how to go on by hand.
. "$(dirname "$0")/common.sh"

started=$SECONDS
"$ROOT/e2e/setup/up.sh" demo
step "the demo itself (builds a small program)" cargo build -q --manifest-path "$ROOT/Cargo.toml" -p dqlite-e2e --bin demo
. "$ROOT/e2e/setup/kubeconfig.sh" demo
"$ROOT/target/debug/demo"
cat <<T

==> the demo took $((SECONDS - started)) s. Go on by hand:

  export KUBECONFIG=$KUBECONFIG
  export PATH=$(dirname "$(command -v helm)"):\$PATH
  kubectl get dq
  kubectl scale dq/demo --replicas=5
  kubectl get events --field-selector involvedObject.kind=DqliteCluster
  kubectl -n dqlite-system logs deployment/dqlite-operator

  make clean-demo takes all of it down
T

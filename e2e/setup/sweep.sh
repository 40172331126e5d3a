#!/usr/bin/env bash
# `make sweep`: the operator under every fault that a call of it may meet (e2e/src/sweep), on the tests' local
# Kubernetes, where a stand-in plays the members. SWEEP_SECONDS=0 takes all cases; SWEEP_SEED, SWEEP_ONLY repeat.
. "$(dirname "$0")/common.sh"

"$ROOT/e2e/setup/up.sh" test
. "$ROOT/e2e/setup/kubeconfig.sh" test
cd "$ROOT"
mkdir -p "$ROOT/e2e/report"
step "build the sweep" cargo build -q -p dqlite-e2e --bin sweep

operator() { kubectl -n dqlite-system scale deployment/dqlite-operator --replicas="$1" >/dev/null; }
clean_up() {
	operator 1
	kubectl delete node,storageclass stand-in --ignore-not-found --wait=false >/dev/null
	kubectl delete persistentvolume -l stand-in --ignore-not-found --wait=false >/dev/null
}
# Each lane has an operator of its own.
trap clean_up EXIT
operator 0
kubectl -n dqlite-system wait pod --all --for=delete --timeout=60s >/dev/null || true # none is as good

# The leader Services of the lanes, whose names no name server there knows; the last of the played addresses are theirs.
play() { # PROGRAM NODE-ADDRESS FIRST-POD-ADDRESS
	local hosts n
	hosts=$(mktemp)
	for n in {1..32}; do echo "${3%.*.*}.255.$n demo-leader.e2e-sweep-$n.svc"; done >"$hosts"
	mount --bind "$hosts" /etc/hosts
	rm "$hosts"
	exec "$@"
}
export -f play
"$ROOT/e2e/local/cluster.sh" test stand-in unshare --mount bash -c 'play "$@"' play "$ROOT/target/debug/sweep" |
	tee "$ROOT/e2e/report/sweep.log"

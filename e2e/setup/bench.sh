#!/usr/bin/env bash
# `make bench`: what nodes and operator cost, against peers in the same run (35 min). The tables are printed,
# and kept in e2e/report/bench.md; docs/benchmarks.md has those of one run.
. "$(dirname "$0")/common.sh"

"$ROOT/e2e/setup/toolchain.sh" build
cd "$ROOT"
report=$ROOT/e2e/report
mkdir -p "$report"
rm -f "$report"/*.bench.md
step "build the engine with nothing before it" cargo build -q --profile image -p dqlite-engine --examples
step "libdqlite as released, without our fixes (1 min the first time)" "$ROOT/dqlite/sys/libdqlite/build.sh" --released
DQLITE_LIB_DIR=$("$ROOT/dqlite/sys/libdqlite/build.sh" --released)/lib \
	step "build the engine as it was released" cargo build -q --profile image -p dqlite-engine --examples --target-dir target/released
# The nodes' own log lines are JSON.
bench() { cargo bench -q --profile image -p "$1" --bench "$2" | grep -v '^{' | tee "$report/$2.bench.md"; }
"$ROOT/e2e/setup/down.sh" test
bench dqlite-node nodes
"$ROOT/e2e/setup/up.sh" test
. "$ROOT/e2e/setup/kubeconfig.sh" test
bench dqlite-e2e kubernetes
# Members that are played need addresses that only the local Kubernetes can give them.
[ "${E2E_PROVIDER:-local}" != local ] || bench dqlite-e2e operator
cat "$report"/*.bench.md >"$report/bench.md"
echo "==> the tables are in e2e/report/bench.md"

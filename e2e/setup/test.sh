#!/usr/bin/env bash
# `make test`: everything that must pass, each part with its time. A set-up step says so.
. "$(dirname "$0")/common.sh"

started=$SECONDS
cd "$ROOT"
"$ROOT/e2e/setup/toolchain.sh"
step "format" cargo fmt --all --check
step "format of the fuzz targets" cargo fmt --check --manifest-path "$ROOT/dqlite/fuzz/Cargo.toml"
step "clippy" cargo clippy -q --workspace --all-targets --features dqlite/node -- -D warnings
step "each library crate compiles alone" "$ROOT/e2e/setup/alone.sh"
step "bindings are current" "$ROOT/dqlite/sys/libdqlite/check-bindings.sh"
step "libdqlite as released, which the tests of our fixes harm (1 min the first time)" \
	"$ROOT/dqlite/sys/libdqlite/build.sh" --released
step "clients that others made (1 min the first time)" "$ROOT/node-image/tests/clients/setup.sh"
echo "==> unit, snapshot and node tests ..."
unit=$SECONDS
cargo test -q --workspace --exclude dqlite-e2e --features dqlite/node
echo "    done in $((SECONDS - unit)) s"
"$ROOT/dqlite/fuzz/run.sh"
"$ROOT/e2e/setup/suite.sh"
# Members that are played need addresses that only the local Kubernetes can give them.
[ "${E2E_PROVIDER:-local}" != local ] || "$ROOT/e2e/setup/sweep.sh"
step "take the tests' Kubernetes down" "$ROOT/e2e/setup/down.sh" test
echo "==> all tests passed after $((SECONDS - started)) s"

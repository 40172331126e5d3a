#!/usr/bin/env bash
# Everything that is needed before the project's own code is built: Debian packages, libdqlite, and,
# where the Kubernetes is a local one, its programs. `toolchain.sh build` leaves Kubernetes out.
. "$(dirname "$0")/common.sh"

need() { command -v "$1" >/dev/null || { echo "$1 is missing: $2" && exit 1; }; }
need cargo "install Rust 1.95 or newer from rustup"
need go "install Go 1.26 or newer"

SETUP=$ROOT/e2e/setup
if [ "${1:-}" = build ] || [ "${E2E_PROVIDER:-local}" != local ]; then
	step "Debian packages" "$SETUP/packages.sh" build
	step "libdqlite 1.18.7 (2 min the first time)" "$ROOT/dqlite/sys/libdqlite/build.sh"
	exit
fi
[ "$(id -u)" = 0 ] || { echo "the local Kubernetes makes namespaces and mounts: run as root" && exit 1; }
step "Debian packages" "$SETUP/packages.sh"
step "libdqlite 1.18.7 (2 min the first time)" "$ROOT/dqlite/sys/libdqlite/build.sh"
step "Kubernetes 1.36.4 and Helm from Go modules (13 min the first time)" "$SETUP/tools.sh"
step "images that Kubernetes needs itself" "$SETUP/system-images.sh"

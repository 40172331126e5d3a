#!/usr/bin/env bash
# Installs the Debian packages that the project needs: to build libdqlite (`build`), to generate its
# bindings too (`bindings`), or to run a local Kubernetes (default). Nothing when they are all there.
. "$(dirname "$0")/common.sh"

BUILD="build-essential iproute2 pkg-config autoconf automake libtool libuv1-dev libsqlite3-dev liblz4-dev libxxhash-dev git ca-certificates curl"
LOCAL="containerd runc containernetworking-plugins iptables busybox-static buildah openssl procps conntrack"
BINDINGS="libclang-14-dev"
case ${1:-all} in
build) LOCAL='' BINDINGS='' ;;
bindings) LOCAL='' ;;
all) BINDINGS='' ;;
esac

missing=
for p in $BUILD $LOCAL $BINDINGS; do
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
export DEBIAN_FRONTEND=noninteractive
echo "installing:$missing"
apt-get update -q
# shellcheck disable=SC2086
apt-get install -qy --no-install-recommends $missing

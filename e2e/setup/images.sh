#!/usr/bin/env bash
# Builds the images of the operator and of the node, with Docker where it runs and with buildah
# elsewhere, and writes them as archives to target/images/. Prints nothing where nothing changed.
. "$(dirname "$0")/common.sh"

PROFILE=${PROFILE:-image}
TAG=${TAG:-dev}
OUT=$ROOT/target/images

stage() { # BINARY: a root directory with the binary and the libraries it names
	local bin=$1 root=$OUT/$1.root lib
	rm -rf "$root"
	mkdir -p "$root"
	cp "$ROOT/target/$PROFILE/$bin" "$root/$bin"
	ldd "$root/$bin" | grep -oE '/[^ ]+' | sort -u | while read -r lib; do
		install -D "$(readlink -f "$lib")" "$root$lib"
	done
}

image() { # BINARY DIRECTORY
	local bin=$1 dir=$2 name=docker.io/dqlite/$1:$TAG archive=$OUT/$1.tar
	if [ "$(cat "$archive.name" 2>/dev/null)" = "$name" ] && [ "$archive" -nt "$ROOT/target/$PROFILE/$bin" ] && [ "$archive" -nt "$ROOT/$dir/Dockerfile" ]; then
		return 0
	fi
	stage "$bin"
	rm -f "$archive"
	if docker info >/dev/null 2>&1; then
		docker build -q -t "$name" -f "$ROOT/$dir/Dockerfile" "$OUT/$bin.root"
		docker save -o "$archive" "$name"
	else
		buildah bud -q --isolation chroot --timestamp 0 -t "$name" -f "$ROOT/$dir/Dockerfile" "$OUT/$bin.root"
		buildah push -q "$name" "docker-archive:$archive:$name"
	fi
	echo "$name" >"$archive.name"
	rm -rf "$OUT/$bin.root"
}

mkdir -p "$ROOT/target"
exec 8>"$ROOT/target/images.lock"
flock 8
cd "$ROOT"
cargo build --profile "$PROFILE" -p dqlite-operator -p dqlite-node
mkdir -p "$OUT"
image dqlite-operator operator
image dqlite-node node-image

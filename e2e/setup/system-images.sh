#!/usr/bin/env bash
# Builds the images that the local Kubernetes itself needs (pause, busybox, CoreDNS, the disk
# provisioner) from programs that are here already, and prints the directory of their archives.
. "$(dirname "$0")/common.sh"

BIN=$("$ROOT/e2e/setup/tools.sh" --path)
OUT=$(cache_dir system-images "$0" <(echo "$BIN"))

from_scratch() { # OUT NAME FILE ENTRYPOINT
	local out=$1 name=$2 file=$3 work program
	program=$(basename "$file")
	work=$(mktemp -d)
	install -D "$file" "$work/root/bin/$program"
	# Links made here: a RUN would need a container where there is no more than a file to place.
	[ "$program" != busybox ] || busybox --list | grep -vx busybox | xargs -I{} ln -s busybox "$work/root/bin/{}"
	printf '%s\n' 'FROM scratch' 'COPY root /' 'ENV PATH=/bin' "ENTRYPOINT $4" >"$work/Dockerfile"
	buildah bud -q --isolation chroot -t "$name" "$work"
	buildah push -q "$name" "docker-archive:$out/$(tr -c 'a-z0-9\n' - <<<"$name").tar:$name"
	rm -rf "$work"
}

build() {
	from_scratch "$1" registry.k8s.io/pause:3.10 /bin/busybox '["/bin/busybox","sleep","2147483647"]'
	from_scratch "$1" docker.io/library/busybox:local /bin/busybox '[]'
	from_scratch "$1" registry.k8s.io/coredns/coredns:local "$BIN/coredns" '["/bin/coredns"]'
	from_scratch "$1" docker.io/rancher/local-path-provisioner:v0.0.30 "$BIN/local-path-provisioner" '["/bin/local-path-provisioner"]'
}

if [ "${1:-}" = --path ]; then
	echo "$OUT"
else
	build_once "$OUT" build
fi

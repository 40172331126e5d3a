#!/usr/bin/env bash
# Builds libdqlite with our fixes (fixes/README.md) from Debian's source package. The one way in which
# development, CI and the node image get the library. Two minutes the first time, then nothing.
#   build.sh             build, unless it is in the cache
#   build.sh --path      print the directory: lib/libdqlite.a, include/dqlite.h (DQLITE_LIB_DIR is its lib)
#   build.sh --released  build it as it was released, for the tests of the fixes, and print the directory
# Both also hold shared/libdqlite.so.0, which only those tests load.
. "$(dirname "$0")/../../../e2e/setup/common.sh"
. "$ROOT/e2e/setup/apt.sh"

VERSION=1.18.7
REVISION=1
SUITE=testing
SHA256=cf244ef937d419edd93aed3960d8222b38f09af82acca78fde586c3d04c35a52

HERE=$ROOT/dqlite/sys/libdqlite
OUT=$(cache_dir "libdqlite-$VERSION" "$HERE/build.sh" "$HERE"/fixes/*.sh)
RELEASED=$(cache_dir "libdqlite-$VERSION-released" "$HERE/build.sh")

fetch() { # DIR: leaves the checked source in DIR/src
	local dir=$1 root=$1/apt tar=dqlite_$VERSION.orig.tar.gz
	mkdir -p "$dir/src"
	apt_root "$root" deb-src "$SUITE"
	(cd "$dir" && private_apt "$root" source --download-only "dqlite=$VERSION-$REVISION" &&
		sha256sum --check <<<"$SHA256  $tar")
	tar -xf "$dir/$tar" -C "$dir/src" --strip-components=1
}

build() { # FIX OUT: FIX is a command that is given the source, or `true`
	local fix=$1 work=$2/work
	mkdir "$work" "$2/lib" "$2/include" "$2/shared"
	fetch "$work"
	"$fix" "$work/src"
	(
		cd "$work/src"
		autoreconf -i
		# Its backtrace hides in a weak symbol that a static link drops: a failed assertion would jump
		# to address 0 instead of printing itself.
		CFLAGS='-g -O2 -fPIC' ./configure --enable-static --enable-shared --disable-backtrace
		make -j2 libdqlite.la
	)
	cp "$work/src/.libs/libdqlite.a" "$2/lib/"
	cp -L "$work/src/.libs/libdqlite.so.0" "$2/shared/"
	cp "$work/src/include/dqlite.h" "$2/include/"
	rm -rf "$work"
}

case ${1:-} in
--path) echo "$OUT" ;;
--released)
	build_once "$RELEASED" build true >"$CACHE/log/libdqlite-released.log" 2>&1
	echo "$RELEASED"
	;;
*) build_once "$OUT" build "$HERE/fixes/apply.sh" ;;
esac

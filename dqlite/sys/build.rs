//! Tells cargo how to link libdqlite. Downloads and builds nothing: the library is found by
//! `DQLITE_LIB_DIR`, in the cache that `build.sh` fills, or by pkg-config.

use std::{env, path::PathBuf, process::Command};

fn main() {
    println!("cargo:rerun-if-env-changed=DQLITE_LIB_DIR");
    println!("cargo:rerun-if-changed=libdqlite/build.sh");
    println!("cargo:rerun-if-changed=libdqlite/fixes");
    let Some(lib) = library_dir() else {
        if let Err(e) = pkg_config::Config::new()
            .atleast_version("1.18.7")
            .probe("dqlite")
        {
            panic!(
                "libdqlite is not built: run dqlite/sys/libdqlite/build.sh, or set DQLITE_LIB_DIR ({e})"
            );
        }
        return;
    };
    println!("cargo:rustc-link-search=native={}", lib.display());
    println!("cargo:rustc-link-lib=static=dqlite");
    for name in ["uv_a", "sqlite3", "lz4", "xxhash"] {
        link_static(name);
    }
    #[cfg(feature = "bindgen")]
    generate(&lib.join("../include/dqlite.h"));
}

/// The directory with `libdqlite.a`: as told, or where the project's own script puts it.
fn library_dir() -> Option<PathBuf> {
    if let Ok(dir) = env::var("DQLITE_LIB_DIR") {
        return Some(PathBuf::from(dir));
    }
    let out = Command::new("libdqlite/build.sh")
        .arg("--path")
        .output()
        .ok()?;
    let dir = PathBuf::from(String::from_utf8(out.stdout).ok()?.trim()).join("lib");
    dir.join("libdqlite.a").exists().then_some(dir)
}

/// libuv, SQLite, lz4 and xxhash are linked statically, so that a node needs the C library only.
/// Debian keeps their archives in the compiler's own directory, which cargo does not search.
fn link_static(name: &str) {
    let file = format!("lib{name}.a");
    let found = Command::new("cc")
        .arg(format!("-print-file-name={file}"))
        .output();
    let path = found
        .ok()
        .and_then(|out| String::from_utf8(out.stdout).ok())
        .map(PathBuf::from);
    match path
        .as_deref()
        .and_then(|p| p.parent())
        .filter(|dir| dir.is_absolute())
    {
        Some(dir) => println!("cargo:rustc-link-search=native={}", dir.display()),
        None => panic!("{file} is missing: run e2e/setup/packages.sh build"),
    }
    println!("cargo:rustc-link-lib=static={name}");
}

#[cfg(feature = "bindgen")]
fn generate(header: &std::path::Path) {
    let out = env::var("DQLITE_BINDINGS_OUT").unwrap_or_else(|_| "src/bindings.rs".into());
    bindgen::Builder::default()
        .header(header.display().to_string())
        .allowlist_item("dqlite_.*|DQLITE_.*|SQLITE_IOERR_.*LEADER.*")
        .use_core()
        .layout_tests(true)
        .generate_comments(false)
        .generate()
        .unwrap_or_else(|e| panic!("bindings: {e}"))
        .write_to_file(&out)
        .unwrap_or_else(|e| panic!("{out}: {e}"));
}

//! The examples do what they say.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

macro_rules! examples {
    ($($file:literal $name:ident),*) => {$(
        #[path = $file]
        mod $name;

        #[test]
        fn $name() {
            $name::main().unwrap();
        }
    )*};
}

examples! {
    "../examples/cluster.rs" cluster,
    "../examples/errors.rs" errors,
    "../examples/node.rs" node,
    "../examples/scopes.rs" scopes
}

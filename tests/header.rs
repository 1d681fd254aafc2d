//! include/prefork.h is what cbindgen makes of the sources today.

use std::path::Path;

/// Set this variable to write the header instead of comparing it.
const WRITE: &str = "PREFORK_WRITE_HEADER";

#[test]
fn the_header_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    let mut generated = Vec::new();
    cbindgen::Builder::new()
        .with_crate(root)
        .with_config(config)
        .generate()
        .expect("cbindgen reads the sources")
        .write(&mut generated);
    let generated = String::from_utf8(generated).expect("a header is text");
    let path = root.join("include/prefork.h");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &generated).expect("include/prefork.h can be written");
    }
    let committed = std::fs::read_to_string(&path).expect("include/prefork.h can be read");
    assert!(
        committed == generated,
        "include/prefork.h is out of date: run `{WRITE}=1 cargo test --test header` and commit it"
    );
}

#[test]
fn the_headers_version_is_the_crates() {
    let header = include_str!("../include/prefork.h");
    let part = |text: &str| {
        text.parse::<u32>()
            .expect("a part of a version is a number")
    };
    let number = (part(env!("CARGO_PKG_VERSION_MAJOR")) << 16)
        | (part(env!("CARGO_PKG_VERSION_MINOR")) << 8)
        | part(env!("CARGO_PKG_VERSION_PATCH"));
    for line in [
        format!("#define PF_VERSION \"{}\"\n", env!("CARGO_PKG_VERSION")),
        format!("#define PF_VERSION_NUMBER {number:#08x}\n"),
    ] {
        assert!(header.contains(&line), "cbindgen.toml lacks {line}");
    }
}

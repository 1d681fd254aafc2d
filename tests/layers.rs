//! The layers know only those below them: machine <- os <- capi. A line that breaks this is
//! in the wrong file.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(dir: &str) -> Vec<(PathBuf, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(dir);
    let mut files: Vec<_> = fs::read_dir(&dir)
        .expect("the layer has a directory")
        .map(|entry| entry.expect("a directory can be listed").path())
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a source can be read");
            (path, text)
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", dir.display());
    files
}

/// Lines of code, not of comments, in which one of the words stands.
fn offences(dir: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources(dir) {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            if words.iter().any(|word| code.contains(word)) {
                found.push(format!(
                    "{}:{}: {}",
                    path.display(),
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    found
}

#[track_caller]
fn assert_none(offences: &[String]) {
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn the_machine_touches_nothing() {
    assert_none(&offences(
        "machine",
        &[
            "libc",
            "nix::",
            "std::time",
            "std::env",
            "std::fs",
            "std::process",
            "std::thread",
            "std::io",
            "unsafe ",
            "os::",
            "capi::",
        ],
    ));
}

#[test]
fn the_system_layer_does_not_know_the_abi() {
    assert_none(&offences("os", &["capi", "no_mangle", "pf_"]));
}

#[test]
fn only_what_talks_to_the_system_or_to_c_is_unsafe() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let unsafe_in = |dir: &str| offences(dir, &["unsafe"]).len();
    assert!(
        unsafe_in("os") > 10 && unsafe_in("capi") > 30,
        "the scan sees what there is"
    );
    let mut layers: Vec<_> = fs::read_dir(&sources)
        .expect("src can be listed")
        .map(|entry| entry.expect("src can be listed").file_name())
        .collect();
    layers.sort();
    assert_eq!(
        layers,
        ["capi", "lib.rs", "machine", "os"],
        "a new layer is to be looked at here"
    );
    let found: Vec<_> = offences("machine", &["unsafe"])
        .into_iter()
        .filter(|line| !line.ends_with("#![forbid(unsafe_code)]"))
        .collect();
    assert_none(&found);
    // Nobody turns off what asks for the reason of each block.
    for dir in ["os", "capi"] {
        assert_none(&offences(
            dir,
            &["undocumented_unsafe_blocks", "unsafe_op_in_unsafe_fn"],
        ));
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest = fs::read_to_string(manifest).expect("Cargo.toml");
    for lint in [
        "undocumented_unsafe_blocks",
        "unsafe_op_in_unsafe_fn",
        "missing_safety_doc",
    ] {
        assert!(
            manifest.contains(&format!("\n{lint} = \"deny\"\n")),
            "{lint} is denied in Cargo.toml"
        );
    }
}

#[test]
fn only_the_abi_exports() {
    assert_none(&offences("machine", &["no_mangle", "extern \"C\""]));
    let exports = offences("capi", &["no_mangle"]);
    assert!(exports.len() > 30, "the scan sees the exports");
}

#[test]
fn the_crate_root_has_no_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    for line in fs::read_to_string(root).expect("src/lib.rs").lines() {
        assert!(
            line.is_empty() || line.starts_with("//!") || line.starts_with("pub mod "),
            "src/lib.rs: {line}"
        );
    }
}

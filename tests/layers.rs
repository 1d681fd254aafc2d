//! The layers know only those below them: machine <- os <- manager <- capi. A line that breaks this is
//! in the wrong file.

use std::collections::{BTreeMap, BTreeSet};
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
            "signal_hook",
            "std::time",
            "std::env",
            "std::fs",
            "std::process",
            "std::thread",
            "std::io",
            "unsafe ",
            "os::",
            "manager::",
            "capi::",
        ],
    ));
}

#[test]
fn the_system_layer_knows_no_manager_and_no_abi() {
    assert_none(&offences(
        "os",
        &["crate::manager", "capi", "no_mangle", "pf_"],
    ));
}

#[test]
fn the_manager_does_not_know_the_abi() {
    // Its messages name the calls that C hosts know.
    let found = offences("manager", &["capi", "no_mangle", "pf_t", "*mut", "*const"]);
    assert_none(&found);
}

/// Calls of the system are the other layers' affair; a signature in C needs its types.
#[test]
fn the_abi_calls_no_system() {
    let mut types = 0;
    let mut calls = Vec::new();
    for (path, text) in sources("capi") {
        let code = without_tests(&text);
        types += code.matches("libc::").count();
        for name in ["libc::", " nix::", "(nix::", "std::process"] {
            for after in code.split(name).skip(1) {
                let word = first_word(after);
                if name != "libc::" || after[word.len()..].starts_with('(') {
                    calls.push(format!("{}: {name}{word}", path.display()));
                }
            }
        }
    }
    assert!(types > 1, "the scan sees the types");
    assert_none(&calls);
}

/// In a layer no file uses, by way of others, one that uses it. `mod.rs` is left out: it is the root of its layer, whose
/// type all files of `manager` share.
#[test]
fn no_file_uses_one_that_uses_it() {
    for layer in ["machine", "os", "manager", "capi"] {
        let files: BTreeMap<String, BTreeSet<String>> = sources(layer)
            .into_iter()
            .filter_map(|(path, text)| {
                let name = path.file_stem()?.to_str()?.to_string();
                let mut used = used_in(layer, &text);
                used.remove(&name);
                (name != "mod").then_some((name, used))
            })
            .collect();
        for name in files.keys() {
            let mut seen = BTreeSet::new();
            let mut next: Vec<&String> = files[name].iter().collect();
            while let Some(used) = next.pop() {
                assert!(
                    used != name,
                    "src/{layer}/{name}.rs uses {seen:?}, which use it"
                );
                if seen.insert(used) {
                    next.extend(files.get(used).into_iter().flatten());
                }
            }
        }
    }
}

/// The files of the same layer that a source uses, tests apart.
fn used_in(layer: &str, text: &str) -> BTreeSet<String> {
    let code = without_tests(text);
    let in_layer = format!("crate::{layer}::");
    let mut used = BTreeSet::new();
    for start in ["super::", in_layer.as_str()] {
        for after in code.split(start).skip(1) {
            if let Some(list) = after.strip_prefix('{') {
                let names = list.split('}').next().unwrap_or("");
                used.extend(names.split(',').map(|name| first_word(name.trim())));
            } else {
                used.insert(first_word(after));
            }
        }
    }
    used
}

/// The code of a source, without comments and tests.
fn without_tests(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or("");
    let lines = code
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""));
    lines.collect::<Vec<_>>().join("\n")
}

fn first_word(text: &str) -> String {
    text.chars()
        .take_while(|&c| c.is_alphanumeric() || c == '_')
        .collect()
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
        ["capi", "lib.rs", "machine", "manager", "os"],
        "a new layer is to be looked at here"
    );
    let found: Vec<_> = offences("machine", &["unsafe"])
        .into_iter()
        .filter(|line| !line.ends_with("#![forbid(unsafe_code)]"))
        .collect();
    assert_none(&found);
    assert_none(&offences("manager", &["unsafe"]));
    // Nobody turns off what asks for the reason of each block.
    for dir in ["os", "manager", "capi"] {
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
    for dir in ["machine", "manager"] {
        assert_none(&offences(dir, &["no_mangle", "extern \"C\""]));
    }
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

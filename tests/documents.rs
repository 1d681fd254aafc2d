//! What the documents say of the crates, against what cargo links.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

const NUMBERS: [&str; 13] = [
    "No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven",
    "Twelve",
];

/// The crates that are linked in, without our own, as `cargo tree` has them for this machine.
fn linked() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| !name.is_empty() && *name != env!("CARGO_PKG_NAME"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn security_names_the_crates_that_are_linked() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("SECURITY.md");
    let text = fs::read_to_string(file).expect("SECURITY.md can be read");
    let (before, after) = text
        .split_once(" crates are linked in: ")
        .expect("SECURITY.md has the sentence");
    let number = before.rsplit(' ').next().unwrap_or("");
    let (list, _) = after.split_once('(').expect("the list ends there");
    let named: BTreeSet<String> = list
        .split(|c: char| !c.is_alphanumeric() && c != '-')
        .filter(|word| !["", "and", "what", "those", "need"].contains(word))
        .map(str::to_owned)
        .collect();
    let linked = linked();
    assert_eq!(named, linked, "SECURITY.md, and cargo tree");
    assert_eq!(Some(&number), NUMBERS.get(linked.len()), "their number");
}

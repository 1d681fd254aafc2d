//! Gives the shared library its SONAME, which is its promise of a stable ABI, and keeps it small. A fork copies each
//! mapping of the process, and the exit of each worker gives them back. So the unwinder is inside of the library, and its data are
//! one mapping as long as they fit into a page; so the table of signal handlers is on the heap (`src/os/handler.rs`).

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=RUSTC_LINKER");
    let os = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if os == "macos" {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libprefork.so.1");
    } else {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libprefork.so.1");
        // Handlers stay in the process: ours, where the program has saved it, and those of the program that call it. So
        // dlclose(3) must not take their code away.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
    println!("cargo:rerun-if-env-changed=PREFORK_PLAIN");
    // What follows is about page faults in workers (perl/internals/README.md has what each buys).
    if std::env::var_os("PREFORK_PLAIN").is_none()
        && os == "linux"
        && std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu")
    {
        unwind_by_itself();
        end_quietly();
    }
}

/// Leaves the C compiler's start and end files out. What they run at the exit of a process is for destructors of
/// C++, of which there are none here; each worker would take four page faults for it. The handle that they define
/// is an address in the library, no more (`__cxa_thread_atexit_impl` of glibc).
///
/// A cargo before 1.88 links unit tests, which are programs, with the options of the library
/// (rust-lang/cargo#12663); with such a one it is done for the release profile only, whose unit tests do not
/// run there.
fn end_quietly() {
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if !is_release && !cargo_keeps_tests_apart() {
        return;
    }
    let options = ["-nostartfiles", "-Wl,--defsym=__dso_handle=pf_version"];
    if links_with(&options) {
        for option in options {
            println!("cargo:rustc-cdylib-link-arg={option}");
        }
    }
}

fn cargo_keeps_tests_apart() -> bool {
    let Some(cargo) = std::env::var_os("CARGO") else {
        return false;
    };
    let Ok(output) = Command::new(cargo).arg("--version").output() else {
        return false;
    };
    let version = String::from_utf8_lossy(&output.stdout);
    let mut numbers = version.split([' ', '.']).skip(1).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (1, 88),
        _ => false,
    }
}

/// Whether the linker that this compiler uses makes a library with these options.
fn links_with(options: &[&str]) -> bool {
    let (Some(rustc), Some(out), Ok(target)) = (
        std::env::var_os("RUSTC"),
        std::env::var_os("OUT_DIR").map(PathBuf::from),
        std::env::var("TARGET"),
    ) else {
        return false;
    };
    let source = out.join("probe.rs");
    let mut probe = Command::new(rustc);
    probe.args(["--edition=2024", "--crate-type=cdylib", "--target", &target]);
    for option in options {
        probe.arg(format!("-Clink-arg={option}"));
    }
    if let Ok(linker) = std::env::var("RUSTC_LINKER") {
        probe.arg(format!("-Clinker={linker}"));
    }
    // RUSTFLAGS, which may choose the linker as well.
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    probe.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    std::fs::write(&source, PROBE).is_ok()
        && probe
            .arg("-o")
            .arg(out.join("probe.so"))
            .arg(&source)
            .output()
            .is_ok_and(|output| output.status.success())
}

const PROBE: &str = r#"
    thread_local!(static DROPPED_AT_EXIT: Vec<u8> = const { Vec::new() });
    #[unsafe(no_mangle)]
    pub extern "C" fn pf_version() -> usize {
        DROPPED_AT_EXIT.with(Vec::len)
    }
"#;

/// Links gcc's unwinder into the library, where gcc has it as an archive. Rust asks by name for libgcc_s.so.1, which
/// would be five mappings more in each worker. What unwinds in the library is a panic, and it is caught in the library.
/// Exceptions of a host in C++ are unwound by that host's own unwinder, as before.
fn unwind_by_itself() {
    let Some(archive) = archived_unwinder() else {
        return;
    };
    let Some(out) = std::env::var_os("OUT_DIR").map(PathBuf::from) else {
        return;
    };
    // A linker takes a text in the place of a library for a script.
    let script = format!("INPUT({})\n", archive.display());
    if std::fs::write(out.join("libgcc_s.so"), script).is_ok() {
        println!("cargo:rustc-cdylib-link-arg=-L{}", out.display());
    }
}

fn archived_unwinder() -> Option<PathBuf> {
    let target = std::env::var("TARGET").ok()?;
    let linker = match std::env::var("RUSTC_LINKER") {
        Ok(linker) => linker,
        Err(_) if std::env::var("HOST").is_ok_and(|host| host == target) => "cc".into(),
        Err(_) => return None,
    };
    let output = Command::new(linker)
        .arg("-print-file-name=libgcc_eh.a")
        .output()
        .ok()?;
    // A compiler that has none gives the bare name back.
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim_end());
    let fits = Path::is_absolute(&path) && path.is_file() && !has_space(&path);
    fits.then_some(path)
}

/// Linker scripts part names by spaces.
fn has_space(path: &Path) -> bool {
    path.to_str()
        .is_none_or(|path| path.contains(char::is_whitespace))
}

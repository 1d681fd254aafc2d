//! The headers are what the sources of the C ABI say today: cbindgen writes the declarations of each file of
//! `src/capi`, and the text at the top of the file stands above them. `include/prefork.h` has what C programs use,
//! in the order in which a reader needs it; `include/prefork-host.h` what fronts for other languages use.

use std::path::{Path, PathBuf};

/// Set this variable to write the headers instead of comparing them.
const WRITE: &str = "PREFORK_WRITE_HEADER";

/// The files of `src/capi` that make prefork.h.
const GROUPS: [&str; 13] = [
    "error",
    "event",
    "handle",
    "life",
    "settings",
    "run",
    "signals",
    "pull",
    "work",
    "workers",
    "stopping",
    "scoreboard",
    "message",
];

const TOP: &str = r#"// libprefork: a prefork manager. Generated from src/capi; do not edit.
//
//     #include <err.h>
//     #include <prefork.h>
//     #include <signal.h>
//
//     static int32_t work(pf_t *pf, void *data) { ... return 0; }
//
//     pf_t *pf = pf_new();
//     pf_set_max_workers(pf, 4);
//     pf_trap_signal(pf, SIGTERM, SIGTERM, 0);        /* stop */
//     pf_trap_signal(pf, SIGHUP, SIGTERM, 0);         /* reload: TERM to these, then new ones */
//     do {
//         if (pf_start(pf, work, NULL) != PF_OK)
//             errx(1, "%s", pf_error_message(pf));
//     } while (pf_signal_received(pf) == SIGHUP);
//     pf_wait_all_children(pf, -1, NULL);
//     pf_free(pf);
//
// A worker has the default action of each trapped signal and of SIGCHLD; other signals are as in the manager. So TERM
// ends it at once, unless it waits by pf_wait_readable (examples/http.c) or handles that (examples/workers.c). The
// manual is prefork(3); each function has a page under its own name. For all of them:
//
// - A handle is used by one thread at a time, but for pf_signal and pf_wake, which other
//   threads and signal handlers may call as well.
// - A handle or a scoreboard is null or what pf_new or pf_scoreboard_new gave, until it is freed. Null gives
//   PF_ERR_NULL, or else 0, false or null (pf_worker_index, pf_stop_fd: -1).
// - Where a pointer is for something that the function writes, it can be written to. It is written to only if the call
//   succeeds. Strings that are returned are the library's.
// - Time-outs and intervals are seconds; a negative time-out never passes.
// - The host is who calls these functions: the program, or the code that brings them to another language. A run is from
//   pf_begin or pf_start to the signal that ends it, and a generation its number; a pool is the workers of one handle; a
//   slot is a worker's place in a scoreboard.
// - "Called by:" says from where a function may be called: from the manager of the handle (the process that called
//   pf_new or pf_become_manager), a worker (a process that was forked for a FORK event), a hook (which runs
//   in the manager), a signal handler, another thread than the one that uses the handle.
// - A function that returns a pf_result may return PF_ERR_PANIC: the library has a defect. The workers can still be
//   signalled and waited for.
"#;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text at the top of a file.
fn heading(name: &str) -> String {
    let source = std::fs::read_to_string(source(name)).expect("a source can be read");
    let mut heading = String::new();
    for line in source.lines().map_while(|line| line.strip_prefix("//!")) {
        heading.push_str("//");
        heading.push_str(line);
        heading.push('\n');
    }
    heading
}

fn source(name: &str) -> PathBuf {
    root().join(format!("src/capi/{name}.rs"))
}

/// The declarations of a file.
fn declarations(name: &str) -> String {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).expect("cbindgen.toml");
    let mut generated = Vec::new();
    cbindgen::Builder::new()
        .with_config(config)
        .with_src(source(name))
        .generate()
        .expect("cbindgen reads the source")
        .write(&mut generated);
    String::from_utf8(generated).expect("a header is text")
}

/// A header: what it begins with, and the body.
fn header(top: &str, guard: &str, includes: &str, body: &str) -> String {
    format!(
        "{top}
#ifndef {guard}
#define {guard}

{includes}
#ifdef __cplusplus
extern \"C\" {{
#endif // __cplusplus

{}

#ifdef __cplusplus
}}  // extern \"C\"
#endif  // __cplusplus

#endif  /* {guard} */
",
        body.trim_end()
    )
}

fn prefork_h() -> String {
    let number = |part: &str| {
        part.parse::<u32>()
            .expect("a part of a version is a number")
    };
    let version = (number(env!("CARGO_PKG_VERSION_MAJOR")) << 16)
        | (number(env!("CARGO_PKG_VERSION_MINOR")) << 8)
        | number(env!("CARGO_PKG_VERSION_PATCH"));
    let includes = format!(
        "#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

// The version of this header, as in \"1.0.0\"; that of the library is pf_version's.
#define PF_VERSION \"{}\"
// The same as a number to compare: a byte each for major, minor and patch.
#define PF_VERSION_NUMBER {version:#08x}
",
        env!("CARGO_PKG_VERSION")
    );
    let mut body = String::new();
    for name in GROUPS {
        let heading = heading(name);
        let (title, text) = heading.split_once('\n').expect("a heading has lines");
        let title = title.trim_start_matches("// ");
        let line = "-".repeat(92 - title.len());
        body += &format!(
            "// ---- {title} {line}\n{text}\n{}\n",
            declarations(name).trim()
        );
        body += "\n";
    }
    header(TOP, "PREFORK_H", &includes, &body)
}

fn prefork_host_h() -> String {
    let top = format!(
        "// libprefork, for hosts in other languages. Generated from src/capi; do not edit.\n//\n{}",
        heading("host")
    );
    let body = declarations("host");
    header(
        &top,
        "PREFORK_HOST_H",
        "#include \"prefork.h\"\n",
        body.trim(),
    )
}

#[track_caller]
fn assert_up_to_date(name: &str, generated: &str) {
    let path = root().join("include").join(name);
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, generated).expect("a header can be written");
    }
    let committed = std::fs::read_to_string(&path).expect("a header can be read");
    assert!(
        committed == generated,
        "include/{name} is out of date: run `{WRITE}=1 cargo test --test header` and commit it"
    );
}

#[test]
fn the_headers_are_up_to_date() {
    assert_up_to_date("prefork.h", &prefork_h());
    assert_up_to_date("prefork-host.h", &prefork_host_h());
}

#[test]
fn each_file_is_in_a_header() {
    for entry in std::fs::read_dir(root().join("src/capi")).expect("src/capi can be listed") {
        let path = entry.expect("src/capi can be listed").path();
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("a name");
        assert!(
            GROUPS.contains(&name) || ["host", "mod"].contains(&name),
            "{name} is in no header"
        );
    }
}

//! Gives the shared library its SONAME, which is its promise of a stable ABI.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let os = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if os == "macos" {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libprefork.so.1");
    } else {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libprefork.so.1");
    }
}

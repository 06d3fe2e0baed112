//! The header is what the C API's source says, what the shared object exports, and what any C compiler takes.

use std::path::Path;

const HEADER: &str = "include/tcpshaker.h";
const RENEW: &str = "RENEW_HEADER=1 cargo test --test header";

/// The header as cbindgen makes it now, from the files of the C API in the order a reader wants them.
fn generated() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in ["about", "status", "config", "checker", "result", "request", "check", "submit"] {
        builder = builder.with_src(root.join(format!("src/c_api/{file}.rs")));
    }
    let mut header = Vec::new();
    builder.generate().unwrap().write(&mut header);
    String::from_utf8(header).unwrap()
}

#[test]
fn the_committed_header_is_what_the_source_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(HEADER);
    let generated = generated();
    if std::env::var_os("RENEW_HEADER").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == generated, "{HEADER} is stale. Renew it with: {RENEW}");
}

//! The header is what the C API's source says, what the shared object exports, and what any C compiler takes.

#[cfg(target_os = "linux")]
mod c;
#[cfg(target_os = "linux")]
mod c_programs;
#[cfg(target_os = "linux")]
#[macro_use]
mod support;

use std::path::Path;

const HEADER: &str = "include/tcpshaker.h";
const RENEW: &str = "RENEW_HEADER=1 cargo test --test header";

/// The header as cbindgen makes it now, from the files of the C API in the order a reader wants them.
fn generated() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in ["about", "status", "config", "checker", "result", "request", "check", "submit", "watch", "monitor"] {
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

#[cfg(target_os = "linux")]
mod seen_from_c {
    use std::mem::{offset_of, size_of};
    use std::path::PathBuf;
    use std::process::Command;

    use tcpshaker::c_api::*;

    use crate::c::{compiler, header, library_directory, scratch, succeed};

    fn source(name: &str, text: &str) -> PathBuf {
        let path = scratch().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn header_compiles_alone_and_twice_in_every_standard() {
        let once = "#include \"tcpshaker.h\"\n";
        for (times, text) in [("once", once.to_owned()), ("twice", once.repeat(2))] {
            let standards = [("cc", "c99"), ("cc", "c11"), ("cc", "c17"), ("c++", "c++11"), ("c++", "c++17")];
            for (program, standard) in standards {
                let file = source(&format!("{times}.{}", if program == "cc" { "c" } else { "cpp" }), &text);
                succeed(compiler(program, standard).args(["-c", "-o", "/dev/null"]).arg(file));
            }
        }
    }

    #[test]
    fn header_that_has_a_warning_would_fail() {
        let file = source("warning.c", "#include \"tcpshaker.h\"\nstatic int unused;\n");
        let finished = crate::c_programs::finish(compiler("cc", "c11").args(["-c", "-o", "/dev/null"]).arg(file));
        assert!(!finished.status.success() && finished.stderr.contains("unused"), "{finished:?}");
    }

    #[test]
    fn program_in_cpp_links_to_the_functions_and_uses_the_types() {
        let text = r#"
            #include "tcpshaker.h"
            #include <cstring>
            int main() {
                shaker_request request = shaker_request();
                shaker_result result = shaker_result();
                shaker_status status = shaker_check(nullptr, &request, &result);
                const char *text = shaker_status_str(SHAKER_OK);
                return status == SHAKER_ERR_INVALID && result.status == status && std::strcmp(text, "up") == 0 ? 0 : 1;
            }
        "#;
        let library = library_directory();
        let program = scratch().join("program-in-cpp");
        let mut cpp = compiler("c++", "c++11");
        cpp.arg(source("program.cpp", text)).arg("-o").arg(&program).arg("-L").arg(library);
        succeed(cpp.arg(format!("-Wl,-rpath,{}", library.display())).arg("-ltcpshaker"));
        succeed(Command::new(program).env_remove("LD_LIBRARY_PATH"));
    }

    /// The release that all functions of today came with; see docs/abi.md.
    const VERSION: &str = "TCPSHAKER_0.1";

    #[test]
    fn exported_symbols_are_the_functions_of_the_header_with_their_version_and_nothing_else() {
        let library = library_directory().join("libtcpshaker.so");
        let listed = succeed(Command::new("nm").args(["-D", "--defined-only"]).arg(library)).stdout;
        // Some linkers list the version, too.
        let symbols = listed.lines().filter_map(|line| line.split_whitespace().last());
        let (mut exported, mut odd) = (Vec::new(), Vec::new());
        for symbol in symbols.filter(|symbol| !symbol.starts_with(VERSION)) {
            match symbol.split_once("@@") {
                Some((function, VERSION)) => exported.push(function),
                _ => odd.push(symbol),
            }
        }
        exported.sort_unstable();
        assert_eq!(odd, [""; 0], "without the version");
        assert_eq!(exported, header::functions());
        assert!(exported.len() > 25 && exported.iter().all(|name| name.starts_with("shaker_")));
    }

    /// What both sides say of sizes, offsets and values, as lines of "what number".
    struct Facts {
        /// Statements of a C program that prints the lines.
        c: String,
        rust: String,
    }

    impl Facts {
        fn add(&mut self, in_c: &str, in_rust: i64) {
            self.c += &format!("printf(\"{in_c} %lld\\n\", (long long)({in_c}));\n");
            self.rust += &format!("{in_c} {in_rust}\n");
        }
    }

    /// The size of a struct and the place and size of every field; a field that is not listed does not compile.
    macro_rules! layout {
        ($facts:ident, $name:ident { $($field:ident),+ $(,)? }) => {
            // An exhaustive pattern: it is what makes the list complete.
            let _ = |all: $name| { let $name { $($field: _),+ } = all; };
            $facts.add(concat!("sizeof(", stringify!($name), ")"), size_of::<$name>() as i64);
            $(
                $facts.add(
                    concat!("offsetof(", stringify!($name), ", ", stringify!($field), ")"),
                    offset_of!($name, $field) as i64,
                );
                $facts.add(
                    concat!("sizeof(((", stringify!($name), " *)0)->", stringify!($field), ")"),
                    size_of_field(|all: &$name| &raw const all.$field) as i64,
                );
            )+
        };
    }

    fn size_of_field<S, F>(_: impl Fn(&S) -> *const F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn sizes_offsets_and_values_agree_on_both_sides() {
        let mut facts = Facts { c: String::new(), rust: String::new() };
        layout!(
            facts,
            shaker_request { addr, sockaddr, sockaddr_len, timeout_ms, flags, callback, user_data, mark, reserved }
        );
        layout!(
            facts,
            shaker_result {
                id,
                user_data,
                status,
                os_error,
                rtt_us,
                syn_retransmits,
                elapsed_us,
                flags,
                address,
                reserved,
            }
        );
        layout!(
            facts,
            shaker_stats {
                submitted,
                up,
                timed_out,
                refused,
                unreachable,
                err_invalid,
                err_address,
                err_resolve,
                err_local,
                err_cancelled,
                err_closed,
                err_busy,
                err_unsupported,
                err_internal,
                in_flight,
                queued,
                completed_handshakes,
                sockets,
                unsolicited,
            }
        );
        layout!(
            facts,
            shaker_watch {
                addr,
                sockaddr,
                sockaddr_len,
                flags,
                mark,
                timeout_ms,
                interval_ms,
                falling_ms,
                rising_ms,
                down_ms,
                fall,
                rise,
                first_fall,
                first_rise,
                jitter_percent,
                initial,
                user_data,
                reserved,
            }
        );
        layout!(facts, shaker_change { id, user_data, from, to, run, flags, at_us, last, reserved });
        layout!(
            facts,
            shaker_watch_info {
                state,
                run,
                since_us,
                next_us,
                checks,
                up,
                down,
                no_verdict,
                changes,
                rtt_us,
                rtt_smoothed_us,
                rtt_variation_us,
                paused,
                last,
            }
        );
        facts.add("sizeof(shaker_address)", size_of::<shaker_address>() as i64);
        facts.add("offsetof(shaker_address, sa)", offset_of!(shaker_address, sa) as i64);
        facts.add("offsetof(shaker_address, in)", offset_of!(shaker_address, r#in) as i64);
        facts.add("offsetof(shaker_address, in6)", offset_of!(shaker_address, in6) as i64);
        facts.add("sizeof(shaker_status)", size_of::<shaker_status>() as i64);
        facts.add("sizeof(enum shaker_status)", size_of::<shaker_status>() as i64);
        facts.add("sizeof(shaker_engine)", size_of::<shaker_engine>() as i64);
        facts.add("sizeof(shaker_callback)", size_of::<shaker_callback>() as i64);
        facts.add("(shaker_status)-1 < 0", 1);

        let mut named: Vec<String> = Vec::new();
        macro_rules! values {
            ($from:path: $($name:ident),+ $(,)?) => {{
                use $from as from;
                $(
                    facts.add(stringify!($name), from::$name as i64);
                    named.push(stringify!($name).to_owned());
                )+
            }};
        }
        values!(tcpshaker::c_api::shaker_status:
            SHAKER_OK, SHAKER_TIMEOUT, SHAKER_REFUSED, SHAKER_UNREACHABLE, SHAKER_ERR_INVALID, SHAKER_ERR_ADDRESS,
            SHAKER_ERR_RESOLVE, SHAKER_ERR_LOCAL, SHAKER_ERR_CANCELLED, SHAKER_ERR_CLOSED, SHAKER_ERR_FORKED,
            SHAKER_ERR_DEADLOCK, SHAKER_ERR_BUSY, SHAKER_ERR_UNSUPPORTED, SHAKER_ERR_INTERNAL);
        values!(tcpshaker::c_api::shaker_engine: SHAKER_ENGINE_SOCKET, SHAKER_ENGINE_RAW, SHAKER_ENGINE_AUTO);
        values!(tcpshaker::c_api::shaker_state: SHAKER_STATE_UNKNOWN, SHAKER_STATE_UP, SHAKER_STATE_DOWN);
        facts.add("sizeof(shaker_state)", size_of::<shaker_state>() as i64);
        values!(tcpshaker::c_api:
            SHAKER_VERSION_MAJOR, SHAKER_VERSION_MINOR, SHAKER_VERSION_PATCH, SHAKER_CAN_HALF_OPEN,
            SHAKER_CAN_POLL_FD, SHAKER_CAN_REUSE_SOCKET, SHAKER_CAN_BIND_INTERFACE, SHAKER_CAN_MARK, SHAKER_CAN_TOS,
            SHAKER_CAN_RAW, SHAKER_HALF_OPEN, SHAKER_ZERO_WINDOW, SHAKER_FULL_HANDSHAKE, SHAKER_LINGER, SHAKER_IPV4, SHAKER_IPV6,
            SHAKER_CHANGE_REPORTED, SHAKER_CHANGE_SKIPPED);
        named.sort();
        assert_eq!(named, header::constants(), "the test must name every number of the header");

        let text =
            format!("#include \"tcpshaker.h\"\n#include <stdio.h>\nint main(void) {{\n{}return 0;\n}}\n", facts.c);
        let program = scratch().join("layout");
        succeed(compiler("cc", "c11").arg(source("layout.c", &text)).arg("-o").arg(&program));
        let printed = succeed(&mut Command::new(program)).stdout;
        for (in_c, in_rust) in printed.lines().zip(facts.rust.lines()) {
            assert_eq!(in_c, in_rust, "the first is C's, the second Rust's");
        }
        assert_eq!(printed, facts.rust);
    }

    /// The numbers of the contract, which never change: what compiled against any version means the same for ever.
    #[test]
    fn statuses_have_the_numbers_that_they_always_had() {
        let numbers = [
            (shaker_status::SHAKER_OK, 0),
            (shaker_status::SHAKER_TIMEOUT, 1),
            (shaker_status::SHAKER_REFUSED, 2),
            (shaker_status::SHAKER_UNREACHABLE, 3),
            (shaker_status::SHAKER_ERR_INVALID, -1),
            (shaker_status::SHAKER_ERR_ADDRESS, -2),
            (shaker_status::SHAKER_ERR_RESOLVE, -3),
            (shaker_status::SHAKER_ERR_LOCAL, -4),
            (shaker_status::SHAKER_ERR_CANCELLED, -5),
            (shaker_status::SHAKER_ERR_CLOSED, -6),
            (shaker_status::SHAKER_ERR_FORKED, -7),
            (shaker_status::SHAKER_ERR_DEADLOCK, -8),
            (shaker_status::SHAKER_ERR_BUSY, -9),
            (shaker_status::SHAKER_ERR_UNSUPPORTED, -10),
            (shaker_status::SHAKER_ERR_INTERNAL, -11),
        ];
        for (status, number) in numbers {
            assert_eq!(status as i32, number, "{status:?}");
        }
    }
    /// The functions of the contract, which never go, so that what was linked to any version runs with every later one.
    /// A function that joins them is added here in the same change.
    #[test]
    fn functions_are_those_that_they_always_were() {
        let mut functions = [
            "shaker_version",
            "shaker_capabilities",
            "shaker_status_str",
            "shaker_status_name",
            "shaker_result_str",
            "shaker_result_describe",
            "shaker_result_error_str",
            "shaker_config_new",
            "shaker_config_free",
            "shaker_config_set_engine",
            "shaker_config_set_threads",
            "shaker_config_set_timeout",
            "shaker_config_set_max_in_flight",
            "shaker_config_set_max_lookups",
            "shaker_config_set_max_rate",
            "shaker_config_set_syn_interval",
            "shaker_config_set_caller_driven",
            "shaker_config_set_family",
            "shaker_config_set_zero_linger",
            "shaker_config_set_source",
            "shaker_config_set_interface",
            "shaker_config_set_network_namespace",
            "shaker_config_set_mark",
            "shaker_config_set_tos",
            "shaker_checker_new",
            "shaker_checker_default",
            "shaker_checker_shutdown",
            "shaker_checker_free",
            "shaker_check_addr",
            "shaker_check_sockaddr",
            "shaker_check",
            "shaker_check_many",
            "shaker_submit",
            "shaker_reap",
            "shaker_checker_fd",
            "shaker_cancel",
            "shaker_checker_stats",
            "shaker_checker_engine",
            "shaker_monitor_config_new",
            "shaker_monitor_config_free",
            "shaker_monitor_config_set_max_spread",
            "shaker_monitor_config_set_every_result",
            "shaker_monitor_config_set_max_down_percent",
            "shaker_monitor_new",
            "shaker_monitor_free",
            "shaker_monitor_add",
            "shaker_monitor_remove",
            "shaker_monitor_pause",
            "shaker_monitor_check_now",
            "shaker_monitor_report",
            "shaker_monitor_get",
            "shaker_monitor_reap",
            "shaker_monitor_fd",
            "shaker_monitor_held",
        ];
        functions.sort_unstable();
        assert_eq!(header::functions(), functions);
    }
}

//! Every function of the system that the library calls fails in turn, with each error that its man page lists. The
//! program is tests/c/failing_calls.c; how it has them fail is in tests/c/interposed.h.
//!
//! `SYSTEM_CALLS=1000` has each of the first thousand calls of a run fail with every error, which is all of them. Without
//! it each of the first six calls fails, with one error or another; of monitors' the first two. How many faults that were
//! is printed.
#![cfg(target_os = "linux")]

#[macro_use]
mod c;
mod c_programs;
#[macro_use]
mod support;

use std::process::Command;
use std::time::Duration;

use c::Flavour;
use c_programs::PATIENCE;

/// The C program with a kind of checker, and who makes the checks.
fn run(test: &str, kind: &str, who: &str) {
    let most = if who == "checks" { "6" } else { "2" };
    let most = std::env::var("SYSTEM_CALLS").unwrap_or_else(|_| most.to_owned());
    let calls: u32 = most.parse().expect("SYSTEM_CALLS is a number");
    let patience = PATIENCE + calls * Duration::from_secs(4);
    c::run_telling(test, "failing_calls", Flavour::Shared, &[kind, who, &most], patience);
}

/// Each in a network of its own, in which nobody else changes what is open, and raw sockets may be had.
macro_rules! kinds {
    ($($test:ident: $kind:literal $who:literal),+ $(,)?) => {
        $(
            #[test]
            fn $test() {
                c::library_directory();
                namespaced!();
                run(stringify!($test), $kind, $who);
            }
        )+
    };
}

mod that_fails_is_no_verdict_loses_nothing_and_leaves_nothing {
    use super::*;

    kinds! {
        on_the_socket_engine: "socket" "checks",
        on_the_raw_engine: "raw" "checks",
        where_callers_drive: "driven" "checks",
        where_callers_drive_the_raw_engine: "raw-driven" "checks",
        in_another_network_namespace: "namespace" "checks",
    }
}

mod that_fails_while_a_monitor_works_changes_no_state_but_to_the_true_one {
    use super::*;

    kinds! {
        on_the_socket_engine: "socket" "monitors",
        on_the_raw_engine: "raw" "monitors",
        where_callers_drive: "driven" "monitors",
        where_callers_drive_the_raw_engine: "raw-driven" "monitors",
    }
}

/// What cannot be told to fail, and why.
const LEFT_OUT: [(&str, &str); 5] = [
    // tests/memory.rs
    ("memory", "malloc calloc realloc posix_memalign free mmap mmap64 munmap madvise"),
    (
        "only a panic's message calls it, which is never made",
        "dl_iterate_phdr getcwd readlink realpath stat64 lseek64 writev getenv abort",
    ),
    (
        "it has no way to fail, or gives something back",
        "bcmp memcmp memcpy memmove memset strlen clock_gettime getpid gettid sigfillset sigdelset freeaddrinfo \
         gai_strerror pthread_self pthread_attr_destroy pthread_detach pthread_join pthread_setcancelstate",
    ),
    ("the dynamic linker's own", "dladdr dlopen"),
    (
        "Rust's threads of its own, of which the library has none",
        "pthread_key_create pthread_key_delete pthread_setspecific",
    ),
];

#[test]
fn no_function_of_the_system_is_left_out_unless_it_is_said_why() {
    let library = c::library_directory().join("libtcpshaker.so");
    let imported = c::succeed(Command::new("nm").args(["-D", "--undefined-only", "-j"]).arg(library)).stdout;
    let program = std::fs::read_to_string(c::root().join("tests/c/interposed.h")).unwrap();
    let fails = |name: &str| program.contains(&format!("EACH({name},"));
    let said = |name: &str| LEFT_OUT.iter().any(|(_, names)| names.split_whitespace().any(|one| one == name));
    let names = imported.split_whitespace().map(|name| name.split('@').next().unwrap());
    // Those of the compiler and of the C library's own bookkeeping begin with a line.
    let names: Vec<&str> = names.filter(|name| !name.starts_with('_') && *name != "syscall").collect();
    assert!(names.len() > 50, "{names:?}");
    let left_out: Vec<_> = names.iter().filter(|name| !fails(name) && !said(name)).collect();
    assert!(left_out.is_empty(), "neither made to fail nor said why not: {left_out:?}");
}

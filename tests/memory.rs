//! Memory that cannot be had ends no process of a program that asks for much: what needs four kibibytes or more at once is
//! refused, or is a local fault. The programs are tests/c/one_failure.c, tests/c/failing_memory.c and
//! tests/c/kept_without_memory.c.
//!
//! Each place that asks for so much fails once. `MEMORY_SWEEP=1` has each allocation fail instead, one at a time, which
//! takes ten minutes on two slow processors; `MEMORY_SWEEP=5` each fifth.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

#[macro_use]
mod c;
mod c_programs;
#[macro_use]
mod support;

use std::time::Duration;

use c::Flavour;
use support::etc;
use support::name_server::{Answer, NameServer};
use support::process::sh;
use support::targets::V4;

/// A check needs less at a time, and a thousand of them no more: results are kept in pieces.
const KIBIBYTES: &str = "4";

mod that_fails_once_or_from_some_time_on_is_a_local_fault {
    use super::*;

    #[test]
    fn on_the_socket_engine() {
        c::library_directory();
        namespaced!();
        c::run("on_the_socket_engine", "failing_memory", Flavour::Shared, &["socket", KIBIBYTES]);
    }

    #[test]
    fn on_the_raw_engine() {
        c::library_directory();
        namespaced!();
        c::run("on_the_raw_engine", "failing_memory", Flavour::Shared, &["raw", KIBIBYTES]);
    }

    #[test]
    fn where_callers_drive() {
        c::library_directory();
        namespaced!();
        c::run("where_callers_drive", "failing_memory", Flavour::Shared, &["driven", KIBIBYTES]);
    }
}

mod that_fails_once_wherever_it_is_asked_for_ends_nothing {
    use super::*;

    fn fail_once(test: &str, kind: &str) {
        c::library_directory();
        c::run(test, "one_failure", Flavour::Shared, &[kind]);
    }

    #[test]
    fn on_the_socket_engine() {
        c::library_directory();
        namespaced!();
        fail_once("on_the_socket_engine", "socket");
    }

    #[test]
    fn on_the_raw_engine() {
        c::library_directory();
        namespaced!("ip");
        have_far_addresses();
        fail_once("on_the_raw_engine", "raw");
    }

    #[test]
    fn where_callers_drive() {
        c::library_directory();
        namespaced!();
        fail_once("where_callers_drive", "driven");
    }

    #[test]
    fn where_callers_drive_the_raw_engine() {
        c::library_directory();
        namespaced!("ip");
        have_far_addresses();
        fail_once("where_callers_drive_the_raw_engine", "raw-driven");
    }

    #[test]
    fn with_names() {
        c::library_directory();
        namespaced!();
        c::build("one_failure", Flavour::Shared);
        etc::replace();
        let mut hosts: String = (0..1_500).map(|number| format!("127.0.0.1 name-{number}.test\n")).collect();
        hosts.extend((1..=64).map(|number| format!("127.0.0.{number} many.test\n")));
        std::fs::write("/etc/hosts", hosts).unwrap();
        fail_once("with_names", "names");
    }

    /// This host has them: what goes there stays in the namespace.
    fn have_far_addresses() {
        sh("ip route add local 10.254.0.0/16 dev lo");
    }
}

mod that_fails_for_what_is_kept_beside_checks_ends_nothing {
    use super::*;

    const PROGRAM: &str = "kept_without_memory";

    fn keep(what: &str) {
        c::run(what, PROGRAM, Flavour::Shared, &[what]);
    }

    fn names() -> impl Iterator<Item = String> {
        (0..200).map(|number| format!("name-{number}.test"))
    }

    /// With a name server that knows some names, and is so slow.
    fn keep_of_names(what: &str, delay: Duration) {
        c::build(PROGRAM, Flavour::Shared); // the compiler is found by way of /etc
        etc::replace();
        etc::use_name_server(5, 1);
        let names: Vec<_> = names().collect();
        let table: Vec<_> = names.iter().map(|name| (&**name, Answer::Addresses(vec![V4]))).collect();
        let _server = NameServer::start_slow(delay, &table);
        keep(what);
    }

    #[test]
    fn settings_of_watches() {
        c::library_directory();
        namespaced!();
        keep("settings");
    }

    #[test]
    fn cancels_of_checks_that_are_not_taken_in() {
        c::library_directory();
        namespaced!();
        keep("cancels");
    }

    #[test]
    fn answers_for_those_who_ask_again() {
        c::library_directory();
        namespaced!();
        c::build(PROGRAM, Flavour::Shared);
        etc::replace();
        // With less memory a name server's answers are lost in the C library.
        std::fs::write("/etc/hosts", names().map(|name| format!("127.0.0.1 {name}\n")).collect::<String>()).unwrap();
        keep("answers");
    }

    #[test]
    fn hosts_that_were_slow() {
        c::library_directory();
        namespaced!();
        keep_of_names("slow", Duration::from_millis(700));
    }

    #[test]
    fn answers_that_a_busy_loop_has_not_heard() {
        c::library_directory();
        namespaced!();
        keep_of_names("heard", Duration::from_millis(700));
    }

    #[test]
    fn names_that_nobody_wants_any_more() {
        c::library_directory();
        namespaced!();
        keep_of_names("withdrawn", Duration::from_secs(2));
    }
}

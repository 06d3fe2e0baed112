//! How the library behaves inside a host process: across fork, signals and cancelled threads, when it is unloaded, when
//! it is idle, when the program ends. The programs are in tests/c/. Each prints nothing while all is well, or one line of how
//! much it did, so every run also shows that the library prints nothing.
#![cfg(target_os = "linux")]

#[macro_use]
mod c;
mod c_programs;
#[macro_use]
mod support;

use c::Flavour;
use support::handshake::often;

/// A test for each kind of checker (tests/c/kinds.h), in a network of its own.
macro_rules! of_each_kind {
    ($run:ident) => { of_each_kind! { $run;
        on_the_socket_engine "socket", on_the_raw_engine "raw", where_callers_drive "driven",
        where_callers_drive_the_raw_engine "raw-driven" } };
    ($run:ident; $($test:ident $kind:literal),+) => {
        $(
            #[test]
            fn $test() {
                c::library_directory();
                namespaced!();
                $run(concat!(module_path!(), "::", stringify!($test)), $kind);
            }
        )+
    };
}

mod forked_child_uses_and_disturbs_nothing_of_its_parents {
    // Not under AddressSanitizer, whose allocator cannot be forked beside other threads.
    runs!("fork" []; with_the_shared_object Shared, with_the_archive Archive, under_valgrind ForkingValgrind);
}

mod fork_in_mid_check_disturbs_no_check_of_its_parent_and_gives_no_descriptor_to_a_program {
    use super::*;

    /// With one kind of checker, in a program with one thread of its own, and in one with several.
    fn run(test: &str, kind: &str) {
        for threads in ["single", "multi"] {
            c::run(test, "fork_in_mid_check", Flavour::Shared, &[kind, threads]);
        }
    }

    of_each_kind!(run);
}

mod host_that_closes_the_librarys_descriptors_has_no_false_verdict_and_neither_hangs_nor_spins {
    use super::*;

    fn run(test: &str, kind: &str) {
        c::run(test, "descriptors_taken", Flavour::Shared, &[kind]);
    }

    of_each_kind!(run);
}

mod child_that_returns_from_the_callback_that_forked_it_never_goes_on_with_its_parents_loop {
    runs!("fork_and_return" []; with_the_shared_object Shared, with_the_archive Archive);

    #[test]
    fn on_the_raw_engine() {
        crate::c::library_directory();
        namespaced!();
        let raw = [("TCPSHAKER_ENGINE", "raw")];
        crate::c::run_with("fork_and_return, raw", "fork_and_return", crate::Flavour::Shared, &[], &raw);
    }
}

mod nothing_is_left_after_the_last_free {
    runs!("leftovers" []; with_the_shared_object Shared, with_the_archive Archive, under_valgrind Valgrind,
        under_the_sanitizers Sanitized);
}

mod unloaded_library_is_gone_and_can_be_loaded_again {
    fn shared_object() -> String {
        crate::c::library_directory().join("libtcpshaker.so").to_str().unwrap().to_owned()
    }

    runs!("unload" [&*shared_object(), "30", "970"]; a_thousand_times Unlinked);
    runs!("unload" [&*shared_object(), "2", "3"]; under_valgrind UnlinkedValgrind);

    #[test]
    fn on_the_raw_engine() {
        let library = shared_object();
        namespaced!();
        // Few times: each loop has filters, and a kernel may take its time to free them.
        let test = "unloaded_library_is_gone_and_can_be_loaded_again::on_the_raw_engine";
        crate::c::run_with(
            test,
            "unload",
            crate::Flavour::Unlinked,
            &[&library, "4", "30"],
            &[("TCPSHAKER_ENGINE", "raw")],
        );
    }
}

mod library_works_before_main_after_exit_on_a_small_stack_and_beside_a_copy_of_itself {
    fn shared_object() -> String {
        crate::c::library_directory().join("libtcpshaker.so").to_str().unwrap().to_owned()
    }

    runs!("loading" [&*shared_object()]; with_the_archive Archive);

    #[test]
    fn on_the_raw_engine() {
        let library = shared_object();
        namespaced!();
        crate::c::run_with("loading", "loading", crate::Flavour::Archive, &[&library], &[("TCPSHAKER_ENGINE", "raw")]);
    }

    #[test]
    fn where_callers_drive() {
        let test = "library_works_before_main::where_callers_drive";
        crate::c::run_with(test, "loading", crate::Flavour::Archive, &[&shared_object()], &[("TCPSHAKER_DRIVEN", "1")]);
    }
}

mod wall_clock_that_is_set_forth_and_back_changes_no_verdict {
    use super::*;

    runs!("clock" ["socket"]; on_the_socket_engine Shared);
    runs!("clock" ["driven"]; where_callers_drive Shared);

    #[test]
    fn on_the_raw_engine_whose_answers_the_kernel_stamps_by_it() {
        c::library_directory();
        namespaced!();
        c::run("on_the_raw_engine_whose_answers_the_kernel_stamps_by_it", "clock", Flavour::Shared, &["raw"]);
        c::run("where_callers_drive_the_raw_engine", "clock", Flavour::Shared, &["raw-driven"]);
    }
}

mod storm_of_signals_reaches_no_thread_of_the_library {
    runs!("signals" []; with_the_shared_object Shared, with_the_archive Archive, under_the_sanitizers Sanitized);
}

mod signals_to_every_thread_a_thousand_times_a_second_change_no_verdict_and_no_thread_of_the_program {
    use std::time::Duration;

    use super::*;
    use crate::c_programs::PATIENCE;

    /// For three seconds, or as long as `SIGNAL_SECONDS` says.
    fn run(test: &str, kind: &str) {
        let seconds = std::env::var("SIGNAL_SECONDS").unwrap_or_else(|_| "3".to_owned());
        let patience = PATIENCE + Duration::from_secs(2 * seconds.parse::<u64>().expect("SIGNAL_SECONDS is a number"));
        c::run_telling(test, "signalled", Flavour::Shared, &[kind, &seconds], patience);
    }

    of_each_kind!(run);
}

mod fault_in_a_callback_reaches_the_programs_crash_handler {
    // Not under the sanitizers or valgrind, which have handlers of their own.
    runs!("faults" []; with_the_shared_object Shared, with_the_archive Archive);
}

mod cancelled_thread_of_the_program_ends_after_its_call_and_tears_nothing_apart {
    // Not under AddressSanitizer, which takes what a cancelled thread leaves on its stack for an error of its own.
    runs!("cancelled" []; with_the_shared_object Shared, with_the_archive Archive, under_valgrind Valgrind);
}

mod everything_that_belongs_to_the_process_is_as_it_was {
    runs!("unchanged" []; with_the_shared_object Shared, with_the_archive Archive);
}

mod idle_checker_does_nothing_at_all {
    runs!("idle" []; with_the_shared_object Shared, with_the_archive Archive);
}

#[test]
fn program_that_leaves_with_checks_under_way_ends_as_if_there_were_no_library() {
    for flavour in [Flavour::Shared, Flavour::Archive] {
        for way in ["return", "exit", "quick"] {
            for _ in 0..often(3) {
                c::run("leaving", "leaving", flavour, &[way]);
            }
        }
    }
}

#[test]
fn program_without_any_shared_object_checks_as_well() {
    c::run("static", "null", Flavour::Static, &[]);
    c::run("static", "callbacks", Flavour::Static, &[]);
}

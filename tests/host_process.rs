//! How the library behaves inside a host process: across fork, signals and cancelled threads, when it is unloaded, when
//! it is idle, when the program ends. The programs are in tests/c/. Each prints nothing while all is well,
//! so every run also shows that the library prints nothing.
#![cfg(target_os = "linux")]

#[macro_use]
mod c;
mod c_programs;
#[macro_use]
mod support;

use c::Flavour;
use support::handshake::often;

mod forked_child_uses_and_disturbs_nothing_of_its_parents {
    // Not under AddressSanitizer, whose allocator cannot be forked beside other threads.
    runs!("fork" []; with_the_shared_object Shared, with_the_archive Archive, under_valgrind ForkingValgrind);
}

mod child_that_returns_from_the_callback_that_forked_it_never_goes_on_with_its_parents_loop {
    runs!("fork_and_return" []; with_the_shared_object Shared, with_the_archive Archive);
}

mod nothing_is_left_after_the_last_free {
    runs!("leftovers" []; with_the_shared_object Shared, with_the_archive Archive, under_valgrind Valgrind,
        under_the_sanitizers Sanitized);
}

mod unloaded_library_is_gone_and_can_be_loaded_again {
    fn shared_object() -> String {
        crate::c::library_directory().join("libtcpshaker.so").to_str().unwrap().to_owned()
    }

    runs!("unload" [&*shared_object(), "60"]; as_often_as_one_likes Unlinked);
    runs!("unload" [&*shared_object(), "5"]; under_valgrind UnlinkedValgrind);
}

mod library_works_before_main_after_exit_on_a_small_stack_and_beside_a_copy_of_itself {
    fn shared_object() -> String {
        crate::c::library_directory().join("libtcpshaker.so").to_str().unwrap().to_owned()
    }

    runs!("loading" [&*shared_object()]; with_the_archive Archive);
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
    }
}

mod storm_of_signals_reaches_no_thread_of_the_library {
    runs!("signals" []; with_the_shared_object Shared, with_the_archive Archive, under_the_sanitizers Sanitized);
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

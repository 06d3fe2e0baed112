//! The C boundary: what every function does with arguments good and bad, from callbacks, and while others shut the
//! checker down. The programs are in tests/c/; each is linked both ways, and run under two memory checkers.
#![cfg(target_os = "linux")]

#[macro_use]
mod c;
mod c_programs;
#[macro_use]
mod support;

macro_rules! boundary {
    ($($sentence:ident: $program:literal),+ $(,)?) => {
        $(
            mod $sentence {
                runs!($program []; with_the_shared_object Shared, with_the_archive Archive, under_valgrind Valgrind,
                    under_the_sanitizers Sanitized);
            }
        )+
    };
}

boundary! {
    null_is_answered_and_never_followed: "null",
    wrong_arguments_are_refused_whole: "arguments",
    texts_fit_any_buffer_and_describe_any_number: "texts",
    results_are_whole_and_counted: "results",
    callbacks_run_once_and_may_all_but_block: "callbacks",
    shutdown_and_cancel_wake_everybody: "endings",
    monitors_tell_each_change_once: "monitors",
}

#[test]
fn callbacks_run_once_and_may_all_but_block_on_the_raw_engine() {
    c::library_directory();
    namespaced!();
    c::run_with("callbacks, raw", "callbacks", c::Flavour::Shared, &[], &[("TCPSHAKER_ENGINE", "raw")]);
}

#[test]
fn no_pointer_argument_of_any_function_is_left_without_its_null() {
    let code = c::header::code();
    let program = std::fs::read_to_string(c::root().join("tests/c/null.c")).unwrap();
    let mut pointers = 0;
    for name in c::header::functions() {
        let declared = c::header::arguments(&code, &name).remove(0);
        let calls = c::header::arguments(&program, &name);
        for (index, parameter) in declared.iter().enumerate().filter(|(_, parameter)| parameter.contains('*')) {
            pointers += 1;
            let given = calls.iter().any(|call| call.get(index) == Some(&"NULL"));
            assert!(given, "null.c does not pass NULL as `{parameter}` of {name}");
        }
    }
    assert!(pointers > 30, "only {pointers} pointers were found in the header");
}

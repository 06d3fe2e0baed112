//! What an attack on the library survived, as tests that stay. They are short here; with `FULL_SIZE=1` they are of the
//! size of the attack, which the table in docs/reliability.md has the figures of. Each program prints nothing while all is well.
#![cfg(target_os = "linux")]

#[macro_use]
mod c;
mod c_programs;
#[macro_use]
mod support;

use c::Flavour;
use support::sized::sized;

mod process_without_its_first_descriptors {
    use super::*;

    #[test]
    fn has_every_verdict_and_all_of_its_descriptors_back() {
        c::library_directory();
        namespaced!();
        c::run("has_every_verdict_and_all_of_its_descriptors_back", "descriptors", Flavour::Shared, &[]);
    }
}

mod storm_of_forks {
    use super::*;

    /// Children of each of the four storms.
    fn blow(test: &str, engine: &str, loops: &str) {
        let children = sized(100, 2_250).to_string();
        c::run(test, "fork_storm", Flavour::Shared, &[&children, engine, loops]);
    }

    #[test]
    fn changes_no_verdict_of_the_parents_on_sockets() {
        blow("changes_no_verdict_of_the_parents_on_sockets", "socket", "threads");
        blow("changes_no_verdict_of_the_parents_on_sockets", "socket", "driven");
    }

    #[test]
    fn changes_no_verdict_of_the_parents_on_the_raw_engine() {
        c::library_directory();
        namespaced!();
        blow("changes_no_verdict_of_the_parents_on_the_raw_engine", "raw", "threads");
        blow("changes_no_verdict_of_the_parents_on_the_raw_engine", "raw", "driven");
    }
}

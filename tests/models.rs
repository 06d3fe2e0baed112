//! The hand-overs between threads, in every order in which the threads can meet: `models/`, which loom runs. And the
//! same with two steps of one in the wrong order: each time a model finds it.
//!
//! `LOOM_MAX_PREEMPTIONS=5 cargo test --test models` tries more orders.
#![cfg(all(target_os = "linux", not(feature = "forced-handshake"), not(feature = "parking_lot")))]

#[path = "support/skipped.rs"]
mod skipped;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

/// A file under src/, a text in it, and what is to stand there.
type Change = (&'static str, &'static str, &'static str);

const INBOX: &str = "event_loop/inbox.rs";
const QUEUE: &str = "completion/queue.rs";
const RESOLVER: &str = "resolver/mod.rs";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where all of them are built: what loom needs is compiled once.
fn target_directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("models")
}

fn cargo(subcommand: &str, tree: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([subcommand, "--locked", "--quiet", "--manifest-path"]).arg(tree.join("models/Cargo.toml"));
    cargo.env("CARGO_TARGET_DIR", target_directory());
    cargo
}

/// Copies the sources below a directory.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory for the copy");
    for entry in fs::read_dir(from).expect("a directory of sources") {
        let path = entry.expect("an entry").path();
        let copied = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true if path.ends_with("models/target") => {}
            true => copy(&path, &copied),
            false => drop(fs::copy(&path, &copied).expect("a copy")),
        }
    }
}

/// A copy of the models and of what they are models of, with these changes. Always at the same place, and new: cargo
/// goes by the age of files.
fn changed_tree(changes: &[Change]) -> PathBuf {
    let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join("models");
    let _ = fs::remove_dir_all(&tree);
    ["src", "models"].into_iter().for_each(|part| copy(&root().join(part), &tree.join(part)));
    for (file, text, instead) in changes {
        let path = tree.join("src").join(file);
        let source = fs::read_to_string(&path).expect("a source");
        assert_eq!(source.matches(text).count(), 1, "{file} does not have this once, so change the test too:\n{text}");
        fs::write(&path, source.replace(text, instead)).expect("the copy can be changed");
    }
    tree
}

/// Runs the models that have the word in their name, with these changes; `None` if that is not possible here.
fn run(word: &str, changes: &[Change]) -> Option<Output> {
    // One at a time: they are all built at the same place.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let tree = changed_tree(changes);
    if !cargo("fetch", &tree).output().expect("cargo").status.success() {
        let why = "loom is not here, and no registry to fetch it from";
        assert!(std::env::var_os("CI").is_none(), "SKIPPED counts as failed where CI is set: {why}");
        skipped::note(&format!("SKIPPED models of {word}: {why}"));
        return None;
    }
    let built = cargo("build", &tree).output().expect("cargo");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let program = target_directory().join("debug/tcpshaker-models");
    Some(Command::new(program).arg(word).env("RUST_BACKTRACE", "0").output().expect("the models run"))
}

fn holds(word: &str) {
    let Some(ran) = run(word, &[]) else { return };
    let (said, why) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    println!("{said}");
    assert!(ran.status.success(), "{said}{why}");
}

/// With these changes, some model with the word in its name fails, and says this.
fn fails(word: &str, reason: &str, changes: &[Change]) {
    let Some(ran) = run(word, changes) else { return };
    let (said, why) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(!ran.status.success(), "no model has found it:\n{said}");
    assert!(why.contains(reason), "{said}{why}");
}

mod in_every_order_of_the_threads {
    use super::*;

    #[test]
    fn a_loop_that_falls_asleep_hears_of_each_command() {
        holds("sleep_and_wake");
    }

    #[test]
    fn a_result_reaches_one_of_those_who_wait() {
        holds("complete_and_reap");
    }

    #[test]
    fn an_answer_reaches_all_who_have_not_withdrawn() {
        holds("withdraw");
    }
}

mod a_model_finds {
    use super::*;

    const NOBODY_WAKES: &str = "deadlock";

    #[test]
    fn a_loop_that_says_it_sleeps_after_it_has_looked_for_commands() {
        let sets = "        self.asleep.store(true, Ordering::SeqCst);\n        #[cfg(test)]";
        let lets_go = "drop(state);\n        if !nothing {";
        let sets_late = "drop(state);\n        self.asleep.store(true, Ordering::SeqCst);\n        if !nothing {";
        let changes = [(INBOX, sets, "        #[cfg(test)]"), (INBOX, lets_go, sets_late)];
        fails("sleep_and_wake", NOBODY_WAKES, &changes);
    }

    #[test]
    fn a_command_that_is_left_after_the_wake_up() {
        let leaves = "state.late.push_back(command);\n            state.find_room_for_late();";
        let wakes = "drop(state);\n            self.wake_if_asleep();";
        let later = "drop(state);\n            self.wake_if_asleep();\n            self.lock().commands.push(command);";
        fails("sleep_and_wake", NOBODY_WAKES, &[(INBOX, leaves, ""), (INBOX, wakes, later)]);
    }

    #[test]
    fn an_end_that_is_told_after_the_wake_up() {
        let closes = "self.lock().closed.get_or_insert(status);\n        self.wake_if_asleep();";
        let wakes = "self.wake_if_asleep();\n        self.lock().closed.get_or_insert(status);";
        fails("sleep_and_wake", NOBODY_WAKES, &[(INBOX, closes, wakes)]);
    }

    #[test]
    fn a_command_of_another_thread_that_is_taken_back() {
        let own = "!state.commands.is_empty() && number == state.collected + state.commands.len() as u64";
        let any = "!state.commands.is_empty() && number > 0";
        fails("sleep_and_wake", "accepted", &[(INBOX, own, any)]);
    }

    #[test]
    fn a_descriptor_that_is_raised_before_the_result_is_there() {
        let adds = "state.ready.extend(items);\n        let wake";
        let shows = "state.show_readiness();\n        state.ready.extend(items);\n        let wake";
        let again = "state.ready.len() - before);\n        state.show_readiness();";
        let changes = [(QUEUE, adds, shows), (QUEUE, again, "state.ready.len() - before);")];
        fails("complete_and_reap", NOBODY_WAKES, &changes);
    }

    #[test]
    fn a_reader_who_is_counted_after_it_has_slept() {
        let sleeps = "state.sleepers.enter(wanted);\n            state = match left {";
        let counts = "state.sleepers.enter(wanted);\n            state.sleepers.leave(wanted);\n            state = match left {";
        let leaves = "};\n            state.sleepers.leave(wanted);";
        fails("complete_and_reap", NOBODY_WAKES, &[(QUEUE, sleeps, counts), (QUEUE, leaves, "};")]);
    }

    #[test]
    fn a_queue_that_is_closed_after_its_readers_were_woken() {
        let closes = "self.state.lock().closed = true;\n        self.arrived.notify_all();";
        let wakes = "self.arrived.notify_all();\n        self.state.lock().closed = true;";
        fails("complete_and_reap", NOBODY_WAKES, &[(QUEUE, closes, wakes)]);
    }

    #[test]
    fn an_interrupt_that_is_counted_after_the_wake_up() {
        let counts = "self.state.lock().interrupts += 1;\n        self.arrived.notify_all();";
        let wakes = "self.arrived.notify_all();\n        self.state.lock().interrupts += 1;";
        fails("complete_and_reap", NOBODY_WAKES, &[(QUEUE, counts, wakes)]);
    }

    #[test]
    fn an_answer_that_is_handed_out_before_the_lookup_has_ended() {
        let ends = "let is_wanted = state.lookups.end(begun, now, ending);\n        drop(state);\n        \
            if is_wanted {\n            self.answer(begun.id, &addresses);\n        }";
        let answers = "drop(state);\n        self.answer(begun.id, &addresses);\n        \
            self.lock().lookups.end(begun, now, ending);";
        fails("withdraw", NOBODY_WAKES, &[(RESOLVER, ends, answers)]);
    }

    #[test]
    fn a_thread_that_ends_although_it_was_called_just_then() {
        let called = "(state, place.is_none() || change.is_some())";
        let in_time = "(state, time < until || change.is_some())";
        fails("withdraw", NOBODY_WAKES, &[(RESOLVER, called, in_time)]);
    }

    #[test]
    fn a_thread_that_lets_go_of_the_lock_between_looking_for_work_and_sleeping() {
        let looks = "let is_needed;\n";
        let lets_go = "let is_needed;\n                drop(state);\n                state = self.lock();\n";
        fails("withdraw", NOBODY_WAKES, &[(RESOLVER, looks, lets_go)]);
    }
}

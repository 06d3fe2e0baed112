//! On a terminal: progress, colours, and nothing that smears.

use std::collections::BTreeSet;
use std::process::Command;

use crate::c_programs::{dead, finish, live, program, silent};
use crate::support::process::until;
use crate::the_tool::*;

/// A real terminal, by tmux, in which a command runs.
pub struct Terminal {
    socket: String,
}

impl Terminal {
    /// `name` tells the terminals of tests apart that run side by side. `environment` stands before the command.
    pub fn start(name: &str, columns: u32, lines: u32, environment: &str, arguments: &[&str]) -> Terminal {
        let terminal = Terminal { socket: format!("tcpshaker-{name}-{}", std::process::id()) };
        let tool = program("dynamic", "tcp-checker");
        let line = format!(
            "env -u LD_LIBRARY_PATH LC_ALL=C.UTF-8 {environment} {} {}; sleep 600",
            tool.display(),
            arguments.join(" ")
        );
        let (columns, lines) = (columns.to_string(), lines.to_string());
        terminal.tmux(&["new-session", "-d", "-x", &columns, "-y", &lines, &line]);
        terminal
    }

    pub fn tmux(&self, arguments: &[&str]) -> String {
        let mut tmux = Command::new("tmux");
        // Inside a tmux it would join that one.
        let run = finish(tmux.env_remove("TMUX").args(["-L", &self.socket, "-f", "/dev/null"]).args(arguments));
        assert_eq!(run.code(), 0, "{run:?}");
        run.stdout
    }

    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// The screen as soon as it holds this text.
    pub fn wait_for(&self, text: &str) -> String {
        let mut screen = String::new();
        until(&format!("{text} on the screen"), || {
            std::thread::sleep(std::time::Duration::from_millis(30));
            screen = self.screen();
            screen.contains(text)
        });
        screen
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let mut tmux = Command::new("tmux");
        let _ = tmux.env_remove("TMUX").args(["-L", &self.socket, "kill-server"]).output();
    }
}

#[test]
fn progress_is_shown_on_a_terminal_and_nowhere_else() {
    let (_full, silent) = silent();
    let arguments = ["-a", &silent, "-a", &silent, "-t", "1600"];
    let piped = finish(&mut tool(&arguments));
    assert_eq!((piped.code(), piped.stderr.as_str()), (SOME_DOWN, ""), "{piped:?}");
    assert!(!piped.stdout.contains("left"), "{piped:?}");

    if !has("script", "progress_is_shown_on_a_terminal") {
        return;
    }
    let line = [&[program("dynamic", "tcp-checker").to_str().unwrap()], &arguments[..]].concat().join(" ");
    let mut script = Command::new("script");
    let shown = finish(script.env_remove("LD_LIBRARY_PATH").args(["-qec", &line, "/dev/null"]));
    assert_eq!(shown.code(), SOME_DOWN, "{shown:?}");
    assert!(shown.stdout.contains("0/2  0/s  up 0  down 0  unknown time left"), "{shown:?}");
    assert!(shown.stdout.contains("Finished 2/2 checks in "), "{shown:?}");
}

#[test]
fn progress_is_one_line_that_moves_and_then_makes_way_for_the_summary_also_on_a_narrow_terminal() {
    if !has("tmux", "progress_is_one_line_that_moves") {
        return;
    }
    let (_listener, up) = live();
    for columns in [34, 80] {
        let arguments = ["-a", &up, "-n", "80", "-r", "40", "-c", "2"];
        let terminal = Terminal::start(&format!("progress{columns}"), columns, 100, "", &arguments);
        let (mut progress, mut screen) = (BTreeSet::new(), String::new());
        until("the summary", || {
            screen = terminal.screen();
            let moving: Vec<&str> = screen.lines().filter(|line| line.contains("/80  ")).collect();
            assert!(moving.len() <= 1, "progress takes more than one line of {columns} columns:\n{screen}");
            progress.extend(moving.iter().map(|line| line.to_string()));
            screen.contains("Verdicts:")
        });
        assert!(screen.starts_with("Finished 80/80 checks in "), "the progress line is gone:\n{screen}");
        assert!(progress.len() >= 2, "it moves: {progress:?}");
        for line in &progress {
            assert!(line.contains("/s  up ") && line.contains("  down 0"), "{progress:?}");
            assert_eq!(line.contains(" left"), columns == 80, "what has no room is left out: {progress:?}");
        }
    }
}

#[test]
fn colours_are_for_terminals_that_may_have_them() {
    if !has("tmux", "colours_are_for_terminals") {
        return;
    }
    let (_listener, up) = live();
    let dead = dead();
    for (environment, colours) in [("", true), ("NO_COLOR=", true), ("NO_COLOR=1", false), ("TERM=dumb", false)] {
        let name = format!("colours{}", environment.replace('=', ""));
        let terminal = Terminal::start(&name, 80, 10, environment, &[&up, &dead, "-4"]);
        terminal.wait_for("refused");
        terminal.wait_for(" up");
        let screen = terminal.tmux(&["capture-pane", "-p", "-e"]);
        let coloured = |colour: &str, target: &str| screen.contains(&format!("\x1b[{colour}m{target}"));
        assert_eq!(coloured("32", &up), colours, "{environment}:\n{screen:?}");
        assert_eq!(coloured("31", &dead), colours, "{environment}:\n{screen:?}");
    }
    let piped = finish(&mut tool(&[&up, &dead]));
    assert!(!piped.stdout.contains('\x1b'), "{piped:?}");
}

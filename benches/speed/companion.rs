//! A program that runs beside what is measured.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::course::Figures;

/// Ends with its standard input.
pub struct Companion {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Companion {
    /// Returns once it says that it is ready.
    pub fn start(command: &mut Command) -> Result<Companion, String> {
        command.env_remove("LD_LIBRARY_PATH").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{command:?} does not start: {error}"))?;
        let output = child.stdout.take().ok_or("no output")?;
        let mut companion = Companion { child, output: BufReader::new(output) };
        let mut line = String::new();
        match companion.output.read_line(&mut line) {
            Ok(_) if line == "ready\n" => Ok(companion),
            _ => Err(format!("{command:?} is not ready: {line}")),
        }
    }

    /// Ends it; what it printed.
    pub fn end(mut self) -> Result<Figures, String> {
        drop(self.child.stdin.take());
        let mut text = String::new();
        self.output.read_to_string(&mut text).map_err(|error| error.to_string())?;
        let status = self.child.wait().map_err(|error| error.to_string())?;
        if status.success() { Ok(Figures::in_text(&text)) } else { Err(format!("a companion ended with {status}")) }
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        let _ = self.child.kill(); // after its end, nothing
        let _ = self.child.wait();
    }
}

/// Processes that do nothing but use CPU time, as long as this lives. They are somewhat nice: otherwise what is measured
/// would have a two-hundredth of a core, and take minutes.
pub struct Busy(Vec<Child>);

impl Busy {
    pub fn start(processes: usize) -> Result<Busy, String> {
        let mut busy = Busy(Vec::new());
        for _ in 0..processes {
            let child = Command::new("nice").args(["-n", "12", "sh", "-c", "while :; do :; done"]).spawn();
            busy.0.push(child.map_err(|error| format!("sh does not start: {error}"))?);
        }
        Ok(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

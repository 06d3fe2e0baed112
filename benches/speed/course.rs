//! Where the programs run: a listener that never accepts, a closed port, and a count of completed handshakes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use socket2::{Domain, Socket, Type};

use crate::build::Programs;
use crate::table::{Bar, Row};

/// Outside the range that ephemeral ports come from.
pub const LIVE_PORT: &str = "8080";
pub const REFUSED_PORT: &str = "9";

/// The engine that the programs on the library take (`course.h`).
pub const ENGINE: &str = "SHAKER_ENGINE";
/// After how many milliseconds they repeat a SYN.
pub const SYN_INTERVAL: &str = "SHAKER_SYN_INTERVAL";

/// How often the yardstick may try. On a busy machine it leaves answers alone for so long that it completes handshakes
/// by the ten thousand, which fill the listener's queue, and then nobody answers it.
const ATTEMPTS: usize = 3;

pub struct Course {
    pub programs: Programs,
    listener: RefCell<Option<Socket>>,
    ours: Cell<u64>,
    yardstick: Cell<u64>,
}

/// What a program printed: `name=value`, as often as it liked.
pub struct Figures(HashMap<String, f64>);

/// Added to what a program printed: the handshakes that listeners saw completed while it ran.
pub const HANDSHAKES: &str = "handshakes";

impl Figures {
    pub fn in_text(text: &str) -> Figures {
        let pairs = text.split_whitespace().filter_map(|word| word.split_once('='));
        Figures(pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
    }

    pub fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(f64::NAN)
    }
}

impl Course {
    pub fn new(programs: Programs) -> Course {
        Course { programs, listener: RefCell::new(None), ours: Cell::new(0), yardstick: Cell::new(0) }
    }

    /// A listener with an empty queue, so that no run has to do with what an earlier one left behind.
    pub fn listen(&self) -> Result<(), String> {
        self.listener.replace(None);
        self.listener.replace(Some(listener_at([127, 0, 0, 1], LIVE_PORT.parse().unwrap_or(0))?));
        Ok(())
    }

    pub fn yardstick(&self, arguments: &[&str]) -> Result<Figures, String> {
        self.yardstick_of(&self.programs.yardstick, arguments)
    }

    /// The least that a check without a socket costs.
    pub fn raw_yardstick(&self, arguments: &[&str]) -> Result<Figures, String> {
        self.yardstick_of(&self.programs.raw_yardstick, arguments)
    }

    fn yardstick_of(&self, program: &Path, arguments: &[&str]) -> Result<Figures, String> {
        let once = || {
            self.listen()?;
            let (figures, handshakes) = run(Command::new(program).args(arguments))?;
            self.yardstick.set(self.yardstick.get() + handshakes);
            Ok(figures)
        };
        for _ in 1..ATTEMPTS {
            let figures: Result<Figures, String> = once();
            if figures.is_ok() {
                return figures;
            }
            eprintln!("the yardstick stalled, and tries again: {}", arguments.join(" "));
        }
        once()
    }

    /// So many yardsticks at once: what the machine allows several loops.
    pub fn yardsticks(&self, number: usize, arguments: &[&str]) -> Result<Vec<Figures>, String> {
        self.yardsticks_of(&self.programs.yardstick, number, arguments)
    }

    pub fn raw_yardsticks(&self, number: usize, arguments: &[&str]) -> Result<Vec<Figures>, String> {
        self.yardsticks_of(&self.programs.raw_yardstick, number, arguments)
    }

    fn yardsticks_of(&self, program: &Path, number: usize, arguments: &[&str]) -> Result<Vec<Figures>, String> {
        self.listen()?;
        std::thread::scope(|scope| {
            let one = || run(Command::new(program).args(arguments)).map(|(figures, _)| figures);
            let running: Vec<_> = (0..number).map(|_| scope.spawn(one)).collect();
            running
                .into_iter()
                .map(|one| one.join().map_err(|_| "a thread of the bench panicked".to_owned())?)
                .collect()
        })
    }

    /// The least it takes to end many checks that are due at one moment.
    pub fn expiry_yardstick(&self, count: &str) -> Result<Figures, String> {
        run(Command::new(&self.programs.expiry_yardstick).arg(count)).map(|(figures, _)| figures)
    }

    /// The least that a silent check costs with so many in flight.
    pub fn silent_yardstick(&self, count: u64) -> Result<Figures, String> {
        run(Command::new(&self.programs.silent_yardstick).arg(count.to_string())).map(|(figures, _)| figures)
    }

    /// The library at checking many, or one at a time. A wrong verdict is an error.
    pub fn race(&self, arguments: &[&str]) -> Result<Figures, String> {
        self.race_of(Command::new(&self.programs.racer).args(arguments), arguments[1])
    }

    /// The same on the raw engine.
    pub fn raw_race(&self, arguments: &[&str]) -> Result<Figures, String> {
        self.race_of(Command::new(&self.programs.racer).args(arguments).env(ENGINE, "raw"), arguments[1])
    }

    /// The same with the locks of the crate parking_lot.
    pub fn race_with_parking_lot(&self, arguments: &[&str]) -> Result<Figures, String> {
        self.race_of(Command::new(&self.programs.racer_with_parking_lot).args(arguments), arguments[1])
    }

    fn race_of(&self, command: &mut Command, port: &str) -> Result<Figures, String> {
        let figures = self.ours(command)?;
        let right = if port == REFUSED_PORT { "refused" } else { "up" };
        if figures.get(right) != figures.get("checks") {
            return Err(format!("wrong verdicts: {} of {} are {right}", figures.get(right), figures.get("checks")));
        }
        Ok(figures)
    }

    /// The library at holding many, each with one SYN; the program itself fails on a wrong verdict.
    pub fn hold(&self, arguments: &[&str]) -> Result<Figures, String> {
        self.ours(Command::new(&self.programs.holder).args(arguments).env(SYN_INTERVAL, "0"))
    }

    /// Any program that makes checks with the library.
    pub fn ours(&self, command: &mut Command) -> Result<Figures, String> {
        self.listen()?;
        let (figures, handshakes) = run(command)?;
        self.ours.set(self.ours.get() + handshakes);
        Ok(figures)
    }

    /// A program that makes no checks.
    pub fn other(&self, command: &mut Command) -> Result<Figures, String> {
        run(command).map(|(figures, _)| figures)
    }

    /// Handshakes that listeners of checks saw completed which another part of the bench made.
    pub fn note_handshakes(&self, completed: u64) {
        self.ours.set(self.ours.get() + completed);
    }

    pub fn is_half_open(&self) -> bool {
        self.ours.get() == 0
    }

    pub fn yardstick_handshakes(&self) -> u64 {
        self.yardstick.get()
    }

    pub fn handshakes(&self) -> Row {
        let completed = self.ours.get();
        Row::plain("handshakes completed, all runs above", completed.to_string(), completed as f64, Bar::AtMost(0.0))
    }
}

/// A listener that never accepts.
pub fn listener_at(ip: [u8; 4], port: u16) -> Result<Socket, String> {
    let listen = || -> std::io::Result<Socket> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&std::net::SocketAddr::from((ip, port)).into())?;
        socket.listen(65_535)?;
        Ok(socket)
    };
    listen().map_err(|error| format!("no listener on port {port}: {error}"))
}

/// Runs a program to its end: what it printed, and the handshakes that listeners saw completed meanwhile.
pub fn run(command: &mut Command) -> Result<(Figures, u64), String> {
    // cargo points it at its own build of the library, which would come before the program's own path.
    command.env_remove("LD_LIBRARY_PATH");
    let before = passive_opens()?;
    let output = command.output().map_err(|error| format!("{command:?} does not start: {error}"))?;
    let handshakes = passive_opens()? - before;
    if !output.status.success() {
        return Err(format!(
            "{command:?} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    let mut figures = Figures::in_text(&String::from_utf8_lossy(&output.stdout));
    figures.0.insert(HANDSHAKES.to_owned(), handshakes as f64);
    Ok((figures, handshakes))
}

/// The kernel's count of handshakes that reached a listener whole (TcpPassiveOpens, in this namespace).
fn passive_opens() -> Result<u64, String> {
    tcp_counter("PassiveOpens")
}

/// One of the kernel's counts of TCP, in this namespace.
pub fn tcp_counter(name: &str) -> Result<u64, String> {
    let path = Path::new("/proc/net/snmp");
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let found = names.split(' ').zip(values.split(' ')).find(|(found, _)| *found == name);
    found.and_then(|(_, value)| value.parse().ok()).ok_or_else(|| format!("{}: no {name}", path.display()))
}

//! What a raw checker costs others on the host.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Extent;
use crate::build;
use crate::companion::Companion;
use crate::course::{Course, ENGINE, LIVE_PORT};
use crate::racing::Rounds;
use crate::table::{Bar, Row, Spread, per_second};

const REDIS_PORT: &str = "6379";

#[derive(Default)]
struct Requests {
    alone: Rounds,
    idle: Rounds,
    pace: Rounds,
}

pub fn rows(course: &Course, extent: Extent) -> Result<Vec<Row>, String> {
    let mut rows = redis(course, extent)?;
    rows.push(foreign_segments(course, extent)?);
    Ok(rows)
}

fn neighbour(course: &Course, arguments: &[&str]) -> Result<Companion, String> {
    course.listen()?;
    Companion::start(Command::new(&course.programs.neighbour).args(arguments).env(ENGINE, "raw"))
}

/// A server of its own, as long as this lives.
struct Redis(Child);

impl Redis {
    fn start() -> Option<Redis> {
        let options = ["--port", REDIS_PORT, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let mut server = Command::new("redis-server");
        server.args(options).arg("--dir").arg(build::directory()).stdout(Stdio::null());
        let redis = Redis(server.spawn().ok()?);
        for _ in 0..100 {
            if std::net::TcpStream::connect(format!("127.0.0.1:{REDIS_PORT}")).is_ok() {
                return Some(redis);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        None
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Requests per second, one at a time on each of 50 connections.
fn requests(number: u64) -> Result<f64, String> {
    let mut benchmark = Command::new("redis-benchmark");
    benchmark.args(["-p", REDIS_PORT, "-c", "50", "-P", "1", "-t", "get", "--csv", "-n", &number.to_string()]);
    let output = benchmark.output().map_err(|error| format!("redis-benchmark does not start: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.starts_with("\"GET\""));
    let figure = line.and_then(|line| line.split(',').nth(1)).and_then(|field| field.trim_matches('"').parse().ok());
    figure.ok_or_else(|| format!("redis-benchmark says {text}"))
}

fn redis(course: &Course, extent: Extent) -> Result<Vec<Row>, String> {
    let (idle, pace) =
        ("raw: redis beside an idle checker, against none", "raw: redis beside 100 checks/s, against none");
    let Some(_server) = Redis::start() else {
        return Ok([idle, pace].map(|what| Row::missing(what, "no redis-server here")).into());
    };
    let number = extent.checks * 2;
    let mut found = Requests::default();
    requests(number)?;
    for round in 1..=extent.rounds {
        eprintln!("redis, round {round} of {}", extent.rounds);
        found.alone.push(requests(number)?);
        let checker = neighbour(course, &["idle", LIVE_PORT])?;
        found.idle.push(requests(number)?);
        checker.end()?;
        let checker = neighbour(course, &["pace", LIVE_PORT, "100"])?;
        found.pace.push(requests(number)?);
        let figures = checker.end()?;
        if figures.get("down") != 0.0 {
            return Err(format!("{} false verdicts beside redis", figures.get("down")));
        }
    }
    Ok(vec![
        Row::ratio(idle, &found.idle, &found.alone, per_second, Bar::AtLeast(0.99)),
        Row::ratio(pace, &found.pace, &found.alone, per_second, Bar::AtLeast(0.94)),
    ])
}

/// What an open receiver adds to every TCP segment of others.
fn foreign_segments(course: &Course, extent: Extent) -> Result<Row, String> {
    let rounds = extent.checks.to_string();
    let exchange = || {
        let figures = course.other(Command::new(&course.programs.exchange).arg(&rounds))?;
        Ok::<f64, String>(figures.get("segment_ns"))
    };
    let mut added = Rounds::new();
    for _ in 0..extent.rounds {
        let alone = exchange()?;
        let checker = neighbour(course, &["held", LIVE_PORT])?;
        let beside = exchange()?;
        checker.end()?;
        added.push((beside - alone + beside - exchange()?) / 2.0);
    }
    let spread: Spread = added.into_iter().collect();
    let text = format!("{:.0} ns ({:.0} to {:.0})", spread.median(), spread.least(), spread.most());
    Ok(Row::plain("raw: a foreign segment, while a check is in flight", text, spread.median(), Bar::Nothing))
}

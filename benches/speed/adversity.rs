//! The raw engine in bad times: handshakes that it must not complete, and verdicts that it must not be talked into.

use std::process::Command;
use std::time::Duration;

use socket2::Socket;

use crate::Extent;
use crate::companion::{Busy, Companion};
use crate::course::{Course, ENGINE, Figures, HANDSHAKES, listener_at};
use crate::namespace::Rule;
use crate::table::{Bar, Row};

/// So many, so that their queues of half-open connections hold all that are in flight.
const PORTS: usize = 4;
const FIRST_PORT: u16 = 8100;
/// Of processes on a starved machine, in milliseconds.
const PATIENCE: &str = "120000";

pub fn rows(course: &Course, extent: Extent) -> Result<Vec<Row>, String> {
    let _listeners: Vec<Socket> =
        (FIRST_PORT..).take(PORTS).map(|port| listener_at([0, 0, 0, 0], port)).collect::<Result<_, _>>()?;
    let times = |checks: u64| (checks * extent.checks / crate::WHOLE.checks).to_string();
    let mut rows = Vec::new();

    eprintln!("raw engine, answers that are late");
    let (checks, window) = (times(200_000), times(100_000));
    let late = answered_late(course, &checks, &window)?;
    rows.push(completed(&format!("{checks} checks, {} in flight", late.get("most_in_flight")), &late));
    all_up(&late)?;

    eprintln!("raw engine, stopped");
    let (checks, window) = (times(300_000), times(100_000));
    let stopped = live(course, &[&checks, &window, PATIENCE], &["3"])?;
    rows.push(completed(&format!("{checks} checks, stopped for 3 s"), &stopped));
    all_up(&stopped)?;

    eprintln!("raw engine, on a busy machine");
    let checks = times(100_000);
    let busy = Busy::start(400)?;
    let starved = live(course, &[&checks, "2000", PATIENCE], &[])?;
    drop(busy);
    rows.push(completed(&format!("{checks} checks, beside 400 busy processes"), &starved));
    all_up(&starved)?;

    eprintln!("raw engine, on a network that loses packets");
    let checks = times(50_000);
    let loss = Rule::new("meta l4proto tcp numgen random mod 100 < 5 drop")?;
    let lossy = live(course, &[&checks, "2000", "1000"], &[])?;
    drop(loss);
    rows.push(completed(&format!("{checks} checks, 5 % loss"), &lossy));
    let down = lossy.get("checks") - lossy.get("up");
    rows.push(Row::plain("raw: false down, of the last", down.to_string(), down, Bar::AtMost(25.0)));

    eprintln!("raw engine, lied to");
    rows.push(lied_to(course, &times(100_000))?);
    Ok(rows)
}

fn live(course: &Course, arguments: &[&str; 3], stop: &[&str]) -> Result<Figures, String> {
    let mut command = Command::new(&course.programs.crowd);
    command.arg("live").args(arguments).args([&FIRST_PORT.to_string(), &PORTS.to_string()]).args(stop);
    course.ours(command.env(ENGINE, "raw"))
}

/// For three seconds no SYN-ACK comes through; then the listeners send them all again.
fn answered_late(course: &Course, checks: &str, window: &str) -> Result<Figures, String> {
    let rule = Rule::new("tcp flags & (syn|ack) == syn|ack drop")?;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_secs(3));
            drop(rule);
        });
        live(course, &[checks, window, PATIENCE], &[])
    })
}

fn lied_to(course: &Course, checks: &str) -> Result<Row, String> {
    let forger = Companion::start(Command::new(&course.programs.forger).args(["1", "5"]))?;
    let mut command = Command::new(&course.programs.crowd);
    let figures = course.ours(command.args(["mute", checks, checks, "10000", "9", "2"]).env(ENGINE, "raw"))?;
    let forged = forger.end()?.get("forged");
    if forged < figures.get("checks") {
        return Err(format!("{forged} forged answers only"));
    }
    // Those that had no turn in time, on a busy machine, have no verdict.
    let wrong = figures.get("up") + figures.get("refused");
    let what = format!("raw: {checks} silent checks, {forged} forged answers: false verdicts");
    Ok(Row::plain(what, wrong.to_string(), wrong, Bar::AtMost(0.0)))
}

fn completed(what: &str, figures: &Figures) -> Row {
    let handshakes = figures.get(HANDSHAKES);
    Row::plain(format!("raw: handshakes completed, {what}"), handshakes.to_string(), handshakes, Bar::AtMost(0.0))
}

fn all_up(figures: &Figures) -> Result<(), String> {
    let (up, checks) = (figures.get("up"), figures.get("checks"));
    if up == checks { Ok(()) } else { Err(format!("wrong verdicts: {up} of {checks} are up")) }
}

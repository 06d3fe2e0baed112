//! What tcp-checker has of fping: its options, its lines, and who reads those.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::c_programs::{TextFile, dead, finish, live, program, silent};
use crate::support::firewall::{self, Hook};
use crate::support::namespace::skip;
use crate::support::targets::Listener;
use crate::the_tool::*;

/// A line of `-C -q`: the name with its blanks, and what stands for each check.
fn times(line: &str) -> (&str, Vec<&str>) {
    let (name, times) = line.split_once(" : ").expect(line);
    (name, times.split(' ').collect())
}

/// Whether this is a time with as many digits as fping gives it.
fn is_time(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = match whole {
        "0" => 3,
        _ if whole.len() < 3 => 3 - whole.len(),
        _ => 0,
    };
    whole.parse::<u32>().is_ok() && fraction.len() == digits && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

#[test]
fn the_times_of_a_target_are_one_line_on_standard_error() {
    let (_listener, up) = live();
    let (_full, silent) = silent();
    let run = finish(&mut tool(&["-C", "3", "-q", "-i", "10", "-t", "1000", &up, &silent, "127.0.0.1:1"]));
    assert_eq!((run.code(), run.stdout.as_str()), (SOME_DOWN, ""), "{run:?}");
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{run:?}");
    let (name, of_up) = times(lines[0]);
    assert_eq!((name.trim_end(), of_up.len()), (&*up, 3), "{run:?}");
    assert!(of_up.iter().all(|time| is_time(time)), "{run:?}");
    assert_eq!(times(lines[1]).1, ["-", "-", "-"], "{run:?}");
    assert_eq!(lines[2], format!("{:width$} : - - -", "127.0.0.1:1", width = name.len()), "{run:?}");

    // An address kept for documentation, which no machine has: nothing is sent from it.
    let run = finish(&mut tool(&["-C", "2", "-q", "-i", "1", "-S", "192.0.2.1", &up]));
    assert_eq!((run.code(), run.stderr), (NO_VERDICT, format!("{up} : ! !\n")));
}

#[test]
fn any_two_checks_are_as_far_apart_as_an_interval_that_is_no_whole_rate() {
    let (_listener, up) = live();
    let port = up.rsplit(':').next().unwrap();
    for (interval, least) in [("1100", 2_200), ("1.2s", 2_400), ("300", 600)] {
        let begun = Instant::now();
        let hosts = ["127.0.0.1", "127.0.0.1", "127.0.0.1"];
        let run = finish(tool(&["-B1", "-C", "1", "-q", "-i", interval, "-t", "900", "--port", port]).args(hosts));
        assert_eq!(run.code(), UP, "{run:?}");
        let took = begun.elapsed().as_millis();
        assert!(took >= least, "-i {interval}: three checks within {took} ms");
    }
}

#[test]
fn fpings_own_lines_have_the_same_layout() {
    namespaced!("fping", "nft");
    let listener = Listener::on("0.0.0.0".parse().unwrap(), 0);
    let port = listener.address().port().to_string();
    // Neither finds 127.0.0.33 alive.
    firewall::add(Hook::Input, &["ip daddr 127.0.0.33 ip saddr 127.0.0.1 drop"]);
    let arguments = ["-C", "4", "-q", "-B1", "-r1", "-i1", "-p20", "-t20", "127.0.0.1", "127.0.0.2", "127.0.0.33"];
    let theirs = finish(Command::new("fping").args(arguments));
    let ours = finish(tool(&["--port", &port, "-s", "127.0.0.1"]).args(arguments));
    assert_eq!((ours.code(), ours.stdout.as_str()), (theirs.code(), theirs.stdout.as_str()), "{ours:?} {theirs:?}");
    let layout = |text: &str| -> Vec<(String, Vec<String>)> {
        let line = |line: &str| {
            let (name, times) = times(line);
            (name.to_owned(), times.iter().map(|time| if is_time(time) { "time" } else { time }.to_owned()).collect())
        };
        text.lines().map(line).collect()
    };
    assert_eq!(layout(&ours.stderr), layout(&theirs.stderr), "{ours:?} {theirs:?}");
    assert_eq!(layout(&ours.stderr)[2].1, ["-"; 4], "{ours:?}");
}

/// Where the modules of SmokePing are: the package's, or that which tests/setup has taken apart.
fn smokeping() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache")))?;
    let places = [PathBuf::from("/usr/share/perl5"), cache.join("tcpshaker-ci/smokeping-2.7.3/usr/share/perl5")];
    places.into_iter().find(|place| place.join("Smokeping/probes/FPing.pm").exists())
}

/// SmokePing's probe as its daemon runs it, but for the daemon itself, which wants a mail server and rrdtool. It prints
/// what would be stored of each target: age, loss, median, times.
const PROBE: &str = r#"
BEGIN { $INC{'Smokeping.pm'} = 1; }
package Smokeping;
sub do_log { print STDERR "@_\n" }
sub snmpget_ident { "" }
package main;
use strict;
use Smokeping::probes::FPing;
my $cfg = { General => {}, Presentation => {}, Database => { pings => 5, step => 300 } };
my $properties = { binary => $ARGV[0], pings => 5, protocol => 4, mininterval => 0.001, hostinterval => 0.02,
  timeout => 0.5, sourceaddress => '127.0.0.1', tos => '0x20' };
my $probe = Smokeping::probes::FPing->new($properties, $cfg, 'FPing');
my @trees = map { { addr => $_ } } @ARGV[1 .. $#ARGV];
$probe->add($_, $_->{addr}) for @trees;
$probe->ping;
print "$_->{addr} ", $probe->rrdupdate_string($_), "\n" for @trees;
"#;

#[test]
fn smokepings_fping_probe_reads_its_times() {
    let Some(modules) = smokeping() else {
        return skip("smokepings_fping_probe_reads_its_times", "tests/setup has not brought SmokePing's probe");
    };
    let (_listener, up) = live();
    let port = up.rsplit(':').next().unwrap();
    let tool = program("dynamic", "tcp-checker");
    // The script that tcp-checker(1) shows.
    let script =
        TextFile::new("smokeping-binary", format!("#!/bin/sh\nexec {} --port {port} \"$@\"\n", tool.display()));
    std::fs::set_permissions(script.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut perl = Command::new("perl");
    perl.env_remove("LD_LIBRARY_PATH").arg("-I").arg(modules).args(["-e", PROBE, script.path()]);
    let run = finish(perl.args(["127.0.0.1", "127.0.0.2"]));
    assert_eq!(run.code(), 0, "{run:?}");
    let stored: Vec<Vec<&str>> = run.stdout.lines().map(|line| line.split([' ', ':']).collect()).collect();
    assert_eq!(stored.len(), 2, "{run:?}");
    // age, loss, median, and five times in seconds
    let [name, _, loss, median, times @ ..] = &stored[0][..] else { panic!("{run:?}") };
    assert_eq!((*name, *loss, times.len()), ("127.0.0.1", "0", 5), "{run:?}");
    assert!(times.iter().chain([median]).all(|time| (1e-7..0.5).contains(&time.parse::<f64>().unwrap())), "{run:?}");
    // Nobody listens there: SmokePing stores "unknown", as for hosts that are dead.
    assert_eq!(stored[1][0], "127.0.0.2", "{run:?}");
    assert!(stored[1][3..].iter().all(|time| *time == "U"), "{run:?}");
}

#[test]
fn only_the_names_of_what_is_up_or_of_what_is_down_are_printed() {
    let (_listener, up) = live();
    let down = dead();
    for checks in [&["-n", "1"][..], &["-n", "3"], &["-C", "2", "-i", "1"]] {
        for (option, printed) in [("--alive", &up), ("--unreachable", &down)] {
            let run = finish(tool(&[option, &up, &down]).args(checks));
            assert_eq!((run.code(), run.stdout), (SOME_DOWN, format!("{printed}\n")), "{option} {checks:?}");
            assert_eq!(run.stderr, "", "{option} {checks:?}");
        }
    }
    let unknown = finish(&mut tool(&["--unreachable", &up, "-S", "192.0.2.1"]));
    assert_eq!((unknown.code(), unknown.stdout.as_str()), (NO_VERDICT, ""), "no verdict is neither");
}

#[test]
fn at_least_so_many_must_be_up() {
    let (_listener, up) = live();
    let down = dead();
    for (wanted, status, line) in [
        ("1", UP, "Enough hosts reachable (required: 1, reachable: 1)\n"),
        ("2", SOME_DOWN, "Not enough hosts reachable (required: 2, reachable: 1)\n"),
    ] {
        let run = finish(&mut tool(&["-x", wanted, &up, &down]));
        assert_eq!((run.code(), run.stdout.as_str()), (status, line), "{run:?}");
    }
    let unknown = finish(&mut tool(&["-x", "1", &up, "-S", "192.0.2.1"]));
    assert_eq!(unknown.code(), NO_VERDICT, "{unknown:?}");
}

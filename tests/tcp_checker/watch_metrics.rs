//! tcp-checker --metrics-file: what is watched, for node_exporter's textfile collector.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use crate::c_programs::{Running, TextFile, dead, finish, live, program};
use crate::metrics::{self, Metric};
use crate::support::process::until;
use crate::the_tool::*;

/// A directory for one test, removed after it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("tcpshaker-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Directory(path)
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn sample(metrics: &BTreeMap<String, Metric>, name: &str, series: &str) -> f64 {
    metrics.get(name).and_then(|metric| metric.samples.get(series)).copied().unwrap_or(-1.0)
}

#[test]
fn the_file_is_whole_whenever_it_is_read_and_its_counters_only_grow() {
    let directory = Directory::new("metrics");
    let path = directory.0.join("tcp.prom");
    let (_listener, up) = live();
    let dead = dead();
    let mut running =
        Running::start(&mut tool(&["watch", "-i", "10", "--metrics-file", path.to_str().unwrap(), &up, &dead]));
    running.wait_for_line(&[&dead, "unknown -> down"]);
    let mut before: BTreeMap<String, f64> = BTreeMap::new();
    let mut written = 0;
    until("the file was written three times", || {
        // Half a file would not parse: its last line has no end, or a metric no sample.
        let now = metrics::parse(&std::fs::read_to_string(&path).unwrap());
        let growing = now.values().filter(|metric| metric.kind != "gauge").flat_map(|metric| metric.samples.clone());
        let growing: BTreeMap<String, f64> = growing.collect();
        for (series, value) in &before {
            assert!(growing[series] >= *value, "{series} fell from {value} to {}", growing[series]);
        }
        written += (growing != before) as u32;
        before = growing;
        written >= 3
    });
    running.signal(libc::SIGINT);
    let run = running.finish();
    assert_eq!(run.code(), SOME_DOWN, "{run:?}");
    assert_eq!(directory.files(), ["tcp.prom"], "nothing is left beside it");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode & 0o444, 0o444, "the collector is another user: {mode:o}");

    let text = std::fs::read_to_string(&path).unwrap();
    let metrics = metrics::parse(&text);
    let with = |name: &str, target: &str, more: &str| {
        let metric = name.trim_end_matches("_bucket").trim_end_matches("_count").trim_end_matches("_sum");
        sample(&metrics, metric, &format!("{name}{{target=\"{target}\"{more}}}"))
    };
    assert_eq!((with("tcpshaker_up", &up, ""), with("tcpshaker_up", &dead, "")), (1.0, 0.0), "{text}");
    assert!(with("tcpshaker_checks_total", &up, ",result=\"up\"") > 3.0, "{text}");
    assert_eq!(with("tcpshaker_checks_total", &up, ",result=\"down\""), 0.0, "{text}");
    assert!(with("tcpshaker_checks_total", &dead, ",result=\"down\"") > 3.0, "{text}");
    assert_eq!(with("tcpshaker_state_changes_total", &up, ""), 1.0, "{text}");
    let count = with("tcpshaker_rtt_seconds_count", &up, "");
    assert!(count > 3.0 && with("tcpshaker_rtt_seconds_sum", &up, "") > 0.0, "{text}");
    assert_eq!(with("tcpshaker_rtt_seconds_bucket", &up, ",le=\"+Inf\""), count, "{text}");
    let buckets: Vec<f64> = text
        .lines()
        .filter(|line| line.starts_with("tcpshaker_rtt_seconds_bucket") && line.contains(&format!("\"{up}\"")))
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(buckets.len() == 16 && buckets.is_sorted(), "each bucket holds those below it: {text}");
}

#[test]
fn it_is_written_under_a_name_that_is_not_collected_and_then_renamed() {
    if !has("strace", "it_is_written_under_a_name_that_is_not_collected") {
        return;
    }
    let directory = Directory::new("renamed");
    let path = directory.0.join("tcp.prom");
    let log = TextFile::new("renamed-strace", "");
    let (_listener, up) = live();
    let mut strace = Command::new("strace");
    strace.env_remove("LD_LIBRARY_PATH").args(["-f", "-e", "trace=openat,rename,renameat,renameat2", "-o", log.path()]);
    // It is written when the watch begins, and when it ends.
    strace.args(["timeout", "-s", "TERM", "1"]).arg(program("dynamic", "tcp-checker"));
    finish(strace.args(["watch", "--metrics-file", path.to_str().unwrap(), &up]));
    let calls = std::fs::read_to_string(log.path()).unwrap();
    let of_file: Vec<&str> = calls.lines().filter(|line| line.contains("tcp.prom")).collect();
    let (renames, opened): (Vec<&str>, Vec<&str>) = of_file.into_iter().partition(|line| line.contains(" rename"));
    assert!(!renames.is_empty() && renames.len() == opened.len(), "{calls}");
    assert!(opened.iter().all(|line| !line.contains(".prom\"")), "the collector would read it: {calls}");
}

#[test]
fn a_file_that_cannot_be_written_is_a_usage_error() {
    let run = finish(&mut tool(&["watch", "--metrics-file", "/nonexistent/tcp.prom", "127.0.0.1:1"]));
    assert_eq!(run.code(), USAGE, "{run:?}");
    assert!(run.stderr.starts_with("tcp-checker: --metrics-file /nonexistent/tcp.prom: No such file"), "{run:?}");
}

#[test]
fn prometheus_own_parser_reads_the_file() {
    let Some(python) = metrics::python_with_prometheus_client("prometheus_own_parser_reads_the_file") else { return };
    let directory = Directory::new("parsed");
    let path = directory.0.join("tcp.prom");
    let (_listener, up) = live();
    let mut running = Running::start(&mut tool(&["--metrics-file", path.to_str().unwrap(), "-i", "20", &up]));
    running.wait_for_line(&[&up, "unknown -> up"]);
    running.signal(libc::SIGTERM);
    assert_eq!(running.finish().code(), UP);
    let program = "
import sys
from prometheus_client.parser import text_string_to_metric_families
print(sorted((family.name, family.type) for family in text_string_to_metric_families(open(sys.argv[1]).read())))
";
    let read = finish(Command::new(python).args(["-c", program]).arg(&path));
    for family in
        ["('tcpshaker_up', 'gauge')", "('tcpshaker_checks', 'counter')", "('tcpshaker_rtt_seconds', 'histogram')"]
    {
        assert!(read.stdout.contains(family), "{family}: {read:?}");
    }
}

#[test]
fn a_device_or_a_pipe_is_refused_and_stays_and_a_link_stays_one_to_the_file() {
    let directory = Directory::new("metrics-elsewhere");
    let at = |name: &str| directory.0.join(name);
    let (_listener, up) = live();
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    let watch = |path: PathBuf| tool(&["watch", "-q", "-i", "10", "--metrics-file", path.to_str().unwrap(), &up]);
    for path in [at("pipe"), directory.0.clone()] {
        let run = finish(&mut watch(path));
        assert_eq!(run.code(), USAGE, "{run:?}");
        assert!(run.stderr.contains(": it is no regular file, and would be replaced\n"), "{run:?}");
    }
    assert!(std::fs::metadata(at("pipe")).unwrap().file_type().is_fifo());

    std::fs::create_dir(at("elsewhere")).unwrap();
    std::fs::write(at("elsewhere/tcp.prom"), "").unwrap();
    std::os::unix::fs::symlink("elsewhere/tcp.prom", at("link.prom")).unwrap();
    let running = Running::start(&mut watch(at("link.prom")));
    until("the file is written", || {
        std::fs::read_to_string(at("elsewhere/tcp.prom")).unwrap().contains("tcpshaker_up")
    });
    running.signal(libc::SIGINT);
    assert_eq!(running.finish().code(), UP);
    assert!(std::fs::symlink_metadata(at("link.prom")).unwrap().is_symlink());
}

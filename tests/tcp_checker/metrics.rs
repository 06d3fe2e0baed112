//! tcp-checker -m: a run as Prometheus text.

use std::collections::BTreeMap;
use std::process::Command;

use crate::c_programs::{Finished, dead, finish, finish_with_input, live, silent};
use crate::support::namespace::skip;
use crate::the_tool::*;

/// Runs the tool with -m.
fn measured(arguments: &[&str]) -> Finished {
    finish(tool(&["-m"]).args(arguments))
}

#[derive(Debug, Default)]
pub struct Metric {
    pub kind: String,
    /// By name and labels, as `tcpshaker_run_checks{result="up"}`.
    pub samples: BTreeMap<String, f64>,
}

/// Reads the text format 0.0.4, strictly: HELP, then TYPE, then every sample of the metric, and nothing else.
pub fn parse(text: &str) -> BTreeMap<String, Metric> {
    assert!(text.ends_with('\n'), "the last line must end: {text:?}");
    let mut metrics = BTreeMap::<String, Metric>::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let (name, help) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')).expect(line);
        assert!(is_metric_name(name), "{line}");
        assert!(!help.is_empty() && !help.contains('\\') && help.trim() == help, "{line}");
        let kind = lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {name} "))).expect(line);
        assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        let mut metric = Metric { kind: kind.to_owned(), ..Metric::default() };
        while let Some(sample) = lines.next_if(|line| !line.starts_with('#')) {
            let (series, value) = sample.rsplit_once(' ').expect(sample);
            assert!(is_series_of(name, kind, series), "{sample}");
            // Rust would also take "inf" or "1e3"; none of these has a place here.
            assert!(value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'), "{sample}");
            let number = value.parse().expect(sample);
            assert!(metric.samples.insert(series.to_owned(), number).is_none(), "twice: {sample}");
        }
        assert!(!metric.samples.is_empty(), "no sample: {line}");
        assert!(metrics.insert(name.to_owned(), metric).is_none(), "twice: {line}");
    }
    metrics
}

fn is_metric_name(name: &str) -> bool {
    name.starts_with("tcpshaker_") && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_series_of(name: &str, kind: &str, series: &str) -> bool {
    let Some(rest) = series.strip_prefix(name) else { return false };
    let rest = if kind == "histogram" {
        let Some(rest) = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| rest.strip_prefix(suffix)) else {
            return false;
        };
        rest
    } else {
        rest
    };
    let Some(labels) = rest.strip_prefix('{') else { return rest.is_empty() };
    let Some(labels) = labels.strip_suffix("\"}") else { return false };
    labels.split("\",").all(|label| {
        let Some((label, value)) = label.split_once("=\"") else { return false };
        matches!(label, "target" | "result" | "quantile" | "le") && !value.is_empty() && !value.contains('\n')
    })
}

/// The value of a metric's only sample.
#[track_caller]
fn value(metrics: &BTreeMap<String, Metric>, name: &str) -> f64 {
    let samples = &metrics[name].samples;
    assert_eq!(samples.keys().collect::<Vec<_>>(), [name]);
    samples[name]
}

/// How many checks ended with this result.
#[track_caller]
fn checks(metrics: &BTreeMap<String, Metric>, result: &str) -> f64 {
    metrics["tcpshaker_run_checks"].samples[&format!("tcpshaker_run_checks{{result=\"{result}\"}}")]
}

#[test]
fn live_dead_and_silent_targets_are_counted_apart_and_add_up() {
    let (_listener, up) = live();
    let dead = dead();
    let (_full, silent) = silent();
    let targets = [&up, &up, &up, &dead, &dead, &silent].map(|target| format!("-a{target}"));
    let run = measured(&[&targets.each_ref().map(String::as_str)[..], &["-t", "2000"]].concat());
    assert_eq!(run.code(), SOME_DOWN, "{run:?}");
    let metrics = parse(&run.stdout);

    for (result, count) in [("up", 3.0), ("refused", 2.0), ("timeout", 1.0), ("unreachable", 0.0), ("local", 0.0)] {
        assert_eq!(checks(&metrics, result), count, "{result}: {run:?}");
    }
    let results = &metrics["tcpshaker_run_checks"].samples;
    assert_eq!(results.len(), 13, "one for each result that a check can have: {run:?}");
    assert_eq!(results.values().sum::<f64>(), 6.0, "{run:?}");
    assert_eq!(value(&metrics, "tcpshaker_run_submitted_checks"), 6.0, "{run:?}");
    assert!(value(&metrics, "tcpshaker_run_completed_handshakes") <= 3.0, "{run:?}");
    assert_eq!(value(&metrics, "tcpshaker_run_unsolicited_segments"), 0.0, "{run:?}");
}

#[test]
fn what_is_not_a_verdict_is_counted_as_what_it_is() {
    let (_listener, up) = live();
    // An address kept for documentation, which no machine has: nothing is sent from it.
    let run = measured(&["-a", &up, "-a", "nowhere", "-a", "[::1]:9", "-n", "3", "-4", "-s", "192.0.2.1"]);
    assert_eq!(run.code(), USAGE, "{run:?}");
    let metrics = parse(&run.stdout);
    assert_eq!((checks(&metrics, "local"), checks(&metrics, "address")), (3.0, 6.0), "{run:?}");
    assert_eq!(value(&metrics, "tcpshaker_run_submitted_checks"), 9.0, "{run:?}");
}

#[test]
fn round_trip_times_are_quantiles_in_seconds() {
    let (_listener, up) = live();
    let run = measured(&["-a", &up, "-n", "500", "-c", "5"]);
    assert_eq!(run.code(), UP, "{run:?}");
    let metrics = parse(&run.stdout);
    let metric = &metrics["tcpshaker_run_rtt_seconds"];
    let quantile = |of: &str| metric.samples[&format!("tcpshaker_run_rtt_seconds{{quantile=\"{of}\"}}")];
    let quantiles = [quantile("0.5"), quantile("0.9"), quantile("0.99")];
    assert!(quantiles.is_sorted() && quantiles[0] > 0.0, "{run:?}");
    // Half of them took that long or longer, to the 3 % of the buckets.
    assert!(value(&metrics, "tcpshaker_run_mean_rtt_seconds") >= 0.5 * quantiles[0] * 0.9, "{run:?}");

    // The summary for people, from the same times, says the same with units of its own.
    let times = run.stderr.lines().find(|line| line.starts_with("  min ")).expect(&run.stderr);
    for (word, seconds) in ["p50", "p90", "p99"].into_iter().zip(quantiles) {
        let part = times.split(',').find(|part| part.trim_start().starts_with(word)).expect(times);
        let words: Vec<&str> = part.split_whitespace().collect();
        let (scale, rounding) = match words[2] {
            "us" => (1e-6, 1e-9),
            "ms" => (1e-3, 0.0051e-3),
            "s" => (1.0, 0.0051),
            other => panic!("{other} is no unit of time"),
        };
        let said = words[1].parse::<f64>().unwrap() * scale;
        assert!((said - seconds).abs() <= rounding, "{word}: {said} and {seconds}: {run:?}");
    }
}

#[test]
fn each_target_that_has_a_verdict_is_up_or_not_once() {
    let (_listener, up) = live();
    let dead = dead();
    // Given twice, one of them without a verdict, and one that must be escaped.
    let odd = "quo\"te\\:x";
    let run = measured(&["-a", &up, "-a", &dead, "-a", &up, "-n", "2", "-a", "[2001:db8::1]:1", "-4", "-a", odd]);
    let metrics = parse(&run.stdout);
    let expected = BTreeMap::from([
        (format!("tcpshaker_up{{target=\"{up}\"}}"), 1.0),
        (format!("tcpshaker_up{{target=\"{dead}\"}}"), 0.0),
    ]);
    assert_eq!(metrics["tcpshaker_up"].samples, expected, "{run:?}");
    let times = &metrics["tcpshaker_last_rtt_seconds"].samples;
    assert_eq!(
        times.keys().collect::<Vec<_>>(),
        [&format!("tcpshaker_last_rtt_seconds{{target=\"{up}\"}}")],
        "{run:?}"
    );
    assert!(times.values().all(|time| *time > 0.0), "{run:?}");
    assert!(metrics.values().all(|metric| metric.kind == "gauge"), "all of it begins anew with each run: {run:?}");
}

#[test]
fn of_no_answers_there_are_no_times() {
    let run = measured(&["-a", &dead()]);
    assert_eq!(run.code(), SOME_DOWN, "{run:?}");
    let metrics = parse(&run.stdout);
    assert!(metrics.keys().all(|name| !name.contains("rtt")), "{run:?}");
}

#[test]
fn what_is_for_people_goes_to_standard_error() {
    let (_listener, up) = live();
    let dead = dead();
    let run = measured(&["-vv", "-a", &up, "-a", &dead]);
    assert_eq!(run.code(), SOME_DOWN, "{run:?}");
    parse(&run.stdout);
    for start in [format!("{up} up"), format!("{dead} refused"), "Finished 2/2 checks in ".into(), "Verdicts:".into()] {
        assert!(run.stderr.lines().any(|line| line.starts_with(&start)), "{start}: {run:?}");
    }
}

/// The python that has Prometheus' own client library; without one, the test is skipped, but never in CI.
pub fn python_with_prometheus_client(test: &str) -> Option<&'static str> {
    let found = ["python3", "/usr/bin/python3"].into_iter().find(|python| {
        let import = Command::new(python).args(["-c", "import prometheus_client.parser"]).output();
        import.is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        skip(test, "there is no prometheus_client for python3");
    }
    found
}

#[test]
fn prometheus_own_parser_reads_the_same() {
    let Some(python) = python_with_prometheus_client("prometheus_own_parser_reads_the_same") else { return };
    let (_listener, up) = live();
    let dead = dead();
    let run = measured(&["-a", &up, "-a", &dead, "-n", "20"]);
    let program = "
import sys
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        labels = ','.join(f'{key}=\"{value}\"' for key, value in sample.labels.items())
        print(family.type, sample.name + ('{' + labels + '}' if labels else ''), sample.value)
";
    let read = finish_with_input(Command::new(python).args(["-c", program]), &run.stdout);
    assert_eq!(read.code(), 0, "{read:?}");
    let mut theirs: Vec<(String, String, f64)> = Vec::new();
    for line in read.stdout.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        theirs.push((words[0].into(), words[1].into(), words[2].parse().expect(line)));
    }
    let mut ours: Vec<(String, String, f64)> = Vec::new();
    for metric in parse(&run.stdout).into_values() {
        ours.extend(metric.samples.into_iter().map(|(series, value)| (metric.kind.clone(), series, value)));
    }
    theirs.sort_by(|a, b| a.1.cmp(&b.1));
    ours.sort_by(|a, b| a.1.cmp(&b.1));
    assert_eq!(theirs, ours);
}

//! tcp-checker -m: what the checker counted, as Prometheus text.
#![cfg(target_os = "linux")]

mod c_programs;
mod support;

use c_programs::{Finished, command, dead, finish, finish_with_input, live, silent};
use std::collections::BTreeMap;
use std::process::Command;
use support::namespace::skip;

const UP: i32 = 0;
const SOME_DOWN: i32 = 1;
const USAGE: i32 = 2;

/// Runs the tool with -m.
fn measured(arguments: &[&str]) -> Finished {
    finish(command("dynamic", "tcp-checker").arg("-m").args(arguments))
}

#[derive(Debug, Default)]
struct Metric {
    kind: String,
    /// By name and labels, as `tcpshaker_checks_total{result="up"}`.
    samples: BTreeMap<String, f64>,
}

/// Reads the text format 0.0.4, strictly: HELP, then TYPE, then every sample of the metric, and nothing else.
fn parse(text: &str) -> BTreeMap<String, Metric> {
    assert!(text.ends_with('\n'), "the last line must end: {text:?}");
    let mut metrics = BTreeMap::<String, Metric>::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let (name, help) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')).expect(line);
        assert!(is_metric_name(name), "{line}");
        assert!(!help.is_empty() && !help.contains('\\') && help.trim() == help, "{line}");
        let kind = lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {name} "))).expect(line);
        assert!(matches!(kind, "counter" | "gauge" | "summary"), "{line}");
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
    if kind == "summary" && matches!(rest, "_sum" | "_count") || rest.is_empty() && kind != "summary" {
        return true;
    }
    let labels = rest.strip_prefix('{').and_then(|rest| rest.strip_suffix("\"}"));
    let Some((label, value)) = labels.and_then(|labels| labels.split_once("=\"")) else { return false };
    let expected = if kind == "summary" { "quantile" } else { "result" };
    label == expected && !value.is_empty() && !value.contains(['"', '\\', ','])
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
    metrics["tcpshaker_checks_total"].samples[&format!("tcpshaker_checks_total{{result=\"{result}\"}}")]
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
    let results = &metrics["tcpshaker_checks_total"].samples;
    assert_eq!(results.len(), 13, "one for each result that a check can have: {run:?}");
    assert_eq!(results.values().sum::<f64>(), 6.0, "{run:?}");
    assert_eq!(value(&metrics, "tcpshaker_submitted_checks_total"), 6.0, "{run:?}");
    assert!(value(&metrics, "tcpshaker_completed_handshakes_total") <= 3.0, "{run:?}");
    assert_eq!(value(&metrics, "tcpshaker_in_flight_checks"), 0.0, "{run:?}");
    assert_eq!(value(&metrics, "tcpshaker_queued_checks"), 0.0, "{run:?}");
    assert!(metrics.contains_key("tcpshaker_sockets"), "{run:?}");
    assert_eq!(value(&metrics, "tcpshaker_unsolicited_segments_total"), 0.0, "{run:?}");
}

#[test]
fn what_is_not_a_verdict_is_counted_as_what_it_is() {
    let (_listener, up) = live();
    // An address kept for documentation, which no machine has: nothing is sent from it.
    let run = measured(&["-a", &up, "-a", "nowhere", "-a", "[::1]:9", "-n", "3", "-4", "-s", "192.0.2.1"]);
    assert_eq!(run.code(), USAGE, "{run:?}");
    let metrics = parse(&run.stdout);
    assert_eq!((checks(&metrics, "local"), checks(&metrics, "address")), (3.0, 6.0), "{run:?}");
    assert_eq!(value(&metrics, "tcpshaker_submitted_checks_total"), 9.0, "{run:?}");
}

#[test]
fn round_trip_times_are_a_summary_in_seconds() {
    let (_listener, up) = live();
    let run = measured(&["-a", &up, "-n", "500", "-c", "5"]);
    assert_eq!(run.code(), UP, "{run:?}");
    let metrics = parse(&run.stdout);
    let metric = &metrics["tcpshaker_rtt_seconds"];
    assert_eq!(metric.kind, "summary");
    assert_eq!(metric.samples["tcpshaker_rtt_seconds_count"], 500.0);
    let quantile = |of: &str| metric.samples[&format!("tcpshaker_rtt_seconds{{quantile=\"{of}\"}}")];
    let quantiles = [quantile("0.5"), quantile("0.9"), quantile("0.99")];
    assert!(quantiles.is_sorted() && quantiles[0] > 0.0, "{run:?}");
    // Half of them took that long or longer, to the 3 % of the buckets; and none took longer than the run.
    let sum = metric.samples["tcpshaker_rtt_seconds_sum"];
    assert!(sum >= 250.0 * quantiles[0] * 0.9, "{run:?}");

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
fn of_no_answers_there_are_no_quantiles() {
    let run = measured(&["-a", &dead()]);
    assert_eq!(run.code(), SOME_DOWN, "{run:?}");
    let metrics = parse(&run.stdout);
    let samples = &metrics["tcpshaker_rtt_seconds"].samples;
    assert_eq!(samples.keys().collect::<Vec<_>>(), ["tcpshaker_rtt_seconds_count", "tcpshaker_rtt_seconds_sum"]);
    assert!(samples.values().all(|value| *value == 0.0), "{run:?}");
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

/// The python that has Prometheus' own client library, if there is one.
fn python_with_prometheus_client() -> Option<&'static str> {
    ["python3", "/usr/bin/python3"].into_iter().find(|python| {
        let import = Command::new(python).args(["-c", "import prometheus_client.parser"]).output();
        import.is_ok_and(|output| output.status.success())
    })
}

#[test]
fn prometheus_own_parser_reads_the_same() {
    let Some(python) = python_with_prometheus_client() else {
        return skip("prometheus_own_parser_reads_the_same", "there is no prometheus_client for python3");
    };
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

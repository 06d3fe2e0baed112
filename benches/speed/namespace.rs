//! A network of the bench's own: loopback, silent targets, and nothing else in the world.

use std::fs;
use std::io::Write;
use std::process::{Command, ExitCode, Stdio};

/// Set inside.
const INSIDE: &str = "TCPSHAKER_BENCH_INSIDE";

/// SYNs to these addresses are dropped before TCP sees them. They are not 127.0.0.0/8, so that the library treats them
/// as it treats a far host.
const SILENT: &str = "10.77.0.0/16";
/// The same, for the raw engine's programs: more targets than the ports of one address.
const SILENT_AND_LOCAL: &str = "127.1.0.0/16";

pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs this program again inside a new network namespace, with as many descriptors as the system allows, and passes
/// its exit on.
pub fn enter() -> Result<ExitCode, String> {
    let this = std::env::current_exe().map_err(|error| format!("the path of this program: {error}"))?;
    // Root needs no user namespace, and keeps what perf wants of it.
    let own_user = if is_root() { vec![] } else { vec!["--user", "--map-root-user"] };
    let status = Command::new("unshare")
        .args(own_user)
        .args(["--net", "sh", "-c", "ulimit -Sn \"$(ulimit -Hn)\"; exec \"$@\"", "sh"])
        .arg(this)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .env("PATH", search_path())
        .status()
        .map_err(|error| format!("no network namespace: unshare (util-linux) does not start: {error}"))?;
    match status.code() {
        Some(0) => Ok(ExitCode::SUCCESS),
        Some(_) => Ok(ExitCode::FAILURE),
        None => Err(format!("the bench ended with {status}")),
    }
}

/// Brings loopback up and makes the silent targets silent.
pub fn furnish() -> Result<(), String> {
    run("ip", &["link", "set", "lo", "up"], "")?;
    run("ip", &["address", "add", "10.77.0.1/16", "dev", "lo"], "")?;
    let rules = format!(
        "table inet bench {{\n chain silent {{\n  type filter hook input priority 0;\n  \
         ip daddr {{ {SILENT}, {SILENT_AND_LOCAL} }} drop\n }}\n}}\n"
    );
    run("nft", &["-f", "-"], &rules)?;
    // Ten thousand half-open connections at once must fit the listener's queue. Where this cannot be written, SYN
    // cookies take over from 4,096 on, for the yardstick and the library alike.
    let _ = fs::write("/proc/sys/net/core/somaxconn", "65535");
    Ok(())
}

/// A rule for what comes in, as long as this lives.
pub struct Rule;

impl Rule {
    pub fn new(rule: &str) -> Result<Rule, String> {
        let chain = format!("chain trouble {{\n  type filter hook input priority 10;\n  {rule}\n }}");
        run("nft", &["-f", "-"], &format!("table inet trouble {{\n {chain}\n}}\n"))?;
        Ok(Rule)
    }
}

impl Drop for Rule {
    fn drop(&mut self) {
        if let Err(why) = run("nft", &["delete", "table", "inet", "trouble"], "") {
            eprintln!("{why}");
        }
    }
}

fn run(program: &str, arguments: &[&str], input: &str) -> Result<(), String> {
    let command = format!("{program} {}", arguments.join(" "));
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{command} does not start: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(|error| format!("{command}: {error}"))?;
    }
    let status = child.wait().map_err(|error| format!("{command}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command}: {status}")) }
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.split_whitespace().take(3).eq(["Uid:", "0", "0"]))
}

fn search_path() -> std::ffi::OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin");
    path
}

/// How many checks may be in flight here: 18,000, or what the limit on descriptors leaves.
pub fn most_in_flight() -> u64 {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let soft =
        limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok());
    soft.unwrap_or(1024u64).saturating_sub(1_500).clamp(500, 18_000)
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The machine in a line, and whether others are at work on it.
pub fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown CPU", |(_, model)| model.trim());
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel.trim().split('-').next().unwrap_or_default().to_owned();
    let load = read("/proc/loadavg");
    let load: f64 = load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0);
    let company = if load > 0.5 { " The machine was not quiet: the figures are not clean." } else { "" };
    format!("{model}, {} cores, Linux {kernel}, load {load:.2} before the start.{company}", cores())
}

//! The namespace's packet filter: rules that drop, reject or count.

use super::process::{feed, sh};

/// Where a rule looks at packets.
#[derive(Clone, Copy)]
pub enum Hook {
    /// On their way to a socket of this namespace.
    Input,
    /// On their way out of it.
    Output,
    /// On their way through it, from one interface to another.
    Forward,
}

/// Adds rules in nft's language, such as `tcp dport 80 drop`.
#[track_caller]
pub fn add(hook: Hook, rules: &[&str]) {
    let (chain, hook) = match hook {
        Hook::Input => ("arriving", "input"),
        Hook::Output => ("leaving", "output"),
        Hook::Forward => ("passing", "forward"),
    };
    let mut text = String::from("table inet tests\n");
    text += &format!("add chain inet tests {chain} {{ type filter hook {hook} priority 0; }}\n");
    for rule in rules {
        text += &format!("add rule inet tests {chain} {rule}\n");
    }
    feed("nft", &["-f", "-"], &text);
}

/// Translates the addresses of connections that begin here: of their targets before they are routed (`dnat to`), of
/// their sources when they leave (`snat to`, `masquerade`). `family` is ip or ip6.
#[track_caller]
pub fn translate(family: &str, targets: &[&str], sources: &[&str]) {
    let mut text = format!("table {family} translation\n");
    text += &format!("add chain {family} translation targets {{ type nat hook output priority -100; }}\n");
    text += &format!("add chain {family} translation sources {{ type nat hook postrouting priority 100; }}\n");
    for (chain, rules) in [("targets", targets), ("sources", sources)] {
        rules.iter().for_each(|rule| text += &format!("add rule {family} translation {chain} {rule}\n"));
    }
    feed("nft", &["-f", "-"], &text);
}

/// Lets everything through again.
pub fn open() {
    sh("nft flush ruleset");
}

/// Makes a named counter, for rules that say `counter name NAME`.
pub fn add_counter(name: &str) {
    feed("nft", &["-f", "-"], &format!("table inet tests\nadd counter inet tests {name}\n"));
}

/// How many packets a named counter has seen.
pub fn packets(name: &str) -> u64 {
    let listing = sh(&format!("nft list counter inet tests {name}"));
    let words: Vec<&str> = listing.split_whitespace().collect();
    let place = words.iter().position(|&word| word == "packets").unwrap_or_else(|| panic!("no packets in: {listing}"));
    words[place + 1].parse().expect("a number of packets")
}

//! The namespace's packet filter: rules that drop, reject or count.

use super::process::{feed, sh};

/// Where a rule looks at packets.
#[derive(Clone, Copy)]
pub enum Hook {
    /// On their way to a socket of this namespace.
    Input,
    /// On their way out of it.
    Output,
}

/// Adds rules in nft's language, such as `tcp dport 80 drop`.
#[track_caller]
pub fn add(hook: Hook, rules: &[&str]) {
    let (chain, hook) = match hook {
        Hook::Input => ("arriving", "input"),
        Hook::Output => ("leaving", "output"),
    };
    let mut text = String::from("table inet tests\n");
    text += &format!("add chain inet tests {chain} {{ type filter hook {hook} priority 0; }}\n");
    for rule in rules {
        text += &format!("add rule inet tests {chain} {rule}\n");
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

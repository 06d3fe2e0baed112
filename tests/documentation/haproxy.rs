//! docs/haproxy.md: HAProxy takes the configuration that it shows.

use std::process::Command;

use crate::c_programs::finish;
use crate::page::{Directory, block};
use crate::support::namespace::{find_program, skip};

#[test]
fn haproxy_takes_the_configuration_of_its_page() {
    let Some(haproxy) = find_program("haproxy") else {
        return skip("haproxy_takes_the_configuration_of_its_page", "there is no haproxy on this machine");
    };
    let directory = Directory::new("haproxy");
    let path = directory.path().join("haproxy.cfg");
    std::fs::write(&path, block("haproxy.md", "config", "haproxy.cfg")).unwrap();
    let judged = finish(Command::new(haproxy).arg("-c").arg("-f").arg(&path));
    assert_eq!(judged.code(), 0, "{judged:?}");
    assert!(judged.stdout.contains("Configuration file is valid"), "{judged:?}");
}

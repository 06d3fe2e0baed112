//! A checker in another network namespace: its checks and lookups leave from there, and nothing else of the process
//! does.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use support::counters::Syns;
use support::etc;
use support::far_host::FarHost;
use support::firewall::{self, Hook};
use support::lists::{PORT, checker, reap, with_timeout};
use support::name_server::{Answer, NameServer};
use support::network::{ip, lay_cable, listen_to_all};
use support::privileges::drop_capabilities;
use support::process::{Forked, sh, threads};
use support::targets::{Listener, V4, V6, at};
use tcpshaker::{Checker, Config, EngineKind, Error, Request, Status, Verdict};

fn checker_in(path: &str, configure: impl FnOnce(&mut Config)) -> Checker {
    checker(|config| {
        config.set_network_namespace(path).unwrap();
        configure(config);
    })
}

fn listen(host: &FarHost, ip: IpAddr) -> Listener {
    host.run(move || Listener::on(ip, PORT))
}

/// Each way to make one check: blocking, in a list, submitted alone, with others, with a callback.
fn every_way(checker: &Checker, request: &Request) -> Vec<Verdict> {
    let mut verdicts = vec![checker.check(request)];
    verdicts.extend(checker.check_many(std::slice::from_ref(request)));
    checker.submit(vec![request.clone()]).expect("an open checker");
    checker.submit(vec![request.clone(); 2]).expect("an open checker");
    verdicts.extend(reap(checker, 3).iter().map(|report| report.verdict));
    let (sender, verdict) = std::sync::mpsc::channel();
    let callback = Box::new(move |report: &tcpshaker::Report| sender.send(report.verdict).expect("the test waits"));
    checker.submit_with(request.clone(), callback).expect("an open checker");
    verdicts.push(verdict.recv_timeout(Duration::from_secs(60)).expect("the callback is called"));
    verdicts
}

#[track_caller]
fn assert_all(verdicts: &[Verdict], status: Status) {
    assert!(verdicts.iter().all(|verdict| verdict.status == status), "not all are {status}: {verdicts:?}");
}

/// The network namespace of each thread of this process.
fn namespaces() -> HashMap<u32, PathBuf> {
    let link =
        |thread: u32| std::fs::read_link(format!("/proc/self/task/{thread}/ns/net")).expect("a thread's namespace");
    threads().into_iter().map(|thread| (thread, link(thread))).collect()
}

mod checks {
    use super::*;

    #[test]
    fn of_a_listener_in_the_namespace_are_up_and_outside_it_refused() {
        namespaced!();
        let far = FarHost::new();
        let listeners = [listen(&far, V4), listen(&far, V6)];
        let inside = checker_in(&far.namespace(), |config| config.set_threads(3).unwrap());
        let outside = checker(|_| ());
        for listener in &listeners {
            let request = Request::new(listener.address());
            let connects = Syns::watch();
            for _ in 0..10 {
                assert_all(&every_way(&inside, &request), Status::Up);
            }
            assert_eq!(connects.now(), 0, "checks left from here");
            assert_all(&every_way(&outside, &request), Status::Refused);
            listener.assert_untouched();
        }
    }

    #[test]
    fn of_a_listener_outside_are_refused() {
        namespaced!();
        let listener = Listener::on(V4, PORT);
        let far = FarHost::new();
        let request = Request::new(listener.address());
        assert_all(&every_way(&checker_in(&far.namespace(), |_| ()), &request), Status::Refused);
        assert_all(&every_way(&checker(|_| ()), &request), Status::Up);
    }

    #[test]
    fn take_a_source_address_of_the_namespace() {
        namespaced!();
        let far = FarHost::new();
        far.run(|| sh("ip addr add 192.0.2.1/32 dev lo"));
        let listener = listen(&far, "192.0.2.1".parse().unwrap());
        let source = |config: &mut Config| config.set_source("192.0.2.1").unwrap();
        let request = Request::new(at(V4, PORT));
        for verdict in every_way(&checker(source), &request) {
            assert_eq!((verdict.status, verdict.os_error), (Status::LocalFault, libc::EADDRNOTAVAIL), "{verdict}");
        }
        assert_all(&every_way(&checker_in(&far.namespace(), source), &Request::new(listener.address())), Status::Up);
    }

    #[test]
    fn need_neither_the_path_nor_its_owner_once_the_checker_is_made() {
        namespaced!();
        let far = FarHost::new();
        let listener = listen(&far, V4);
        let link = std::env::temp_dir().join(format!("tcpshaker-netns-{}", std::process::id()));
        std::os::unix::fs::symlink(far.namespace(), &link).expect("a symbolic link");
        let checker = checker_in(link.to_str().expect("a path in UTF-8"), |_| ());
        std::fs::remove_file(&link).expect("the link was there");
        assert!(!Path::new(&link).exists());
        drop(far);
        assert_all(&every_way(&checker, &Request::new(listener.address())), Status::Up);
    }
}

mod names {
    use super::*;

    /// So many at once that threads which look names up start others.
    const NAMES: usize = 20;

    fn name(number: usize) -> String {
        format!("far{number}.test")
    }

    /// A name server in the namespace, and there alone.
    fn serve_names(far: &FarHost) -> NameServer {
        etc::replace();
        far.run(|| {
            let names: Vec<String> = (0..NAMES).map(name).collect();
            let table: Vec<(&str, Answer)> =
                names.iter().map(|name| (name.as_str(), Answer::Addresses(vec![V4]))).collect();
            NameServer::start_slow(Duration::from_millis(50), &table)
        })
    }

    fn all_names() -> Vec<Request> {
        (0..NAMES).map(|number| Request::new(format!("{}:{PORT}", name(number)).as_str())).collect()
    }

    #[test]
    fn are_looked_up_in_the_namespace() {
        namespaced!();
        let far = FarHost::new();
        let (server, listener) = (serve_names(&far), listen(&far, V4));
        let inside = checker_in(&far.namespace(), |_| ());
        assert_all(&inside.check_many(&all_names()), Status::Up);
        assert!((0..NAMES).all(|number| server.asked_for_v4(&name(number)) == 1));
        assert_all(&every_way(&inside, &all_names()[0]), Status::Up);
        let unresolved = checker(|config| config.set_timeout(5000).unwrap()).check(&all_names()[0]);
        assert_eq!(unresolved.status, Status::Unresolved, "{unresolved}");
        listener.assert_untouched();
    }

    #[test]
    fn are_looked_up_there_after_the_process_has_given_up_root() {
        const NOBODY: libc::uid_t = 65534;
        namespaced!();
        let far = FarHost::new();
        let (_server, _listener) = (serve_names(&far), listen(&far, V4));
        let inside = checker_in(&far.namespace(), |_| ());
        // SAFETY: glibc has every thread change its user.
        if unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) } != 0 {
            support::namespace::skip(
                "are_looked_up_there_after_the_process_has_given_up_root",
                "only root gives it up",
            );
            return;
        }
        assert_all(&inside.check_many(&all_names()), Status::Up);
    }
}

#[test]
fn only_the_checkers_own_threads_are_in_the_namespace() {
    namespaced!();
    let far = FarHost::new();
    let (_server, _listener) = (etc::replace(), listen(&far, V4));
    let there = std::fs::read_link(far.namespace()).expect("the far host's namespace");
    let before = namespaces();
    let checker = checker_in(&far.namespace(), |config| config.set_threads(2).unwrap());
    // The hosts file has it, so it needs a resolver's thread and no name server.
    assert_all(&every_way(&checker, &Request::new("four.test:8080")), Status::Up);
    let during = namespaces();
    let (others, own): (Vec<_>, Vec<_>) = during.into_iter().partition(|(thread, _)| before.contains_key(thread));
    assert_eq!(others.into_iter().collect::<HashMap<_, _>>(), before, "others' threads moved");
    assert!(own.len() >= 3, "two loops and a resolver: {own:?}");
    assert!(own.iter().all(|(_, namespace)| *namespace == there), "{own:?} and not all {there:?}");
    drop(checker);
    assert_eq!(namespaces(), before);
}

mod a_checker {
    use super::*;
    use tcpshaker::c_api::{
        shaker_check_addr, shaker_checker_free, shaker_checker_new, shaker_config_free, shaker_config_new,
        shaker_config_set_network_namespace, shaker_status,
    };

    fn made(path: &str) -> Result<Checker, Error> {
        let mut config = Config::default();
        config.set_network_namespace(path)?;
        Checker::new(&config)
    }

    /// The same from C: what the call returned, and whether it gave a checker, which has checked the address.
    fn made_from_c(path: &str, addr: &str) -> (shaker_status, Option<shaker_status>) {
        let [path, addr] = [path, addr].map(|text| std::ffi::CString::new(text).expect("a text"));
        // SAFETY: arguments as the header wants them; all of them outlive the calls.
        unsafe {
            let config = shaker_config_new();
            assert_eq!(shaker_config_set_network_namespace(config, path.as_ptr()), shaker_status::SHAKER_OK);
            let mut checker = std::ptr::dangling_mut();
            let status = shaker_checker_new(config, &mut checker);
            shaker_config_free(config);
            if checker.is_null() {
                return (status, None);
            }
            let verdict = shaker_check_addr(checker, addr.as_ptr(), 0, std::ptr::null_mut());
            assert_eq!(shaker_checker_free(checker), shaker_status::SHAKER_OK);
            (status, Some(verdict))
        }
    }

    #[test]
    fn is_made_from_c_too() {
        namespaced!();
        let far = FarHost::new();
        let listener = listen(&far, V4);
        let made = made_from_c(&far.namespace(), &listener.address().to_string());
        assert_eq!(made, (shaker_status::SHAKER_OK, Some(shaker_status::SHAKER_OK)));
    }

    #[test]
    fn without_the_privilege_is_unsupported() {
        namespaced!();
        let far = FarHost::new();
        let path = far.namespace();
        let child = Forked::new(move || {
            // This process's own, which it may open without any privilege.
            for path in ["/proc/self/ns/net", &path] {
                assert!(made(path).is_ok());
            }
            drop_capabilities();
            for path in ["/proc/self/ns/net", &path] {
                assert_eq!(made(path).err(), Some(Error::Unsupported), "{path}");
                let from_c = made_from_c(path, "127.0.0.1:80");
                assert_eq!(from_c, (shaker_status::SHAKER_ERR_UNSUPPORTED, None), "{path}");
            }
            0
        });
        assert_eq!(child.wait(), 0);
    }

    #[test]
    fn at_a_path_that_is_no_network_namespaces_is_a_local_fault_and_leaves_nothing() {
        namespaced!();
        let fifo = std::env::temp_dir().join(format!("tcpshaker-fifo-{}", std::process::id()));
        let fifo = fifo.to_str().expect("a path in UTF-8");
        sh(&format!("mkfifo {fifo}"));
        let (threads_before, descriptors) = (threads(), support::process::open_descriptors());
        for path in ["/no/such/path", "/proc/self/ns/uts", "/dev/null", "/", fifo, "relative"] {
            assert_eq!(made(path).err(), Some(Error::LocalFault), "{path}");
            assert_eq!(made_from_c(path, "127.0.0.1:80"), (shaker_status::SHAKER_ERR_LOCAL, None), "{path}");
        }
        std::fs::remove_file(fifo).expect("the FIFO was there");
        assert_eq!((threads(), support::process::open_descriptors()), (threads_before, descriptors));
        for path in ["", "/run/netns/\0"] {
            assert_eq!(made(path).err(), Some(Error::Invalid), "{path:?}");
        }
    }

    #[test]
    fn that_callers_drive_is_unsupported_there() {
        namespaced!();
        let mut config = Config::default();
        config.set_caller_driven(true).unwrap();
        config.set_network_namespace("/proc/self/ns/net").unwrap();
        assert_eq!(Checker::new(&config).err(), Some(Error::Unsupported));
    }
}

/// A thread that has moved into another namespace (setns(2), unshare(2)) calls a checker that was made before.
#[test]
fn a_caller_that_is_elsewhere_has_the_verdicts_of_the_checkers_own_namespace_and_spoils_nobody_elses() {
    namespaced!();
    const THERE_ALONE: u16 = PORT + 1;
    let _here = Listener::on(V4, PORT);
    let far = FarHost::new();
    let _there = far.run(|| Listener::on(V4, THERE_ALONE));
    let (live, dead) = (Request::new(at(V4, PORT)), Request::new(at(V4, THERE_ALONE)));
    for is_raw in [false, true] {
        for is_first_elsewhere in [true, false] {
            let mut config = Config::default();
            if is_raw {
                config.set_engine(EngineKind::Raw).unwrap();
            }
            let checker = Arc::new(Checker::new(&config).expect("a checker"));
            let ask = {
                let (live, dead) = (live.clone(), dead.clone());
                move |checker: &Checker| [checker.check(&live).status, checker.check(&dead).status]
            };
            let elsewhere = || {
                let (checker, ask) = (checker.clone(), ask.clone());
                far.run(move || ask(&checker))
            };
            let asked = if is_first_elsewhere {
                [elsewhere(), ask(&checker), elsewhere()]
            } else {
                [ask(&checker), elsewhere(), ask(&checker)]
            };
            assert_eq!(
                asked,
                [[Status::Up, Status::Refused]; 3],
                "raw: {is_raw}, elsewhere first: {is_first_elsewhere}"
            );
        }
    }
}

/// Whose answer it was, another check in flight has a stranger ask: from the namespace of the checker.
#[test]
fn a_caller_that_is_elsewhere_has_the_true_verdict_while_another_check_waits() {
    namespaced!("nft");
    const SILENT: u16 = PORT + 1;
    const EPHEMERAL: u16 = 45_678;
    firewall::add(Hook::Input, &[&format!("tcp dport {SILENT} drop")]);
    let _here = Listener::on(V4, EPHEMERAL);
    let (far, live) = (FarHost::new(), Request::new(at(V4, EPHEMERAL)));
    let checker = Arc::new(Checker::new(&Config::default()).expect("a checker"));
    for _ in 0..10 {
        checker.submit(vec![Request::new(at(V4, SILENT))]).expect("an open checker");
        assert_eq!(checker.check(&live).status, Status::Up); // its socket is for the next caller
        let (elsewhere, live) = (checker.clone(), live.clone());
        assert_eq!(far.run(move || elsewhere.check(&live)).status, Status::Up);
        assert_eq!(reap(&checker, 1)[0].verdict.status, Status::TimedOut);
    }
}

/// The thread that drives a checker opens its sockets.
#[test]
fn who_drives_a_checker_from_elsewhere_has_no_false_verdict_and_spoils_nobody_elses() {
    namespaced!();
    const THERE_ALONE: u16 = PORT + 1;
    let far = FarHost::new();
    lay_cable(&far, 1);
    let _far = far.run(listen_to_all);
    let _here = listen_to_all();
    let elsewhere = FarHost::new();
    let _there = elsewhere.run(|| Listener::on(V4, THERE_ALONE));
    let targets = [
        (at(V4, PORT), Status::Up),
        (at(V4, THERE_ALONE), Status::Refused),
        (at(ip("10.1.0.2"), PORT), Status::Up),
        (at(ip("10.1.0.2"), THERE_ALONE), Status::Refused),
        (at(ip("fd01::2"), PORT), Status::Up),
    ];
    for engine in [EngineKind::Socket, EngineKind::Raw] {
        for (first, _) in targets {
            let mut config = Config::default();
            config.set_engine(engine).unwrap();
            config.set_caller_driven(true).unwrap();
            let checker = Arc::new(Checker::new(&config).expect("a checker"));
            let driven = checker.clone();
            elsewhere.run(move || driven.check(&with_timeout(10_000, first)));
            for (target, truth) in targets {
                let driven = checker.clone();
                let there = elsewhere.run(move || driven.check(&with_timeout(10_000, target)));
                let is_none = (there.status, there.os_error) == (Status::LocalFault, libc::EXDEV);
                assert!(is_none || there.status == truth, "{engine:?}, {first} first: {there:?}");
                let here = checker.check(&with_timeout(10_000, target));
                assert_eq!(here.status, truth, "{engine:?}, {first} first: {here:?}");
            }
        }
    }
}

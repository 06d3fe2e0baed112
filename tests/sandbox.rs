//! Sandboxes that refuse a system call: what the library is not allowed to do says nothing of a target. There is no
//! verdict, or the true one; nobody waits for ever, and nothing crashes.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use support::counters::Rise;
use support::handshake::withholds_ack;
use support::lists::{PORT, checker, reap};
use support::process::{sh, sysctl, until};
use support::sandbox::{
    AT_ONCE, Child, Step, check_every_way, live, refused, run, silent, step, steps, targets, wrong,
};
use support::seccomp::{self, Call, call, call_with};
use support::targets::{Listener, V4, V6, at};
use support::watched::Notes;
use tcpshaker::{Checker, Request, Status};

const ERRNOS: [(&str, i32); 5] = [
    ("EPERM", libc::EPERM),
    ("EACCES", libc::EACCES),
    ("EINVAL", libc::EINVAL),
    ("ENOPROTOOPT", libc::ENOPROTOOPT),
    ("ENOSYS", libc::ENOSYS),
];

/// The first line of each test, behind the network's.
macro_rules! sandboxed {
    () => {
        if let Some(why) = seccomp::is_missing() {
            return support::namespace::skip("a test in a sandbox", &why);
        }
    };
}

#[path = "sandbox/kinds.rs"]
mod kinds;
#[path = "sandbox/profiles.rs"]
mod profiles;

mod refused_never {
    use super::*;

    /// In sandboxes that are entered so.
    pub fn assert_true_verdicts(ways_in: &[&dyn Fn()]) {
        let _targets = targets();
        let steps = steps();
        let children: Vec<Child<'_>> = ways_in
            .iter()
            .map(|enter| {
                let steps = &steps;
                let work = move |notes: &Notes| {
                    enter();
                    check_every_way(&checker(|_| ()), steps, notes, 0);
                };
                ("nothing refused".to_owned(), Box::new(work) as Box<dyn Fn(&Notes)>)
            })
            .collect();
        let truths = [&steps[..], &steps, &steps].concat();
        let judge = |notes: &Notes| {
            let told = |place: usize| notes.read(place).map(|(status, _)| status);
            let wrong = truths.iter().enumerate().filter(|(place, step)| told(*place) != Some(step.truth as i32));
            wrong.map(|(place, step)| format!("{}: {:?}", step.name, notes.read(place))).collect()
        };
        run(&children, ways_in.len(), judge);
    }

    #[test]
    fn sandbox_that_refuses_what_nobody_calls_leaves_every_verdict_true() {
        namespaced!("nft");
        sandboxed!();
        assert_true_verdicts(&[&|| seccomp::deny(call("swapoff", libc::SYS_swapoff), libc::EPERM)]);
    }

    #[test]
    fn sandbox_that_only_watches_leaves_every_verdict_true() {
        namespaced!("nft");
        sandboxed!();
        assert_true_verdicts(&[&|| {
            seccomp::deny_where(call("connect", libc::SYS_connect), libc::EPERM, |_| false);
        }]);
    }
}

mod refused_but_for_what_is_needed {
    use super::*;

    /// What checks need, those of the C library's threads and names included. Where clone3(2) is refused by ENOSYS, the C
    /// library takes clone(2).
    pub const NEEDED: &[libc::c_long] = &[
        libc::SYS_socket,
        libc::SYS_bind,
        libc::SYS_connect,
        libc::SYS_shutdown,
        libc::SYS_getsockname,
        libc::SYS_getpeername,
        libc::SYS_getsockopt,
        libc::SYS_setsockopt,
        libc::SYS_sendto,
        libc::SYS_sendmmsg,
        libc::SYS_recvfrom,
        libc::SYS_recvmsg,
        libc::SYS_recvmmsg,
        libc::SYS_poll,
        libc::SYS_epoll_create1,
        libc::SYS_epoll_ctl,
        libc::SYS_epoll_wait,
        libc::SYS_eventfd2,
        libc::SYS_timerfd_create,
        libc::SYS_timerfd_settime,
        libc::SYS_fcntl,
        libc::SYS_ioctl,
        libc::SYS_close,
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_openat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_lseek,
        libc::SYS_uname,
        libc::SYS_getrandom,
        libc::SYS_clone,
        libc::SYS_futex,
        libc::SYS_set_robust_list,
        libc::SYS_rseq,
        libc::SYS_rt_sigprocmask,
        libc::SYS_prctl,
        libc::SYS_prlimit64,
        libc::SYS_sched_getaffinity,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        libc::SYS_brk,
        libc::SYS_getpid,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];

    #[test]
    fn sandbox_that_allows_nothing_else_leaves_every_verdict_true() {
        namespaced!("nft");
        sandboxed!();
        let with_clone3 = [NEEDED, &[libc::SYS_clone3]].concat();
        refused_never::assert_true_verdicts(&[&|| seccomp::allow_only(NEEDED, libc::ENOSYS), &|| {
            seccomp::allow_only(&with_clone3, libc::EPERM)
        }]);
    }
}

mod refused_always {
    use super::*;

    /// A checker that has its sockets from before the sandbox, and one that is made within, with settings that need
    /// calls of their own.
    fn child(steps: &[Step], denied: Call, errno: i32, notes: &Notes) {
        let warm = checker(|_| ());
        for step in
            steps.iter().filter(|step| step.truth == Status::Up && step.request.target == live(V4).request.target)
        {
            warm.check(&step.request);
        }
        warm.check_many(&[live(V4), live(V6), refused(V4), refused(V6)].map(|step| step.request));
        seccomp::deny(denied, errno);
        check_every_way(&warm, steps, notes, 0);
        let mut config = tcpshaker::Config::default();
        config.set_source("127.0.0.1").unwrap();
        config.set_source("::1").unwrap();
        config.set_tos(8).unwrap();
        match Checker::new(&config) {
            Ok(fresh) => check_every_way(&fresh, steps, notes, 3 * steps.len()),
            Err(status) => {
                (0..3 * steps.len()).for_each(|place| notes.write(3 * steps.len() + place, status as i32, 0))
            }
        }
        drop(warm);
    }

    fn assert_no_false_verdict(calls: &[Call], errnos: &[(&str, i32)]) {
        let _targets = targets();
        let steps = steps();
        let mut children: Vec<Child<'_>> = Vec::new();
        for &denied in calls {
            for &(name, errno) in errnos {
                let steps = &steps;
                let work = move |notes: &Notes| child(steps, denied, errno, notes);
                children.push((format!("{} {name}", denied.name), Box::new(work)));
            }
        }
        run(&children, AT_ONCE, |notes| {
            let mut found = wrong(notes, 0, "warm", &steps);
            found.extend(wrong(notes, 3 * steps.len(), "fresh", &steps));
            found
        });
    }

    #[test]
    fn option_of_a_socket_that_may_not_be_set_is_no_verdict() {
        namespaced!("nft");
        sandboxed!();
        let number = libc::SYS_setsockopt;
        assert_no_false_verdict(
            &[
                call("setsockopt", number),
                call_with("setsockopt of TCP", number, 1, libc::IPPROTO_TCP),
                call_with("setsockopt of IP", number, 1, libc::IPPROTO_IP),
                call_with("setsockopt SO_LINGER", number, 2, libc::SO_LINGER),
                call_with("setsockopt TCP_DEFER_ACCEPT", number, 2, libc::TCP_DEFER_ACCEPT),
            ],
            &ERRNOS,
        );
    }

    #[test]
    fn option_of_a_socket_that_may_not_be_read_is_no_verdict() {
        namespaced!("nft");
        sandboxed!();
        let number = libc::SYS_getsockopt;
        assert_no_false_verdict(
            &[
                call("getsockopt", number),
                call_with("getsockopt TCP_INFO", number, 1, libc::IPPROTO_TCP),
                call_with("getsockopt SO_ERROR", number, 1, libc::SOL_SOCKET),
            ],
            &ERRNOS,
        );
    }

    #[test]
    fn socket_that_may_not_be_opened_or_connected_is_no_verdict() {
        namespaced!("nft");
        sandboxed!();
        // The length of the address tells the reset of an IPv6 socket from its connects.
        let sizes = [size_of::<libc::sockaddr_in>() as i32, size_of::<libc::sockaddr_in6>() as i32];
        assert_no_false_verdict(
            &[
                call("socket", libc::SYS_socket),
                call("bind", libc::SYS_bind),
                call("connect", libc::SYS_connect),
                call_with("connect of IPv4 and resets", libc::SYS_connect, 2, sizes[0]),
                call_with("connect of IPv6", libc::SYS_connect, 2, sizes[1]),
                call("shutdown", libc::SYS_shutdown),
                call("getsockname", libc::SYS_getsockname),
                call("getpeername", libc::SYS_getpeername),
            ],
            &ERRNOS,
        );
    }

    #[test]
    fn poller_that_may_not_be_used_is_no_verdict_and_nobody_hangs() {
        namespaced!("nft");
        sandboxed!();
        assert_no_false_verdict(
            &[
                call("epoll_create1", libc::SYS_epoll_create1),
                call("epoll_ctl", libc::SYS_epoll_ctl),
                call("epoll_wait", libc::SYS_epoll_wait),
                call("epoll_pwait", libc::SYS_epoll_pwait),
                call("epoll_pwait2", libc::SYS_epoll_pwait2),
                call("eventfd2", libc::SYS_eventfd2),
                call("read", libc::SYS_read),
                call("fcntl", libc::SYS_fcntl),
                call("ioctl", libc::SYS_ioctl),
            ],
            &ERRNOS,
        );
    }

    #[test]
    fn thread_that_may_not_be_started_or_set_up_is_no_verdict() {
        namespaced!("nft");
        sandboxed!();
        assert_no_false_verdict(
            &[
                call("clone3", libc::SYS_clone3),
                call("clone", libc::SYS_clone),
                call("prctl", libc::SYS_prctl),
                call("rt_sigprocmask", libc::SYS_rt_sigprocmask),
                call("prlimit64", libc::SYS_prlimit64),
                call("sched_getaffinity", libc::SYS_sched_getaffinity),
                call("getrandom", libc::SYS_getrandom),
            ],
            &ERRNOS,
        );
    }

    #[test]
    fn wake_up_that_fails_is_no_verdict_and_nobody_hangs_or_crashes() {
        namespaced!("nft");
        sandboxed!();
        let more = [("EINTR", libc::EINTR), ("EIO", libc::EIO), ("EAGAIN", libc::EAGAIN)];
        assert_no_false_verdict(&[call("write", libc::SYS_write)], &[&ERRNOS[..], &more].concat());
    }
}

mod refused_now_and_then {
    use super::*;

    /// The call fails once, or from some time on.
    #[derive(Clone, Copy)]
    enum When {
        Once(usize),
        From(usize),
    }

    fn assert_no_false_verdict(denied: Call, most: usize, errnos: &[(&str, i32)]) {
        let _targets = targets();
        let steps: Vec<Step> = [V4, V6]
            .into_iter()
            .flat_map(|ip| [refused(ip), live(ip), silent(ip), live(ip), refused(ip), refused(ip), live(ip)])
            .collect();
        let mut children: Vec<Child<'_>> = Vec::new();
        for &(name, errno) in errnos {
            for when in (0..most).flat_map(|number| [When::Once(number), When::From(number)]) {
                let steps = &steps;
                let work = move |notes: &Notes| {
                    seccomp::deny_where(denied, errno, move |number| match when {
                        When::Once(failing) => number == failing,
                        When::From(first) => number >= first,
                    });
                    match Checker::new(&tcpshaker::Config::default()) {
                        Ok(checker) => check_every_way(&checker, steps, notes, 0),
                        Err(status) => {
                            (0..3 * steps.len()).for_each(|place| notes.write(place, status as i32, 0));
                        }
                    }
                };
                let when = match when {
                    When::Once(number) => format!("call {}", number + 1),
                    When::From(number) => format!("call {} and all after", number + 1),
                };
                children.push((format!("{} {name}, {when}", denied.name), Box::new(work)));
            }
        }
        run(&children, AT_ONCE, |notes| wrong(notes, 0, "checker", &steps));
    }

    #[test]
    fn connect_that_fails_once_leaves_no_old_error_to_the_next_target() {
        namespaced!("nft");
        sandboxed!();
        assert_no_false_verdict(call("connect", libc::SYS_connect), 40, &ERRNOS[1..]);
    }

    #[test]
    fn connect_that_is_interrupted_once_leaves_no_old_error_to_the_next_target() {
        namespaced!("nft");
        sandboxed!();
        let errnos = [("EINTR", libc::EINTR), ("ENOMEM", libc::ENOMEM), ("EAGAIN", libc::EAGAIN)];
        assert_no_false_verdict(call("connect", libc::SYS_connect), 40, &errnos);
    }

    #[test]
    fn option_that_cannot_be_read_once_is_no_verdict() {
        namespaced!("nft");
        sandboxed!();
        assert_no_false_verdict(call("getsockopt", libc::SYS_getsockopt), 40, &ERRNOS[1..4]);
    }

    #[test]
    fn option_that_cannot_be_set_once_is_no_verdict() {
        namespaced!("nft");
        sandboxed!();
        assert_no_false_verdict(call("setsockopt", libc::SYS_setsockopt), 10, &ERRNOS);
    }

    #[test]
    fn socket_that_cannot_be_opened_or_watched_once_is_no_verdict() {
        namespaced!("nft");
        sandboxed!();
        assert_no_false_verdict(call("socket", libc::SYS_socket), 5, &ERRNOS);
    }

    #[test]
    fn wake_up_that_fails_once_or_from_some_time_on_keeps_nobody_waiting() {
        namespaced!("nft");
        sandboxed!();
        let errnos = [("EINTR", libc::EINTR), ("EIO", libc::EIO), ("EAGAIN", libc::EAGAIN)];
        assert_no_false_verdict(call("write", libc::SYS_write), 6, &errnos);
    }
}

mod meeting_itself {
    use super::*;

    #[test]
    fn socket_that_may_not_ask_for_its_own_address_is_not_up_for_having_met_itself() {
        namespaced!();
        sandboxed!();
        // One port for all sockets: each that asks there asks itself.
        sysctl("net/ipv4/ip_local_port_range", "40000 40000");
        let steps = [V4, V6].map(|ip| step("port of its own", ip, 40_000, Status::Refused));
        let met: Vec<Status> = steps.iter().map(|step| checker(|_| ()).check(&step.request).status).collect();
        assert_eq!(met, [Status::Refused; 2]);
        let mut children: Vec<Child<'_>> = Vec::new();
        for denied in [call("getsockname", libc::SYS_getsockname), call("getpeername", libc::SYS_getpeername)] {
            for (name, errno) in ERRNOS {
                let steps = &steps;
                let work = move |notes: &Notes| {
                    let checker = checker(|_| ());
                    seccomp::deny(denied, errno);
                    check_every_way(&checker, steps, notes, 0);
                };
                children.push((format!("{} {name}", denied.name), Box::new(work)));
            }
        }
        // One after the other: there is one port.
        run(&children, 1, |notes| wrong(notes, 0, "checker", &steps));
    }
}

mod unwatched {
    use super::*;

    #[test]
    fn answer_that_came_before_the_loop_could_not_watch_its_socket_is_the_verdict() {
        namespaced!("nft");
        sandboxed!();
        only_where!(withholds_ack(), "every answer completes a handshake");
        let _listener = Listener::on(V4, PORT);
        sh("nft add table inet lossy");
        sh("nft add chain inet lossy arriving '{ type filter hook input priority 0; }'");
        sh(&format!("nft add rule inet lossy arriving tcp dport {PORT} drop"));
        let checker = checker(|config| config.set_caller_driven(true).unwrap());
        let completed = Rise::of("TcpPassiveOpens");
        checker.submit(vec![Request::new(at(V4, PORT))]).expect("a live checker");
        sh("nft delete table inet lossy");
        // The kernel sends the SYN again after a second, and lets the ACK out 200 ms after the answer.
        until("the handshake is completed", || completed.now() == 1);
        seccomp::deny(call_with("epoll_ctl", libc::SYS_epoll_ctl, 1, libc::EPOLL_CTL_ADD), libc::ENOSPC);
        let verdict = reap(&checker, 1)[0].verdict;
        assert_eq!((verdict.status, verdict.half_open), (Status::Up, false), "{verdict:?}");
        assert_eq!(checker.stats().completed_handshakes, 1);
    }
}

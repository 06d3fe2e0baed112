//! Checkers of the other kinds in sandboxes that refuse a call: those that callers drive, and those of the raw engine.
//! What the error is matters less than which call it is, so each call has another one.

use tcpshaker::EngineKind;

use super::profiles::assert_true_verdicts;
use super::refused_but_for_what_is_needed::NEEDED;
use super::*;
use crate::support::monitors::of_kind;
use crate::support::sandbox::slow;

const KINDS: [(EngineKind, bool); 3] = [(EngineKind::Socket, true), (EngineKind::Raw, false), (EngineKind::Raw, true)];

/// Few, with little time, since all wait for their deadlines where the answers cannot be read. The raw engine sends each
/// SYN from another port, which the slow target goes by.
fn few_steps(engine: EngineKind) -> Vec<Step> {
    let brief = |step: Step| {
        let timeout_ms = step.request.timeout_ms.min(1_000);
        Step { request: Request { timeout_ms, ..step.request }, ..step }
    };
    let last = if engine == EngineKind::Raw { brief(live(V4)) } else { slow(V4) };
    let steps = [refused(V4), live(V4), silent(V4), live(V4), refused(V6), live(V6)];
    steps.into_iter().map(brief).chain([last]).collect()
}

fn calls() -> Vec<Call> {
    let options = [
        call_with("setsockopt of TCP", libc::SYS_setsockopt, 1, libc::IPPROTO_TCP),
        call_with("setsockopt of IP", libc::SYS_setsockopt, 1, libc::IPPROTO_IP),
        call_with("setsockopt SO_LINGER", libc::SYS_setsockopt, 2, libc::SO_LINGER),
        call_with("setsockopt SO_ATTACH_FILTER", libc::SYS_setsockopt, 2, libc::SO_ATTACH_FILTER),
        call_with("getsockopt TCP_INFO", libc::SYS_getsockopt, 2, libc::TCP_INFO),
    ];
    let whole = [
        call("socket", libc::SYS_socket),
        call("bind", libc::SYS_bind),
        call("connect", libc::SYS_connect),
        call("shutdown", libc::SYS_shutdown),
        call("getsockname", libc::SYS_getsockname),
        call("setsockopt", libc::SYS_setsockopt),
        call("getsockopt", libc::SYS_getsockopt),
        call("sendmmsg", libc::SYS_sendmmsg),
        call("recvmmsg", libc::SYS_recvmmsg),
        call("recvmsg", libc::SYS_recvmsg),
        call("epoll_create1", libc::SYS_epoll_create1),
        call("epoll_ctl", libc::SYS_epoll_ctl),
        call("epoll_wait", libc::SYS_epoll_wait),
        call("poll", libc::SYS_poll),
        call("eventfd2", libc::SYS_eventfd2),
        call("read", libc::SYS_read),
        call("write", libc::SYS_write),
        call("fcntl", libc::SYS_fcntl),
        call("clone3", libc::SYS_clone3),
        call("getrandom", libc::SYS_getrandom),
    ];
    options.into_iter().chain(whole).collect()
}

/// A sandbox for each kind and call, which a child enters with a checker that it has, and makes another one in. It notes
/// what both are told.
fn assert_no_false_verdict(calls: &[Call], enter: impl Fn(Call, i32)) {
    let _targets = targets();
    let mut children: Vec<Child<'_>> = Vec::new();
    for (engine, is_driven) in KINDS {
        for (&denied, (name, errno)) in calls.iter().zip(ERRNOS.into_iter().cycle()) {
            let enter = &enter;
            let work = move |notes: &Notes| {
                let steps = few_steps(engine);
                let warm = of_kind(engine, is_driven, |_| ());
                warm.check_many(&[live(V4), live(V6), refused(V4), refused(V6)].map(|step| step.request));
                enter(denied, errno);
                check_every_way(&warm, &steps, notes, 0);
                let mut config = tcpshaker::Config::default();
                config.set_engine(engine).unwrap();
                config.set_caller_driven(is_driven).unwrap();
                match Checker::new(&config) {
                    Ok(fresh) => check_every_way(&fresh, &steps, notes, 3 * steps.len()),
                    Err(status) => {
                        (3 * steps.len()..6 * steps.len()).for_each(|place| notes.write(place, status as i32, 0))
                    }
                }
            };
            children.push((format!("{engine:?}, caller-driven: {is_driven}, {} {name}", denied.name), Box::new(work)));
        }
    }
    let steps = few_steps(EngineKind::Socket);
    println!("{} sandboxes", children.len());
    run(&children, 2 * AT_ONCE, |notes| {
        let mut found = wrong(notes, 0, "warm", &steps);
        found.extend(wrong(notes, 3 * steps.len(), "fresh", &steps));
        found
    });
}

#[test]
fn call_that_is_refused_always_is_no_verdict_of_any_kind_of_checker() {
    namespaced!("nft");
    sandboxed!();
    assert_no_false_verdict(&calls(), seccomp::deny);
}

#[test]
fn call_that_is_refused_once_or_from_some_time_on_is_no_verdict_of_any_kind_of_checker() {
    namespaced!("nft");
    sandboxed!();
    let calls = ["connect", "socket", "setsockopt", "sendmmsg", "recvmmsg", "epoll_ctl", "write"];
    let calls: Vec<Call> = self::calls().into_iter().filter(|call| calls.contains(&call.name)).collect();
    for first in [0, 3] {
        assert_no_false_verdict(&calls, |denied, errno| {
            seccomp::deny_where(denied, errno, move |number| if first == 0 { number == 1 } else { number >= first });
        });
    }
}

#[test]
fn sandbox_that_allows_nothing_but_what_is_needed_leaves_every_verdict_true_of_any_kind_of_checker() {
    namespaced!("nft");
    sandboxed!();
    // The test itself sleeps until a watch has a state.
    let needed = [NEEDED, &[libc::SYS_clock_nanosleep]].concat();
    assert_true_verdicts(&|| seccomp::allow_only(&needed, libc::ENOSYS));
}

//! Which engine a checker has: what the program asks for, and what the process may.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use support::counters::Rise;
use support::lists::{PORT, reap};
use support::privileges::drop_capabilities;
use support::process::Forked;
use support::targets::{Listener, V4};
use tcpshaker::c_api::{
    SHAKER_CAN_RAW, shaker_capabilities, shaker_checker_engine, shaker_checker_free, shaker_checker_new,
    shaker_config_free, shaker_config_new, shaker_config_set_engine, shaker_engine, shaker_status,
};
use tcpshaker::{Checker, Config, EngineKind, Error, Handshake, Request, Status, capabilities};

fn made(engine: EngineKind, configure: impl FnOnce(&mut Config)) -> Result<Checker, Error> {
    let mut config = Config::default();
    config.set_engine(engine)?;
    configure(&mut config);
    Checker::new(&config)
}

/// What a checker of this setting is made as, by C.
fn made_from_c(engine: shaker_engine) -> (shaker_status, Option<i32>) {
    // SAFETY: arguments as the header wants them; all of them outlive the calls.
    unsafe {
        let config = shaker_config_new();
        assert_eq!(shaker_config_set_engine(config, engine as i32), shaker_status::SHAKER_OK);
        let mut checker = std::ptr::dangling_mut();
        let status = shaker_checker_new(config, &mut checker);
        shaker_config_free(config);
        let engine = (!checker.is_null()).then(|| shaker_checker_engine(checker));
        shaker_checker_free(checker);
        (status, engine)
    }
}

#[test]
fn the_engine_is_sockets_unless_the_program_says_otherwise() {
    assert_eq!(Checker::new(&Config::default()).unwrap().engine(), EngineKind::Socket);
    assert_eq!(made(EngineKind::Socket, |_| {}).unwrap().engine(), EngineKind::Socket);
    let socket = shaker_engine::SHAKER_ENGINE_SOCKET;
    assert_eq!(made_from_c(socket), (shaker_status::SHAKER_OK, Some(socket as i32)));
}

#[test]
fn without_the_privilege_raw_is_refused_and_auto_takes_sockets() {
    namespaced!();
    assert!(capabilities().raw);
    let listener = Listener::on(V4, PORT);
    let child = Forked::new(|| {
        assert_ne!(shaker_capabilities() & SHAKER_CAN_RAW, 0);
        drop_capabilities();
        assert!(!capabilities().raw, "asked anew");
        assert_eq!(shaker_capabilities() & SHAKER_CAN_RAW, 0);
        assert_eq!(made(EngineKind::Raw, |_| {}).err(), Some(Error::Unsupported));
        assert_eq!(made_from_c(shaker_engine::SHAKER_ENGINE_RAW), (shaker_status::SHAKER_ERR_UNSUPPORTED, None));
        let socket = Some(shaker_engine::SHAKER_ENGINE_SOCKET as i32);
        assert_eq!(made_from_c(shaker_engine::SHAKER_ENGINE_AUTO), (shaker_status::SHAKER_OK, socket));
        let auto = made(EngineKind::Auto, |_| {}).expect("a checker");
        assert_eq!(auto.engine(), EngineKind::Socket);
        assert_eq!(auto.check(&Request::new(listener.address())).status, Status::Up);
        0
    });
    assert_eq!(child.wait(), 0);
}

#[test]
fn checks_that_end_with_fin_make_auto_take_sockets_and_are_made() {
    namespaced!();
    let listener = Listener::on(V4, PORT);
    let checker = made(EngineKind::Auto, |config| config.set_zero_linger(false).unwrap()).unwrap();
    assert_eq!(checker.engine(), EngineKind::Socket);
    assert_eq!(checker.check(&Request::new(listener.address())).status, Status::Up);
}

#[test]
fn with_the_privilege_raw_and_auto_are_raw_and_refuse_what_needs_a_connection_of_the_kernels() {
    namespaced!();
    assert!(capabilities().raw);
    let checker = made(EngineKind::Raw, |_| {}).expect("a checker");
    assert_eq!(checker.engine(), EngineKind::Raw);
    assert_eq!(made(EngineKind::Auto, |_| {}).unwrap().engine(), EngineKind::Raw);
    let raw = Some(shaker_engine::SHAKER_ENGINE_RAW as i32);
    assert_eq!(made_from_c(shaker_engine::SHAKER_ENGINE_AUTO), (shaker_status::SHAKER_OK, raw));

    let listener = Listener::on(V4, PORT);
    let plain = Request::new(listener.address());
    let segments = Rise::of("TcpInSegs");
    let full = Request { handshake: Handshake::Full, ..plain.clone() };
    let linger = Request { linger: true, ..plain.clone() };
    let fin = made(EngineKind::Raw, |config| config.set_zero_linger(false).unwrap()).unwrap();
    for (checker, request) in [(&checker, full), (&checker, linger), (&fin, plain.clone())] {
        assert_eq!(checker.check(&request).status, Status::Unsupported);
        let list = checker.check_many(&[request.clone(), request.clone()]);
        assert!(list.iter().all(|verdict| verdict.status == Status::Unsupported), "{list:?}");
        checker.submit(vec![request.clone()]).unwrap();
        checker.submit(vec![request.clone(), request]).unwrap();
        for report in reap(checker, 3) {
            assert_eq!(report.verdict.status, Status::Unsupported);
            assert_eq!((report.verdict.address, report.verdict.os_error), (None, 0));
        }
    }
    assert_eq!((checker.stats().unsupported, segments.now()), (12, 0));
    let verdict = checker.check(&plain);
    assert_eq!((verdict.status, verdict.half_open), (Status::Up, true), "{verdict:?}");
}

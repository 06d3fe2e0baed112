//! What SO_ERROR and a second connect() tell of an attempt that is over.

use socket2::SockRef;

use super::*;
use crate::check::close_mode::CloseMode;
use crate::check::request::Handshake;
use crate::engine::socket::options;
use crate::engine::wire::Wire;
use crate::sys::clock;
use crate::test_targets::{listening, refusing};

fn unconnected() -> TcpStream {
    let close_mode = CloseMode { handshake: Handshake::Full, linger: false };
    TcpStream::from_std(options::open(false, close_mode, &Wire::default()).unwrap().into())
}

/// A connection that is on its way to this target.
fn begun(target: &SocketAddr) -> TcpStream {
    let stream = unconnected();
    connect(&stream, target).unwrap();
    stream
}

fn state(stream: &TcpStream) -> u8 {
    TcpInfo::read(stream.as_raw_fd()).unwrap().state
}

/// One that the server has reset.
fn reset() -> (TcpStream, SocketAddr) {
    let (listener, target) = listening();
    let stream = begun(&target);
    let (peer, _) = listener.accept().unwrap();
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    while state(&stream) != TCP_CLOSE {
        std::thread::yield_now();
    }
    (stream, target)
}

/// One that was refused.
fn refused() -> (TcpStream, SocketAddr) {
    let (_bound, target) = refusing();
    let stream = begun(&target);
    while state(&stream) != TCP_CLOSE {
        std::thread::yield_now();
    }
    (stream, target)
}

#[test]
fn an_attempt_that_is_over_says_why_and_its_socket_is_as_good_as_new() {
    for ((stream, target), errno) in [(refused(), libc::ECONNREFUSED), (reset(), libc::ECONNRESET)] {
        assert_eq!(collect_error(&stream, &target), Ok(errno));
        assert_eq!(take_error(&stream), Ok(0));
        assert_eq!(connect(&stream, &listening().1), Ok(()), "it can connect");
    }
}

#[test]
fn an_attempt_that_is_not_over_has_no_errno() {
    let (_listener, target) = listening();
    assert!(collect_error(&begun(&target), &target).is_err());
}

#[test]
fn an_error_means_what_the_state_says_that_its_socket_is_in_by_then() {
    let observed = |(stream, target): &(TcpStream, SocketAddr), errno| match error_without_answer(
        stream,
        errno,
        target,
        clock::now(),
    )
    .unwrap()
    {
        Observation::Answered(_) => "answered",
        Observation::Failed { .. } => "failed",
        Observation::Noted { .. } => "noted",
        _ => "else",
    };
    assert_eq!(observed(&reset(), libc::ECONNRESET), "answered", "and reset by the server, between two calls");
    assert_eq!(observed(&refused(), libc::ECONNREFUSED), "failed");
    let (_listener, target) = listening();
    assert_eq!(observed(&(begun(&target), target), libc::EHOSTUNREACH), "noted", "it goes on");
}

#[test]
fn what_no_network_says_is_no_reason_of_the_target() {
    let of_another_family = "[::1]:9".parse().unwrap();
    assert_eq!(collect_error(&unconnected(), &of_another_family), Err(libc::EAFNOSUPPORT));
}

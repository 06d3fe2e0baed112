//! One socket and its check: connect, what came back, and the reset.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mio::net::TcpStream;
use socket2::SockRef;

use super::connecting::Connecting;
use super::handshake::{self, reuses_socket};
use super::observation::{Answer, Observation};
use super::options;
use super::peer::{is_link_local, stays_here};
use crate::check::close_mode::CloseMode;
use crate::check::request::Handshake;
use crate::check::verdict::{Status, Verdict};
use crate::engine::errno::{Origin, is_left_over, is_reset, status_of};
use crate::engine::wire::Wire;
use crate::sys::clock;
use crate::sys::netns::Home;
use crate::sys::os_error::{self, EIO, ENODEV};
use crate::sys::own_address;
use crate::sys::sockaddr::canonical;

/// How long after the SYN-ACK an ACK certainly has not left by itself: TCP_DELACK_MAX (200 ms) less two ticks of the
/// slowest kernel clock (10 ms each), in which ages are counted.
const ACK_WITHHELD: Duration = Duration::from_millis(180);

pub(crate) struct Socket {
    /// `None` once it is closed.
    stream: Option<TcpStream>,
    close_mode: CloseMode,
    v6: bool,
    /// TCP_DEFER_ACCEPT is set. Without it, TCP_QUICKACK is cleared before every connect.
    defers: bool,
    /// It is bound to an interface, which the kernel holds by number.
    bound: bool,
    /// What that was called when it was opened.
    interface: Option<Box<[u8]>>,
    /// The address that the configuration has it bound to.
    source: Option<Box<SocketAddr>>,
    /// It is bound to the zone of a link-local target, for good.
    zoned: bool,
    /// What its connections bear.
    mark: u32,
    /// It has served a check before.
    used: bool,
    /// It asks a target once more that has refused another socket.
    asks_again: bool,
    /// It is connecting or connected, and not reset yet.
    connecting: Option<Connecting>,
    /// How many sockets the checker holds.
    held: Arc<AtomicU64>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.connecting.is_some() {
            self.disconnect();
        }
        self.held.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How a check ended on its socket.
pub(super) struct Ended {
    pub verdict: Verdict,
    /// The socket is fit for another check. If not, it is closed.
    pub clean: bool,
    /// Its target had refused another socket before.
    pub asked_twice: bool,
    /// When, on the library's clock.
    pub at: u64,
}

impl Socket {
    /// Opens a socket with every option a check of this close mode needs.
    pub fn open(v6: bool, close_mode: CloseMode, wire: &Wire, held: &Arc<AtomicU64>) -> Result<Socket, i32> {
        let socket = options::open(v6, close_mode, wire).map_err(|error| os_error::of(&error))?;
        let defers = close_mode.handshake == Handshake::HalfOpen && handshake::defer(&socket);
        let interface = wire.interface.as_ref().and_then(|_| options::bound_interface(&socket));
        let stream = TcpStream::from_std(socket.into());
        held.fetch_add(1, Ordering::SeqCst);
        Ok(Socket {
            stream: Some(stream),
            close_mode,
            v6,
            defers,
            bound: wire.interface.is_some(),
            interface,
            source: wire.source(v6).map(Box::new),
            zoned: false,
            mark: wire.mark.unwrap_or(0),
            used: false,
            asks_again: false,
            connecting: None,
            held: held.clone(),
        })
    }

    /// What the poller knows it by; `None` once it is closed.
    pub fn source(&mut self) -> Option<&mut TcpStream> {
        self.stream.as_mut()
    }

    /// The errno of one that was not opened in this network namespace.
    pub fn check_home(&self, home: Home) -> Result<(), i32> {
        self.stream.as_ref().map_or(Ok(()), |stream| home.check(stream))
    }

    pub fn is_v6(&self) -> bool {
        self.v6
    }

    pub fn close_mode(&self) -> CloseMode {
        self.close_mode
    }

    pub fn mark(&self) -> u32 {
        self.mark
    }

    /// Whether it keeps its handshakes from completing.
    pub fn withholds_ack(&self) -> bool {
        self.close_mode.withholds_ack() && handshake::withholds_ack()
    }

    /// Its target has refused another socket, which is not believed.
    pub fn asks_again(&mut self) {
        self.asks_again = true;
    }

    /// Whether it may serve another check when this one is over.
    pub fn is_reusable(&self) -> bool {
        reuses_socket(self.close_mode) && !self.zoned
    }

    /// Has its connections to come bear this mark. After an error they bear the one before.
    pub fn set_mark(&mut self, mark: u32) -> Result<(), i32> {
        if mark != self.mark {
            let stream = self.stream.as_ref().ok_or(EIO)?;
            options::set_mark(&SockRef::from(stream), mark).map_err(|error| os_error::of(&error))?;
            self.mark = mark;
        }
        Ok(())
    }

    /// Whether it is bound to an interface and was used before: it goes on meaning the interface that bore the name
    /// then, which may be gone.
    pub fn may_be_stale(&self) -> bool {
        self.bound && self.used
    }

    /// Whether what was found right after connect may be the socket's own fault, and not the target's.
    pub fn is_to_blame(&self, observation: &Observation) -> bool {
        match observation {
            Observation::Unsent { errno } => self.used && (self.bound || is_left_over(*errno)),
            Observation::Noted { .. } => self.used,
            _ => false,
        }
    }

    /// Sends the SYN. The observation of a failure ends the check.
    pub fn connect(&mut self, target: &SocketAddr) -> Result<(), Observation> {
        let Some(stream) = &self.stream else { return Err(Observation::Fault { errno: EIO }) };
        if self.close_mode.handshake == Handshake::HalfOpen && !self.defers {
            handshake::defer_once(stream).map_err(|errno| Observation::Fault { errno })?;
        }
        if self.used {
            self.bind_again(stream)?;
        }
        self.connecting = Some(Connecting::begin());
        self.zoned |= is_link_local(target);
        handshake::connect(stream, target).map_err(|errno| Observation::Unsent { errno })
    }

    /// What a used socket is bound to may be another interface by now, or an address that has left this host. The kernel
    /// would not look again (tcp_disconnect in net/ipv4/tcp.c).
    fn bind_again(&self, stream: &TcpStream) -> Result<(), Observation> {
        let socket = SockRef::from(stream);
        if self.interface.is_some() && self.interface != options::bound_interface(&socket) {
            return Err(Observation::Unsent { errno: ENODEV }); // it is to blame
        }
        match &self.source {
            Some(source) => socket.bind(&(**source).into()),
            None => Ok(()),
        }
        .map_err(|error| Observation::Fault { errno: os_error::of(&error) })
    }

    /// What has come back so far. The state is read from the socket itself, so a stale event does no harm.
    pub fn look(&self, target: &SocketAddr, syn_at: u64) -> Observation {
        let seen = self.stream.as_ref().ok_or(EIO).and_then(|stream| handshake::look(stream, target, syn_at));
        seen.unwrap_or_else(|errno| Observation::Fault { errno })
    }

    /// Whether it is worth waiting for more. An error that may be an earlier target's is forgotten by now: reading it
    /// cleared it.
    pub fn waits(&self, observation: &Observation) -> bool {
        match observation {
            Observation::Nothing { .. } => true,
            Observation::Noted { .. } => self.used,
            _ => false,
        }
    }

    /// Ends the check: resets the connection or the attempt first, and says what was learned after.
    pub(super) fn conclude(&mut self, observation: Observation, target: &SocketAddr, syn_at: u64) -> Ended {
        let waits = self.waits(&observation);
        let (reset, observation) = match observation {
            Observation::Closed(answer) => match self.collect_error(target) {
                // Only a connection can be reset: the SYN-ACK had come, and the ACK had gone out.
                Ok(errno) if is_reset(errno) => (true, Observation::Answered(Answer { acked: true, ..answer })),
                Ok(errno) => (true, Observation::Failed { errno, syn_retransmits: answer.syn_retransmits }),
                Err(errno) => (false, Observation::Fault { errno }),
            },
            Observation::Unsent { .. } => (!self.bound && self.disconnect(), observation),
            Observation::Fault { .. } => {
                self.disconnect();
                (false, observation)
            }
            _ => (self.disconnect(), observation),
        };
        let nobody_listens = matches!(&observation, Observation::Answered(answer) if self.met_a_check(answer));
        let clean = self.keep_or_close(reset);
        let now = clock::now();
        let mut verdict = Verdict { address: Some(*target), ..Verdict::without_segments(Status::TimedOut, 0) };
        let mut fail = |status, errno| (verdict.status, verdict.os_error) = (status, errno);
        match observation {
            Observation::Unsent { errno } => fail(status_of(errno, Origin::Connect), errno),
            Observation::Fault { errno } => fail(Status::LocalFault, errno),
            Observation::Nothing { syn_retransmits } => verdict.syn_retransmits = syn_retransmits,
            Observation::Noted { syn_retransmits, .. } if waits => verdict.syn_retransmits = syn_retransmits,
            Observation::Failed { errno, syn_retransmits } | Observation::Noted { errno, syn_retransmits } => {
                fail(status_of(errno, Origin::Network), errno);
                verdict.syn_retransmits = syn_retransmits;
            }
            Observation::Answered(answer) | Observation::Closed(answer) => {
                verdict.status = if nobody_listens { Status::Refused } else { Status::Up };
                verdict.rtt_us = if nobody_listens { 0 } else { answer.rtt_us };
                verdict.syn_retransmits = answer.syn_retransmits;
                verdict.half_open = verdict.status == Status::Up
                    && self.is_proven_half_open(&answer, Duration::from_nanos(now - syn_at));
            }
        }
        let asked_twice = std::mem::take(&mut self.asks_again);
        verdict.syn_retransmits += u32::from(asked_twice);
        Ended { verdict, clean, asked_twice, at: now }
    }

    /// Whether the answer came from this very socket or from another one that connects, so that nobody listens. Asked
    /// after the reset.
    fn met_a_check(&self, answer: &Answer) -> bool {
        // The counters tell of earlier checks, too, where a reset keeps them.
        let is_doubtful = || self.used && self.stream.as_ref().is_some_and(handshake::keeps_counters);
        answer.met_a_check || (answer.met_a_syn && !is_doubtful())
    }

    /// There was no answer at once.
    pub fn is_left_waiting(&mut self) {
        self.connecting.iter_mut().for_each(Connecting::waits);
    }

    /// Whether another socket of this process waits for an answer, or did when this one began.
    pub fn has_others(&self) -> bool {
        self.connecting.as_ref().is_some_and(Connecting::has_others)
    }

    /// Whether its connection to the target stays on this host. If that cannot be found out, it may.
    pub fn stays_here(&self, target: &SocketAddr, home: Home) -> bool {
        let is_between_addresses =
            || self.source.is_some() && own_address::is_here(&canonical(target), None, home) != Some(false);
        self.stream.as_ref().is_some_and(|stream| stays_here(stream, target) != Ok(false)) || is_between_addresses()
    }

    fn collect_error(&self, target: &SocketAddr) -> Result<i32, i32> {
        self.stream.as_ref().ok_or(EIO).and_then(|stream| handshake::collect_error(stream, target))
    }

    /// Closes a socket that cannot serve another check. Where there is no other reset, closing it sends the RST.
    fn keep_or_close(&mut self, reset: bool) -> bool {
        let clean = reset && self.is_reusable();
        if !clean {
            self.stream = None;
        }
        self.connecting = None;
        self.used = true;
        clean
    }

    /// Ends the connection even if a forked child holds a copy of the descriptor, as closing alone would not. False if
    /// this system knows no way to.
    fn disconnect(&self) -> bool {
        match &self.stream {
            Some(stream) if self.close_mode.linger => stream.shutdown(std::net::Shutdown::Both).is_ok(),
            Some(stream) => handshake::reset(stream),
            None => false,
        }
    }

    /// Whether it is proven that the kernel sent no ACK, asked after the reset. `since_syn` is measured after
    /// the reset too: the answer's own proof ended with the look, and an ACK may have slipped out between the two.
    fn is_proven_half_open(&self, answer: &Answer, since_syn: Duration) -> bool {
        self.close_mode.withholds_ack()
            && !answer.acked
            // A slow answer needs the second proof: the reset keeps the time of the SYN-ACK.
            && (since_syn < ACK_WITHHELD || self.stream.as_ref().is_some_and(|stream| {
                handshake::since_answer(stream).is_some_and(|age| age < ACK_WITHHELD)
            }))
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
#[cfg(not(feature = "forced-handshake"))]
mod tests;

//! The raw socket of one family of addresses, with what waits to leave by it.

use std::io;
use std::net::{SocketAddr, SocketAddrV4};

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::filter;
use super::flows::{FlowNumber, Flows};
use super::in_flight::{InFlight, Refusal};
use super::ports::BLOCK_BITS;
use super::raw_socket::RawSocket;
use super::receiving::{self, Incoming};
use super::routes::Routes;
use super::segment::{SYN_LEN, Segment, SynFields, SynTemplate};
use super::sending::{self, Outgoing};
use super::unread_errors::UnreadErrors;
use crate::engine::wire::Wire;
use crate::sys::clock::Stamps;
use crate::sys::{clock, os_error};

/// How long nothing is sent after the send queue, or a device's, was full, in nanoseconds.
const PAUSE: u64 = 1_000_000;
/// How many calls of recvmmsg are made before the loop looks at something else.
const READS: usize = 8;
/// How often a segment is tried that the kernel refuses: it may tell of an ICMP error of another segment instead.
const TRIES: u32 = 3;
/// After so many errors in a row that ICMP may have told of, it is this host that refuses to have the socket read.
const ERRORS_IN_A_ROW: u32 = 256;
/// How many SYNs are tried after the first one that finds a queue full: they may leave by another device.
const STUCK: usize = 8;
/// How long a SYN waits for room in a queue, in nanoseconds; the check goes on, and may have another one.
const PATIENCE: u64 = 200_000_000;
/// SYNs that may wait to leave: those of the checks of one slice of the loop.
const MOST_WAITING: usize = 4 * sending::BATCH;

/// What a SYN says, and where it goes.
#[derive(Clone, Copy)]
pub(super) struct Syn {
    pub flow: FlowNumber,
    pub fields: SynFields,
    pub to: SocketAddr,
    pub mark: u32,
}

/// A SYN that waits to leave.
struct Waiting {
    syn: Syn,
    /// Its source address was asked for anew, since the one before had left this host.
    renewed: bool,
    since: u64,
}

pub(super) struct Family {
    pub socket: RawSocket,
    template: SynTemplate,
    /// What waits to leave; the segments stand beside it, in the same order.
    waiting: Vec<Waiting>,
    outgoing: Vec<Outgoing>,
    /// Nothing is sent before.
    paused_until: u64,
    /// There may be more to read.
    pub readable: bool,
    /// The poller has told of a segment, and nothing was read since.
    told: bool,
    /// Whatever came in before has been read.
    pub read_until: u64,
    /// ICMP errors that wait to be read.
    pub unread: UnreadErrors,
    /// How many calls in a row had an error instead of a segment.
    errors: u32,
    /// Why it can be read no more.
    broken: Option<i32>,
}

impl Family {
    /// One that hears what comes to a block of ports, and of which the poller tells. It takes the deaf socket, if there is
    /// one, and leaves it there if it fails.
    pub fn open(
        v6: bool,
        wire: &Wire,
        block: u16,
        registry: &Registry,
        deaf: &mut Option<RawSocket>,
    ) -> Result<Family, i32> {
        let mut open = || {
            let socket = deaf.take().map_or_else(|| RawSocket::open(v6, wire), Ok)?;
            let listens = if v6 {
                socket.listen(&filter::v6(block, BLOCK_BITS))
            } else {
                socket.listen(&filter::v4(block, BLOCK_BITS))
            };
            // Edge-triggered, errors included.
            let interest = Interest::READABLE;
            let watched =
                listens.and_then(|()| registry.register(&mut SourceFd(&socket.fd()), Token(v6.into()), interest));
            match watched {
                Ok(()) => Ok(Family::new(v6, socket)),
                Err(error) => {
                    *deaf = socket.grow_deaf().is_ok().then_some(socket);
                    Err(error)
                }
            }
        };
        open().map_err(|error: io::Error| os_error::of(&error))
    }

    /// Hears nothing any more. The socket is deaf, if it is of use to another one.
    pub fn close(self, registry: &Registry) -> Option<RawSocket> {
        // Closing alone would not do: a forked child may hold a copy of the descriptor.
        let _ = registry.deregister(&mut SourceFd(&self.socket.fd()));
        (self.broken.is_none() && self.socket.grow_deaf().is_ok()).then_some(self.socket)
    }

    fn new(v6: bool, socket: RawSocket) -> Family {
        let template = if v6 { SynTemplate::v6() } else { SynTemplate::v4() };
        Family {
            socket,
            template,
            waiting: Vec::new(),
            outgoing: Vec::new(),
            paused_until: 0,
            readable: true,
            told: false,
            read_until: clock::now(),
            unread: UnreadErrors::default(),
            errors: 0,
            broken: None,
        }
    }

    /// Why no answer will be heard any more, if so.
    pub fn broken(&self) -> Option<i32> {
        self.broken
    }

    #[cfg(test)]
    pub fn pause(&mut self, until: u64) {
        self.paused_until = until;
    }

    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether no more SYNs can be left now.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= MOST_WAITING
    }

    /// When it goes on sending, if anything waits.
    pub fn sends_at(&self) -> Option<u64> {
        (!self.waiting.is_empty()).then_some(self.paused_until)
    }

    /// Leaves a SYN to be sent with others. The errno says that there is no way to its target. True if it is time to send.
    pub fn leave(&mut self, syn: Syn, routes: &mut Routes, now: u64) -> Result<bool, i32> {
        let outgoing = self.written(&syn, routes, now)?;
        self.waiting.try_reserve(1).map_err(|_| libc::ENOMEM)?;
        self.outgoing.try_reserve(1).map_err(|_| libc::ENOMEM)?;
        self.waiting.push(Waiting { syn, renewed: false, since: now });
        self.outgoing.push(outgoing);
        Ok(self.outgoing.len() >= sending::BATCH)
    }

    fn written(&self, syn: &Syn, routes: &mut Routes, now: u64) -> Result<Outgoing, i32> {
        let mut bytes = [0; SYN_LEN];
        let source = match syn.to {
            SocketAddr::V4(to) => {
                let source = routes.source(*to.ip(), syn.mark, now)?;
                self.template.write_v4(&mut bytes, &syn.fields, source, *to.ip());
                Some(SocketAddrV4::new(source, 0).into())
            }
            SocketAddr::V6(_) => {
                self.template.write_v6(&mut bytes, &syn.fields);
                routes.configured_v6()
            }
        };
        Ok(Outgoing { segment: Segment { bytes, len: SYN_LEN }, to: syn.to, source })
    }

    /// Sends what waits, and notes what this host refuses to send.
    pub fn send(&mut self, in_flight: &mut InFlight, routes: &mut Routes) {
        if self.waiting.is_empty() || clock::now() < self.paused_until {
            return;
        }
        if self.paused_until > 0 {
            self.drop_those_of_ended(&mut in_flight.flows);
        }
        self.paused_until = 0;
        let (mut done, mut tries, mut stuck) = (0, 0, Vec::new());
        while done < self.waiting.len() {
            let mark = self.waiting[done].syn.mark;
            let alike = self.waiting[done..].iter().take(sending::BATCH).take_while(|one| one.syn.mark == mark);
            let until = done + alike.count();
            let before = clock::now();
            let sent = self.socket.set_mark(mark).and_then(|()| self.socket.send(&self.outgoing[done..until]));
            match sent.map_err(|error| os_error::of(&error)) {
                Ok(sent) => {
                    let took = clock::now().saturating_sub(before);
                    for (index, waiting) in self.waiting[done..done + sent].iter().enumerate() {
                        // The kernel sends one after another.
                        in_flight.left(waiting.syn.flow, before + took * index as u64 / sent as u64);
                    }
                    (done, tries) = (done + sent, 0);
                }
                Err(libc::EINTR) => {}
                Err(libc::ENOBUFS) if stuck.len() < STUCK => {
                    stuck.push(done);
                    (done, tries) = (done + 1, 0);
                }
                Err(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => {
                    self.paused_until = clock::now() + PAUSE;
                    break;
                }
                Err(_) if tries + 1 < TRIES => tries += 1,
                Err(errno) => {
                    tries = 0;
                    if !self.renew(done, errno, routes) {
                        in_flight.refused(&self.judge(done, errno, routes));
                        done += 1;
                    }
                }
            }
        }
        let gone = self.waiting.drain(..done).zip(self.outgoing.drain(..done)).enumerate();
        if stuck.is_empty() {
            return;
        }
        // Those that found a queue full come after the others.
        let again: Vec<_> = gone.filter(|(index, _)| stuck.contains(index)).map(|(_, one)| one).collect();
        let now = clock::now();
        self.paused_until = now + PAUSE;
        for (waiting, outgoing) in again {
            if now > waiting.since + PATIENCE {
                in_flight.refused(&Refusal { flow: waiting.syn.flow, errno: libc::ENOBUFS, is_final: false });
            } else {
                self.waiting.push(waiting);
                self.outgoing.push(outgoing);
            }
        }
    }

    /// SYNs that a pause kept back are not sent for checks that have ended meanwhile.
    pub fn drop_those_of_ended(&mut self, flows: &mut Flows) {
        let mut waiting = self.waiting.iter();
        let mut goes_on = |one: Option<&Waiting>| one.is_some_and(|one| flows.get(one.syn.flow).is_some());
        self.outgoing.retain(|_| goes_on(waiting.next()));
        self.waiting.retain(|one| goes_on(Some(one)));
    }

    /// Writes a segment anew whose source address this host does not have any more. False if that is not the reason, or
    /// if it was done before.
    fn renew(&mut self, index: usize, errno: i32, routes: &mut Routes) -> bool {
        let Waiting { syn, renewed, .. } = self.waiting[index];
        let SocketAddr::V4(to) = syn.to else { return false };
        if renewed || !matches!(errno, libc::EINVAL | libc::EADDRNOTAVAIL | libc::ENETUNREACH | libc::EHOSTUNREACH) {
            return false;
        }
        routes.forget((*to.ip()).into(), syn.mark);
        match self.written(&syn, routes, clock::now()) {
            Ok(outgoing) => {
                self.waiting[index].renewed = true;
                self.outgoing[index] = outgoing;
                true
            }
            Err(_) => false,
        }
    }

    /// What it means that a segment cannot be sent. The kernel may tell of an ICMP error of another segment in its
    /// place, however often it is tried, so the routes have the last word.
    fn judge(&self, index: usize, errno: i32, routes: &mut Routes) -> Refusal {
        let Syn { flow, to, mark, .. } = self.waiting[index].syn;
        let scope = if let SocketAddr::V6(to) = to { to.scope_id() } else { 0 };
        let (errno, is_final) = match routes.ask(to.ip(), scope, mark) {
            Err(errno) => (errno, true),
            // A packet filter, or a full table of connections behind it.
            Ok(()) if errno == libc::EPERM => (errno, false),
            Ok(()) => (errno, !is_told_by_icmp(errno)),
        };
        Refusal { flow, errno, is_final }
    }

    /// Whether there may be more to read, of segments or errors.
    pub fn has_more(&self) -> bool {
        self.readable || self.unread.may_be()
    }

    /// The poller tells of something.
    pub fn is_told(&mut self, event: &Event) {
        self.readable = true;
        self.told |= event.is_readable();
        if event.is_error() {
            self.unread.told();
        }
    }

    /// The poller was asked at this time, and has told what there is: if nothing, whatever had come by then has been read.
    pub fn is_polled(&mut self, at: u64) {
        self.read_until = if self.readable { self.read_until } else { at };
    }

    /// Whatever came in before has been read, errors included.
    pub fn answers_read_until(&self) -> u64 {
        self.read_until.min(self.unread.heard_until())
    }

    /// Reads what has come in, in slices; if it is to be the `whole`, on after an ICMP error that cut a call short. Returns
    /// whether anything was lost on this host.
    pub fn read(&mut self, now: u64, stamps: Stamps, whole: bool, mut each: impl FnMut(Incoming<'_>)) -> bool {
        let mut has_dropped = false;
        for _ in 0..READS {
            if !self.readable {
                break;
            }
            let received = match self.socket.receive() {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => {
                    self.hear_of_error(os_error::of(&error), now);
                    continue;
                }
            };
            // The poller tells of no segment that is not there, and nobody else reads: a sandbox refuses the call.
            has_dropped |= std::mem::take(&mut self.told) && received == 0;
            self.errors = 0;
            let mut latest = None;
            for index in 0..received {
                let incoming = self.socket.segment(index);
                let (stamp, dropped) = (incoming.stamp, incoming.dropped);
                each(incoming);
                latest = stamps.time(stamp, now);
                has_dropped |= self.socket.has_dropped(dropped);
            }
            if received == receiving::BATCH {
                let dropped = self.socket.dropped();
                has_dropped |= self.socket.has_dropped(dropped);
            }
            // Less than a whole batch: no more is there, or an ICMP error came meanwhile, and the poller tells of it.
            self.readable = received == receiving::BATCH || whole && received > 0;
            if received == 0 {
                self.read_until = now;
            } else if let Some(latest) = latest {
                self.read_until = self.read_until.max(latest);
            }
        }
        has_dropped || self.broken.is_some()
    }

    /// An ICMP error is told of once, and a signal does not stay. Whatever else it is, a sandbox refuses the call, or
    /// the descriptor is another one's: nothing will be read any more, and nothing waits for it.
    fn hear_of_error(&mut self, errno: i32, now: u64) {
        self.errors += 1;
        let may_pass = is_told_by_icmp(errno) || matches!(errno, libc::EINTR | libc::ENOMEM | libc::ENOBUFS);
        if !may_pass || self.errors > ERRORS_IN_A_ROW {
            self.broken = Some(errno);
            self.readable = false;
            self.read_until = now;
        }
    }
}

/// Whether the errno may be what ICMP said of another segment.
fn is_told_by_icmp(errno: i32) -> bool {
    use libc::{
        EACCES, ECONNREFUSED, EHOSTDOWN, EHOSTUNREACH, EMSGSIZE, ENETUNREACH, ENONET, ENOPROTOOPT, EOPNOTSUPP, EPROTO,
    };
    matches!(
        errno,
        EACCES
            | ECONNREFUSED
            | EHOSTDOWN
            | EHOSTUNREACH
            | EMSGSIZE
            | ENETUNREACH
            | ENONET
            | ENOPROTOOPT
            | EOPNOTSUPP
            | EPROTO
    )
}

#[cfg(test)]
mod tests;

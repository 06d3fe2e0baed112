//! Blocking checks: one, begun on the caller's own thread, or a list, fed to the loops bit by bit.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Checker;
use crate::check::request::Request;
use crate::check::target::Target;
use crate::check::verdict::{Status, Verdict};
use crate::completion::{Mailbox, Sink};
use crate::engine::socket::{self, Sight};
use crate::lane::{Asked, Begun, Lane, Order, Terms};
use crate::shared::Shared;
use crate::sys::clock;

/// Checks of a list that go to a loop together: enough to be worth its waking, few enough to divide fairly.
const SHARE_MIN: usize = 256;
const SHARE_MAX: usize = 4096;

impl Checker {
    /// Checks one target, and returns when there is a verdict.
    pub fn check(&self, request: &Request) -> Verdict {
        if let Err(status) = self.may_block() {
            return Verdict::without_segments(status, 0);
        }
        match self.begin(request) {
            Progress::Done(verdict) => verdict,
            Progress::Pending(mailbox) => {
                let mut verdict = Verdict::without_segments(Status::Internal, 0);
                mailbox.take(1, 1, None, |report| verdict = report.verdict);
                verdict
            }
        }
    }

    /// Checks one `"host:port"`; `timeout_ms` 0 means the checker's default.
    pub fn check_addr(&self, addr: &str, timeout_ms: u32) -> Verdict {
        self.check(&Request { timeout_ms, ..Request::new(addr) })
    }

    /// Starts a blocking check: done if the target answers at once or never will, else pending with a loop.
    fn begin(&self, request: &Request) -> Progress {
        let lane = &self.shared.lanes[self.turn()];
        let cancels = self.shared.cancels.load(Ordering::SeqCst);
        let asked = self.asked(request.clone(), 0, clock::now(), false);
        let order = match &asked.target {
            Target::Malformed(_) => return Progress::Done(self.without_segments(Status::BadAddress)),
            Target::Literal(target) if !asked.family.allows(target) => {
                return Progress::Done(self.without_segments(Status::BadAddress));
            }
            Target::Literal(_) => match self.begin_here(lane, asked) {
                Ok(verdict) => return Progress::Done(verdict),
                Err(order) => order,
            },
            Target::Name(_) => Pending::Asked(asked),
        };
        let mailbox = Arc::new(Mailbox::new());
        let sink = Sink::Mailbox(mailbox.clone());
        let order = match order {
            Pending::Asked(asked) => Order::Batch { sink, checks: vec![asked] },
            Pending::Begun(begun) => Order::TakeOver { sink, begun },
        };
        let taken_over = matches!(order, Order::TakeOver { .. });
        self.shared.counters.add_submitted(1);
        match lane.give_unless(order, || self.cancelled_since(cancels)) {
            Ok(()) => Progress::Pending(mailbox),
            Err(status) => {
                if taken_over {
                    lane.leave();
                    lane.feed();
                    self.shared.feed_the_starved();
                }
                self.shared.counters.add_one(status, false);
                Progress::Done(Verdict::without_segments(status, 0))
            }
        }
    }

    /// Whether everything was cancelled since the count was read. Asked under a lane's lock, so that a cancel comes either
    /// before an order or after it.
    fn cancelled_since(&self, cancels: u64) -> Option<Status> {
        (self.shared.cancels.load(Ordering::SeqCst) != cancels).then_some(Status::Cancelled)
    }

    /// Makes the check on the calling thread, where a target on this machine has answered by the time connect
    /// returns: waking the loop's thread, and being woken by it, would cost several times the check. What has no
    /// answer yet is for the loop to go on with.
    fn begin_here(&self, lane: &Lane, asked: Asked) -> Result<Verdict, Pending> {
        let Target::Literal(target) = asked.target else { return Err(Pending::Asked(asked)) };
        let Terms { close_mode, submitted, .. } = asked.terms;
        if !lane.enter_as_caller() {
            return Err(Pending::Asked(asked));
        }
        let place = Place { shared: &self.shared, lane };
        if self.shared.rate.take(clock::now).is_err() {
            return Err(Pending::Asked(asked));
        }
        let v6 = socket::is_v6(&target);
        let spare = if socket::reuses_socket(close_mode) { lane.take_spare(v6) } else { None };
        let mut socket = match spare.map_or_else(|| self.shared.open_socket(v6, close_mode), Ok) {
            Ok(socket) => socket,
            // The loop knows whether it is worth waiting for a descriptor.
            Err(_) => return Err(Pending::Asked(asked)),
        };
        // A little early, which the proof can bear, and one reading of the clock saved.
        let syn_at = submitted;
        let sight = match socket.connect(&target) {
            Ok(()) => socket.look(&target, syn_at),
            Err(_) if socket.may_be_stale() => {
                lane.drop_spare();
                return Err(Pending::Asked(asked));
            }
            Err(errno) => Sight::Unsent { errno },
        };
        if let Sight::Nothing { .. } = sight {
            place.hand_over();
            let Asked { tag, terms, .. } = asked;
            return Err(Pending::Begun(Box::new(Begun { tag, target, terms, socket, syn_at })));
        }
        let conclusion = socket.conclude(&sight, &target, syn_at);
        if conclusion.clean {
            lane.keep_spare(socket);
        } else {
            drop(socket);
        }
        if self.shared.is_short_of_descriptors() {
            lane.drop_spare();
        }
        drop(place);
        let mut verdict = conclusion.verdict;
        verdict.elapsed_us = (conclusion.at - submitted) / 1000;
        self.shared.counters.add_submitted(1);
        self.shared.counters.add_one(verdict.status, close_mode.was_thwarted(&verdict));
        Ok(verdict)
    }

    /// Checks many targets, and returns when there is a verdict on each, in the order of the requests.
    ///
    /// It paces itself: a request's time runs from its own start, so none ends as [`Status::Busy`].
    pub fn check_many(&self, requests: &[Request]) -> Vec<Verdict> {
        let mut verdicts = vec![Verdict::without_segments(Status::Internal, 0); requests.len()];
        let done = self.check_each(requests.iter().cloned(), |index, verdict| verdicts[index] = verdict);
        if let Err(status) = done {
            verdicts.fill(Verdict::without_segments(status, 0));
        }
        verdicts
    }

    /// As [`Checker::check_many`], for requests that are made as they are needed; each verdict comes with the
    /// number of its request, as soon as it is there.
    ///
    /// # Errors
    /// [`Status::Closed`], [`Status::Forked`] or [`Status::Deadlock`] when no check was begun.
    pub fn check_each(
        &self,
        requests: impl ExactSizeIterator<Item = Request>,
        mut verdict: impl FnMut(usize, Verdict),
    ) -> Result<(), Status> {
        self.may_block()?;
        let count = requests.len();
        let mut requests = requests.enumerate();
        let lanes = &self.shared.lanes;
        let share = (count / (16 * lanes.len())).clamp(SHARE_MIN, SHARE_MAX);
        // Enough to keep every loop busy while this thread prepares more; no more than that, so that memory stays flat.
        let places: usize = lanes.iter().map(|lane| lane.max_in_flight() as usize).sum();
        let ahead = places + 2 * share * lanes.len();
        let cancels = self.shared.cancels.load(Ordering::SeqCst);
        let mailbox = Arc::new(Mailbox::new());
        // Each share goes to the loop that has the fewest checks to do; whose each was is known by its number.
        let mut to_do = vec![0; lanes.len()];
        let mut lane_of: Vec<usize> = Vec::new();
        let first_lane = self.turn();
        let (mut given, mut done) = (0, 0);
        while done < count {
            while given < count && given - done + share <= ahead {
                let asked = |(index, request)| self.asked(Request { tag: index, ..request }, 0, 0, true);
                let checks: Vec<Asked> = requests.by_ref().take(share).map(asked).collect();
                let (first, number) = (given, checks.len());
                given += number;
                self.shared.counters.add_submitted(number as u64);
                let idlest =
                    (0..lanes.len()).map(|lane| (lane + first_lane) % lanes.len()).min_by_key(|lane| to_do[*lane]);
                let lane = idlest.unwrap_or(0);
                lane_of.push(lane);
                to_do[lane] += number;
                let order = Order::Batch { sink: Sink::Mailbox(mailbox.clone()), checks };
                if let Err(status) = lanes[lane].give_unless(order, || self.cancelled_since(cancels)) {
                    for index in first..given {
                        self.shared.counters.add_one(status, false);
                        verdict(index, Verdict::without_segments(status, 0));
                    }
                    done += number; // and still to do for the lane, which refuses whatever comes next
                }
            }
            if done == count {
                break;
            }
            let wanted = if given < count { given + share - ahead - done } else { count - done };
            let taken = mailbox.take(usize::MAX, wanted, None, |report| {
                to_do[lane_of[report.tag / share]] -= 1;
                verdict(report.tag, report.verdict);
            });
            if taken == 0 {
                return Err(Status::Internal); // a loop died of a defect
            }
            done += taken;
        }
        Ok(())
    }

    /// An accepted check that needs no loop.
    fn without_segments(&self, status: Status) -> Verdict {
        self.shared.counters.add_submitted(1);
        self.shared.counters.add_one(status, false);
        Verdict::without_segments(status, 0)
    }
}

/// How far a blocking check got on the caller's thread.
enum Progress {
    Done(Verdict),
    Pending(Arc<Mailbox>),
}

/// What the loop is to go on with.
enum Pending {
    Asked(Asked),
    Begun(Box<Begun>),
}

/// A caller's place among the checks in flight, given back when dropped.
struct Place<'a> {
    shared: &'a Shared,
    lane: &'a Lane,
}

impl Place<'_> {
    /// The check goes on in the loop, which gives the place back.
    fn hand_over(self) {
        self.lane.leave_as_caller();
        std::mem::forget(self);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.lane.leave_as_caller();
        self.lane.leave();
        self.lane.feed();
        self.shared.feed_the_starved();
    }
}

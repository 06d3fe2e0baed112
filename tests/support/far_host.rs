//! A second host at the other end of virtual cables: a network namespace that one thread of the test lives in.

use std::sync::mpsc::{Sender, channel};

use super::process::sh;

type Job = Box<dyn FnOnce() + Send>;

/// The far host. Its name for itself and its cables are the caller's business.
pub struct FarHost {
    thread: libc::pid_t,
    jobs: Sender<Job>,
}

impl FarHost {
    /// Makes the host, with loopback up and no cable yet.
    pub fn new() -> FarHost {
        let (ready, started) = channel();
        let (jobs, queue) = channel::<Job>();
        std::thread::spawn(move || {
            // SAFETY: moves only the calling thread, which nobody else has work for, into a new namespace.
            let moved = unsafe { libc::unshare(libc::CLONE_NEWNET) };
            assert_eq!(moved, 0, "unshare: {}", std::io::Error::last_os_error());
            sh("ip link set lo up");
            // SAFETY: gettid only returns a number.
            ready.send(unsafe { libc::gettid() }).expect("the test waits for it");
            queue.into_iter().for_each(|job| job());
        });
        FarHost { thread: started.recv().expect("the far host starts"), jobs }
    }

    /// Where its network namespace is found.
    pub fn namespace(&self) -> String {
        format!("/proc/{}/ns/net", self.thread)
    }

    /// Does something there: a socket that it makes, or a command that it runs, lives on the far host.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, result) = channel();
        self.jobs.send(Box::new(move || drop(sender.send(work())))).expect("the far host lives");
        result.recv().expect("the work there did not panic")
    }

    /// Lays a cable between here and there: interface `near` with address `near_ip`, and `far` with `far_ip`.
    pub fn connect(&self, (near, near_ip): (&str, &str), (far, far_ip): (&str, &str)) {
        sh(&format!("ip link add {near} type veth peer name {far}"));
        sh(&format!("ip link set {far} netns {}", self.thread));
        sh(&format!("ip addr add {near_ip} dev {near} && ip link set {near} up"));
        let command = format!("ip addr add {far_ip} dev {far} && ip link set {far} up");
        self.run(move || sh(&command));
    }
}

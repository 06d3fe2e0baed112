//! A sandbox around this process: system calls that fail with an errno of the test's choice, always or now and then
//! (seccomp(2), seccomp_unotify(2)). It cannot be left again, so a forked child enters it.

use std::collections::HashMap;
use std::io;
use std::mem::{size_of, zeroed};
use std::sync::mpsc::{Receiver, channel};

use super::process::sh;

/// struct seccomp_data: the number, the architecture, the instruction pointer, six arguments of eight bytes.
const LOW_HALF: usize = if cfg!(target_endian = "big") { 4 } else { 0 };

/// A system call, or those of its calls that bear this number as this argument.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub name: &'static str,
    pub number: libc::c_long,
    pub argument: Option<(usize, i32)>,
}

/// Every call of a kind.
pub const fn call(name: &'static str, number: libc::c_long) -> Call {
    Call { name, number, argument: None }
}

/// The calls of a kind whose argument, counted from 0, is this number.
pub const fn call_with(name: &'static str, number: libc::c_long, place: usize, value: i32) -> Call {
    Call { name, number, argument: Some((place, value)) }
}

/// Why this machine has no sandbox for the tests, if it has none.
pub fn is_missing() -> Option<String> {
    let action = libc::SECCOMP_RET_USER_NOTIF;
    // SAFETY: the kernel reads one u32, which `action` is.
    let known = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) };
    (known != 0).then(|| format!("no seccomp with notifications here: {}", io::Error::last_os_error()))
}

/// From now on the call fails on every thread of this process.
pub fn deny(call: Call, errno: i32) {
    install(call, libc::SECCOMP_RET_ERRNO | errno as u32, libc::SECCOMP_FILTER_FLAG_TSYNC);
}

/// From now on the call fails on this thread, and on those that it starts, where `fails` says so; it is told how often
/// the call was made before.
pub fn deny_where(call: Call, errno: i32, fails: impl Fn(usize) -> bool + Send + 'static) {
    let (sender, receiver) = channel();
    // It is started before the sandbox is entered, and so stays outside.
    std::thread::spawn(move || supervise(&receiver, errno, fails));
    let listener = install(call, libc::SECCOMP_RET_USER_NOTIF, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
    sender.send(listener).expect("the supervisor waits for it");
}

/// From now on every call fails that is not one of these, on every thread of this process.
pub fn allow_only(numbers: &[libc::c_long], errno: i32) {
    allow_and_judge(numbers, &[], Fate::Fails(errno));
}

/// What becomes of a call.
#[derive(Clone, Copy)]
pub enum Fate {
    IsMade,
    Fails(i32),
    /// The whole process is.
    IsKilled,
}

impl Fate {
    fn action(self) -> u32 {
        match self {
            Fate::IsMade => libc::SECCOMP_RET_ALLOW,
            Fate::Fails(errno) => libc::SECCOMP_RET_ERRNO | errno as u32,
            Fate::IsKilled => libc::SECCOMP_RET_KILL_PROCESS,
        }
    }
}

/// The calls of a kind, which are judged by an argument, counted from 0: the first case that is true of it decides.
pub struct Judged {
    pub number: libc::c_long,
    pub place: usize,
    pub cases: Vec<(Case, Fate)>,
    pub otherwise: Fate,
}

/// What is true of an argument's lower half.
#[derive(Clone, Copy)]
pub enum Case {
    Is(u32),
    HasAnyOf(u32),
}

/// From now on every call is made that is one of these or judged so; what becomes of all others is `otherwise`. On every
/// thread of this process.
pub fn allow_and_judge(allowed: &[libc::c_long], judged: &[Judged], otherwise: Fate) {
    let mut filter = Vec::new();
    for kind in judged {
        let jumps = kind.cases.iter().flat_map(|(case, fate)| {
            let jump = match *case {
                Case::Is(value) => unless(value, 1),
                Case::HasAnyOf(bits) => statement(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 1, bits),
            };
            [jump, end(fate.action())]
        });
        let rest: Vec<_> = [load(16 + 8 * kind.place + LOW_HALF)].into_iter().chain(jumps).collect();
        filter.extend([load(0), unless(kind.number as u32, rest.len() as u8 + 1)]);
        filter.extend(rest);
        filter.push(end(kind.otherwise.action()));
    }
    filter.push(load(0));
    for &number in allowed {
        filter.extend([unless(number as u32, 1), end(libc::SECCOMP_RET_ALLOW)]);
    }
    filter.push(end(otherwise.action()));
    enter(&mut filter, libc::SECCOMP_FILTER_FLAG_TSYNC);
}

/// The numbers of the calls of a list, as this machine's headers have them; those that they have not are left out. A line
/// with a `#` is a comment.
pub fn numbers(list: &str) -> Vec<libc::c_long> {
    let defined = sh("echo '#include <sys/syscall.h>' | cc -E -dM -");
    let definitions = defined.lines().filter_map(|line| line.strip_prefix("#define __NR_")?.split_once(' '));
    let known: HashMap<&str, libc::c_long> =
        definitions.filter_map(|(name, number)| Some((name, number.parse().ok()?))).collect();
    let names = list.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace);
    names.filter_map(|name| known.get(name).copied()).collect()
}

fn statement(code: u32, jump_if_not: u8, value: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: jump_if_not, k: value }
}

fn load(place: usize) -> libc::sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, place as u32)
}

fn unless(value: u32, skip: u8) -> libc::sock_filter {
    statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, skip, value)
}

fn end(action: u32) -> libc::sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, 0, action)
}

fn install(call: Call, action: u32, flags: libc::c_ulong) -> libc::c_int {
    let mut filter = match call.argument {
        None => vec![load(0), unless(call.number as u32, 1)],
        Some((place, value)) => {
            vec![load(0), unless(call.number as u32, 3), load(16 + 8 * place + LOW_HALF), unless(value as u32, 1)]
        }
    };
    filter.extend([end(action), end(libc::SECCOMP_RET_ALLOW)]);
    enter(&mut filter, flags)
}

fn enter(filter: &mut [libc::sock_filter], flags: libc::c_ulong) -> libc::c_int {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: takes numbers only.
    let sealed = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(sealed, 0, "PR_SET_NO_NEW_PRIVS: {}", io::Error::last_os_error());
    let operation = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the program and its statements outlive the call, which copies them.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, operation, flags, &raw const program) };
    assert!(result >= 0, "seccomp: {}", io::Error::last_os_error());
    result as libc::c_int
}

/// _IOWR('!', number, size), from linux/seccomp.h.
fn request(number: libc::Ioctl, size: usize) -> libc::Ioctl {
    3 << 30 | (size as libc::Ioctl) << 16 | 0x21 << 8 | number
}

fn supervise(listener: &Receiver<libc::c_int>, errno: i32, fails: impl Fn(usize) -> bool) {
    let Ok(listener) = listener.recv() else { return };
    for number in 0.. {
        // SAFETY: zero is a valid notification, and the kernel wants one.
        let mut told: libc::seccomp_notif = unsafe { zeroed() };
        // SAFETY: the kernel writes one notification, which `told` is.
        while unsafe { libc::ioctl(listener, request(0, size_of_val(&told)), &raw mut told) } != 0 {
            assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::EINTR));
        }
        let (error, flags) = if fails(number) { (-errno, 0) } else { (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE) };
        let answer = libc::seccomp_notif_resp { id: told.id, val: 0, error, flags: flags as u32 };
        // SAFETY: the kernel reads one answer, which `answer` is. One whose caller is gone is of no use to anybody.
        unsafe { libc::ioctl(listener, request(1, size_of_val(&answer)), &raw const answer) };
    }
}

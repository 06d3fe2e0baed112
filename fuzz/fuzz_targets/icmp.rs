//! ICMP errors about segments of checks on the raw engine, the forged ones, too.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tcpshaker::fuzzing::icmp(bytes));

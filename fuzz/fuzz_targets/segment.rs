//! What a raw socket hands out, and what an ICMP error quotes.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tcpshaker::fuzzing::segment(bytes));

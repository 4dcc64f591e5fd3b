//! Unused ports.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

/// Below Linux's default range for outgoing connections (32768 and up), from which binding port 0 would choose. While a
/// server is killed, any outgoing connection could take its port from that range, and a client that keeps reconnecting
/// could even be connected to itself.
const LOWEST: u64 = 15_000;
const HIGHEST: u64 = 32_000;
const ATTEMPTS: usize = 1_000;

/// A port of 127.0.0.1 on which nothing listens.
///
/// # Errors
/// Returns an error if no free port was found.
pub fn free_port() -> Result<u16> {
    for _ in 0..ATTEMPTS {
        let random = RandomState::new().hash_one(());
        let port = u16::try_from(LOWEST + random % (HIGHEST - LOWEST))?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between {LOWEST} and {HIGHEST} on 127.0.0.1: see `ss -ltn` for who listens there")
}

//! Ports that nobody uses.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

/// Below Linux's usual range for outgoing connections (32768 and up), where binding port 0 would choose. A port from that
/// range could be taken by any outgoing connection while its server is killed, and a client that tries to connect again
/// and again can even be connected to itself.
const LOWEST: u64 = 15_000;
const HIGHEST: u64 = 32_000;
const ATTEMPTS: usize = 1_000;

/// A port of 127.0.0.1 that nobody listens at.
///
/// # Errors
/// There seems to be none.
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

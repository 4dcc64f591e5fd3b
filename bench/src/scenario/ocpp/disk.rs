//! How long this disk takes to make 8 KiB durable.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use load_generator::{Latency, Percentiles};
use tokio_util::sync::CancellationToken;

/// Seldom enough not to be a load.
const EVERY: Duration = Duration::from_millis(50);
const BLOCK: [u8; 8192] = [7; 8192];

/// Overwrites a block of a file in this directory and makes it durable, again and again until `stop`.
pub(super) fn measure(directory: &Path, stop: &CancellationToken) -> io::Result<Percentiles> {
    let path = directory.join("fsync");
    let mut file = File::create(&path)?;
    let mut latency = Latency::new();
    while !stop.is_cancelled() {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&BLOCK)?;
        let began = Instant::now();
        file.sync_data()?;
        latency.record(began.elapsed());
        std::thread::sleep(EVERY);
    }
    std::fs::remove_file(path)?;
    Ok(latency.percentiles())
}

//! `hot-pieces PIECE TIMES` does a piece so often, for valgrind to count; without arguments it counts all of them and prints
//! the baseline that is kept in `bench/hot-pieces.json`.

use anyhow::{Result, bail};
use bench::hot_pieces::{count, work};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [piece, times] => work(piece, times.parse()?),
        [] => {
            println!("{}", serde_json::to_string_pretty(&count(&std::env::current_exe()?)?)?);
            Ok(())
        }
        _ => bail!("usage: hot-pieces [PIECE TIMES]"),
    }
}

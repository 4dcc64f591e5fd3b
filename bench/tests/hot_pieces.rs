//! Whether a piece that every request runs became more expensive than in `bench/hot-pieces.json`.

use std::collections::BTreeMap;
use std::path::Path;

use bench::hot_pieces::{compare, count};

#[test]
fn no_hot_piece_has_become_dearer() {
    let baseline: BTreeMap<String, u64> = serde_json::from_str(include_str!("../hot-pieces.json")).unwrap();
    let counted = count(Path::new(env!("CARGO_BIN_EXE_hot-pieces"))).unwrap();
    let dearer = compare(&baseline, &counted);
    assert!(dearer.is_empty(), "{}\nIf that is meant to be: make hot-pieces", dearer.join("\n"));
    assert_eq!(baseline.len(), counted.len(), "the baseline has pieces that are no more: make hot-pieces");
}

//! Decompresses bodies that kombu compressed, up to a size limit.

use std::borrow::Cow;
use std::io::{BufReader, Read};

use serde_json::Value;

use crate::message::Message;

/// The maximum size of a decompressed body: a few kilobytes can expand to a million times as much.
const MAX_SIZE: u64 = 16 * 1024 * 1024;
/// The maximum window that zstd may keep: 2^24 is [`MAX_SIZE`].
const MAX_WINDOW_LOG: u32 = 24;

/// The body, decompressed.
///
/// # Errors
/// Returns an error if the compression is unknown, the body is not compressed so, or it is too large.
pub(super) fn plain(message: &Message) -> Result<Cow<'_, [u8]>, String> {
    let Some(mut decoder) = decoder(message)? else { return Ok(Cow::Borrowed(&message.body)) };
    let mut plain = Vec::new();
    let read = decoder.by_ref().take(MAX_SIZE + 1).read_to_end(&mut plain);
    read.map_err(|error| format!("it cannot be decompressed: {error}"))?;
    if plain.len() as u64 > MAX_SIZE {
        return Err(format!("it is larger than {MAX_SIZE} bytes once it is decompressed"));
    }
    Ok(Cow::Owned(plain))
}

/// The first byte that is neither white space nor part of a byte order mark, without decompressing more than that.
pub(super) fn first_byte(message: &Message) -> Option<u8> {
    let visible = |byte: &u8| !byte.is_ascii_whitespace() && !b"\xef\xbb\xbf".contains(byte);
    match decoder(message).ok()? {
        None => message.body.iter().copied().find(visible),
        Some(decoder) => {
            BufReader::with_capacity(64, decoder.take(MAX_SIZE)).bytes().map_while(Result::ok).find(visible)
        }
    }
}

/// `None` if the body is not compressed. kombu uses zlib under each of its names for gzip.
fn decoder(message: &Message) -> Result<Option<Box<dyn Read + '_>>, String> {
    let name = match message.headers.get("compression") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(name)) => name.as_str(),
        Some(_) => return Err("its compression is not a string".to_owned()),
    };
    match name {
        "" => Ok(None),
        "application/x-gzip" | "gzip" | "zlib" => {
            Ok(Some(Box::new(flate2::read::ZlibDecoder::new(&message.body[..]))))
        }
        "application/zstd" | "zstd" | "zstandard" => {
            let unusable = |error: std::io::Error| format!("it cannot be decompressed: {error}");
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(&message.body[..]).map_err(unusable)?;
            decoder.window_log_max(MAX_WINDOW_LOG).map_err(unusable)?;
            Ok(Some(Box::new(decoder)))
        }
        other => Err(format!("compression {other:.64} is not supported")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::message::Headers;

    fn message(compression: &str, body: Vec<u8>) -> Message {
        let headers = Headers::from_iter([("compression".to_owned(), json!(compression))]);
        Message { headers, body: Bytes::from(body), ..Message::default() }
    }

    fn zlib(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(plain: &[u8]) -> Vec<u8> {
        zstd::encode_all(plain, 3).unwrap()
    }

    #[test]
    fn a_body_is_what_it_was_before() {
        for (name, body) in [
            ("application/x-gzip", zlib(b" {}")),
            ("zlib", zlib(b" {}")),
            ("application/zstd", zstd(b" {}")),
            ("", b" {}".to_vec()),
        ] {
            let message = message(name, body);
            assert_eq!(plain(&message).unwrap(), &b" {}"[..], "{name}");
            assert_eq!(first_byte(&message), Some(b'{'), "{name}");
        }
    }

    #[test]
    fn an_unknown_one_is_named_and_a_bomb_is_not_unpacked() {
        assert!(plain(&message("application/x-bz2", vec![1])).unwrap_err().contains("application/x-bz2"));
        let zeros = vec![b'0'; usize::try_from(MAX_SIZE).unwrap() + 1];
        for (name, bomb) in [("zlib", zlib(&zeros)), ("zstd", zstd(&zeros))] {
            assert!(bomb.len() < 100_000 && plain(&message(name, bomb)).unwrap_err().contains("larger"));
        }
        assert!(plain(&message("zlib", zlib(&zeros[1..]))).is_ok(), "as large as it may be");
        for name in ["zlib", "zstd"] {
            assert!(
                plain(&message(name, b"[[], {}, {}]".to_vec())).is_err(),
                "{name}: not compressed at all"
            );
        }
        let cut = zlib(&zeros[..1000]);
        assert!(plain(&message("zlib", cut[..cut.len() / 2].to_vec())).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200), zstd in any::<bool>()) {
            let magic = if zstd { vec![0x28, 0xb5, 0x2f, 0xfd] } else { vec![0x78, 0x9c] };
            let message = message(if zstd { "zstd" } else { "zlib" }, [magic, body].concat());
            let _ = (plain(&message), first_byte(&message));
        }
    }
}

//! The second factor: each one-time password counts once, and those of the steps beside this one too.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use charging::Db;
use charging::accounts::AccountError;
use charging::accounts::second_factor::{self, Enrolment};
use futures_util::future::join_all;
use uuid::Uuid;

use crate::databases::each_database;
use crate::people::{conflict, read, register};

const STEP: u64 = 30;

/// RFC 6238 and RFC 4226, written down here a second time.
fn one_time_password(secret: &[u8], seconds: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &(seconds / STEP).to_be_bytes());
    let offset = usize::from(tag.as_ref()[19] & 0xf);
    let bytes: [u8; 4] = tag.as_ref()[offset..offset + 4].try_into().unwrap();
    format!("{:06}", (u32::from_be_bytes(bytes) & 0x7fff_ffff) % 1_000_000)
}

/// RFC 4648, without padding.
fn from_base_32(text: &str) -> Vec<u8> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes() {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|one| *one == letter).unwrap();
        bits = bits << 5 | u32::try_from(value).unwrap();
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    bytes
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn begin(db: &Db, account: Uuid) -> Result<Enrolment, AccountError> {
    db.write(async |tx| second_factor::begin(tx, account).await).await
}

async fn accept(db: &Db, account: Uuid, otp: &str, confirm: bool) -> bool {
    db.write(async |tx| second_factor::accept(tx, account, otp, confirm).await).await.unwrap()
}

#[test]
fn the_passwords_of_these_tests_are_those_of_rfc_6238() {
    // Appendix B, the last six of eight digits.
    for (seconds, otp) in [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ] {
        assert_eq!(one_time_password(b"12345678901234567890", seconds), otp);
    }
    assert_eq!(from_base_32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), b"12345678901234567890");
}

#[tokio::test]
async fn an_enrolment_counts_once_it_is_confirmed() {
    each_database(async |db| {
        let ada = register(db, "ada:lovelace").await.id;
        let first = begin(db, ada).await.unwrap();
        let enrolment = begin(db, ada).await.unwrap();
        assert_ne!(first.secret, enrolment.secret, "it is begun anew");
        let secret = from_base_32(&enrolment.secret);
        assert_eq!(secret.len(), 20);
        let url = &enrolment.url;
        assert!(url.starts_with("otpauth://totp/Voltgate:ada_lovelace?"), "{url}");
        assert!(
            url.contains(&format!("secret={}", enrolment.secret)) && url.contains("issuer=Voltgate"),
            "{url}"
        );
        let time = now();
        let otp = one_time_password(&secret, time);
        assert!(!accept(db, ada, &otp, false).await, "it is not confirmed yet");
        assert!(!accept(db, ada, &one_time_password(&from_base_32(&first.secret), time), true).await);
        assert!(!read(db, ada).await.totp_confirmed);
        assert!(accept(db, ada, &otp, true).await);
        assert!(read(db, ada).await.totp_confirmed);
        assert_eq!(conflict(begin(db, ada).await), "second_factor");
        db.write(async |tx| second_factor::remove(tx, ada).await).await.unwrap();
        assert!(!read(db, ada).await.totp_confirmed);
        assert!(!accept(db, ada, &one_time_password(&secret, time + STEP), false).await, "it is removed");
        begin(db, ada).await.unwrap();
        let nothing = begin(db, Uuid::now_v7()).await;
        assert!(matches!(nothing, Err(AccountError::NotFound)), "{nothing:?}");
    })
    .await;
}

#[tokio::test]
async fn each_password_counts_once_and_none_before_it() {
    each_database(async |db| {
        let ada = register(db, "ada").await.id;
        let secret = from_base_32(&begin(db, ada).await.unwrap().secret);
        let time = now();
        let at = |seconds: u64| one_time_password(&secret, seconds);
        assert!(accept(db, ada, &at(time), true).await);
        assert!(!accept(db, ada, &at(time), false).await, "it was used");
        assert!(!accept(db, ada, &at(time - STEP), false).await, "it is older");
        for bad in ["", "12345", "1234567", "abcdef", "  123456", "１２３４５６", &at(time + 20 * STEP)]
        {
            assert!(!accept(db, ada, bad, false).await, "{bad:?}");
        }
        let next = at(time + STEP);
        let accepted = join_all((0..10).map(|_| accept(db, ada, &next, false))).await;
        assert_eq!(accepted.iter().filter(|accepted| **accepted).count(), 1, "of ten at once");
        assert!(!accept(db, ada, &at(time), false).await && !accept(db, ada, &next, false).await);
        assert!(!accept(db, Uuid::now_v7(), &next, false).await);
    })
    .await;
}

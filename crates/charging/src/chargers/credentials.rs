//! The passwords of chargers. They are bytes, of which only a keyed hash is stored. Sixteen bytes or more are demanded, so that a fast hash
//! suffices: a slow one would hold up chargers that all come back at once.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use aws_lc_rs::rand;
use uuid::Uuid;

use crate::db::{DbError, Tx, on, row, statements};
use crate::stations::charging_stations;

statements! {
    FIND = "SELECT salt, password_hash, next_password_hash FROM chargers WHERE station_id = $1";
    SET = "UPDATE chargers SET salt = $2, password_hash = $3, next_password_hash = NULL WHERE station_id = $1";
    USED_NEXT = "UPDATE chargers SET password_hash = next_password_hash, next_password_hash = NULL \
                 WHERE station_id = $1 AND next_password_hash IS NOT NULL";
}

const MIN: usize = 16;
const MAX: usize = 40;

/// A password of a charger: 16 to 40 bytes. It has no `Debug` that shows it.
#[derive(Clone)]
pub struct Password(Vec<u8>);

row! {
    /// What is stored of a charger's passwords.
    #[derive(Clone, Default)]
    pub struct Credentials {
        salt: Option<Vec<u8>>,
        password_hash: Option<Vec<u8>>,
        next_password_hash: Option<Vec<u8>>,
    }
}

/// Which password a charger has come with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// The one that is known.
    Present,
    /// The one that was sent to it, which becomes the only one.
    Next,
}

impl Password {
    /// A password of these bytes; `None` if it is too short or too long.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (MIN..=MAX).contains(&bytes.len()).then(|| Self(bytes.to_vec()))
    }

    /// An AuthorizationKey: 32 to 40 hexadecimal digits, which stand for 16 to 20 bytes (OCPP-J 1.6, section 6.2).
    pub fn from_key(hex: &str) -> Option<Self> {
        (hex.len() >= 2 * MIN && hex.len() <= MAX && unhex(hex.as_bytes()).is_some())
            .then(|| Self(hex.as_bytes().to_vec()))
    }

    fn hash(&self, salt: &[u8]) -> Vec<u8> {
        hash(salt, &self.0)
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

impl Credentials {
    /// Whether a password is set.
    pub fn are_set(&self) -> bool {
        self.password_hash.is_some()
    }

    /// Whether the charger has come with its password. Some send the bytes of a key, others its hexadecimal text: both
    /// are the key (shiv3#260; tzi, TC_073).
    pub fn verify(&self, sent: &[u8]) -> Option<Match> {
        let salt = self.salt.as_deref()?;
        let forms = [Some(canonical(sent)), (sent.len() <= MAX / 2).then(|| hex(sent))];
        let hashes: Vec<Vec<u8>> = forms.into_iter().flatten().map(|form| hash(salt, &form)).collect();
        let is = |stored: &Option<Vec<u8>>| {
            stored
                .as_ref()
                .is_some_and(|stored| hashes.iter().any(|hash| verify_slices_are_equal(hash, stored).is_ok()))
        };
        if is(&self.password_hash) {
            Some(Match::Present)
        } else if is(&self.next_password_hash) {
            Some(Match::Next)
        } else {
            None
        }
    }
}

/// What is stored of this charger's passwords.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn find(tx: &mut Tx, station: Uuid) -> Result<Credentials, DbError> {
    let found: Option<Credentials> = on!(tx, |c| sqlx::query_as(FIND).bind(station).fetch_optional(c).await)?;
    Ok(found.unwrap_or_default())
}

/// Sets the password, or removes it. The gateway learns it by the event.
///
/// # Errors
/// Returns an error if there are no random numbers, or the database cannot be used.
pub async fn set(tx: &mut Tx, station: Uuid, password: Option<&Password>) -> Result<(), DbError> {
    let location = charging_stations::take(tx, station).await?.flatten();
    super::add(tx, station).await?;
    let mut salt = [0; 16];
    rand::fill(&mut salt).map_err(|_| DbError::Away)?;
    let stored = password.map(|password| Password(canonical(&password.0)).hash(&salt));
    let salt = stored.as_ref().map(|_| salt.to_vec());
    on!(tx, |c| sqlx::query(SET).bind(station).bind(salt).bind(stored).execute(c).await.map(drop))?;
    super::happened(tx, "charger.updated", station, location, serde_json::json!({})).await
}

/// Makes the password that was sent to the charger its only one: it has come with it.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn used_next(tx: &mut Tx, station: Uuid) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(USED_NEXT).bind(station).execute(c).await.map(drop))?;
    Ok(())
}

/// Hexadecimal digits are one key in either case.
fn canonical(bytes: &[u8]) -> Vec<u8> {
    let is_key = bytes.len() >= 2 * MIN && unhex(bytes).is_some();
    if is_key { bytes.to_ascii_lowercase() } else { bytes.to_vec() }
}

fn hash(salt: &[u8], bytes: &[u8]) -> Vec<u8> {
    sign(&Key::new(HMAC_SHA256, salt), bytes).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

fn unhex(text: &[u8]) -> Option<()> {
    (text.len().is_multiple_of(2) && text.iter().all(u8::is_ascii_hexdigit)).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(password: &Password) -> Credentials {
        let salt = b"salt".to_vec();
        let password_hash = Some(Password(canonical(&password.0)).hash(&salt));
        Credentials { salt: Some(salt), password_hash, next_password_hash: None }
    }

    #[test]
    fn a_key_is_its_bytes_and_its_text() {
        let key = Password::from_key("00112233445566778899AABBCCDDEEFF").unwrap();
        let stored = stored(&key);
        let bytes: Vec<u8> = (0..16).map(|digit| digit * 0x11).collect();
        assert_eq!(stored.verify(&bytes), Some(Match::Present));
        assert_eq!(stored.verify(b"00112233445566778899aabbccddeeff"), Some(Match::Present));
        assert_eq!(stored.verify(b"00112233445566778899AABBCCDDEEFF"), Some(Match::Present));
        assert_eq!(stored.verify(b"00112233445566778899aabbccddeef0"), None);
        assert_eq!(stored.verify(b""), None);
        assert_eq!(Credentials::default().verify(&bytes), None);
    }

    #[test]
    fn a_password_may_be_any_bytes_of_the_right_number() {
        let binary = Password::new(&[0xff; 16]).unwrap();
        assert_eq!(stored(&binary).verify(&[0xff; 16]), Some(Match::Present));
        assert!(Password::new(&[1; 15]).is_none() && Password::new(&[1; 41]).is_none());
        assert!(Password::from_key("0011").is_none() && Password::from_key(&"x".repeat(32)).is_none());
        assert_eq!(format!("{binary:?}"), "Password(…)");
    }
}

//! The second factor: one-time passwords by time (RFC 6238), of six digits and thirty seconds, as authenticator apps make
//! them. Each is accepted once.

use aws_lc_rs::rand;
use totp_rs::{Builder, Secret};
use uuid::Uuid;

use super::AccountError;
use crate::db::{At, DbError, Tx, on, statements};

statements! {
    FIND = "SELECT username, totp_secret, totp_confirmed FROM accounts WHERE id = $1";
    BEGIN = "UPDATE accounts SET totp_secret = $2, totp_last_step = 0 WHERE id = $1 AND totp_confirmed = $3";
    ACCEPT = "UPDATE accounts SET totp_last_step = $2, totp_confirmed = $3, version = version + 1 \
              WHERE id = $1 AND totp_last_step < $2";
    REMOVE = "UPDATE accounts SET totp_secret = NULL, totp_confirmed = $2, totp_last_step = 0, version = version + 1 \
              WHERE id = $1";
}

const ISSUER: &str = "Voltgate";
const STEP_SECONDS: u64 = 30;
/// What RFC 4226 recommends, in section 4.
const SECRET_BYTES: usize = 20;

/// What an authenticator app needs.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// The secret, in base 32, for typing.
    pub secret: String,
    /// The same as a URL, for a QR code.
    pub url: String,
}

/// Begins the enrolment. It counts once it is confirmed with a one-time password.
///
/// # Errors
/// Returns an error if the account has a second factor already, or the database cannot be used.
pub async fn begin(tx: &mut Tx, account: Uuid) -> Result<Enrolment, AccountError> {
    let (username, _, confirmed) = find(tx, account).await?.ok_or(AccountError::NotFound)?;
    if confirmed {
        return Err(AccountError::conflict("second_factor", "the account has one; remove it first"));
    }
    let mut bytes = vec![0; SECRET_BYTES];
    rand::fill(&mut bytes).map_err(|_| DbError::Away)?;
    let secret = Secret::from(bytes.clone());
    let begun =
        on!(tx, |c| sqlx::query(BEGIN).bind(account).bind(bytes).bind(false).execute(c).await.map(drop));
    begun.map_err(DbError::from)?;
    let shown = secret.to_base32();
    // A colon separates the issuer from the name there.
    let totp =
        builder(secret).with_account_name(username.replace(':', "_")).with_issuer(Some(ISSUER)).build();
    let url = totp.ok().and_then(|totp| totp.to_url().ok()).unwrap_or_default();
    Ok(Enrolment { secret: shown, url })
}

/// Accepts a one-time password. With `confirm` it completes an enrolment; otherwise the account must have a second factor.
/// Returns whether the password is right, and was not used before.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn accept(tx: &mut Tx, account: Uuid, otp: &str, confirm: bool) -> Result<bool, DbError> {
    let Some((_, Some(secret), confirmed)) = find(tx, account).await? else { return Ok(false) };
    if !confirmed && !confirm {
        return Ok(false);
    }
    let now = u64::try_from(At::now().millis() / 1000).unwrap_or_default();
    // The step that the password belongs to: this one, the one before or the next, as clocks differ.
    let step = builder(Secret::from(secret)).build_noncompliant().check(otp, now);
    let Some(step) = step.and_then(|step| i64::try_from(step).ok()) else { return Ok(false) };
    let accepted = on!(tx, |c| {
        let query = sqlx::query(ACCEPT).bind(account).bind(step).bind(true);
        query.execute(c).await.map(|done| done.rows_affected())
    })?;
    Ok(accepted > 0)
}

/// Removes the second factor.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn remove(tx: &mut Tx, account: Uuid) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(REMOVE).bind(account).bind(false).execute(c).await.map(drop))?;
    Ok(())
}

async fn find(tx: &mut Tx, account: Uuid) -> Result<Option<(String, Option<Vec<u8>>, bool)>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(FIND).bind(account).fetch_optional(c).await)?)
}

fn builder(secret: Secret) -> Builder {
    Builder::new().with_step_duration(STEP_SECONDS).with_secret(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_time_passwords_are_those_of_rfc_6238() {
        let totp = || builder(Secret::from(b"12345678901234567890".to_vec())).build_noncompliant();
        // Appendix B, the last six of eight digits.
        for (seconds, otp) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            let step = seconds / STEP_SECONDS;
            assert_eq!(totp().check(otp, seconds), Some(step));
            for near in [seconds - STEP_SECONDS, seconds + STEP_SECONDS] {
                assert_eq!(totp().check(otp, near), Some(step), "a clock that is a step off");
            }
            assert_eq!(totp().check(otp, seconds + 2 * STEP_SECONDS), None);
        }
    }
}

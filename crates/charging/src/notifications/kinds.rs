//! The kinds of mails and their languages. A kind is one entry here, and a `.txt` and an `.html` of its name for each
//! language in `templates/mail`.

use serde_json::{Value, json};

use crate::db::words;

words! {
    /// A language that mails are written in.
    pub enum Language {
        /// English.
        En = "en",
        /// German.
        De = "de",
    }
}

/// A kind's name, the page that its link leads to, and the data that its template needs.
macro_rules! kinds {
    ($($(#[$about:meta])* $variant:ident = $word:tt, $page:expr, $example:tt;)*) => {
        words! {
            /// A kind of mail.
            pub enum MailKind { $($(#[$about])* $variant = $word,)* }
        }

        impl MailKind {
            /// Data as its template needs them. They are what an operator's own template is tried with.
            pub fn example(self) -> Value {
                match self { $(Self::$variant => json!($example),)* }
            }

            /// The page that its link leads to, where the code is entered.
            pub(super) const fn page(self) -> Option<&'static str> {
                match self { $(Self::$variant => $page,)* }
            }

            /// The built-in templates, text and HTML.
            pub(super) const fn built_in(self, language: Language) -> [&'static str; 2] {
                match (self, language) {
                    $(
                        (Self::$variant, Language::En) => kinds!(@files "en", $word),
                        (Self::$variant, Language::De) => kinds!(@files "de", $word),
                    )*
                }
            }
        }

        /// The words of all kinds, as a list of SQL.
        macro_rules! known_kinds {
            () => { concat!($("'", $word, "', ",)* "''") };
        }
        pub(super) use known_kinds;
    };
    (@files $language:literal, $word:tt) => {
        [
            include_str!(concat!("../../templates/mail/", $language, "/", $word, ".txt")),
            include_str!(concat!("../../templates/mail/", $language, "/", $word, ".html")),
        ]
    };
}

kinds! {
    /// Proves that an address belongs to a person.
    VerifyEmail = "verify_email", Some("verify"), {"username": "anna", "code": "K7QX-3MNP"};
    /// Allows a new password to be chosen.
    ResetPassword = "reset_password", Some("reset"), {"username": "anna", "code": "K7QX-3MNP"};
    /// Someone entered the address of this person for another account.
    EmailTaken = "email_taken", None, {"username": "anna"};
    /// A sign-in was used in two places, and was ended.
    SignInReused = "sign_in_reused", None, {"username": "anna"};
    /// The password was changed.
    PasswordChanged = "password_changed", None, {"username": "anna"};
    /// The account was erased.
    AccountErased = "account_erased", None, {"username": "anna"};
    /// A fleet invites a person to charge on its account.
    FleetInvitation = "fleet_invitation", Some("invitation"),
        {"username": "anna", "fleet": "Müller & Söhne", "code": "K7QX-3MNP"};
}

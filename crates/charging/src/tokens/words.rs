//! The words of tokens.

use crate::db::words;

words! {
    /// What a token is (OCPI `TokenType`)
    pub enum TokenType {
        /// A card.
        Rfid = "RFID",
        /// The account in an app.
        AppUser = "APP_USER",
        /// A driver without an account, who pays at once.
        AdHocUser = "AD_HOC_USER",
        /// Anything else.
        Other = "OTHER",
    }
}

words! {
    /// Whether a token counts
    pub enum TokenStatus {
        /// It does.
        Active = "active",
        /// It is blocked, or its account is.
        Blocked = "blocked",
        /// It has expired.
        Expired = "expired",
    }
}

words! {
    /// When a charger may accept a token without asking (OCPI `WhitelistType`)
    pub enum Whitelist {
        /// Always, without asking.
        Always = "always",
        /// By a recent answer.
        Allowed = "allowed",
        /// Only while it cannot ask.
        AllowedOffline = "allowed_offline",
        /// Never.
        Never = "never",
    }
}

words! {
    /// Who has blocked a token.
    pub enum BlockedBy {
        /// Its owner, who may lift the block.
        Owner = "owner",
        /// An operator, whose block the owner cannot lift.
        Operator = "operator",
    }
}

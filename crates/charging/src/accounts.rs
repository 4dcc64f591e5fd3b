//! Accounts: people, roles, vehicles.

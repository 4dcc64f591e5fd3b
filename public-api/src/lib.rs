//! public-api

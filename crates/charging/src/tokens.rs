//! Tokens, and their three names.

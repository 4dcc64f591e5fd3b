//! Charging sessions and their meter values.

//! voltgate

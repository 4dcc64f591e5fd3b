//! Claims on an EVSE for a time.

//! Charging stations as OCPP sees them: commands, configuration, local lists, frames.

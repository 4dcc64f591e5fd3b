//! The metrics of this crate. `deploy/` charts them and `docs/alerts.md` explains them; a test compares the names.

service_runtime::metrics! {
    SOCKETS = "voltgate_ocpp_sockets", Gauge, [], [],
        "Chargers that are connected to this node";
    HANDSHAKES = "voltgate_ocpp_handshakes_total", Counter, ["result"],
        ["accepted", "malformed", "unknown", "disabled", "credentials", "subprotocol", "full", "unavailable"],
        "Handshakes of chargers, by result";
    DISCONNECTS = "voltgate_ocpp_disconnects_total", Counter, ["reason"],
        ["closed", "lost", "silent", "superseded", "slow", "nonsense", "too_large", "no_room", "not_text", "stopping", "removed"],
        "Connections of chargers that ended, by reason";
    CALLS = "voltgate_ocpp_calls_total", Counter, ["action", "result"], [],
        "Calls of chargers, by action and result: answered, refused, repeated, or unanswered because the database is away";
    CALL = "voltgate_ocpp_call_seconds", Histogram, ["action"], [],
        "Time from a charger's call to its answer";
    DROPPED = "voltgate_ocpp_dropped_total", Counter, ["reason"], [],
        "Frames of chargers that were dropped, by reason";
    LENIENCIES = "voltgate_ocpp_leniencies_total", Counter, ["kind"], [],
        "What was taken although it is not as the standard has it, by kind";
    ANSWERS = "voltgate_ocpp_authorizations_total", Counter, ["answer", "because"], [],
        "Answers about id tags, and why: an entry, the whitelist, a recent answer, or a decision";
    COMMANDS = "voltgate_ocpp_commands_total", Counter, ["state"], [],
        "Commands that ended, by state";
    WRITES_KEPT = "voltgate_ocpp_writes_kept", Gauge, [], [],
        "Boots and statuses that wait until the database is back";
    WRITES_LOST = "voltgate_ocpp_writes_lost_total", Counter, [], [],
        "Boots and statuses that were dropped, because the database was away for too long or refused them";
    MESSAGES_LOST = "voltgate_ocpp_messages_lost_total", Counter, [], [],
        "Messages of chargers that were not stored for the log, because the database was too slow";
}

//! Tickets and the maintenance of EVSEs.

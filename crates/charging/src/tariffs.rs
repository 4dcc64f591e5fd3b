//! Tariffs, their versions, and the price of a session.

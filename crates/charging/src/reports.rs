//! Figures over time, which reconcile with each other.

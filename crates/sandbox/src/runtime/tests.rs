//! Programs run, end and are stopped.

//! Tests of the whole personality.

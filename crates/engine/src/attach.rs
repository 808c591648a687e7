//! What goes between a command and a program that it is attached to.

pub use minke_sandbox::attach::{Connection, Frame, WindowSize};
pub use minke_sandbox::control::{AttachRequest, ProcessStatus};
pub use minke_sandbox::logs::Stream;

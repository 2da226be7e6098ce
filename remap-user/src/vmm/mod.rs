//! What a VMM says of itself: its command line and its log. Pure; reading them is
//! [`crate::source`]'s.

pub mod name;

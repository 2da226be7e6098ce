//! Where records come from. The ring is live; a recording will be another source of the same.

pub mod ring;

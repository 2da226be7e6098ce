//! remap as a library.

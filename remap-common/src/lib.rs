#![no_std]
//! What crosses the kernel boundary, and nothing else.

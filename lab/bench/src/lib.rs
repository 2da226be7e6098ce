//! Ways to make the kernel signal an eventfd, and to map memory, for the benchmark and the tests.

pub mod aio;

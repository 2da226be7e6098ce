//! The call by which user space proves that the programs run: an eventfd is created with this initial
//! value.

/// The initial value, which no other program is likely to use.
pub const TOKEN: u32 = 0x7265_6d70;

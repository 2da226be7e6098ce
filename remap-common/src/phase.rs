//! What the programs are to do; user space sets it in the map `PHASE`.

/// Hooks are being attached: a call whose entry is seen may not be seen to return.
pub const ATTACHING: u32 = 0;
/// Every hook is in place.
pub const OPEN: u32 = 1;
/// The trace has ended. Nothing is recorded or counted any more; the programs are still attached, since
/// detaching them takes longer than a user waits.
pub const ENDED: u32 = 2;

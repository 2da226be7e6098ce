//! The values that the correlation returns; they are the contract of `--json`.
//!
//! Data and accessors. How a value comes about is in [`correlate`](crate::correlate), how it is
//! shown in [`sink`](crate::sink).

mod activity;
mod blind;
mod call;
mod class;
mod cycle;
mod duration;
mod evidence;
mod file;
mod finding;
mod inferred;
mod interval;
mod irq;
mod mapping;
mod output;
pub(crate) mod rule;
mod stats;
mod summary;
mod transition;
mod zap;

pub use activity::{Activity, DataStats, Spent};
pub use blind::{Blind, BlindCause, BlindHooks};
pub use call::InFlightCall;
pub use class::Class;
pub use cycle::{Ack, AckForm, Cycle, Outcome, Reason, ReleasedSource, Stage, Stages, Stamp, View};
pub use duration::Ns;
pub use evidence::{DmaLoss, FailedChange, NoWay, Outside, Refused};
pub use file::{Closed, Opened, UnfinishedChange};
pub use finding::Finding;
pub use inferred::Inferred;
pub use interval::{Precopy, StateInterval};
pub(crate) use irq::KnownIndex;
pub use irq::{Interrupt, IrqChange, IrqName, IrqVerb};
pub use mapping::{Mapped, MappedHow};
pub use output::{Output, StageLine};
pub use rule::{Evidence, Rule};
pub(crate) use stats::Pages;
pub use stats::{
    ChangeStats, DeviceStats, Evicted, FromTo, IrqStats, LoggingStats, MappingStats,
    MigrationStats, Quantiles, RegionStats, StateStats, Stats, User, VectorStats, ZapStats,
};
pub use summary::{Exported, Summary, Withheld};
pub use transition::{Transition, TransitionRef};
pub use zap::{Cause, CauseKind, Zap, ZapEnd, ZappedRegion};

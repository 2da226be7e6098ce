//! The forms of the acknowledgement, and the encoding of each.

use std::fmt;

use remap_core::parse::irq::Encoding;

/// How a remap is acknowledged.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum AckForm {
    /// Bitmap: write 0 to the trigger eventfd. That wakes the driver and leaves the counter as it is.
    Write0,
    /// Bitmap: write 1 to the trigger eventfd, as in the first proposal. It must be read back, or it
    /// counts as a trigger.
    Write1,
    /// Vectors: `SET_IRQS` with `ACTION_UNMASK` on the sub-index.
    Unmask,
    /// Vectors: write to an eventfd that was set with `ACTION_UNMASK`.
    UnmaskEventfd,
}

impl AckForm {
    /// The default form of an encoding.
    pub fn preferred(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Bitmap => Self::Write0,
            Encoding::Vectors => Self::Unmask,
        }
    }

    /// The encoding of the form.
    pub fn encoding(self) -> Encoding {
        match self {
            Self::Write0 | Self::Write1 => Encoding::Bitmap,
            Self::Unmask | Self::UnmaskEventfd => Encoding::Vectors,
        }
    }
}

impl fmt::Display for AckForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Write0 => "write0",
            Self::Write1 => "write1",
            Self::Unmask => "unmask",
            Self::UnmaskEventfd => "unmask-eventfd",
        })
    }
}

/// An encoding's name.
pub fn encoding_name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Bitmap => "bitmap",
        Encoding::Vectors => "vectors",
    }
}

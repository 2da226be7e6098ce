//! The reports of a service: each is a line of text or a JSON object.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;
use vfio_bindings::bindings::vfio::{
    VFIO_REGION_INFO_FLAG_MMAP, VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE,
};

use crate::respond::ack::{AckForm, encoding_name};
use crate::respond::apply::Remapped;
use crate::respond::handshake::Handshake;
use crate::vfio::sysfs::Bdf;
use remap_core::parse::region::{Area, Region};
use remap_core::printable::Name;

/// One report of a service.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Report {
    /// The IRQs are enabled, and all mappable areas are mapped.
    Ready(Ready),
    /// A trigger was read.
    Trigger(Trigger),
    /// A region was queried again, and its mappings were updated.
    Remap(Remap),
    /// A trigger was acknowledged.
    Ack(Ack),
    /// Something failed; the service continues.
    Problem {
        /// The problem: one sentence.
        text: String,
    },
    /// The service has ended: the IRQs are disabled, nothing is mapped.
    End(Totals),
}

/// The start of a service.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Ready {
    /// The device.
    pub device: Bdf,
    /// The remap IRQs that are enabled.
    pub irqs: Vec<Irq>,
    /// The regions with mappable areas.
    pub regions: Vec<RegionAreas>,
}

/// An enabled remap IRQ.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Irq {
    /// IRQ index.
    pub irq_index: u32,
    /// `bitmap` or `vectors`.
    pub encoding: &'static str,
    /// Region index of bit 0 or sub-index 0.
    pub base: u32,
    /// Regions that may be signalled; `null` if the capability has no mask.
    pub mask: Option<u64>,
    /// The same regions by index.
    pub regions: Vec<u32>,
    /// The form of its acknowledgement.
    pub ack: AckForm,
}

impl From<&Handshake> for Irq {
    fn from(handshake: &Handshake) -> Self {
        let remap = handshake.remap();
        Self {
            irq_index: handshake.index(),
            encoding: encoding_name(remap.encoding),
            base: remap.base,
            mask: remap.mask,
            regions: remap.named().collect(),
            ack: handshake.form(),
        }
    }
}

/// An area, bytes from the region's start.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct AreaText {
    /// Offset within the region, bytes.
    pub offset: u64,
    /// Length, bytes.
    pub size: u64,
}

impl From<&Area> for AreaText {
    fn from(area: &Area) -> Self {
        Self {
            offset: area.offset,
            size: area.size,
        }
    }
}

/// A region's flags and areas.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RegionAreas {
    /// Region index.
    pub region: u32,
    /// `VFIO_REGION_INFO_FLAG_*`.
    pub flags: u32,
    /// Size, bytes.
    pub size: u64,
    /// Its mappable areas.
    pub areas: Vec<AreaText>,
}

impl From<&Region> for RegionAreas {
    fn from(region: &Region) -> Self {
        Self {
            region: region.index,
            flags: region.flags,
            size: region.size,
            areas: texts(&region.areas),
        }
    }
}

/// A trigger that was read.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Trigger {
    /// IRQ index.
    pub irq_index: u32,
    /// Sub-index.
    pub sub: u32,
    /// The counter.
    pub value: u64,
    /// The regions that it names, of those that the capability allows.
    pub regions: Vec<u32>,
}

/// The remap of one region.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Remap {
    /// Region index.
    pub region: u32,
    /// The region before, if known.
    pub before: Option<RegionAreas>,
    /// The region now; `null` if the answer was malformed.
    pub after: Option<RegionAreas>,
    /// Areas whose mapping was kept.
    pub kept: Vec<AreaText>,
    /// Areas that were unmapped.
    pub unmapped: Vec<AreaText>,
    /// Areas that were mapped.
    pub mapped: Vec<AreaText>,
}

impl From<&Remapped> for Remap {
    fn from(done: &Remapped) -> Self {
        Self {
            region: done.region,
            before: done.before.as_ref().map(RegionAreas::from),
            after: done.after.as_ref().ok().map(RegionAreas::from),
            kept: texts(&done.kept),
            unmapped: texts(&done.unmapped),
            mapped: texts(&done.mapped),
        }
    }
}

/// An acknowledgement.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Ack {
    /// IRQ index.
    pub irq_index: u32,
    /// Sub-index.
    pub sub: u32,
    /// Its form.
    pub form: AckForm,
}

/// The totals of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Totals {
    /// Triggers read.
    pub triggers: u64,
    /// Triggers acknowledged.
    pub acks: u64,
    /// Regions that were queried again for a trigger.
    pub requeries: u64,
    /// Of these, regions with changed mappings.
    pub remaps: u64,
    /// Areas whose mapping was kept.
    pub kept: u64,
    /// Areas unmapped.
    pub unmapped: u64,
    /// Areas mapped.
    pub mapped: u64,
    /// Problems.
    pub problems: u64,
}

fn texts(areas: &[Area]) -> Vec<AreaText> {
    areas.iter().map(AreaText::from).collect()
}

/// The letters of a region's flags: r, w, m (`-` where one is clear).
pub fn flag_letters(flags: u32) -> String {
    let letters = [
        (VFIO_REGION_INFO_FLAG_READ, 'r'),
        (VFIO_REGION_INFO_FLAG_WRITE, 'w'),
        (VFIO_REGION_INFO_FLAG_MMAP, 'm'),
    ];
    letters
        .into_iter()
        .map(|(flag, letter)| if flags & flag != 0 { letter } else { '-' })
        .collect()
}

/// Areas as `offset+size`, in hexadecimal bytes.
fn list(areas: &[AreaText]) -> String {
    if areas.is_empty() {
        return "nothing".to_owned();
    }
    let area = |AreaText { offset, size }: &AreaText| format!("{offset:#x}+{size:#x}");
    areas.iter().map(area).collect::<Vec<_>>().join(" ")
}

fn numbers(regions: &[u32]) -> String {
    let numbers: Vec<String> = regions.iter().map(u32::to_string).collect();
    match numbers.as_slice() {
        [] => "no region".to_owned(),
        [one] => format!("region {one}"),
        many => format!("regions {}", many.join(" ")),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(ready) => write!(f, "{ready}"),
            Self::Trigger(trigger) => write!(
                f,
                "trigger: IRQ {}.{}, value {:#x}: {}",
                trigger.irq_index,
                trigger.sub,
                trigger.value,
                numbers(&trigger.regions)
            ),
            Self::Remap(remap) => write!(f, "{remap}"),
            Self::Ack(ack) => write!(f, "ack: IRQ {}.{} by {}", ack.irq_index, ack.sub, ack.form),
            Self::Problem { text } => write!(f, "problem: {}", Name(text)),
            Self::End(totals) => write!(f, "end: {totals}"),
        }
    }
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ready: {}", self.device)?;
        for irq in &self.irqs {
            write!(f, ", IRQ {} ({}, ", irq.irq_index, irq.encoding)?;
            match irq.mask {
                Some(_) => f.write_str(&numbers(&irq.regions))?,
                None => f.write_str("any region")?,
            }
            write!(f, ", ack by {})", irq.ack)?;
        }
        for region in &self.regions {
            write!(f, "; region {}: {}", region.region, list(&region.areas))?;
        }
        Ok(())
    }
}

impl fmt::Display for Remap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = |region: &Option<RegionAreas>| {
            region
                .as_ref()
                .map_or("???".to_owned(), |region| flag_letters(region.flags))
        };
        write!(
            f,
            "region {}: {} → {}; kept {}, unmapped {}, mapped {}",
            self.region,
            flags(&self.before),
            flags(&self.after),
            list(&self.kept),
            list(&self.unmapped),
            list(&self.mapped)
        )
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} triggers, {} acks, {} requeries, {} remaps; areas: {} kept, {} unmapped, {} \
             mapped; {} problems",
            self.triggers,
            self.acks,
            self.requeries,
            self.remaps,
            self.kept,
            self.unmapped,
            self.mapped,
            self.problems
        )
    }
}

//! The remap IRQs of a device, and whether all regions that they may name can be remapped.

use crate::respond::ack::AckForm;
use crate::respond::error::ServeError;
use crate::vfio::device::Device;
use remap_core::parse::irq::{Encoding, IrqInfo, RemapIrq};

/// The remap IRQs to serve. Of two that name the same regions, the one that `form` acknowledges,
/// else the one with vectors.
pub(super) fn remap_irqs(
    device: &Device,
    form: Option<AckForm>,
    problem: impl Fn(String),
) -> Result<Vec<(IrqInfo, RemapIrq)>, ServeError> {
    let answers = device.irqs()?;
    let count = answers.len();
    let mut found: Vec<(IrqInfo, RemapIrq)> = Vec::new();
    let mut refused = None;
    for answer in answers {
        let irq = match answer {
            Ok(irq) => irq,
            Err(error) => {
                if !error.is_absent()
                    && let Some(earlier) = refused.replace(error)
                {
                    problem(earlier.to_string());
                }
                continue;
            }
        };
        let Some(remap) = irq.remap else { continue };
        let preferred = form.map_or(Encoding::Vectors, AckForm::encoding);
        match found.iter_mut().find(|(_, other)| other.base == remap.base) {
            Some(other) if remap.encoding == preferred => *other = (irq, remap),
            Some(_) => {}
            None => found.push((irq, remap)),
        }
    }
    match (found.is_empty(), refused) {
        (true, Some(error)) => Err(error.into()),
        (true, None) => Err(ServeError::NoRemapIrq {
            device: device.bdf().to_string(),
            count,
        }),
        (false, Some(error)) => {
            problem(error.to_string());
            Ok(found)
        }
        (false, None) => Ok(found),
    }
}

/// Checks that every region that the IRQ may name can be queried.
pub(super) fn check_regions(
    device: &Device,
    index: u32,
    remap: RemapIrq,
) -> Result<(), ServeError> {
    let count = device.info()?.num_regions;
    for region in remap.named() {
        let why = if region >= count {
            Some(format!("does not exist: the device has {count} regions"))
        } else {
            let answer = device.region_info(region);
            answer
                .err()
                .map(|error| format!("cannot be queried: {error}"))
        };
        if let Some(why) = why {
            let device = device.bdf().to_string();
            return Err(ServeError::CannotRemap {
                device,
                index,
                region,
                why,
            });
        }
    }
    Ok(())
}

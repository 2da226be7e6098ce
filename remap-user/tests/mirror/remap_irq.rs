//! `remap_core::parse::uapi` against `lab/driver/remap_irq.h`, by the C compiler's own word.

use std::collections::BTreeMap;
use std::mem::offset_of;
use std::path::Path;

use remap_core::parse::uapi::{
    REMAP_IRQ_INFO_CAP_REGIONS, REMAP_IRQ_SUBTYPE_BITMAP, REMAP_IRQ_SUBTYPE_VECTORS,
    REMAP_IRQ_TYPE, VFIO_IRQ_INFO_CAP_TYPE, VFIO_IRQ_INFO_FLAG_CAPS, remap_irq_info,
    remap_irq_info_cap_regions, remap_irq_info_cap_type,
};

use crate::c;

/// Every expression in C, and what the mirror says it is.
fn mirror() -> BTreeMap<&'static str, u64> {
    macro_rules! facts {
        ($($c:literal => $rust:expr),* $(,)?) => {
            BTreeMap::from([$(($c, u64::try_from($rust).unwrap())),*])
        };
    }
    facts! {
        "VFIO_IRQ_INFO_FLAG_CAPS" => VFIO_IRQ_INFO_FLAG_CAPS,
        "VFIO_IRQ_INFO_CAP_TYPE" => VFIO_IRQ_INFO_CAP_TYPE,
        "REMAP_IRQ_TYPE" => REMAP_IRQ_TYPE,
        "REMAP_IRQ_SUBTYPE_BITMAP" => REMAP_IRQ_SUBTYPE_BITMAP,
        "REMAP_IRQ_SUBTYPE_VECTORS" => REMAP_IRQ_SUBTYPE_VECTORS,
        "REMAP_IRQ_INFO_CAP_REGIONS" => REMAP_IRQ_INFO_CAP_REGIONS,
        "sizeof(struct remap_irq_info)" => size_of::<remap_irq_info>(),
        "offsetof(struct remap_irq_info, argsz)" => offset_of!(remap_irq_info, argsz),
        "offsetof(struct remap_irq_info, flags)" => offset_of!(remap_irq_info, flags),
        "offsetof(struct remap_irq_info, index)" => offset_of!(remap_irq_info, index),
        "offsetof(struct remap_irq_info, count)" => offset_of!(remap_irq_info, count),
        "offsetof(struct remap_irq_info, cap_offset)" => offset_of!(remap_irq_info, cap_offset),
        "sizeof(struct remap_irq_info_cap_type)" => size_of::<remap_irq_info_cap_type>(),
        "offsetof(struct remap_irq_info_cap_type, header)"
            => offset_of!(remap_irq_info_cap_type, header),
        "offsetof(struct remap_irq_info_cap_type, type)"
            => offset_of!(remap_irq_info_cap_type, type_),
        "offsetof(struct remap_irq_info_cap_type, subtype)"
            => offset_of!(remap_irq_info_cap_type, subtype),
        "sizeof(struct remap_irq_info_cap_regions)" => size_of::<remap_irq_info_cap_regions>(),
        "offsetof(struct remap_irq_info_cap_regions, header)"
            => offset_of!(remap_irq_info_cap_regions, header),
        "offsetof(struct remap_irq_info_cap_regions, base)"
            => offset_of!(remap_irq_info_cap_regions, base),
        "offsetof(struct remap_irq_info_cap_regions, reserved)"
            => offset_of!(remap_irq_info_cap_regions, reserved),
        "offsetof(struct remap_irq_info_cap_regions, mask)"
            => offset_of!(remap_irq_info_cap_regions, mask),
    }
}

#[test]
fn the_mirror_is_what_the_header_says() {
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lab/driver/remap_irq.h");
    let mirror = mirror();
    let include = format!("#include <stddef.h>\n#include \"{}\"", header.display());
    let header = c::values(&include, mirror.keys().copied(), false);
    let mirror: BTreeMap<String, u64> = mirror
        .into_iter()
        .map(|(c, value)| (c.to_owned(), value))
        .collect();
    assert_eq!(mirror, header);
}

//! Set arithmetic on byte ranges of a region.

use remap_common::uapi::VFIO_REGION_INFO_FLAG_CAPS;

use crate::model::View;
use crate::parse::region::Area;

/// Areas by region index.
pub(super) type RegionAreas = std::collections::BTreeMap<u32, Vec<Area>>;

/// Sorted, merged where they touch or overlap, without empty ones. An end beyond `u64::MAX` is
/// cut off there, since the input is not trusted.
pub(super) fn normalise(areas: &[Area]) -> Vec<Area> {
    let mut sorted = areas.to_vec();
    sorted.sort_unstable();
    let mut merged: Vec<Area> = Vec::with_capacity(sorted.len());
    for area in sorted {
        match merged.last_mut() {
            Some(last) if area.offset <= end(last) => {
                last.size = end(&area).max(end(last)) - last.offset;
            }
            _ => merged.extend(between(area.offset, end(&area))),
        }
    }
    merged
}

/// The bytes of `areas` that are in none of `taken`.
pub(super) fn subtract(areas: &[Area], taken: &[Area]) -> Vec<Area> {
    let mut rest = normalise(areas);
    for hole in normalise(taken) {
        rest = rest
            .iter()
            .flat_map(|area| {
                let left = between(area.offset, end(area).min(hole.offset));
                let right = between(area.offset.max(end(&hole)), end(area));
                left.into_iter().chain(right)
            })
            .collect();
    }
    rest
}

/// The bytes that are in both.
pub(super) fn common(one: &[Area], other: &[Area]) -> Vec<Area> {
    subtract(one, &subtract(one, other))
}

/// Whether both descriptions are known to allow the same.
pub(super) fn allow_same(one: &View, other: &View) -> bool {
    one.areas.known
        && other.areas.known
        && one.flags & !VFIO_REGION_INFO_FLAG_CAPS == other.flags & !VFIO_REGION_INFO_FLAG_CAPS
        && normalise(&one.areas) == normalise(&other.areas)
}

/// How much all of them are, bytes, each counted.
pub(super) fn total(areas: &[Area]) -> u64 {
    let sizes = areas.iter().map(|area| area.size);
    sizes.fold(0, u64::saturating_add)
}

fn end(area: &Area) -> u64 {
    area.offset.saturating_add(area.size)
}

fn between(start: u64, end: u64) -> Option<Area> {
    (start < end).then(|| Area {
        offset: start,
        size: end - start,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(offset: u64, size: u64) -> Area {
        Area { offset, size }
    }

    fn view(flags: u32, areas: Option<Vec<Area>>) -> View {
        let areas = areas.into();
        View { flags, areas }
    }

    #[test]
    fn two_descriptions_allow_the_same_if_flags_and_areas_are_known_and_equal() {
        let known = || Some(vec![area(0, 8)]);
        let one = view(1, known());
        // The flag of the capabilities only says that there are some.
        let caps = VFIO_REGION_INFO_FLAG_CAPS;
        assert!(allow_same(&one, &view(1 | caps, known())));
        assert!(!allow_same(&one, &view(3, known())));
        assert!(!allow_same(&one, &view(1, Some(Vec::new()))));
        let none = view(1, Some(Vec::new()));
        assert!(!allow_same(&none, &view(1, None)) && !allow_same(&view(1, None), &none));
    }

    #[test]
    fn touching_areas_are_one() {
        let merged = normalise(&[area(8, 8), area(0, 8), area(4, 2), area(32, 0)]);
        assert_eq!(merged, [area(0, 16)]);
        assert_eq!(normalise(&[area(12, 8), area(8, 8)]), [area(8, 12)]);
    }

    #[test]
    fn a_hole_splits() {
        let rest = subtract(&[area(0, 16)], &[area(4, 4)]);
        assert_eq!(rest, [area(0, 4), area(8, 8)]);
        assert_eq!(subtract(&rest, &[area(0, 100)]), []);
    }

    #[test]
    fn what_is_common() {
        let both = common(&[area(0, 16)], &[area(12, 100)]);
        assert_eq!(both, [area(12, 4)]);
    }

    #[test]
    fn an_end_beyond_the_number_space_is_cut() {
        let huge = area(u64::MAX - 1, u64::MAX);
        assert_eq!(subtract(&[huge], &[]), [area(u64::MAX - 1, 1)]);
    }
}

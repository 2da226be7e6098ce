//! Old areas, new areas → areas to keep, unmap and map. Pure.

use remap_core::parse::region::Area;

/// The changes from the current mappings of a region to the allowed ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Mapped, and still allowed: the mapping stays, at its address.
    pub keep: Vec<Area>,
    /// Mapped, and no longer allowed.
    pub unmap: Vec<Area>,
    /// Allowed, and not mapped.
    pub map: Vec<Area>,
}

/// The plan from the mapped areas to the allowed ones. An area whose size changed is unmapped and
/// mapped again: each mapping is exactly one area.
pub fn plan(mapped: &[Area], allowed: &[Area]) -> Plan {
    let (keep, unmap) = mapped.iter().partition(|area| allowed.contains(area));
    let map = allowed
        .iter()
        .filter(|area| !mapped.contains(area))
        .copied()
        .collect();
    Plan { keep, unmap, map }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn area(offset: u64, size: u64) -> Area {
        Area { offset, size }
    }

    #[test]
    fn unchanged_areas_are_kept() {
        let areas = [area(0, 1), area(2, 3)];
        assert_eq!(
            plan(&areas, &areas),
            Plan {
                keep: areas.to_vec(),
                ..Plan::default()
            }
        );
    }

    #[test]
    fn a_trapped_region_is_unmapped() {
        let areas = [area(0, 4)];
        assert_eq!(
            plan(&areas, &[]),
            Plan {
                unmap: areas.to_vec(),
                ..Plan::default()
            }
        );
        assert_eq!(
            plan(&[], &areas),
            Plan {
                map: areas.to_vec(),
                ..Plan::default()
            }
        );
    }

    #[test]
    fn an_area_that_shrank_is_mapped_again() {
        let expected = Plan {
            keep: vec![area(8, 4)],
            unmap: vec![area(0, 4)],
            map: vec![area(0, 2), area(3, 1)],
        };
        assert_eq!(
            plan(
                &[area(0, 4), area(8, 4)],
                &[area(0, 2), area(3, 1), area(8, 4)]
            ),
            expected
        );
    }

    fn areas() -> impl Strategy<Value = Vec<Area>> {
        proptest::collection::btree_set((0_u64..8, 1_u64..4), 0..6).prop_map(|set| {
            set.into_iter()
                .map(|(offset, size)| area(offset, size))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn the_plan_leads_to_what_is_allowed(mapped in areas(), allowed in areas()) {
            let plan = plan(&mapped, &allowed);
            let mut after: Vec<_> = plan.keep.iter().chain(&plan.map).copied().collect();
            after.sort_unstable();
            prop_assert_eq!(after, allowed);
            let mut before: Vec<_> = plan.keep.iter().chain(&plan.unmap).copied().collect();
            before.sort_unstable();
            prop_assert_eq!(before, mapped);
        }
    }
}

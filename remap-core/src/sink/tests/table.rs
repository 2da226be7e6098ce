//! The table at the end.

use super::*;
use crate::model::{
    ChangeStats, DeviceStats, FromTo, IrqStats, LoggingStats, MigrationStats, Stats, VectorStats,
};

/// The table of a trace with one device.
fn table(device: DeviceStats) -> String {
    let stats = Stats {
        devices: [(played::NAME.to_owned(), device)].into(),
        ..Stats::default()
    };
    shown(&Summary {
        stats,
        ..Summary::default()
    })
}

fn shown(summary: &Summary) -> String {
    super::super::table::Table(summary).to_string()
}

fn migration(migration: MigrationStats) -> String {
    table(DeviceStats {
        migration,
        ..DeviceStats::default()
    })
}

#[test]
fn a_vector_without_any_event_has_no_row() {
    let vectors: [fn(&mut VectorStats); 4] = [
        |_| {},
        |vector| vector.signals = 1,
        |vector| vector.reads = 1,
        |vector| vector.consumed = 1,
    ];
    let mut irq = IrqStats::new(IrqName::Msix);
    for (sub, of) in (0..).zip(vectors) {
        of(irq.vectors.entry(sub).or_default());
    }
    let table = table(DeviceStats {
        irqs: [(2, irq)].into(),
        ..DeviceStats::default()
    });
    let row = |sub: u32| table.contains(&format!("  MSIX {sub}  "));
    assert_eq!([0, 1, 2, 3].map(row), [false, true, true, true], "{table}");
}

#[test]
fn a_change_that_did_not_return_is_noted() {
    let changes = |unfinished| {
        let change = ChangeStats {
            succeeded: 1,
            unfinished,
            ..ChangeStats::default()
        };
        let way = FromTo {
            from: None,
            to: Some(DeviceState::Stop),
        };
        migration(MigrationStats {
            changes: [(way, change)].into(),
            ..MigrationStats::default()
        })
    };
    assert!(changes(2).contains("2 did not return"));
    assert!(!changes(0).contains("did not return"));
    // Where no time was spent, there is none to divide.
    assert!(!changes(0).contains("time in state changes"));
}

#[test]
fn state_data_is_shown_as_far_as_there_is_some() {
    let data = |data: DataStats| {
        migration(MigrationStats {
            inside: Activity {
                data,
                ..Activity::default()
            },
            ..MigrationStats::default()
        })
    };
    let failed = data(DataStats {
        failed: 2,
        errno: Some(Errno::EIO),
        ..DataStats::default()
    });
    assert!(
        failed.contains("state data: none moved, 2 failed, last with EIO"),
        "{failed}"
    );
    let read = data(DataStats {
        reads: 1,
        read_bytes: 4096,
        busy_ns: 5,
        ..DataStats::default()
    });
    assert!(
        read.contains("state data: 4 KiB read in 1 read, 5 ns in flight\n"),
        "{read}"
    );
}

#[test]
fn dma_logging_is_shown_if_any_call_was_made() {
    let calls: [fn(&mut LoggingStats); 5] = [
        |_| {},
        |logging| logging.starts = 1,
        |logging| logging.reports = 1,
        |logging| logging.stops = 1,
        |logging| logging.failed = 1,
    ];
    for (n, call) in calls.into_iter().enumerate() {
        let mut logging = LoggingStats::default();
        call(&mut logging);
        let table = migration(MigrationStats {
            logging,
            ..MigrationStats::default()
        });
        assert_eq!(table.contains("DMA logging"), n > 0, "{table}");
        assert_eq!(table.contains("1 failed"), n == 4, "{table}");
    }
}

#[test]
fn what_was_withheld_is_said_and_what_was_not_is_no_line() {
    let withheld = |records, by_class, by_latency| {
        shown(&Summary {
            withheld: Withheld {
                records,
                by_class,
                by_latency,
                ..Withheld::default()
            },
            ..Summary::default()
        })
    };
    let all = withheld(3, 2, 1);
    for line in [
        "3 records of other devices or processes left out (--device, --pid, --vm)\n",
        "2 lines not shown (--class), but counted above\n",
        "1 line not shown (--min-latency), but counted above\n",
    ] {
        assert!(all.contains(line), "{all}");
    }
    let none = withheld(0, 0, 0);
    assert!(
        !none.contains("left out") && !none.contains("not shown"),
        "{none}"
    );
}

#[test]
fn an_account_that_does_not_add_up_is_no_equation() {
    let account = |seen, full| {
        shown(&Summary {
            seen,
            delivered: 4,
            lost: [("ring_full".to_owned(), full), ("recursion".to_owned(), 0)].into(),
            ..Summary::default()
        })
    };
    let exact = account(Some(6), 2);
    assert!(
        exact.ends_with("seen 6 = delivered 4 + lost 2 (ring_full 2)\n"),
        "{exact}"
    );
    let wrong = account(Some(7), 2);
    assert!(
        wrong.ends_with("seen 7 ≠ delivered 4 + lost 2 (ring_full 2)\n"),
        "{wrong}"
    );
    let unknown = account(None, 0);
    assert!(
        unknown.ends_with("seen unknown = delivered 4 + lost 0\n"),
        "{unknown}"
    );
}

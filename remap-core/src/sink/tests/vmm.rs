//! What VMMs say.

use super::*;

/// What two VMMs say of one migration.
pub(super) fn vmm() -> (Vec<Checkpoint>, Downtime) {
    let us = |us: u64| 1_000_000 + us * 1000;
    let checkpoints = [
        ("src", 90, "migrate_set_state new state device"),
        ("src", 100, "vmstate_downtime_checkpoint src-downtime-start"),
        (
            "src",
            110,
            "vfio_migration_set_state  (0000:01:00.0) new state STOP_COPY, recover state STOP",
        ),
        ("src", 190, "vmstate_downtime_checkpoint src-vm-stopped"),
        (
            "dst",
            300,
            "vmstate_downtime_checkpoint dst-precopy-bh-vm-started",
        ),
    ];
    let checkpoints = checkpoints.map(|(log, at, words)| checkpoint(log, us(at), words));
    let mut downtimes = Downtimes::default();
    for checkpoint in &checkpoints {
        downtimes.checkpoint(checkpoint);
    }
    let mut played = Scene::new(Encoding::Bitmap);
    played.now = us(120) - 1000;
    let begin_ns = played.enter(DeviceState::StopCopy);
    played.wait(60_000);
    played.exit(DeviceState::StopCopy, begin_ns, Ok(0));
    played
        .events
        .iter()
        .for_each(|event| downtimes.event(event));
    let downtime = downtimes.finish(us(400)).remove(0);
    (checkpoints.into(), downtime)
}

#[test]
fn what_vmms_say_fits_the_schema() {
    let (checkpoints, downtime) = vmm();
    let mut json = Json::new(Vec::new());
    for checkpoint in &checkpoints {
        json.checkpoint(checkpoint).unwrap();
    }
    json.downtime(&downtime).unwrap();
    let log = LogAccount::default();
    let logs = vec![log];
    let summary = Summary {
        logs,
        ..Summary::default()
    };
    json.summary(&summary).unwrap();
    let lines = lines(json.into_inner());
    let (checkpoint, downtime) = (&lines[2], &lines[5]);
    assert_eq!(checkpoint["device"], "0000:01:00.0");
    assert_eq!(downtime["total"]["kernel"]["state_change"], 61_000);
    assert_eq!(downtime["total"]["vmm_ns"], 200_000 - 61_000);
    assert_eq!(lines[6]["logs"][0]["there"], false);
}

#[test]
fn what_vmms_say_is_readable() {
    let (checkpoints, downtime) = vmm();
    let start_ns = 1_000_000;
    let colour = false;
    let mut text = Text::new(Vec::new(), TextOptions { colour, start_ns });
    for checkpoint in &checkpoints {
        text.checkpoint(checkpoint).unwrap();
    }
    text.downtime(&downtime).unwrap();
    let logs = vec![
        LogAccount {
            name: "src".into(),
            there: true,
            lines: 9,
            checkpoints: 4,
            others: 3,
            foreign: 2,
            error_ns: 1400,
            ..LogAccount::default()
        },
        LogAccount {
            name: "dst".into(),
            ..LogAccount::default()
        },
    ];
    let summary = Summary {
        logs,
        seen: Some(0),
        ..Summary::default()
    };
    text.summary(&summary).unwrap();
    expect("expected_vmm.txt", &text.into_inner());
}

#[test]
fn a_downtime_of_one_part_is_one_line() {
    let (_, mut downtime) = vmm();
    let written = |downtime: &Downtime| {
        let mut text = Text::new(Vec::new(), TextOptions::default());
        text.downtime(downtime).unwrap();
        String::from_utf8(text.into_inner())
            .unwrap()
            .lines()
            .count()
    };
    assert_eq!(written(&downtime), 1 + downtime.parts.len());
    downtime.parts.truncate(1);
    assert_eq!(written(&downtime), 1);
}

#[test]
fn a_wall_clock_that_was_moved_is_reported() {
    let log = |clock_moved_ns| {
        let log = LogAccount {
            there: true,
            clock_moved_ns,
            ..LogAccount::default()
        };
        super::super::vmm::LogText(&log).to_string()
    };
    assert!(log(2_000_000).contains("the wall clock was moved by 2.00 ms meanwhile"));
    assert!(!log(0).contains("the wall clock"));
}

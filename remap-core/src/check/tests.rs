//! The table, and what exercises and breaks its duties.

use std::collections::BTreeSet;

use super::*;
use crate::correlate::Correlator;
use crate::correlate::tests::{DEVICE, INDEX, NAME, SERVICE, Scene, region, target, whole};
use crate::event::{
    Answer, Body, Call, ContextKey, DeviceState, Errno, FeatureData, FeatureOp, IrqAction, IrqData,
    Lost, Map, Origin, Place, Role, Signal,
};
use crate::model::Rule;
use crate::parse::irq::{Encoding, IrqInfo, RemapIrq};
use crate::parse::region::Area;

/// The header, as one line without the marks of its comment.
fn header() -> String {
    let header = include_str!("../../../lab/driver/remap_irq.h");
    let lines = header
        .lines()
        .map(|line| line.trim_start().trim_start_matches('*'));
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    words.join(" ")
}

#[test]
fn the_header_has_each_sentence() {
    let header = header();
    for duty in Duty::ALL {
        let row = duty.row();
        if row.source != Source::RemapIrqH {
            continue;
        }
        let mut at = header.find(row.place).expect(row.place);
        for part in row.sentence.split(" … ") {
            let found = header[at..].find(part);
            at += found.unwrap_or_else(|| panic!("{}: “{part}”", duty.name()));
        }
    }
}

/// The table of docs/check.md.
fn page() -> String {
    let mut page = String::new();
    let mut head = None;
    for duty in Duty::ALL {
        let row = duty.row();
        if head.replace((row.party, row.subject)) != Some((row.party, row.subject)) {
            let (party, subject) = (row.party.name(), row.subject.words());
            page += &format!("\n### {party}, {subject}\n\n");
            page +=
                "| duty | the sentence | broken by | exercised by |\n| --- | --- | --- | --- |\n";
        }
        let rules = row
            .broken_by
            .iter()
            .map(|rule| format!("`{}`", rule.name()));
        let rules: Vec<String> = rules.collect();
        let broken_by = match rules.as_slice() {
            [] => "what the check itself sees".to_owned(),
            rules => rules.join(", "),
        };
        let level = match row.level {
            Level::Required => "",
            Level::Recommended => " (recommended)",
        };
        page += &format!(
            "| `{}`{level} | “{}” ({}, {}) | {broken_by} | {} |\n",
            duty.name(),
            row.sentence,
            row.source.file(),
            row.place,
            row.exercised_by,
        );
    }
    page
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test reads and writes its expectations"
)]
fn the_page_has_the_table() {
    const HEAD: &str = "## The duties\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/check.md");
    let committed = std::fs::read_to_string(path).unwrap();
    let (before, _) = committed.split_once(HEAD).unwrap();
    let page = format!("{before}{HEAD}{}", page());
    if std::env::var_os("REMAP_BLESS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    assert!(
        page == std::fs::read_to_string(path).unwrap(),
        "docs/check.md has another table; run this test with REMAP_BLESS=1"
    );
}

#[test]
fn each_rule_breaks_one_duty_or_has_none() {
    let mut seen = BTreeSet::new();
    let broken = Duty::ALL.iter().flat_map(|duty| duty.row().broken_by);
    for rule in broken.chain(NO_DUTY) {
        // A refused change is the user's, one that succeeded is the driver's.
        let first = seen.insert(*rule);
        assert!(first || *rule == Rule::ImpossibleChange, "{}", rule.name());
    }
    assert_eq!(seen, Rule::ALL.iter().copied().collect());
}

#[test]
fn only_what_is_recommended_has_a_word_for_it() {
    for duty in Duty::ALL {
        let row = duty.row();
        let words = ["should ", "Prefer ", "can then decide", "can be failed"];
        let advises = words.iter().any(|word| row.sentence.contains(word));
        let is_advice = row.level == Level::Recommended;
        // Of a driver that rejects what it is given, “should” is all that the uAPI has.
        let exempt = *duty == Duty::LoadsWhatWasSaved;
        assert_eq!(advises && !exempt, is_advice, "{}", duty.name());
    }
}

/// What the events of a scene come to.
fn checked(scene: &Scene) -> Verdict {
    let options = Check::options(Options::default());
    let mut check = Check::default();
    let mut correlator = Correlator::new(options);
    for event in &scene.events {
        check.event(event, NAME).unwrap();
        for output in correlator.push(event) {
            check.output(&output).unwrap();
        }
    }
    for output in correlator.finish(scene.now) {
        check.output(&output).unwrap();
    }
    check.verdict()
}

fn named(verdict: &Verdict, judgement: Judgement) -> Vec<&'static str> {
    verdict
        .met(judgement)
        .map(|line| line.duty.name())
        .collect()
}

/// The judgement of one duty.
fn judgement(scene: &Scene, duty: Duty) -> Judgement {
    let verdict = checked(scene);
    verdict.duties[duty as usize].judgement
}

/// A migration to STOP_COPY with a correct user.
fn healthy(encoding: Encoding) -> Scene {
    let mut scene = Scene::new(encoding);
    scene.map_all(&[0, 2]);
    scene.migration(&[0, 2]);
    scene
}

#[test]
fn a_correct_driver_and_user_break_nothing() {
    for encoding in [Encoding::Bitmap, Encoding::Vectors] {
        let verdict = checked(&healthy(encoding));
        for judgement in [Judgement::Fail, Judgement::Advice, Judgement::Unknown] {
            let names = named(&verdict, judgement);
            // The scene's own flags and data fd are not those of a driver.
            let odd = ["irq-info-flags", "data-fd-returned"];
            let others: Vec<_> = names.iter().filter(|name| !odd.contains(name)).collect();
            assert!(others.is_empty(), "{judgement:?}: {names:?}");
        }
        let passed = named(&verdict, Judgement::Pass);
        for name in [
            "acks-every-trigger",
            "queries-again",
            "change-waits-for-acks",
        ] {
            assert!(passed.contains(&name), "{name}: {passed:?}");
        }
    }
}

#[test]
fn a_loss_leaves_open_what_it_can_have_been() {
    let mut scene = healthy(Encoding::Vectors);
    let fault = Lost {
        records: LostKind::Fault,
        ..Lost::any(3)
    };
    scene.push(SERVICE, Body::Lost(fault));
    let verdict = checked(&scene);
    assert_eq!(
        named(&verdict, Judgement::Unknown),
        ["no-access-while-trapped"]
    );
    let unknown = verdict.met(Judgement::Unknown).next().unwrap();
    assert_eq!(unknown.why.as_deref(), Some("3 records were lost"));
    scene.push(SERVICE, Body::Lost(Lost::any(1)));
    let verdict = checked(&scene);
    assert_eq!(named(&verdict, Judgement::Pass), [""; 0]);
    assert_eq!(named(&verdict, Judgement::NotExercised), [""; 0]);
}

#[test]
fn what_cannot_be_seen_does_not_pass() {
    let mut check = Check::new(vec!["eventfd_write".to_owned()]);
    let unknown = named(&check.verdict(), Judgement::Unknown);
    assert!(unknown.contains(&"queries-again"), "{unknown:?}");
    assert!(!unknown.contains(&"state-as-set"), "{unknown:?}");
    check.cut_off(7);
    let verdict = check.verdict();
    assert_eq!(verdict.met(Judgement::Unknown).count(), Duty::ALL.len());
    assert!(verdict.to_string().contains("cut off at byte 7"));
}

/// An answer of GET_IRQ_INFO about a remap IRQ.
fn irq(scene: &mut Scene, index: u32, flags: u32, base: u32) {
    let remap = RemapIrq {
        encoding: Encoding::Vectors,
        base,
        mask: Some(1),
    };
    let info = IrqInfo {
        index,
        flags,
        count: 1,
        kind: Some((1, 2)),
        remap: Some(remap),
    };
    scene.call(
        SERVICE,
        Call::GetIrqInfo { index },
        Ok(0),
        Answer::Irq(info),
    );
}

#[test]
fn a_description_of_an_irq() {
    let empty = || {
        let mut scene = Scene::new(Encoding::Vectors);
        scene.events.truncate(1);
        scene
    };
    let mut scene = empty();
    irq(&mut scene, INDEX, 0b11111, 0);
    irq(&mut scene, INDEX + 1, 0b11111, 64);
    assert_eq!(judgement(&scene, Duty::IrqInfoFlags), Judgement::Pass);
    assert_eq!(judgement(&scene, Duty::NextIrqHasBase), Judgement::Pass);
    irq(&mut scene, INDEX + 2, 0b11111, 64);
    assert_eq!(judgement(&scene, Duty::NextIrqHasBase), Judgement::Fail);
    let mut scene = empty();
    irq(&mut scene, INDEX, 0b10111, 65);
    assert_eq!(judgement(&scene, Duty::IrqInfoFlags), Judgement::Fail);
    assert_eq!(judgement(&scene, Duty::NextIrqHasBase), Judgement::Fail);
}

#[test]
fn a_signal_by_the_user_is_refused() {
    let loopback = |result| {
        let mut scene = healthy(Encoding::Vectors);
        let call = Call::SetIrqs {
            index: INDEX,
            start: 0,
            count: 1,
            action: IrqAction::Trigger,
            data: IrqData::None,
        };
        scene.call(SERVICE, call, result, Answer::None);
        judgement(&scene, Duty::LoopbackRefused)
    };
    assert_eq!(loopback(Err(Errno::EINVAL)), Judgement::Pass);
    assert_eq!(loopback(Err(Errno::EIO)), Judgement::Fail);
    assert_eq!(loopback(Ok(0)), Judgement::Fail);
}

/// A region that a remap IRQ may name, with its first page mappable.
fn partial() -> Scene {
    let mut scene = Scene::new(Encoding::Vectors);
    let page = Area {
        offset: 0,
        size: 0x1000,
    };
    scene.query(region(1, &[page]));
    scene
}

#[test]
fn a_page_that_is_trapped_is_not_mapped() {
    let map = |result| {
        let mut scene = partial();
        let place = Place {
            region: 1,
            area: whole()[0],
            address: 0x1000,
        };
        scene.push(
            SERVICE,
            Body::Map(Map {
                device: DEVICE,
                place,
                result,
                origin: Origin::Seen,
            }),
        );
        scene.query(region(1, &[]));
        let verdict = checked(&scene);
        [Duty::TrappedMmapRefused, Duty::MapsAreas]
            .map(|duty| verdict.duties[duty as usize].judgement)
    };
    let none = Judgement::NotExercised;
    assert_eq!(map(Err(Errno::EBUSY)), [Judgement::Pass, none]);
    assert_eq!(map(Err(Errno::EIO)), [Judgement::Fail, none]);
    assert_eq!(map(Ok(())), [Judgement::Fail, Judgement::Advice]);
}

fn get() -> FeatureOp {
    FeatureOp {
        get: true,
        set: false,
        probe: false,
    }
}

/// MIG_DEVICE_STATE, GET.
fn query_state(scene: &mut Scene, state: DeviceState, data_fd: Option<i32>) {
    let call = Call::Feature {
        feature: remap_common::uapi::VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
        op: get(),
        data: FeatureData::default(),
    };
    scene.call(SERVICE, call, Ok(0), Answer::State { state, data_fd });
}

#[test]
fn the_old_state_stays_after_a_wait_that_failed() {
    let after = |errno, state| {
        let mut scene = Scene::new(Encoding::Vectors);
        scene.map_all(&[0]);
        query_state(&mut scene, DeviceState::Running, None);
        let call = Call::Feature {
            feature: remap_common::uapi::VFIO_DEVICE_FEATURE_MIGRATION,
            op: get(),
            data: FeatureData::default(),
        };
        let flags = Answer::MigrationFlags { flags: 0b111 };
        scene.call(SERVICE, call, Ok(0), flags);
        let begin_ns = scene.enter(DeviceState::PreCopy);
        scene.trigger(&[0]);
        scene.wake(&[0]);
        scene.exit(DeviceState::PreCopy, begin_ns, Err(errno));
        query_state(&mut scene, state, None);
        let verdict = checked(&scene);
        [
            Duty::OldStateStays,
            Duty::HandlesFailedChange,
            Duty::UserGoneEndsTheWait,
        ]
        .map(|duty| verdict.duties[duty as usize].judgement)
    };
    let (pass, none) = (Judgement::Pass, Judgement::NotExercised);
    let running = DeviceState::Running;
    assert_eq!(after(Errno::ECANCELED, running), [pass, pass, pass]);
    assert_eq!(after(Errno::ETIMEDOUT, running), [pass, pass, none]);
    let stopped = after(Errno::ETIMEDOUT, DeviceState::Stop);
    assert_eq!(stopped, [Judgement::Fail, pass, none]);
    // Another error is not that of a wait.
    assert_eq!(after(Errno::EIO, DeviceState::Stop)[0], none);
}

#[test]
fn a_query_gives_no_data_fd() {
    let mut scene = Scene::new(Encoding::Vectors);
    query_state(&mut scene, DeviceState::Running, None);
    assert_eq!(judgement(&scene, Duty::QueryGivesNoFd), Judgement::Pass);
    query_state(&mut scene, DeviceState::Running, Some(7));
    assert_eq!(judgement(&scene, Duty::QueryGivesNoFd), Judgement::Fail);
}

#[test]
fn a_stopped_device_is_quiet() {
    let signalled = |index: u32| {
        let mut scene = Scene::new(Encoding::Vectors);
        let begin_ns = scene.enter(DeviceState::Stop);
        scene.exit(DeviceState::Stop, begin_ns, Ok(0));
        let mut target = target(0, Role::Trigger);
        target.index = index;
        scene.push(
            SERVICE,
            Body::Signal(Signal {
                context: ContextKey(9),
                target,
                addend: 1,
                count: Some(0),
                inside: None,
                in_task: Some(false),
            }),
        );
        let begin_ns = scene.enter(DeviceState::Running);
        scene.exit(DeviceState::Running, begin_ns, Ok(0));
        judgement(&scene, Duty::QuietWhileStopped)
    };
    assert_eq!(signalled(2), Judgement::Fail);
    // ERR, REQ, and the remap IRQ.
    for index in [3, 4, INDEX] {
        assert_eq!(signalled(index), Judgement::Pass);
    }
}

#[test]
fn an_area_is_covered_by_areas_that_join() {
    let area = |offset, size| Area { offset, size };
    let areas = [area(0, 2), area(2, 2), area(6, 2)];
    for (part, covered) in [(area(0, 4), true), (area(1, 2), true), (area(3, 4), false)] {
        assert_eq!(observe::covers(&areas, part), covered, "{part:?}");
    }
    assert!(!observe::covers(&[], area(0, 1)));
}

//! Every kind of line, held against the schema and the text that people see.

use std::path::Path;

use serde_json::{Map, Value};

use super::json::Json;
use super::select::{Select, Selection};
use super::text::{Text, TextOptions};
use super::*;
use crate::correlate::tests::{self as played, Scene};
use crate::correlate::{
    Activity, Cause, Class, Closed, Correlator, DataStats, Early, Inferred, Interrupt, IrqChange,
    IrqName, IrqVerb, Mapped, MappedHow, Opened, Options, Precopy, RULES, Stay, Withheld, Zap,
    ZapEnd, ZappedRegion,
};
use crate::event::{
    Answer, Body, Call, ContextKey, DeviceState, DmaKind, EarlyCall, Errno, FaultOutcome,
    FeatureData, FeatureOp, IrqAction, IrqData, Node, NodeKey, Origin, Role, Target, UNKNOWN_INDEX,
    ZapCause,
};
use crate::probe::miss::{Miss, RECURSION};
use crate::vfio::irq::Encoding;
use crate::vmm::{checkpoint::tests::checkpoint, downtime::Downtimes, log::LogAccount};

const SCHEMA: &str = include_str!("../../../docs/schema/remap.schema.json");

/// As much of JSON Schema as ours uses. The path of what does not fit.
fn check(root: &Value, schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{path}: {what}: {value}"));
    for key in schema.as_object().into_iter().flat_map(Map::keys) {
        let known = [
            "$defs",
            "$ref",
            "$schema",
            "additionalProperties",
            "anyOf",
            "const",
            "description",
            "enum",
            "items",
            "minimum",
            "oneOf",
            "properties",
            "required",
            "title",
            "type",
        ];
        if !known.contains(&key.as_str()) {
            return Err(format!(
                "the schema uses {key}, which this test does not check"
            ));
        }
    }
    if let Some(name) = schema["$ref"].as_str() {
        let target = root
            .pointer(name.trim_start_matches('#'))
            .ok_or_else(|| format!("{name} leads nowhere"))?;
        check(root, target, value, path)?;
    }
    if let Some(expected) = schema.get("const")
        && expected != value
    {
        return wrong("not the constant");
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.contains(value)
    {
        return wrong("not in the enum");
    }
    for (key, exactly_one) in [("oneOf", true), ("anyOf", false)] {
        if let Some(choices) = schema[key].as_array() {
            let results: Vec<Result<(), String>> = choices
                .iter()
                .map(|choice| check(root, choice, value, path))
                .collect();
            let fit = results.iter().filter(|result| result.is_ok()).count();
            if fit == 0 || (exactly_one && fit > 1) {
                return Err(format!("{path}: {key}: {fit} fit: {results:?}"));
            }
        }
    }
    if !has_type(&schema["type"], value) {
        return wrong("another type");
    }
    if let Some(minimum) = schema["minimum"].as_i64()
        && value.as_i64().is_some_and(|value| value < minimum)
    {
        return wrong("below the minimum");
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        for (n, value) in values.iter().enumerate() {
            check(root, items, value, &format!("{path}[{n}]"))?;
        }
    }
    let Some(fields) = value.as_object() else {
        return Ok(());
    };
    for required in schema["required"].as_array().into_iter().flatten() {
        if !fields.contains_key(required.as_str().unwrap_or_default()) {
            return wrong(&format!("without {required}"));
        }
    }
    for (name, value) in fields {
        let path = format!("{path}.{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => return Err(format!("{path}: unknown field")),
            (Value::Null, Value::Object(_)) => {
                check(root, &schema["additionalProperties"], value, &path)?;
            }
            (Value::Null, _) => {}
            (property, _) => check(root, property, value, &path)?,
        }
    }
    Ok(())
}

fn has_type(types: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => false,
    };
    match types {
        Value::Null => true,
        Value::Array(names) => names.iter().any(is),
        name => is(name),
    }
}

/// A trace with something of everything.
fn scene() -> Scene {
    let mut scene = Scene::new(Encoding::Bitmap);
    scene.map_all(&[0, 2]);
    scene.migration(&[0, 2]);
    let begin_ns = scene.enter(DeviceState::PreCopy);
    scene.trigger(&[0]);
    scene.wake(&[0]);
    scene.trap(&[0]);
    scene.wait(2_000_000_000);
    scene.exit(DeviceState::PreCopy, begin_ns, Err(Errno(110)));
    scene.wait(200_000_000);
    scene.trigger(&[2]);
    scene.wake(&[2]);
    scene
}

fn write(sink: &mut impl Sink, scene: &Scene, options: Options) {
    let mut correlator = Correlator::new(options);
    for event in &scene.events {
        for output in correlator.push(event) {
            sink.output(&output).unwrap();
        }
    }
    for output in correlator.finish(scene.now) {
        sink.output(&output).unwrap();
    }
    let delivered = scene.events.len() as u64;
    let summary = Summary {
        seen: Some(delivered + 3),
        delivered,
        lost: [("ring_full".to_owned(), 1), (RECURSION.to_owned(), 2)].into(),
        missed: vec![Miss {
            reason: RECURSION,
            program: "eventfd_signal_fentry",
            function: Some("eventfd_signal_mask".to_owned()),
            count: 2,
        }],
        stats: correlator.into_stats(),
        withheld: Withheld::default(),
        logs: Vec::new(),
    };
    sink.summary(&summary).unwrap();
}

fn lines(bytes: Vec<u8>) -> Vec<Value> {
    let text = String::from_utf8(bytes).unwrap();
    let root: Value = serde_json::from_str(SCHEMA).unwrap();
    text.lines()
        .map(|line| {
            assert!(
                line.starts_with("{\"type\":\""),
                "type is not first: {line}"
            );
            let value: Value = serde_json::from_str(line).unwrap();
            if let Err(error) = check(&root, &root, &value, "") {
                panic!("{line} does not fit the schema: {error}");
            }
            value
        })
        .collect()
}

fn field(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

#[test]
fn every_line_fits_the_schema() {
    let mut json = Json::new(Vec::new());
    let stages = true;
    write(
        &mut json,
        &scene(),
        Options {
            stages,
            ..Options::default()
        },
    );
    let lines = lines(json.into_inner());
    let mut types: Vec<String> = lines.iter().map(|line| field(line, "type")).collect();
    assert_eq!(types.last().map(String::as_str), Some("summary"));
    types.sort();
    types.dedup();
    assert_eq!(
        types,
        ["cycle", "finding", "stage", "stay", "summary", "transition"]
    );
    let cycles = lines.iter().filter(|line| line["type"] == "cycle");
    let outcomes: Vec<String> = cycles.map(|line| field(line, "outcome")).collect();
    let expected = [
        "remapped",
        "remapped",
        "remapped",
        "remapped",
        "unacked",
        "incomplete",
    ];
    assert_eq!(outcomes, expected);
    let summary = lines.last().unwrap();
    assert_eq!(summary["cycles"], 6);
    assert_eq!(summary["lost"]["ring_full"], 1);
    assert_eq!(summary["missed"][0]["program"], "eventfd_signal_fentry");
    assert_eq!(summary["findings"]["missing-ack"], 1);
}

#[test]
fn the_schema_knows_every_rule() {
    let root: Value = serde_json::from_str(SCHEMA).unwrap();
    let known = root["$defs"]["finding"]["properties"]["rule"]["enum"]
        .as_array()
        .unwrap();
    let known: Vec<&str> = known.iter().filter_map(Value::as_str).collect();
    let rules: Vec<&str> = RULES.iter().map(|(_, id, _)| *id).collect();
    assert_eq!(known, rules);
    let page = include_str!("../../../docs/json.md");
    for (n, (rule, id, advice)) in RULES.into_iter().enumerate() {
        assert_eq!(
            rule as usize, n,
            "the table is not in the order of the enum"
        );
        assert!(page.contains(&format!("`{id}`")), "docs/json.md lacks {id}");
        assert!(advice.ends_with('.'));
    }
}

#[test]
fn the_check_finds_what_does_not_fit() {
    let root: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut json = Json::new(Vec::new());
    write(&mut json, &scene(), Options::default());
    let mut cycle = lines(json.into_inner())
        .into_iter()
        .find(|line| line["type"] == "cycle")
        .unwrap();
    for (name, value) in [
        ("outcome", Value::from("fine")),
        ("region", Value::from(-1)),
        ("before", Value::from(3)),
        ("surprise", Value::from(1)),
    ] {
        let mut wrong = cycle.clone();
        wrong[name] = value;
        assert!(
            check(&root, &root, &wrong, "").is_err(),
            "{name} was not checked"
        );
    }
    cycle.as_object_mut().unwrap().remove("ack_ns");
    assert!(check(&root, &root, &cycle, "").is_err());
}

fn feature(feature: u32, data: FeatureData) -> Call {
    let op = FeatureOp {
        get: false,
        set: true,
        probe: false,
    };
    Call::Feature { feature, op, data }
}

fn fault(outcome: FaultOutcome) -> Body {
    Body::Fault {
        device: played::DEVICE,
        region: 0,
        offset: 0x1000,
        address: 0x7000_0000_1000,
        begin_ns: 1,
        outcome,
    }
}

fn zap(cause: ZapCause) -> Body {
    Body::Zap {
        device: played::DEVICE,
        regions: (0, u32::MAX),
        offset: 0,
        size: 0,
        cause,
    }
}

fn dma(kind: DmaKind, vaddr: Option<u64>) -> Body {
    Body::Dma {
        node: NodeKey(2),
        kind,
        iova: 0,
        size: 4096,
        vaddr,
        begin_ns: 1,
        result: Ok(0),
    }
}

#[test]
fn every_event_fits_the_schema() {
    let mut scene = scene();
    let op = FeatureOp {
        get: true,
        set: false,
        probe: true,
    };
    let calls = [
        Call::Reset,
        Call::Other { request: 0x3b6e },
        Call::Unreadable { request: 0x3b6e },
        Call::Feature {
            feature: 1,
            op,
            data: FeatureData::None,
        },
        Call::HotReset,
        Call::BindIommufd { iommufd: 7 },
        Call::AttachPt { pt: 2 },
        Call::DetachPt,
        feature(4, FeatureData::Wakeup { fd: 8 }),
        feature(
            6,
            FeatureData::LoggingStart {
                page_size: 4096,
                ranges: 2,
            },
        ),
        feature(
            8,
            FeatureData::LoggingReport {
                iova: 0x1000,
                length: 4096,
                page_size: 4096,
            },
        ),
        feature(10, FeatureData::BusMaster { op: 1 }),
    ];
    for call in calls {
        let malformed = Answer::Malformed("loops".into());
        scene.call(1, call, Err(Errno(25)), malformed);
    }
    scene.set_irqs(IrqAction::Unknown(9), 0, 1, IrqData::Unknown(3));
    scene.set_irqs(IrqAction::Mask, 0, 1, IrqData::Bool(vec![true]));
    let target = played::target(0, Role::Unmask);
    let context = ContextKey(9);
    let device = played::DEVICE;
    let bodies = [
        Body::Early {
            device,
            call: EarlyCall::Write { region: 9 },
            waits_in: Vec::new(),
        },
        Body::EarlyOver { device, seen_ns: 3 },
        Body::Release { context, target },
        Body::Write {
            context,
            target,
            begin_ns: 3,
            value: Some(u64::MAX),
            result: Ok(8),
        },
        Body::Signal {
            context,
            target,
            addend: 1,
            count: None,
            inside: Some(device),
            in_task: Some(true),
        },
        Body::StateWriteEnter {
            device,
            region: 9,
            word: None,
        },
        Body::StateWriteExit {
            device,
            region: 9,
            word: Some(3),
            begin_ns: 1,
            result: Ok(4),
        },
        Body::Owner {
            pid: 100,
            vm: Some("guest".into()),
        },
        Body::Context {
            context: ContextKey(10),
            target: Target {
                index: UNKNOWN_INDEX,
                ..target
            },
            fd: None,
            origin: Origin::SignalledInside,
        },
        Body::Consumed {
            context,
            target,
            value: Some(1),
        },
        fault(FaultOutcome::Populated { bytes: Some(4096) }),
        fault(FaultOutcome::Populated { bytes: None }),
        fault(FaultOutcome::Refused),
        fault(FaultOutcome::RefusedForDma),
        fault(FaultOutcome::Fallback),
        fault(FaultOutcome::Other(0x400)),
        zap(ZapCause::Ioctl {
            request: 0x3b75,
            feature: Some(3),
        }),
        zap(ZapCause::ConfigWrite {
            offset: 4,
            value: Some(0),
        }),
        zap(ZapCause::StateWrite),
        zap(ZapCause::Unknown),
        Body::ConfigWrite {
            device,
            offset: 4,
            value: None,
            begin_ns: 1,
            result: Ok(2),
        },
        dma(DmaKind::Map, Some(0x7000_0000)),
        dma(DmaKind::Unmap, None),
        dma(DmaKind::UnmapAll, None),
        Body::NodeOpen {
            node: Node::Group { number: Some(4) },
            result: Ok(()),
        },
        Body::NodeOpen {
            node: Node::Cdev { number: None },
            result: Err(Errno(16)),
        },
        Body::NodeClose {
            node: Node::Container { key: NodeKey(2) },
        },
        Body::DeviceFile {
            device,
            node: Node::Iommufd { key: NodeKey(3) },
            fd: Some(9),
        },
        Body::Data {
            device: Some(device),
            file: 0xf,
            write: true,
            requested: 9,
            begin_ns: 1,
            result: Ok(9),
        },
        Body::Data {
            device: None,
            file: 0xf,
            write: false,
            requested: 9,
            begin_ns: 1,
            result: Err(Errno(5)),
        },
        Body::PrecopyInfo {
            device: Some(device),
            file: 0xf,
            begin_ns: 1,
            bytes: Some((1, 2)),
            result: Ok(0),
        },
        Body::PrecopyInfo {
            device: None,
            file: 0xf,
            begin_ns: 1,
            bytes: None,
            result: Err(Errno(22)),
        },
        Body::Lost { count: 2 },
        Body::Close {
            device,
            dying: Some(false),
        },
    ];
    for body in bodies {
        scene.push(1, body);
    }
    let mut json = Json::new(Vec::new());
    for event in &scene.events {
        json.event(event, played::NAME).unwrap();
    }
    let lines = lines(json.into_inner());
    let mut kinds: Vec<String> = lines.iter().map(|line| field(line, "kind")).collect();
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds.len(), 27, "{kinds:?}");
    let text = serde_json::to_string(&lines).unwrap();
    assert!(text.contains(&u64::MAX.to_string()));
}

#[test]
fn text_is_readable() {
    let mut text = Text::new(
        Vec::new(),
        TextOptions {
            colour: false,
            start_ns: 1_000_000,
        },
    );
    write(&mut text, &scene(), Options::default());
    expect("expected.txt", &text.into_inner());
}

/// Holds text against a file beside this one; REMAP_BLESS=1 writes it.
fn expect(file: &str, text: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/sink")
        .join(file);
    let text = std::str::from_utf8(text).unwrap();
    if std::env::var_os("REMAP_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == expected,
        "{file} says:\n{expected}\nand this is:\n{text}"
    );
}

#[test]
fn an_event_as_text_shows_no_kernel_address() {
    let mut text = Text::new(Vec::new(), TextOptions::default());
    let scene = scene();
    for event in &scene.events {
        text.event(event, played::NAME).unwrap();
    }
    let text = String::from_utf8(text.into_inner()).unwrap();
    assert!(!text.contains("Key("), "{text}");
    let signal = text.lines().find(|line| line.contains("signal")).unwrap();
    let fields =
        "signal addend=5 context=1 count=0 in_task=true inside=false irq_index=5 role=\"trigger\"";
    assert!(signal.contains(fields), "{signal}");
}

/// One of each kind of line beside cycles, changes and findings.
fn other_lines() -> Vec<Output> {
    let device = played::NAME.to_owned();
    let task = played::task(played::SERVICE);
    let us = |us: u64| us * 1000;
    let region = ZappedRegion {
        region: 2,
        mapped_bytes: 16 << 20,
        dma_bytes: 4096,
        pages: [(4096, 256), (2 << 20, 1)].into(),
        unsized_faults: 0,
        refused: 3,
    };
    let zap = Zap {
        id: 1,
        device: device.clone(),
        cause: Cause::LowPowerEntryWithWakeup,
        time_ns: us(10),
        steps: 1,
        task: task.clone(),
        regions: vec![region],
        transition: None,
        first_ns: Some(us(20)),
        last_ns: Some(us(1210)),
        fault_ns: us(400),
        refused_ns: Some(us(30)),
        wakeup_ns: Some(us(15)),
        end_ns: us(1210),
        end: ZapEnd::Quiet,
    };
    let untouched = Zap {
        cause: Cause::MemoryOff,
        regions: Vec::new(),
        last_ns: None,
        wakeup_ns: None,
        end: ZapEnd::TraceEnd,
        ..zap.clone()
    };
    let change = IrqChange {
        device: device.clone(),
        time_ns: us(40),
        begin_ns: us(20),
        index: 2,
        name: IrqName::Msix,
        verb: IrqVerb::Enable,
        start: 0,
        count: 65,
        result: Ok(()),
        task: task.clone(),
    };
    let interrupt = Interrupt {
        device: device.clone(),
        index: 2,
        name: IrqName::Msix,
        sub: 3,
        signal_ns: Some(us(41)),
        time_ns: us(50),
        signals: Some(2),
        in_kernel: false,
        task: task.clone(),
    };
    let taken = Interrupt {
        signal_ns: None,
        signals: None,
        in_kernel: true,
        ..interrupt.clone()
    };
    let mapped = Mapped {
        device: device.clone(),
        time_ns: us(60),
        how: MappedHow::Dma(DmaKind::Map),
        region: 2,
        offset: 0x1000,
        size: 1 << 20,
        result: Err(Errno(14)),
        origin: Origin::Seen,
        task: task.clone(),
    };
    let data = DataStats {
        reads: 3,
        read_bytes: 3 << 19,
        ..DataStats::default()
    };
    let activity = Activity {
        faults: 4,
        fault_ns: us(9),
        zaps: 0,
        data,
    };
    let stay = Stay {
        device: device.clone(),
        state: DeviceState::PreCopy,
        since_ns: us(70),
        until_ns: us(570),
        entered: true,
        left: false,
        data_fd: Some(9),
        activity,
        precopy: Some(Precopy {
            count: 2,
            initial_bytes: 0,
            dirty_bytes: 4096,
            last_ns: us(500),
        }),
        task: task.clone(),
    };
    let opened = Opened {
        device: device.clone(),
        time_ns: us(5),
        node: Node::Group { number: Some(12) },
        fd: Some(20),
        task: task.clone(),
    };
    let closed = Closed {
        device: device.clone(),
        time_ns: us(900),
        dying: Some(true),
        state: Some(DeviceState::StopCopy),
        text: "closed by the end of its process in STOP_COPY".into(),
        task: task.clone(),
    };
    let inferred = Inferred {
        device,
        time_ns: us(80),
        origin: Origin::SignalledInside,
        text: "an eventfd is the device's: it was signalled inside a call".into(),
        task,
    };
    let early = Early {
        device: played::NAME.into(),
        time_ns: us(950),
        call: EarlyCall::Ioctl(feature(2, FeatureData::State(DeviceState::StopCopy))),
        waits_in: vec!["rr_wait".into(), "rr_set_state".into()],
        last_seen_ns: Some(us(940)),
        task: played::task(played::DRIVER),
    };
    vec![
        Output::Opened(opened),
        Output::Zap(Box::new(zap)),
        Output::Zap(Box::new(untouched)),
        Output::IrqChange(change),
        Output::Interrupt(interrupt),
        Output::Interrupt(taken),
        Output::Mapped(mapped),
        Output::Stay(Box::new(stay)),
        Output::Inferred(inferred),
        Output::Closed(closed),
        Output::Early(Early {
            last_seen_ns: None,
            time_ns: us(1),
            ..early.clone()
        }),
        Output::Early(early),
    ]
}

#[test]
fn every_other_line_is_readable() {
    let mut text = Text::new(Vec::new(), TextOptions::default());
    text.owner(played::task(played::SERVICE).pid, Some("web"));
    for output in other_lines() {
        text.output(&output).unwrap();
    }
    expect("expected_lines.txt", &text.into_inner());
}

#[test]
fn every_other_line_has_a_class() {
    let classes: Vec<&str> = other_lines()
        .iter()
        .map(|output| output.class().name())
        .collect();
    let expected = [
        "file",
        "mapping",
        "mapping",
        "irq",
        "irq",
        "irq",
        "dma",
        "migration",
        "remap",
        "file",
        "migration",
        "migration",
    ];
    assert_eq!(classes, expected);
}

fn selected(selection: Selection) -> Vec<Value> {
    let mut sink = Select::new(Json::new(Vec::new()), selection);
    write(&mut sink, &scene(), Options::default());
    let (checkpoints, downtime) = vmm();
    sink.checkpoint(&checkpoints[0]).unwrap();
    sink.downtime(&downtime).unwrap();
    lines(sink.into_inner().into_inner())
}

/// How many lines of a type.
fn count(lines: &[Value], name: &str) -> usize {
    lines.iter().filter(|line| line["type"] == name).count()
}

#[test]
fn a_class_is_shown_and_all_are_counted() {
    let all = selected(Selection::default());
    let classes = Some([Class::Migration].into());
    let got = selected(Selection {
        classes,
        ..Selection::default()
    });
    assert_eq!(count(&got, "transition"), count(&all, "transition"));
    for name in ["cycle", "finding", "checkpoint", "downtime"] {
        assert!(count(&all, name) > 0, "{name}");
        assert_eq!(count(&got, name), 0, "{name}");
    }
    let summary = |lines: &[Value]| lines.iter().find(|line| line["type"] == "summary").cloned();
    let (all, got) = (summary(&all).unwrap(), summary(&got).unwrap());
    assert_eq!(got["devices"], all["devices"]);
    // Six cycles and a finding; what came behind the summary is not in it.
    assert_eq!(got["withheld"]["by_class"], 7);
    assert_eq!(all["withheld"]["by_class"], 0);
}

#[test]
fn what_was_short_is_not_shown_and_what_is_unknown_is() {
    let got = selected(Selection {
        min_latency_ns: Some(1_000_000_000),
        ..Selection::default()
    });
    assert_eq!(count(&got, "transition"), 1, "the one that timed out");
    // Unacked and incomplete: nobody knows how long those took.
    assert_eq!(count(&got, "cycle"), 2);
    assert_eq!(count(&got, "finding"), 1);
    assert_eq!((count(&got, "checkpoint"), count(&got, "downtime")), (1, 0));
    let summary = got.iter().find(|line| line["type"] == "summary").unwrap();
    // Four cycles, two state changes, two stays between them.
    assert_eq!(summary["withheld"]["by_latency"], 8);
    assert_eq!(summary["cycles"], 6);
}

/// What two VMMs say of one migration.
fn vmm() -> (Vec<Checkpoint>, Downtime) {
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
    assert_eq!(downtime["whole"]["kernel"]["state_change"], 61_000);
    assert_eq!(downtime["whole"]["vmm_ns"], 200_000 - 61_000);
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
fn colour_only_if_told() {
    for colour in [false, true] {
        let mut text = Text::new(
            Vec::new(),
            TextOptions {
                colour,
                start_ns: 0,
            },
        );
        write(&mut text, &scene(), Options::default());
        assert_eq!(text.into_inner().contains(&0x1b), colour);
    }
}

//! Names that are chosen to harm the terminal of the one who reads them.

use super::*;
use crate::event::{Event, Task};

/// Clears a screen, reverses text, begins a line of its own.
const HOSTILE: &str = "\x1b[2J\u{9b}31m\u{202e}\nremap: no findings\r";

fn spoil(text: &mut String) {
    HOSTILE.clone_into(text);
}

fn spoil_task(task: &mut Task) {
    spoil(&mut task.comm);
}

/// An output with each name of others replaced.
fn spoiled(mut output: Output) -> Output {
    let (device, task) = match &mut output {
        Output::Cycle(cycle) => (&mut cycle.device, None),
        Output::Finding(finding) => (&mut finding.device, None),
        Output::Transition(change) => (&mut change.device, Some(&mut change.task)),
        Output::StateInterval(interval) => (&mut interval.device, Some(&mut interval.task)),
        Output::Zap(zap) => (&mut zap.device, Some(&mut zap.task)),
        Output::Stage(line) => (&mut line.device, Some(&mut line.task)),
        Output::IrqChange(change) => (&mut change.device, Some(&mut change.task)),
        Output::Interrupt(interrupt) => (&mut interrupt.device, Some(&mut interrupt.task)),
        Output::Mapped(mapped) => (&mut mapped.device, Some(&mut mapped.task)),
        Output::Opened(opened) => (&mut opened.device, Some(&mut opened.task)),
        Output::Closed(closed) => (&mut closed.device, Some(&mut closed.task)),
        Output::Inferred(inferred) => (&mut inferred.device, Some(&mut inferred.task)),
        Output::InFlightCall(call) => {
            call.waits_in.iter_mut().for_each(spoil);
            (&mut call.device, Some(&mut call.task))
        }
    };
    spoil(device);
    task.map(spoil_task);
    output
}

fn spoiled_event(event: &Event) -> Event {
    let mut event = event.clone();
    spoil_task(&mut event.task);
    match &mut event.body {
        Body::Device(seen) => {
            spoil(&mut seen.name);
            seen.driver.as_mut().map(spoil);
        }
        Body::Owner { vm, .. } => *vm = Some(HOSTILE.to_owned()),
        _ => {}
    }
    event
}

/// A trace with something of everything, as others want it to look, or as it is.
fn written(sink: &mut impl Sink, hostile: bool) {
    let mut scene = scene();
    let mut outputs = other_lines();
    let mut events = every_event();
    let (mut checkpoints, mut downtime) = vmm();
    let mut device = played::NAME.to_owned();
    let mut summary = Summary {
        logs: vec![LogAccount::default()],
        ..Summary::default()
    };
    if hostile {
        scene.events = scene.events.iter().map(spoiled_event).collect();
        outputs = outputs.into_iter().map(spoiled).collect();
        events = events.iter().map(spoiled_event).collect();
        for checkpoint in &mut checkpoints {
            let Checkpoint {
                log,
                event,
                arguments,
                device,
                ..
            } = checkpoint;
            [log, event, arguments].into_iter().for_each(spoil);
            device.as_mut().map(spoil);
        }
        spoil(&mut downtime.source);
        downtime.destination.as_mut().map(spoil);
        for part in &mut downtime.parts {
            spoil(&mut part.from);
            part.to.as_mut().map(spoil);
        }
        spoil(&mut device);
        spoil(&mut summary.logs[0].name);
    }
    let vm = if hostile { HOSTILE } else { "web" };
    for pid in [played::task(played::SERVICE).pid, 1] {
        sink.owner(pid, Some(vm));
    }
    // Findings and cycles come from events, the names in the table too.
    write(sink, &scene, Options::default());
    for output in &outputs {
        sink.output(output).unwrap();
    }
    for checkpoint in &checkpoints {
        sink.checkpoint(checkpoint).unwrap();
    }
    sink.downtime(&downtime).unwrap();
    for event in &events {
        sink.event(event, &device).unwrap();
    }
    sink.summary(&summary).unwrap();
}

fn text_of(hostile: bool, colour: bool) -> String {
    let start_ns = 0;
    let mut text = Text::new(Vec::new(), TextOptions { colour, start_ns });
    written(&mut text, hostile);
    String::from_utf8(text.into_inner()).unwrap()
}

#[test]
fn no_name_controls_the_terminal() {
    let text = text_of(true, false);
    let controls = |char: char| char.is_control() && char != '\n' || char == '\u{202e}';
    assert!(!text.contains(controls), "{text:?}");
    assert!(text.contains("\\x1b[2J\\u{9b}31m\\u{202e}\\nremap: no findings\\r"));
    // No name makes a line.
    assert_eq!(text.lines().count(), text_of(false, false).lines().count());
    let begins = |line: &str| line.starts_with("remap:");
    assert!(!text.lines().any(begins), "{text}");
}

#[test]
fn only_our_own_colours_are_written() {
    let (hostile, ordinary) = (text_of(true, true), text_of(false, true));
    let escapes = |text: &str| text.matches('\x1b').count();
    assert_eq!(escapes(&hostile), escapes(&ordinary));
    let own = ["\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"];
    let of_ours: usize = own.iter().map(|own| hostile.matches(own).count()).sum();
    assert_eq!(escapes(&hostile), of_ours);
}

#[test]
fn json_is_exact() {
    let mut json = Json::new(Vec::new());
    written(&mut json, true);
    let lines = lines(json.into_inner());
    let named = lines.iter().filter(|line| line["device"] == HOSTILE);
    assert!(named.count() > 0);
    assert!(lines.iter().any(|line| line["comm"] == HOSTILE));
}

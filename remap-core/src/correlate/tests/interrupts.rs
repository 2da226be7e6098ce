//! Interrupts: reads, latencies, and interrupts that are not read.

use super::mainline::{MSIX, REQ, SECOND};
use super::*;
use crate::event::Signal;
use crate::model::IrqVerb;

fn stock() -> Scene {
    let mut scene = Scene::stock("vfio-pci");
    scene.enable_on(MSIX, &[20, 21, 22], Ok(0));
    scene
}

#[test]
fn latency_is_from_the_first_signal_since_the_last_read() {
    let mut scene = stock();
    scene.signal_on(MSIX, 1, 21);
    scene.signal_on(MSIX, 1, 21);
    scene.read_on(MSIX, 1, 21, 2);
    scene.signal_on(MSIX, 1, 21);
    scene.read_on(MSIX, 1, 21, 1);
    scene.signal_on(MSIX, 2, 22);
    scene.consume_on(MSIX, 2, 22);
    let stats = scene.stats();
    let irq = &stats.devices[NAME].irqs[&MSIX];
    assert_eq!(irq.name.name(), "MSIX");
    assert_eq!(irq.calls[&IrqVerb::Enable], 1);
    let vector = &irq.vectors[&1];
    assert_eq!((vector.signals, vector.reads, vector.coalesced), (3, 2, 1));
    let latency = vector.latency().unwrap();
    assert_eq!((latency.count, latency.max), (2, 2000));
    let vector = &irq.vectors[&2];
    assert_eq!((vector.consumed, vector.reads, vector.unread), (1, 0, 0));
    assert_eq!(vector.latency(), None);
}

#[test]
fn each_read_goes_out_if_asked() {
    let mut scene = stock();
    scene.signal_on(MSIX, 0, 20);
    scene.read_on(MSIX, 0, 20, 1);
    let options = Options {
        interrupts: true,
        ..Options::default()
    };
    let outputs = scene.play_with(options).0;
    let classes: Vec<Class> = outputs.iter().map(Output::class).collect();
    assert_eq!(classes, [Class::Irq; 2]);
    assert_eq!(outputs[1].duration(), Some(1000));
    assert_eq!(scene.play().0, []);
}

#[test]
fn a_signal_that_user_space_asked_for_is_software() {
    let mut scene = stock();
    let call = Call::SetIrqs {
        index: MSIX,
        start: 0,
        count: 1,
        action: IrqAction::Trigger,
        data: IrqData::None,
    };
    let device = DEVICE;
    let enter = call.clone();
    scene.push(
        SERVICE,
        Body::Enter {
            device,
            call: enter,
        },
    );
    for in_task in [true, true, false] {
        let body = Body::Signal(Signal {
            context: ContextKey(20),
            target: Scene::on(MSIX, 0),
            addend: 1,
            count: None,
            inside: Some(DEVICE),
            in_task: Some(in_task),
        });
        scene.push(SERVICE, body);
    }
    scene.call(SERVICE, call, Ok(0), Answer::None);
    let stats = scene.stats();
    let irq = &stats.devices[NAME].irqs[&MSIX];
    assert_eq!((irq.vectors[&0].signals, irq.vectors[&0].software), (3, 2));
    assert_eq!(irq.calls[&IrqVerb::Trigger], 1);
}

#[test]
fn an_interrupt_without_a_reader() {
    let mut scene = stock();
    scene.signal_on(MSIX, 0, 20);
    scene.signal_on(MSIX, 1, 21);
    scene.read_on(MSIX, 1, 21, 1);
    scene.wait(2 * SECOND);
    assert_eq!(scene.play().rules(), ["never-read"]);
    let stats = scene.stats();
    assert_eq!(stats.devices[NAME].irqs[&MSIX].vectors[&0].unread, 1);
    let options = Options {
        sees_consumers: false,
        ..Options::default()
    };
    assert_eq!(scene.play_with(options).rules(), Vec::<&str>::new());
}

#[test]
fn what_is_no_proof_is_no_finding() {
    let harmless: [fn(&mut Scene); 5] = [
        // Just now.
        |scene| scene.wait(SECOND / 2),
        |scene| scene.push(0, Body::Lost(Lost::any(1))),
        |scene| scene.close(false),
        |scene| scene.enable_on(MSIX, &[30, 31, 32], Ok(0)),
        // It may have removed some of them before it failed.
        |scene| scene.enable_on(MSIX, &[30, 31, 32], Err(Errno::ENOMEM)),
    ];
    for (n, end) in harmless.into_iter().enumerate() {
        let mut scene = stock();
        scene.signal_on(MSIX, 0, 20);
        end(&mut scene);
        if n > 0 {
            scene.wait(2 * SECOND);
        }
        assert_eq!(scene.play().rules(), Vec::<&str>::new(), "{n}");
    }
}

#[test]
fn a_device_that_is_asked_for() {
    let ask = |closes: bool| {
        let mut scene = Scene::stock("vfio-pci");
        scene.enable_on(REQ, &[40], Ok(0));
        scene.signal_on(REQ, 0, 40);
        scene.read_on(REQ, 0, 40, 1);
        if closes {
            scene.close(false);
        }
        scene.wait(3 * SECOND);
        scene.play().rules()
    };
    assert_eq!(ask(false), ["request-ignored"]);
    assert_eq!(ask(true), Vec::<&str>::new());
}

#[test]
fn a_device_that_is_asked_for_without_an_eventfd() {
    let ask = |after: fn(&mut Scene)| {
        let mut scene = Scene::stock("vfio-pci");
        let (device, count) = (DEVICE, 0);
        scene.push(DRIVER, Body::Request { device, count });
        after(&mut scene);
        scene.wait(3 * SECOND);
        scene.play()
    };
    let played = ask(|_| {});
    assert_eq!(played.rules(), ["request-ignored"]);
    let text = sentence::finding(&played.findings()[0].evidence);
    assert!(text.contains("no REQ eventfd was signalled"), "{text}");
    // Another index has an eventfd.
    let other = ask(|scene| scene.enable_on(MSIX, &[20], Ok(0)));
    let text = sentence::finding(&other.findings()[0].evidence);
    assert!(text.contains("no REQ eventfd was signalled"), "{text}");
    let unknown = |played: &Played| {
        let evidence = &played.findings()[0].evidence;
        matches!(
            evidence,
            Evidence::RequestIgnored {
                signalled: None,
                ..
            }
        )
    };
    // Set, but its signal was not observed: another index may have the same eventfd.
    assert!(unknown(&ask(|scene| scene.enable_on(REQ, &[40], Ok(0)))));
    // It is asked for again after a loss.
    assert!(unknown(&ask(|scene| {
        let (device, count) = (DEVICE, 1);
        scene.push(DRIVER, Body::Lost(Lost::any(1)));
        scene.push(DRIVER, Body::Request { device, count });
    })));
    let closed = ask(|scene| scene.close(false));
    assert_eq!(closed.rules(), Vec::<&str>::new());
    // The close may be among what was lost.
    let lost = ask(|scene| scene.push(DRIVER, Body::Lost(Lost::any(1))));
    assert_eq!(lost.rules(), Vec::<&str>::new());
    // A counter that the kernel has taken is no close.
    let lost = ask(|scene| {
        let lost = Lost {
            records: LostKind::Consumed,
            ..Lost::any(1)
        };
        scene.push(DRIVER, Body::Lost(lost));
    });
    assert_eq!(lost.rules(), ["request-ignored"]);
}

#[test]
fn a_call_that_fails_changes_no_counter() {
    let mut scene = Scene::new(Encoding::Bitmap);
    scene.map_all(&[0, 1]);
    scene.trigger(&[1]);
    scene.enable_on(INDEX, &[77], Err(Errno::EINVAL));
    // The old eventfd still has the first.
    scene.trigger(&[0]);
    scene.wake(&[0, 1]);
    scene.trap(&[0, 1]);
    scene.ack(&[0, 1]);
    let played = scene.play();
    assert_eq!(played.rules(), Vec::<&str>::new());
    assert_eq!(played.outcomes(), [Outcome::Remapped; 2]);
}

#[test]
fn a_vector_that_was_found_is_as_good_as_one_that_was_seen() {
    let mut scene = Scene::stock("vfio-pci");
    scene.context(SERVICE, ContextKey(50), Scene::on(MSIX, 7), Origin::Found);
    scene.signal_on(MSIX, 7, 50);
    scene.wait(2 * SECOND);
    assert_eq!(scene.play().rules(), ["never-read"]);
}

#[test]
fn a_read_without_a_known_signal_has_no_number_of_signals() {
    let mut scene = stock();
    scene.read_on(MSIX, 0, 20, 1);
    let options = Options {
        interrupts: true,
        ..Options::default()
    };
    let outputs = scene.play_with(options).0;
    let Some(Output::Interrupt(interrupt)) = outputs.last() else {
        panic!("{outputs:?}");
    };
    assert_eq!((interrupt.signals, interrupt.signal_ns), (None, None));
}

/// What is found of two signals without a read, after `end`; and how many count as unread.
fn unread(end: impl Fn(&mut Scene)) -> (Vec<String>, [u64; 2]) {
    let mut scene = stock();
    scene.signal_on(MSIX, 0, 20);
    scene.signal_on(MSIX, 1, 21);
    end(&mut scene);
    scene.wait(2 * SECOND);
    let stats = scene.stats();
    let vectors = &stats.devices[NAME].irqs[&MSIX].vectors;
    (scene.play().texts(), [0, 1].map(|sub| vectors[&sub].unread))
}

fn set(scene: &mut Scene, start: u32, count: u32, data: IrqData) {
    let call = Call::SetIrqs {
        index: MSIX,
        start,
        count,
        action: IrqAction::Trigger,
        data,
    };
    scene.call(SERVICE, call, Ok(0), Answer::None);
}

#[test]
fn an_eventfd_that_was_taken_away_need_not_be_read() {
    let (texts, counts) = unread(|_| {});
    assert!(
        texts[0].contains("2 vectors") || texts[0].contains("0, 1"),
        "{texts:?}"
    );
    assert_eq!(counts, [1, 1]);
    let (texts, counts) = unread(|scene| set(scene, 0, 0, IrqData::None));
    assert_eq!((texts.len(), counts), (0, [1, 1]));
    // One of them; 0 is an fd as good as any other.
    for fds in [vec![0, -1], vec![7, -1]] {
        let (texts, counts) = unread(|scene| set(scene, 0, 2, IrqData::Eventfd(fds.clone())));
        assert_eq!((texts.len(), counts), (1, [1, 1]));
        assert!(!texts[0].contains(" 1"), "{texts:?}");
    }
    let (texts, _) = unread(|scene| set(scene, 1, 1, IrqData::Eventfd(vec![-1])));
    assert_eq!(texts.len(), 1);
}

#[test]
fn a_closed_eventfd_need_not_be_read() {
    let close = |sub: u32, key: u64| {
        let (texts, _) = unread(|scene| {
            let (context, target) = (ContextKey(key), Scene::on(MSIX, sub));
            scene.push(SERVICE, Body::Release { context, target });
            // The other one is read.
            scene.read_on(MSIX, 1 - sub, 21 - u64::from(sub), 1);
        });
        texts.len()
    };
    assert_eq!(close(0, 20), 0);
    // An eventfd that was replaced before.
    assert_eq!(close(0, 99), 1);
}

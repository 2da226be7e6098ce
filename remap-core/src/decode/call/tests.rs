//! The arguments of each request, word by word.

use vfio_bindings::bindings::vfio::{
    VFIO_IRQ_SET_ACTION_MASK, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_ACTION_UNMASK,
    VFIO_IRQ_SET_DATA_EVENTFD, VFIO_IRQ_SET_DATA_NONE,
};

use super::*;

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn feature_call(flags: u32, words: &[u32]) -> Call {
    call(
        uapi::VFIO_DEVICE_FEATURE,
        &bytes(&[&[64, flags], words].concat()),
    )
}

#[test]
fn each_request_has_its_call() {
    let words = bytes(&[16, 0, 7, 0]);
    for (request, expected) in [
        (
            uapi::VFIO_DEVICE_GET_IRQ_INFO,
            Call::GetIrqInfo { index: 7 },
        ),
        (
            uapi::VFIO_DEVICE_GET_REGION_INFO,
            Call::GetRegionInfo { index: 7 },
        ),
        (uapi::VFIO_DEVICE_RESET, Call::Reset),
        (uapi::VFIO_DEVICE_PCI_HOT_RESET, Call::HotReset),
        (
            uapi::VFIO_DEVICE_BIND_IOMMUFD,
            Call::BindIommufd { iommufd: 7 },
        ),
        (
            uapi::VFIO_DEVICE_ATTACH_IOMMUFD_PT,
            Call::AttachPt { pt: 7 },
        ),
        (uapi::VFIO_DEVICE_DETACH_IOMMUFD_PT, Call::DetachPt),
        (1, Call::Other { request: 1 }),
    ] {
        assert_eq!(call(request, &words), expected);
    }
}

#[test]
fn a_request_without_its_argument_is_unreadable() {
    for request in [
        uapi::VFIO_DEVICE_GET_IRQ_INFO,
        uapi::VFIO_DEVICE_GET_REGION_INFO,
        uapi::VFIO_DEVICE_BIND_IOMMUFD,
        uapi::VFIO_DEVICE_SET_IRQS,
        uapi::VFIO_DEVICE_FEATURE,
    ] {
        assert_eq!(call(request, &[]), Call::Unreadable { request });
    }
}

#[test]
fn set_irqs_has_its_data_and_its_action() {
    let set = |flags, count, words: &[u32]| {
        let head = [20, flags, 2, 3, count];
        match call(uapi::VFIO_DEVICE_SET_IRQS, &bytes(&[&head, words].concat())) {
            Call::SetIrqs {
                index: 2,
                start: 3,
                action,
                data,
                ..
            } => (action, data),
            other => panic!("{other:?}"),
        }
    };
    let none = VFIO_IRQ_SET_DATA_NONE;
    assert_eq!(
        set(none | VFIO_IRQ_SET_ACTION_MASK, 1, &[]),
        (IrqAction::Mask, IrqData::None)
    );
    assert_eq!(
        set(none | VFIO_IRQ_SET_ACTION_UNMASK, 1, &[]),
        (IrqAction::Unmask, IrqData::None)
    );
    let trigger = VFIO_IRQ_SET_ACTION_TRIGGER;
    let word = u32::from_ne_bytes([1, 0, 5, 1]);
    assert_eq!(
        set(VFIO_IRQ_SET_DATA_BOOL | trigger, 3, &[word]),
        (IrqAction::Trigger, IrqData::Bool(vec![true, false, true]))
    );
    assert_eq!(
        set(VFIO_IRQ_SET_DATA_EVENTFD | trigger, 2, &[4, u32::MAX, 9]),
        (IrqAction::Trigger, IrqData::Eventfd(vec![4, -1]))
    );
    let both = VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_DATA_EVENTFD;
    assert_eq!(
        set(both, 1, &[]),
        (IrqAction::Unknown(0), IrqData::Unknown(both))
    );
}

#[test]
fn a_feature_has_its_operation_and_its_data() {
    let (get, set) = (VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_SET);
    let probe = VFIO_DEVICE_FEATURE_PROBE;
    let wakeup = VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP;
    let start = VFIO_DEVICE_FEATURE_DMA_LOGGING_START;
    let report = VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT;
    let words = [1, 0, 2, 0, 4096, 0];
    let none = FeatureData::default();
    let logging = FeatureData {
        iova: Some(1),
        length: Some(2),
        page_size: Some(4096),
        ..none
    };
    let ranges = FeatureData {
        page_size: Some(1),
        ranges: Some(2),
        ..none
    };
    let (operation, wakeup_fd) = (Some(1), Some(1));
    let master = FeatureData { operation, ..none };
    let woken = FeatureData { wakeup_fd, ..none };
    for (flags, feature, expected) in [
        (set, wakeup, woken),
        (set, start, ranges),
        (set, VFIO_DEVICE_FEATURE_BUS_MASTER, master),
        (get, report, logging),
        (get, start, none),
        (get | probe, report, none),
        (set | probe, wakeup, none),
        (probe, report, none),
        (set, VFIO_DEVICE_FEATURE_MIGRATION, none),
    ] {
        let op = FeatureOp {
            get: flags & get != 0,
            set: flags & set != 0,
            probe: flags & probe != 0,
        };
        let call = feature_call(flags | feature, &words);
        let data = expected;
        assert_eq!(call, Call::Feature { feature, op, data });
    }
}

#[test]
fn a_probe_has_no_answer() {
    let answer_to = |flags: u32| {
        let call = feature_call(flags | VFIO_DEVICE_FEATURE_MIGRATION, &[]);
        answer(&call, &bytes(&[16, 0, 7, 0]))
    };
    let flags = Answer::MigrationFlags { flags: 7 };
    assert_eq!(answer_to(VFIO_DEVICE_FEATURE_GET), flags);
    let probe = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_PROBE;
    assert_eq!(answer_to(probe), Answer::None);
}

#[test]
fn only_what_the_capture_may_have_cut_off_is_unreadable() {
    let cut = || Err(ChainError::Truncated { needed: 1, have: 0 });
    assert_eq!(parsed(cut(), &[0; ANSWER_BYTES]), Answer::Unreadable);
    let short = parsed(cut(), &[0; ANSWER_BYTES - 1]);
    assert!(matches!(short, Answer::Malformed { .. }), "{short:?}");
    let wrong = ChainError::AreaOverlap {
        first: 0,
        second: 1,
    };
    let wrong = parsed(Err(wrong), &[0; ANSWER_BYTES]);
    assert!(matches!(wrong, Answer::Malformed { .. }), "{wrong:?}");
}

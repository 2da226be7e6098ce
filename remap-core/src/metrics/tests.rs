use super::*;
use crate::{
    event::{Body, Call, DeviceKey, Errno, Exit, Task},
    model::{Evidence, Finding, Interrupt, IrqName},
};

fn task() -> Task {
    Task {
        pid: 1,
        tid: 1,
        comm: "vmm".to_owned(),
    }
}

fn interrupt(device: &str, sub: u32, latency_ns: u64) -> Output {
    Output::Interrupt(Interrupt {
        device: device.to_owned(),
        index: 2,
        name: IrqName::Msix,
        sub,
        signal_ns: Some(1_000),
        time_ns: 1_000 + latency_ns,
        signals: Some(1),
        in_kernel: true,
        task: task(),
    })
}

fn finding(device: &str) -> Output {
    Output::Finding(Finding {
        time_ns: 1,
        device: device.to_owned(),
        region: None,
        trigger_id: None,
        evidence: Evidence::ErrorState {
            after: None,
            confirmed: true,
        },
    })
}

fn closed(device: &str) -> Output {
    Output::Closed(crate::model::Closed {
        device: device.to_owned(),
        time_ns: 1,
        dying: Some(false),
        state: None,
        inside: None,
        unanswered: Vec::new(),
        task: task(),
    })
}

fn text(metrics: Metrics) -> String {
    let mut meter = Meter::default();
    meter.count(|total| *total = metrics);
    let own = || Own {
        version: "1.2.3",
        start_s: 5.5,
        cpu_ns: Some(1_500_000_000),
        resident_bytes: None,
        answers: vec![(200, 3)],
        spans: vec![("sent", 4)],
    };
    Exposition::new(meter.total(), own).text().unwrap()
}

fn call(request: u32, result: Result<i64, Errno>) -> Event {
    let exit = Exit {
        device: DeviceKey(1),
        call: Call::Other { request },
        begin_ns: 1,
        result,
        answer: crate::event::Answer::None,
    };
    Event {
        time_ns: 2,
        cpu: 0,
        task: task(),
        body: Body::Exit(exit),
    }
}

#[test]
fn what_is_counted_is_written() {
    let mut metrics = Metrics::default();
    metrics.output(&interrupt("0000:01:00.0", 3, 1_500));
    metrics.output(&interrupt("0000:01:00.0", 3, 500));
    metrics.output(&finding("0000:01:00.0"));
    metrics.event(&call(0, Err(Errno::ENOTTY)), "0000:01:00.0");
    metrics.event(&call(7, Err(Errno::ENOTTY)), "0000:01:00.0");
    metrics.account(&Account {
        seen: Some(9),
        delivered: 7,
        lost: [("ring_full".to_owned(), 2)].into(),
        ..Account::default()
    });
    let text = text(metrics);
    let vector = "device=\"0000:01:00.0\",irq=\"MSIX\",index=\"2\",vector=\"3\"";
    for line in [
        "# TYPE remap_interrupt_latency_seconds histogram",
        "# UNIT remap_interrupt_latency_seconds seconds",
        &format!("remap_interrupt_latency_seconds_sum{{{vector}}} 0.000002"),
        &format!("remap_interrupt_latency_seconds_count{{{vector}}} 2"),
        &format!("remap_interrupt_latency_seconds_bucket{{le=\"0.000001\",{vector}}} 1"),
        &format!("remap_interrupt_latency_seconds_bucket{{le=\"0.000002\",{vector}}} 2"),
        &format!("remap_interrupt_latency_seconds_bucket{{le=\"+Inf\",{vector}}} 2"),
        "remap_calls_total{device=\"0000:01:00.0\",call=\"other\",result=\"ENOTTY\"} 2",
        "remap_findings_total{device=\"0000:01:00.0\",rule=\"error-state\"} 1",
        "remap_records_seen_total 9",
        "remap_records_delivered_total 7",
        "remap_records_lost_total{reason=\"ring_full\"} 2",
        "remap_records_lost_total{reason=\"unread\"} 0",
        "remap_blind 0",
        "remap_http_answers_total{status=\"200\"} 3",
        "remap_spans_total{result=\"sent\"} 4",
        "process_start_time_seconds 5.5",
        "process_cpu_seconds_total 1.5",
        "# EOF",
    ] {
        assert!(text.lines().any(|is| is == line), "no {line} in\n{text}");
    }
    assert!(
        !text.contains("process_resident_memory_bytes "),
        "unknown is not 0"
    );
}

#[test]
fn a_name_cannot_forge_a_series() {
    let mut metrics = Metrics::default();
    metrics.output(&finding("a\"} 1\nforged{x=\"\\"));
    let text = text(metrics);
    let line =
        "remap_findings_total{device=\"a\\\"} 1\\nforged{x=\\\"\\\\\",rule=\"error-state\"} 1";
    assert!(text.lines().any(|is| is == line), "{text}");
}

#[test]
fn parts_that_are_merged_are_as_good_as_one() {
    let (mut whole, mut sum) = (Metrics::default(), Metrics::default());
    for part in 0..4_u64 {
        let mut counted = Metrics::default();
        for sub in 0..3 {
            let output = interrupt("one", sub, 1_000 << part);
            whole.output(&output);
            counted.output(&output);
        }
        counted.output(&finding("two"));
        whole.output(&finding("two"));
        sum.merge(counted);
    }
    assert_eq!(text(sum), text(whole));
}

#[test]
fn series_without_room_are_counted() {
    let mut metrics = Metrics::default();
    let flood = u32::try_from(HISTOGRAMS).unwrap() + 5;
    for sub in 0..flood {
        metrics.output(&interrupt("flood", sub, 1));
    }
    assert_eq!(metrics.rows.histograms, HISTOGRAMS);
    assert_eq!(metrics.beyond.values, 5);
    metrics.output(&finding("other"));
    assert_eq!(metrics.devices.len(), 2, "a device in use keeps its series");
    metrics.output(&closed("flood"));
    metrics.output(&interrupt("new", 0, 1));
    assert!(!metrics.devices.contains_key("flood"));
    assert_eq!((metrics.beyond.devices, metrics.rows.histograms), (1, 1));
}

#[test]
fn the_devices_that_were_used_last_keep_their_series() {
    let mut metrics = Metrics::default();
    for n in 0..DEVICES {
        metrics.output(&finding(&n.to_string()));
    }
    metrics.output(&finding("0"));
    metrics.output(&finding("new"));
    assert_eq!(metrics.devices.len(), DEVICES);
    assert!(metrics.devices.contains_key("0") && !metrics.devices.contains_key("1"));
    assert_eq!(
        (metrics.beyond.devices, metrics.rows.counters),
        (1, DEVICES)
    );
}

#[test]
fn a_trace_that_is_blind_says_so_until_it_sees_again() {
    let mut metrics = Metrics::default();
    let mut blind = Blind {
        since_ns: 1,
        until_ns: None,
        hooks: crate::model::BlindHooks::All,
        cause: crate::model::BlindCause::Unknown,
    };
    metrics.blind(&blind);
    assert!(text(metrics.clone()).contains("remap_blind 1\n"));
    blind.until_ns = Some(2);
    metrics.blind(&blind);
    assert!(text(metrics).contains("remap_blind 0\n"));
}

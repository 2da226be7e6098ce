//! The filters of a trace on the command line, and what is shown of it.

use std::io::{self, IsTerminal as _, Write};

use clap::Args;

use crate::exit::{Code, Error};
use crate::live::process::sees_all_pids;
use crate::vfio::sysfs::{Bdf, Host};
use remap_core::correlate::Options;
use remap_core::model::Class;
use remap_core::pipeline::Filter;
use remap_core::sink::select::Selection;
use remap_core::sink::text::{Text, TextOptions};

/// Which devices and processes a trace is about.
#[derive(Args, Debug)]
pub struct Scope {
    /// Only this device: domain:bus:device.function, as in 0000:01:00.0; for a device that is no PCI
    /// device its name, such as the UUID of an mdev.
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Only devices that this process uses; its pid on the host.
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Only devices that the virtual machine with this name uses (QEMU: -name).
    #[arg(long, value_name = "NAME")]
    vm: Option<String>,
}

/// Which lines of a trace are shown.
#[derive(Args, Debug)]
pub struct Lines {
    /// Only lines of these classes, separated by commas; the summary counts all.
    ///
    /// remap: the remap IRQ. migration: state changes, and the activity in each state. irq: each
    /// interrupt and its set-up, shown only if this class is given. mapping: zaps and faults; also
    /// each mmap and munmap, shown only if this class is given. dma: the same for DMA mappings.
    /// file: opens and closes. finding: violations and other problems. vmm: checkpoints of
    /// --qemu-log.
    #[arg(long, value_name = "CLASS", value_delimiter = ',', value_parser = class)]
    class: Vec<Class>,
    /// Only cycles, state changes, interrupts and zaps that took at least this long, such as 500us
    /// or 1.5ms; the summary counts all.
    #[arg(long, visible_alias = "slower-than", value_name = "TIME", value_parser = nanoseconds)]
    min_latency: Option<u64>,
}

/// What is shown of a trace, and how.
#[derive(Args, Debug)]
pub struct Shown {
    /// Write JSON Lines.
    #[arg(long)]
    pub json: bool,
    /// Write every event too.
    #[arg(long)]
    pub events: bool,
    /// Write a line for each stage of a cycle, as it is observed.
    #[arg(long)]
    pub stages: bool,
}

impl Scope {
    /// Which devices and processes are traced.
    ///
    /// # Errors
    /// If the device's address is malformed, or the names of virtual machines are unknown here.
    pub fn filter(&self) -> Result<Filter, Error> {
        // Names are compared in the kernel's form.
        let device = match &self.device {
            Some(text) => Some(device(&Host::default(), text)?),
            None => None,
        };
        if self.vm.is_some() && !sees_all_pids() {
            return Err(Error::with_message(
                Code::Machine,
                "--vm: the names of virtual machines are unknown inside a PID namespace; run remap \
                 outside of it, or use --device",
            ));
        }
        Ok(Filter {
            device,
            pid: self.pid,
            vm: self.vm.clone(),
        })
    }

    /// Which devices and processes of a recording are shown: those that it was made for, unless others
    /// are named.
    pub fn of_recording(&self, recorded: &Filter) -> Filter {
        if self.device.is_none() && self.pid.is_none() && self.vm.is_none() {
            return recorded.clone();
        }
        let named = |text: &str| match text.parse::<Bdf>() {
            Ok(bdf) => bdf.to_string(),
            Err(_) if is_uuid(text) => text.to_ascii_lowercase(),
            // Of a device that need not exist here.
            Err(_) => text.to_owned(),
        };
        Filter {
            device: self.device.as_deref().map(named),
            pid: self.pid,
            vm: self.vm.clone(),
        }
    }

    /// Selects this device only.
    pub fn select_device(&mut self, device: &str) {
        self.device = Some(device.to_owned());
    }
}

impl Lines {
    /// Which lines are shown.
    pub fn selection(&self) -> Selection {
        Selection {
            classes: (!self.class.is_empty()).then(|| self.class.iter().copied().collect()),
            min_latency_ns: self.min_latency,
            ..Selection::default()
        }
    }
}

/// The name of a device in the kernel's form. A UUID may be that of a device that does not exist yet.
fn device(host: &Host, text: &str) -> Result<String, Error> {
    match text.parse::<Bdf>() {
        Ok(bdf) => Ok(bdf.to_string()),
        Err(_) if is_uuid(text) => Ok(text.to_ascii_lowercase()),
        Err(_) if host.is_device_name(text) => Ok(text.to_owned()),
        Err(error) => Err(Error::with_message(
            Code::Usage,
            format!("{error}; nor is it a UUID, or a name in /sys/bus/*/devices"),
        )),
    }
}

/// Whether a text is a UUID, as mdevs are named.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths = groups.iter().map(|group| group.len());
    lengths.eq([8, 4, 4, 4, 12]) && groups.concat().bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn class(text: &str) -> Result<Class, String> {
    text.parse().map_err(|_| {
        let names: Vec<&str> = Class::ALL.iter().map(|class| class.name()).collect();
        format!("not one of {}", names.join(", "))
    })
}

/// Parses a time with its unit.
fn nanoseconds(text: &str) -> Result<u64, String> {
    let wrong = || "not a time with its unit, as in 500us, 1.5ms or 2s".to_owned();
    let digits = text.trim_end_matches(|char: char| !char.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return Err(wrong()),
    };
    let is_number = |char: char| char.is_ascii_digit() || char == '.';
    if !digits.chars().all(is_number) {
        return Err(wrong());
    }
    let seconds = digits.parse::<f64>().map_err(|_| wrong())? * unit / 1e9;
    let time = std::time::Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
    u64::try_from(time.as_nanos()).map_err(|_| wrong())
}

/// How a trace is correlated of which these lines are shown.
pub fn options(selection: &Selection) -> Options {
    Options {
        interrupts: selection.names(Class::Irq),
        mappings: selection.names(Class::Mapping) || selection.names(Class::Dma),
        ..Options::default()
    }
}

/// The text of a trace that began at `start_ns` (CLOCK_MONOTONIC), in colour on a terminal.
pub fn text<W: Write>(out: W, start_ns: u64) -> Text<W> {
    let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    Text::new(out, TextOptions { colour, start_ns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        for (text, ns) in [
            ("500us", 500_000),
            ("500µs", 500_000),
            ("1.5ms", 1_500_000),
            ("2s", 2_000_000_000),
            ("7ns", 7),
            ("0ms", 0),
        ] {
            assert_eq!(nanoseconds(text), Ok(ns), "{text}");
        }
        for text in [
            "",
            "5",
            "ms",
            "-1ms",
            "1e3ms",
            "1 ms",
            "1.2.3ms",
            "infs",
            "1m",
            "999999999999s",
        ] {
            assert!(nanoseconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_device_may_be_none_of_pci() {
        let sys = tempfile::tempdir().unwrap();
        let platform = sys.path().join("bus/platform/devices/acme.0");
        std::fs::create_dir_all(platform).unwrap();
        let host = Host::at(sys.path(), "/nonexistent");
        let name = |text| device(&host, text);
        assert_eq!(name("1:00.0").unwrap_err().code, Code::Usage);
        assert_eq!(name("01:00.0").unwrap(), "0000:01:00.0");
        let uuid = "83B8F4F2-509F-382F-3C1E-E6BFE0FA1001";
        assert_eq!(name(uuid).unwrap(), uuid.to_ascii_lowercase());
        assert_eq!(name("acme.0").unwrap(), "acme.0");
        for wrong in ["acme.1", "", "..", "platform/devices", &uuid[1..]] {
            let error = name(wrong).unwrap_err();
            assert_eq!(error.code, Code::Usage, "{wrong}");
            assert!(error.to_string().contains("UUID"), "{error}");
        }
    }

    #[test]
    fn a_class_has_a_name() {
        for known in Class::ALL {
            assert_eq!(class(known.name()), Ok(*known));
        }
        assert!(class("irqs").unwrap_err().contains("migration"));
    }
}

//! The command line of the guest's machine.

use std::path::Path;
use std::process::Command;

use remap_guest::handover::PORT;

use crate::device::Placed;

/// The program.
pub const PROGRAM: &str = "qemu-system-x86_64";

/// What a machine is made of.
pub struct Machine<'a> {
    /// The uncompressed kernel.
    pub kernel: &'a Path,
    /// The guest's root.
    pub initrd: &'a Path,
    /// Processors.
    pub smp: u32,
    /// Memory, in MiB.
    pub memory: u64,
    /// One guest nanosecond per instruction: the same figures every time.
    pub icount: bool,
    /// The console is this terminal.
    pub shell: bool,
    /// Where the console is kept while it is this terminal.
    pub log: &'a Path,
    /// The pipes that carry the frames, without their `.in` and `.out`.
    pub channel: &'a Path,
    /// The devices.
    pub devices: &'a [Placed],
    /// Further arguments, as given.
    pub extra: &'a [String],
}

impl Machine<'_> {
    /// The command to spawn. QEMU dies with this process, however that ends.
    pub fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", PROGRAM]);
        command.args([
            "-machine",
            "q35,kernel-irqchip=split",
            "-cpu",
            "max",
            "-m",
            &self.memory.to_string(),
        ]);
        command.args(["-nodefaults", "-display", "none", "-no-reboot"]);
        if self.icount {
            command.args([
                "-accel",
                "tcg,thread=single",
                "-icount",
                "shift=0,sleep=off",
            ]);
            command.args(["-rtc", "base=2026-01-01,clock=vm", "-seed", "42"]);
        } else {
            // With a thread for each processor QEMU before 8.1 can run a breakpoint that the
            // kernel has just patched away, which is an Oops (its commit deba78709ae8 mends that);
            // and when one processor moves or hides a BAR, another's access to a device can reach
            // the wrong one, which reads 0 or ends QEMU (0d58c660689f, 8.1 too).
            command.args(["-accel", "tcg,thread=single"]);
        }
        command.args(["-smp", &self.smp.to_string()]);
        let console = if self.shell {
            format!(
                "stdio,id=console,mux=on,signal=off,logappend=on,logfile={}",
                self.log.display()
            )
        } else {
            "stdio,id=console".into()
        };
        command.args(["-chardev", &console, "-serial", "chardev:console"]);
        // A pipe: the serial line is written byte by byte, which sockets are bad at.
        let channel = format!("pipe,id=channel,path={}", self.channel.display());
        command.args(["-chardev", &channel]);
        if self.icount {
            command.args(["-serial", "chardev:channel"]);
        } else {
            // The last slot: the devices under test have the first ones.
            command.args([
                "-device",
                "virtio-serial-pci,id=vs,disable-legacy=on,addr=1e",
            ]);
            let port = format!("virtserialport,bus=vs.0,chardev=channel,name={PORT}");
            command.args(["-device", &port]);
        }
        command.args(["-device", "intel-iommu,intremap=on,caching-mode=on"]);
        for device in self.devices {
            command.args(&device.args);
        }
        command
            .arg("-kernel")
            .arg(self.kernel)
            .arg("-initrd")
            .arg(self.initrd);
        command.args(["-append", &self.append()]).args(self.extra);
        command
    }

    /// The kernel's command line. Warnings reach the console; an Oops ends the
    /// machine at once instead of hanging it until the time-out.
    fn append(&self) -> String {
        let mut words = vec![
            "console=ttyS0",
            "loglevel=5",
            "panic=-1",
            "oops=panic",
            "nokaslr",
            "mitigations=off",
        ];
        words.extend(["intel_iommu=on", "tsc=reliable", "rdinit=/init"]);
        // The test of the timer waits for ticks in a time that a busy host may not give, and panics.
        words.push("no_timer_check");
        if self.icount {
            words.push("norandmaps");
        } else {
            // Each kprobe that is taken out waits for grace periods, which last many ticks; hurried,
            // a tracer of the tests ends in a fraction of the time.
            words.push("rcupdate.rcu_expedited=1");
        }
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(smp: u32, icount: bool) -> Vec<String> {
        let path = Path::new("/x");
        let machine = Machine {
            kernel: path,
            initrd: path,
            smp,
            memory: 512,
            icount,
            shell: false,
            log: path,
            channel: path,
            devices: &[],
            extra: &["-trace".into()],
        };
        machine
            .command()
            .get_args()
            .map(|arg| arg.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn repeatable_runs_count_instructions() {
        let args = arguments(1, true);
        assert!(args.contains(&"shift=0,sleep=off".to_owned()));
        assert!(args.iter().any(|arg| arg.ends_with("norandmaps")));
        assert!(!arguments(2, false).contains(&"-icount".to_owned()));
    }

    #[test]
    fn extra_arguments_come_last() {
        assert_eq!(
            arguments(2, false).last().map(String::as_str),
            Some("-trace")
        );
    }
}

//! Other processes that use a device's file: this program in another role. Each keeps a ledger, and
//! prints it when it is done.

use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use remap_core::event::DeviceState;
use remap_user::vfio::open::{self, Via};
use remap_user::vfio::sysfs::{Bdf, Host};
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::process::Signal;

use crate::rig::judge::ledger::Ledger;
use crate::rig::judge::sentence::Place;
use crate::rig::vmm::Vmm;
use crate::rig::vmm::assigned::{Assigned, MSIX};
use crate::rig::vmm::sys::{self, PAGE};

/// The option that starts such a process.
pub const OPTION: &str = "--peer";

/// This program in a role.
fn peer(role: &str, words: &[String]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args([OPTION, role]).args(words);
    command
}

/// The words that name a device and its file.
fn named(device: &Assigned<'_>) -> [String; 2] {
    let fd = device.device().file().as_raw_fd();
    [device.bdf().to_string(), fd.to_string()]
}

/// Does something while a device's file is inherited by processes that are started.
fn inherited<T>(device: &Assigned<'_>, act: impl FnOnce() -> Result<T>) -> Result<T> {
    let file = device.device().file();
    let flags = fcntl_getfd(file)?;
    fcntl_setfd(file, flags - FdFlags::CLOEXEC)?;
    let acted = act();
    fcntl_setfd(file, flags)?;
    acted
}

/// Runs a peer to its end, and merges its ledger.
fn finish(mut command: Command, ledger: &Ledger) -> Result<()> {
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "a peer: {}", output.status);
    ledger.merge(&String::from_utf8(output.stdout)?)
}

/// Another process maps the first page of a region of a device without memory access, and touches it:
/// SIGBUS kills it. There is one access, and no retry.
pub fn touch(device: &Assigned<'_>, region: u32) -> Result<()> {
    let [bdf, fd] = named(device);
    let mut command = peer("touch", &[bdf, fd, region.to_string()]);
    command.stdout(Stdio::piped());
    let output = inherited(device, || Ok(command.spawn()?.wait_with_output()?))?;
    ensure!(
        output.status.signal() == Some(Signal::BUS.as_raw()),
        "it was not killed by SIGBUS: {}",
        output.status
    );
    device.ledger().merge(&String::from_utf8(output.stdout)?)
}

/// Another process opens a device, sets its state, and is killed in it. Gives its pid.
pub fn dies_in(bdf: Bdf, state: DeviceState) -> Result<u32> {
    let number = state.to_uapi().context("no state of this protocol")?;
    let mut command = peer("own", &[bdf.to_string(), number.to_string()]);
    let mut owner = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let ready = owner.stdout.as_mut().context("no stdout")?;
    ready
        .read_exact(&mut [0])
        .context("it did not reach the state")?;
    owner.kill()?;
    owner.wait()?;
    Ok(owner.id())
}

/// Another process uses a device's file that it inherits.
pub fn inherits(device: &Assigned<'_>) -> Result<()> {
    let command = peer("use", &named(device));
    inherited(device, || finish(command, device.ledger()))
}

/// The same in a PID namespace of its own, where its pid is 1.
pub fn inherits_in_a_namespace(device: &Assigned<'_>) -> Result<()> {
    let mut command = Command::new("busybox");
    command.args(["unshare", "-p", "-f"]);
    command.arg(std::env::current_exe()?);
    command.args([OPTION, "use"]).args(named(device));
    inherited(device, || finish(command, device.ledger()))
}

/// Another process uses a device's file that it receives over a socket.
pub fn receives(device: &Assigned<'_>) -> Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = peer("receive", &[device.bdf().to_string()]);
    command.stdin(OwnedFd::from(theirs));
    let files = [device.device().file().as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    ensure!(
        message.push(SendAncillaryMessage::ScmRights(&files)),
        "no room for a file"
    );
    let byte = [std::io::IoSlice::new(&[0])];
    sendmsg(&ours, &byte, &mut message, SendFlags::empty())?;
    finish(command, device.ledger())
}

/// Another process maps a region and ends, while a third process shares its mm and ends later: the
/// mapping ends with the mm.
pub fn leaves_its_space(device: &Assigned<'_>) -> Result<()> {
    let [bdf, fd] = named(device);
    let mut command = peer("share", &[bdf, fd]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut peer = inherited(device, || Ok(command.spawn()?))?;
    let hold = peer.stdin.take().context("no pipe")?;
    let ended = peer.wait()?;
    ensure!(ended.success(), "a peer: {ended}");
    let mut ledger = String::new();
    let mut lines = peer.stdout.take().context("no stdout")?;
    // The third process has the same stdout: it is at its end when that process has ended.
    drop(hold);
    lines.read_to_string(&mut ledger)?;
    device.ledger().merge(&ledger)
}

/// A process opens a device, forks and ends; its child continues to use the device.
pub fn forks(bdf: Bdf, ledger: &Ledger) -> Result<()> {
    finish(peer("fork", &[bdf.to_string()]), ledger)
}

/// A process opens a device, and calls execve; the new program continues to use the device.
pub fn execs(bdf: Bdf, ledger: &Ledger) -> Result<()> {
    finish(peer("exec", &[bdf.to_string()]), ledger)
}

/// Prints the ledger, for the parent process.
fn print(ledger: &Ledger) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(ledger.lines().as_bytes())?;
    Ok(out.flush()?)
}

/// Uses a device: eventfds, a mapping, software triggers.
fn use_it(device: &mut Assigned<'_>) -> Result<()> {
    device.map_page(0)?;
    device.enable(MSIX, 3)?;
    for sub in 0..3 {
        device.trigger(MSIX, sub, i64::from(sub) + 1)?;
        device.read(Place::trigger(MSIX, sub), u64::from(sub) + 1)?;
    }
    device.disable(MSIX)
}

/// Receives a file over the socket that is stdin.
fn receive() -> Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut into = [IoSliceMut::new(&mut byte)];
    recvmsg(
        std::io::stdin(),
        &mut into,
        &mut message,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let file = message.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    file.context("no file was sent")
}

/// Plays the role that the command line names.
pub fn main(mut words: impl Iterator<Item = String>) -> Result<ExitCode> {
    let role = words.next().context("no role")?;
    let bdf: Bdf = words.next().context("no device")?.parse()?;
    let ledger = Ledger::default();
    let fd = |words: &mut dyn Iterator<Item = String>| -> Result<i32> {
        Ok(words.next().context("no file")?.parse()?)
    };
    match role.as_str() {
        "touch" => {
            let mut device = Assigned::adopt(bdf, fd(&mut words)?, &ledger)?;
            let region = words.next().context("no region")?.parse()?;
            device.map_page(region)?;
            // The end of the process unmaps it.
            device.happened(1, format_args!("unmap {region} 0x0+{PAGE:#x}"));
            print(&ledger)?;
            sys::die_of_sigbus();
            let touched = device.mappings().first().map(|mapping| mapping.read_u32(0));
            bail!("the device answered: {touched:?}")
        }
        "own" => {
            let number: u32 = words.next().context("no state")?.parse()?;
            let device = open::open(&Host::default(), bdf, Via::Auto)?;
            device.migration()?.context("no migration")?;
            let data = device.set_state(DeviceState::from_uapi(number))?;
            std::io::stdout().write_all(b".")?;
            std::io::stdout().flush()?;
            // The parent process kills it.
            std::io::stdin().read_to_end(&mut Vec::new())?;
            drop(data);
        }
        "share" => {
            let mut device = Assigned::adopt(bdf, fd(&mut words)?, &ledger)?;
            device.map_page(0)?;
            device.happened(1, format_args!("unmap 0 0x0+{PAGE:#x}"));
            print(&ledger)?;
            sys::hold_space(std::io::stdin().as_raw_fd())?;
            // No destructor unmaps anything.
            std::process::exit(0);
        }
        "use" => {
            let mut device = Assigned::adopt(bdf, fd(&mut words)?, &ledger)?;
            use_it(&mut device)?;
            device.leave()?;
        }
        "receive" => {
            let file = receive()?;
            let mut device = Assigned::adopt(bdf, file.as_raw_fd(), &ledger)?;
            use_it(&mut device)?;
            device.leave()?;
        }
        "last" => {
            let mut device = Assigned::adopt(bdf, fd(&mut words)?, &ledger)?;
            // The inherited file is still open; the process's end closes it.
            use_it(&mut device)?;
            device.leave()?;
            ledger.add(bdf, "close");
        }
        "fork" => return forked(bdf, &ledger),
        "exec" => return Err(executed(bdf, &ledger)?),
        _ => bail!("{role} is no role"),
    }
    print(&ledger)?;
    Ok(ExitCode::SUCCESS)
}

/// Opens, forks, and ends. The child has the same eventfds and mappings.
fn forked(bdf: Bdf, ledger: &Ledger) -> Result<ExitCode> {
    let mut vmm = Vmm::new(ledger)?;
    let mut device = vmm.assign(bdf)?;
    use_it(&mut device)?;
    device.enable(MSIX, 2)?;
    let (mut wait, end) = std::io::pipe()?;
    if !sys::fork()? {
        // The end of the parent unmaps its copy; the child waits for that by the pipe.
        device.happened(1, format_args!("unmap 0 0x0+{PAGE:#x}"));
        print(ledger)?;
        drop(wait);
        std::process::exit(0);
    }
    drop(end);
    wait.read_to_end(&mut Vec::new())?;
    ledger.clear();
    device.trigger(MSIX, 1, 5)?;
    device.read(Place::trigger(MSIX, 1), 5)?;
    device.disable(MSIX)?;
    device.close()?;
    vmm.close();
    print(ledger)?;
    Ok(ExitCode::SUCCESS)
}

/// Opens, and calls execve: that unmaps its mappings and closes its eventfds, which are still set in
/// the device.
fn executed(bdf: Bdf, ledger: &Ledger) -> Result<anyhow::Error> {
    let mut vmm = Vmm::new(ledger)?;
    let mut device = vmm.assign(bdf)?;
    device.map_page(0)?;
    device.enable(MSIX, 3)?;
    device.happened(1, format_args!("unmap 0 0x0+{PAGE:#x}"));
    for sub in 0..3 {
        let place = Place::trigger(MSIX, sub);
        device.happened(1, format_args!("{place}: released"));
    }
    device.left_behind();
    vmm.left_behind();
    print(ledger)?;
    let mut command = peer("last", &named(&device));
    let file = device.device().file();
    fcntl_setfd(file, fcntl_getfd(file)? - FdFlags::CLOEXEC)?;
    Ok(command.exec().into())
}

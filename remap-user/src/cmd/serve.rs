//! `remap serve BDF`: owns a device, and answers the remap triggers of its driver.

use std::path::PathBuf;

use clap::Args;

use crate::cmd::files::create_ready_file;
use crate::cmd::format::Format;
use crate::cmd::limits;
use crate::cmd::machine::open_device;
use crate::cmd::output::Printer;
use crate::cmd::signals::stop_signal;
use crate::confine::user::User;
use crate::exit::{Code, Error};
use crate::respond::ack::AckForm;
use crate::respond::serve::Service;
use crate::threads;
use crate::vfio::open::Via;

/// Owns a device, and remaps its regions at each trigger of its driver, until it is interrupted.
#[derive(Args, Debug)]
pub struct Serve {
    /// The device: domain:bus:device.function, as in 0000:01:00.0.
    #[arg(value_name = "BDF")]
    device: String,
    /// The form of the acknowledgement: write0 and write1 for a bitmap (default write0), unmask
    /// and unmask-eventfd for vectors (default unmask).
    #[arg(long, value_name = "FORM")]
    ack: Option<AckForm>,
    /// The way to open the device.
    #[arg(
        long,
        value_name = "WAY",
        value_enum,
        default_value_t,
        conflicts_with = "device_fd"
    )]
    via: Via,
    /// Write JSON Lines.
    #[arg(long)]
    json: bool,
    /// Use the device through this inherited file descriptor: another process changes its state, and
    /// this process answers the triggers.
    #[arg(long, value_name = "N")]
    device_fd: Option<i32>,
    /// Create this file as soon as the IRQs are enabled and the regions are mapped.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Become this user once the device is open, without groups and capabilities: a name of
    /// /etc/passwd, or UID:GID. It creates the ready file.
    #[arg(long, value_name = "USER")]
    user: Option<User>,
}

fn refused(error: &std::io::Error) -> Error {
    let errno = remap_core::event::Errno::of(error);
    let message = format!("becoming the user of --user failed: {errno}; only root may");
    Error::with_message(Code::Machine, message)
}

impl Serve {
    /// Serves until SIGINT, SIGTERM, or the reader of the output is gone.
    pub fn run(self) -> Result<(), Error> {
        limits::require(&limits::RESPOND)?;
        // First: threads that are started later are those of the user too.
        let device = open_device(&self.device, self.via, self.device_fd)?;
        if let Some(user) = self.user {
            user.become_it().map_err(|error| refused(&error))?;
        }
        let runtime = threads::runtime(threads::MANY).map_err(|error| threads::refused(&error))?;
        let (lines, printer) = Printer::start(Format::new(self.json), |_| true)?;
        let outbox = printer.outbox();
        let served = runtime.block_on(async {
            let device = device;
            let stop = stop_signal()?;
            let report = Box::new(move |report| {
                // A closed channel does not end the service here: `gone` does.
                let _ = lines.send(report);
            });
            let mut service = Service::start(&device, self.ack, report)?;
            create_ready_file(self.ready_file.as_deref())?;
            let stop = async {
                tokio::select! {
                    () = stop.notified() => {}
                    () = outbox.gone() => {}
                }
            };
            service.run(stop).await.map_err(Error::from)
            // Dropped in this order: the service (disable, unmap), the device (close).
        });
        drop(runtime);
        // The error of the output first: a command that it ended has none of its own.
        printer.finish().and(served)
    }
}

//! What a trace does about modules that come and go while it runs, `vfio` itself among them.

use std::{fs, path::Path, time::Duration};

use crate::{
    exit::Error,
    probe::{
        load::{LoadError, Options, Probes},
        reload::{Adopted, change},
        table::{Place, TABLE},
    },
    source::ring::RingSource,
};

/// How often a trace that waits looks for the module `vfio`.
const LOOK: Duration = Duration::from_millis(100);

/// Where the loaded modules are.
const MODULES: &str = "/sys/module";

/// Attaches the probes; where `vfio` is not loaded, says so and waits for it.
pub async fn attach(options: Options) -> Result<Probes, Error> {
    let mut told = false;
    loop {
        match Probes::attach(options) {
            Err(LoadError::Unloaded) => {
                if !told {
                    eprintln!(
                        "remap: the module vfio is not loaded: waiting for it (`modprobe vfio-pci`)"
                    );
                }
                told = true;
                wait_for_vfio().await;
            }
            Ok(probes) => {
                for sentence in &probes.missing {
                    eprintln!("remap: {sentence}");
                }
                return Ok(probes);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn wait_for_vfio() {
    let state = Path::new(MODULES).join("vfio/initstate");
    loop {
        tokio::time::sleep(LOOK).await;
        if fs::read_to_string(&state).is_ok_and(|state| state.trim_end() == "live") {
            return;
        }
    }
}

/// What is to be done after modules have come or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Nothing,
    /// Look again at what was there before.
    Walk,
    /// The programs do not fit this kernel any more.
    Attach,
}

/// The modules that come and go.
pub struct Modules {
    ring: RingSource,
    waiting: Vec<(String, bool)>,
}

impl Modules {
    /// Takes the programs' ring of them.
    pub fn of(probes: &mut Probes) -> Result<Self, Error> {
        Ok(Self {
            ring: RingSource::new(probes.take_modules()?)?,
            waiting: Vec::new(),
        })
    }

    /// Waits until one comes or goes.
    pub async fn changed(&mut self) -> Result<(), Error> {
        let Self { ring, waiting } = self;
        ring.ready(|bytes| waiting.extend(change(bytes))).await?;
        Ok(())
    }

    /// Hooks what came, and lets go of what went. Says what a trace lacks from here on.
    pub fn settle(&mut self, probes: &mut Probes) -> Result<Next, Error> {
        let mut adopt = false;
        for (name, loaded) in self.waiting.drain(..) {
            if loaded {
                adopt |= is_of_interest(&name);
            } else if probes.release_module(&name)? > 0 {
                eprintln!("remap: the module {name} was unloaded: its hooks are gone with it");
            }
        }
        if !adopt {
            return Ok(Next::Nothing);
        }
        match probes.adopt_modules()? {
            Adopted::Hooked(0) => Ok(Next::Nothing),
            Adopted::Hooked(count) => {
                eprintln!("remap: modules were loaded: {count} hooks were put in place");
                Ok(Next::Walk)
            }
            Adopted::Other => Ok(Next::Attach),
        }
    }
}

/// Whether a module may have functions that are hooked: those of the table, and the drivers that
/// use `vfio_pci_core`. One whose name is not known may be any.
fn is_of_interest(name: &str) -> bool {
    let named = TABLE
        .iter()
        .any(|row| matches!(row.place, Place::Module(module) if module == name));
    let holders = Path::new(MODULES).join("vfio_pci_core/holders");
    name.is_empty() || named || name == "vfio_pci_core" || holders.join(name).exists()
}

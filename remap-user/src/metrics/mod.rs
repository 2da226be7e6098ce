//! `--metrics ADDR`: what a trace has counted, over HTTP.
//!
//! A thread with a reactor of its own answers `GET /metrics`. It only shares the sums with the trace,
//! which never waits for them ([`Meter`]).

mod own;
mod server;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    str::FromStr,
};

use remap_core::{event::Errno, metrics::Meter};

use crate::{
    exit::{Code, Error, say},
    otlp::Queue,
};

/// Where the metrics are served: a port of the loopback, or an address with a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(SocketAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(port) = text.parse() {
            return Ok(Self(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)));
        }
        let address = text.parse().map_err(|_| {
            "not a port, or an IP address with a port, as in 9464, 127.0.0.1:9464 or [::1]:9464"
        })?;
        Ok(Self(address))
    }
}

/// Whether other hosts cannot reach it.
fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.is_loopback(),
            None => v6.is_loopback(),
        },
        IpAddr::V4(v4) => v4.is_loopback(),
    }
}

/// Serves metrics until the process ends, and says where; also of the spans of a queue. Returns what counts
/// for them.
///
/// # Errors
/// If the address is in use, or is none of this machine.
pub fn serve(address: Address, spans: Option<Queue>) -> Result<(Meter, SocketAddr), Error> {
    let refused = |error: &std::io::Error| {
        let message = format!(
            "--metrics: listening on {} failed: {}; {}",
            address.0,
            Errno::of(error),
            remedy(error)
        );
        Error::with_message(Code::Failed, message)
    };
    let listener = TcpListener::bind(address.0).map_err(|error| refused(&error))?;
    let bound = listener.local_addr().map_err(|error| refused(&error))?;
    let meter = Meter::default();
    server::start(listener, meter.total(), spans)?;
    match is_local(bound.ip()) {
        true => say(format_args!("metrics: http://{bound}/metrics")),
        false => say(format_args!(
            "metrics: http://{bound}/metrics, which other hosts can reach: names of devices and their \
             interrupts are in it, and nothing asks who reads it"
        )),
    }
    Ok((meter, bound))
}

fn remedy(error: &std::io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EADDRINUSE) => "another process listens there: choose another port",
        Some(libc::EADDRNOTAVAIL) => "choose an address of this machine",
        Some(libc::EACCES) => "choose a port from 1024 on",
        _ => "choose another address",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_one_of_the_loopback() {
        for (text, address) in [
            ("9464", "127.0.0.1:9464"),
            ("[::1]:9464", "[::1]:9464"),
            ("0.0.0.0:0", "0.0.0.0:0"),
        ] {
            assert_eq!(
                text.parse(),
                Ok(Address(address.parse().unwrap())),
                "{text}"
            );
        }
        for text in ["", "65536", "localhost:9464", "127.0.0.1", ":9464", "-1"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_loopback_is_local() {
        for (ip, local) in [
            ("127.0.0.1", true),
            ("127.8.8.8", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("0.0.0.0", false),
            ("::", false),
            ("192.0.2.1", false),
        ] {
            assert_eq!(is_local(ip.parse().unwrap()), local, "{ip}");
        }
    }

    #[test]
    fn a_port_in_use_is_one_line_with_a_remedy() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = serve(Address(holder.local_addr().unwrap()), None).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.code, Code::Failed);
        assert!(
            text.contains("EADDRINUSE") && text.contains("another port"),
            "{text}"
        );
    }
}
